"""What a newer schema breaks for operations that were written for an older one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from graphql import (
    BreakingChange,
    DangerousChange,
    GraphQLError,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
)

from fhir.errors import Invalid

Severity = Literal["breaking", "dangerous"]
BREAKING: Final = "breaking"
DANGEROUS: Final = "dangerous"


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change that some client has to know of.

    Attributes:
        severity: Breaking: an operation that was valid is not any more, or its answer has another
            form. Dangerous: it is valid, and may be answered otherwise than its author foresaw.
        text: What changed, as graphql-core says it.
    """

    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


def changes(older: str, newer: str) -> list[Change]:
    """Compare two schemas in GraphQL's schema language.

    Returns:
        What breaks first, then what is dangerous; in the order of the alphabet. What only adds to
        an answer is not told.

    Raises:
        Invalid: The older one is none.
    """
    before, now = _read(older), build_schema(newer)
    broken = _of(BREAKING, find_breaking_changes(before, now))
    return broken + _of(DANGEROUS, find_dangerous_changes(before, now))


def _read(sdl: str) -> GraphQLSchema:
    try:
        return build_schema(sdl)
    except (GraphQLError, TypeError) as error:  # TypeError: it parses, and is no schema
        said = error.message if isinstance(error, GraphQLError) else str(error)
        raise Invalid(f"the older schema cannot be read: {said}") from error


def _of(severity: Severity, found: Sequence[BreakingChange | DangerousChange]) -> list[Change]:
    return sorted(Change(severity, one.description) for one in found)
