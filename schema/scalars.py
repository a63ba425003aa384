"""FHIR's primitives that GraphQL has no scalar for, mostly as the text that FHIR JSON holds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from fhir.dates import interval
from fhir.errors import Invalid

Date = NewType("Date", str)
DateTime = NewType("DateTime", str)
Instant = NewType("Instant", str)
Integer64 = NewType("Integer64", int)

_LARGEST = 2**53 - 1  # what a JSON number can hold everywhere


def _fhir_date(value: Any) -> str:
    """Take a FHIR date or time as it is written; the text of the refusal does not repeat it."""
    if not isinstance(value, str):
        raise GraphQLError("write a FHIR date as a string")
    try:
        interval(value)
    except Invalid as error:
        raise GraphQLError(error.message) from None
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        raise GraphQLError("not a whole number of at most 53 bits")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError("not stored as text")
    return value


def _date_scalar(name: str, description: str) -> ScalarDefinition:
    return strawberry.scalar(
        name=name, description=description, serialize=_text, parse_value=_fhir_date
    )


SCALARS: Mapping[object, ScalarDefinition] = MappingProxyType(
    {
        Date: _date_scalar(
            "Date", "FHIR date, as precise as it is known: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`."
        ),
        DateTime: _date_scalar(
            "DateTime",
            "FHIR dateTime, as precise as it is known: `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or "
            "`YYYY-MM-DDThh:mm:ss+zz:zz`. A time has an offset from UTC.",
        ),
        Instant: _date_scalar(
            "Instant", "FHIR instant: `YYYY-MM-DDThh:mm:ss.sss+zz:zz`, to the second at least."
        ),
        Integer64: strawberry.scalar(
            name="Integer64",
            description="Whole number of up to 53 bits, where the 32 bits of Int do not reach.",
            serialize=_whole,
            parse_value=_whole,
        ),
    }
)
