"""Scalars of arguments, as FHIR's GraphQL definitions have them.

FHIR's own examples write codes without quotes (`name(use: official)`), which to GraphQL
is the literal of an enumeration. So these scalars take a bare word as well as a string.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from graphql import (
    BooleanValueNode,
    ConstValueNode,
    EnumValueNode,
    FloatValueNode,
    GraphQLError,
    GraphQLScalarType,
    IntValueNode,
    StringValueNode,
)

# By kind of search parameter; the names are those of FHIR's definitions.
SEARCHED = ("token", "reference", "date", "string")
_WRITTEN = StringValueNode | EnumValueNode | IntValueNode | FloatValueNode


@lru_cache(maxsize=len(SEARCHED))
def search_value(kind: str) -> GraphQLScalarType:
    """Give the scalar of the values of one kind of search parameter."""
    return GraphQLScalarType(
        kind,
        coerce_input_value=_text,
        coerce_input_literal=_literal,
        description=f"Value of a {kind} parameter, as FHIR search writes it; a bare word will do.",
    )


@lru_cache(maxsize=1)
def element_value() -> GraphQLScalarType:
    """Give the scalar of what a primitive element is compared to."""
    return GraphQLScalarType(
        "element_value",
        coerce_input_value=_plain,
        coerce_input_literal=_plain_literal,
        description="What a primitive element is to be equal to: a string, a bare word, a number "
        "or a boolean.",
    )


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError("write a string")
    return str(value)


def _literal(node: ConstValueNode) -> str:
    if not isinstance(node, _WRITTEN):
        raise GraphQLError("write a string")
    return node.value


def _plain(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise GraphQLError("write a string, a number or a boolean")
    return value


def _plain_literal(node: ConstValueNode) -> Any:
    read: Callable[[str], Any] = str
    match node:
        case BooleanValueNode():
            return node.value
        case IntValueNode():
            read = int
        case FloatValueNode():
            read = float
        case StringValueNode() | EnumValueNode():
            pass
        case _:
            raise GraphQLError("write a string, a number or a boolean")
    return read(node.value)
