"""Putting the schema together, and writing it down as SDL."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from schema.coordinates import check
from schema.mutation import Mutation
from schema.payload import ERRORS
from schema.policy import PolicyRefusedError
from schema.query import Query
from schema.scalars import SCALARS
from schema.subscription import Subscription


def build_schema(
    query: type = Query,
    mutation: type | None = Mutation,
    subscription: type | None = Subscription,
) -> GraphQLSchema:
    """Build the schema for execution; stored FHIR JSON is read as it is, field by field.

    Raises:
        Undeclared: A field does not say what decides about it.
    """
    # Strawberry gives it out in no other way
    schema = _strawberry(query, mutation, subscription)._schema
    check(schema)
    return schema


def sdl() -> str:
    """Write the schema in GraphQL's schema language."""
    return _strawberry(Query, Mutation, Subscription).as_str() + "\n"


def _strawberry(query: type, mutation: type | None, subscription: type | None) -> strawberry.Schema:
    config = StrawberryConfig(auto_camel_case=False, default_resolver=dict.get, scalar_map=SCALARS)
    types = [*ERRORS.values(), PolicyRefusedError] if mutation else []  # nothing names them
    return strawberry.Schema(query, mutation, subscription, config=config, types=types)
