"""Putting the schema together, and writing it down as SDL."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from schema.coordinates import check
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import SCALARS


def build_schema(query: type = Query, mutation: type | None = Mutation) -> GraphQLSchema:
    """Build the schema for execution; stored FHIR JSON is read as it is, field by field.

    Raises:
        Undeclared: A field does not say what decides about it.
    """
    schema = _strawberry(query, mutation)._schema  # Strawberry gives it out in no other way
    check(schema)
    return schema


def sdl() -> str:
    """Write the schema in GraphQL's schema language."""
    return _strawberry(Query, Mutation).as_str() + "\n"


def _strawberry(query: type, mutation: type | None) -> strawberry.Schema:
    config = StrawberryConfig(auto_camel_case=False, default_resolver=dict.get, scalar_map=SCALARS)
    return strawberry.Schema(query, mutation, config=config)
