"""What goes wrong, as GraphQL says it: `errors` with a stable `extensions.code`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir.errors import AccessDenied, Invalid, ResourceError

Json = Any
FORBIDDEN = "FORBIDDEN"
MOST_PATHS = 20


class Malformed(Invalid):
    """The text is not GraphQL."""

    code = "GRAPHQL_PARSE_FAILED"


class NotOfThisSchema(Invalid):
    """The text is GraphQL, and asks for what the schema does not have."""

    code = "GRAPHQL_VALIDATION_FAILED"


class TooComplex(Invalid):
    """The operation asks for more than a limit allows.

    Attributes:
        limit: Which one.
        value: What the operation has; of tokens and objects, as far as they were counted.
        most: What the limit allows.
    """

    code = "OPERATION_TOO_COMPLEX"

    def __init__(self, limit: str, value: int, most: int) -> None:
        super().__init__(f"The operation exceeds the limit of {most:,} for {limit}; ask for less.")
        self.limit = limit
        self.value = value
        self.most = most


@dataclass(slots=True)
class Refusals:
    """Coordinates that were asked for and refused: one error for each, however many rows."""

    _paths: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, coordinate: str, paths: Iterable[str]) -> None:
        """Note a refusal at response paths (without list indices)."""
        known = self._paths.setdefault(coordinate, {})
        for path in paths:
            if len(known) < MOST_PATHS:
                known[path] = None

    def errors(self) -> list[dict[str, Json]]:
        """List the errors."""
        return [
            {
                "message": f"Access to '{coordinate}' is not permitted.",
                "extensions": {"code": FORBIDDEN, "coordinate": coordinate, "paths": list(paths)},
            }
            for coordinate, paths in sorted(self._paths.items())
        ]


def described(error: ResourceError, **where: Json) -> dict[str, Json]:
    """Say an expected failure; `where` is `path` or `locations`."""
    extensions: dict[str, Json] = {
        "code": FORBIDDEN if isinstance(error, AccessDenied) else error.code
    }
    if isinstance(error, TooComplex):
        extensions |= {"limit": error.limit, "value": error.value, "max": error.most}
    return {"message": error.message, **where, "extensions": extensions}


def internal(path: Iterable[str | int]) -> dict[str, Json]:
    """Say that something unexpected happened, and no more."""
    return {
        "message": "Internal error",
        "path": list(path),
        "extensions": {"code": "INTERNAL_ERROR"},
    }


class Refused(Exception):
    """The operation is not run at all.

    Attributes:
        errors: Why, as GraphQL says it.
    """

    def __init__(self, errors: list[Mapping[str, Json]]) -> None:
        super().__init__("operation not run")
        self.errors = errors
