"""What goes wrong, as GraphQL says it: `errors` with a stable `extensions.code`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir.errors import AccessDenied, Invalid, NotFound, ResourceError

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


class NotRun(ResourceError):
    """A mutation before this one failed."""

    code = "NOT_RUN"

    def __init__(self) -> None:
        super().__init__("Not done, because a mutation before it failed.")


class NotShown(ResourceError):
    """A mutation was done, and its answer cannot be read.

    Attributes:
        why: What keeps it from being read.
    """

    def __init__(self, why: ResourceError) -> None:
        hidden = isinstance(why, AccessDenied | NotFound)
        said = "it is not open to you" if hidden else why.message
        super().__init__(f"Done, but the record cannot be shown: {said}")
        self.why: ResourceError = AccessDenied(said) if hidden else why


class PolicyRefused(Invalid):
    """A policy that is not saved.

    Attributes:
        code: Which rule it broke.
        problems: Of its files, each with file, line, column, message and severity.
    """

    def __init__(self, code: str, message: str, problems: list[dict[str, Json]]) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # one class for what one mutation refuses
        self.problems = problems


@dataclass(slots=True)
class Refusals:
    """Coordinates that were asked for and refused: one error for each, however many rows."""

    _paths: dict[str, dict[str, None]] = field(default_factory=dict)
    _actions: dict[str, dict[str, None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def add(self, coordinate: str, paths: Iterable[str], action: str = "read") -> None:
        """Note that an action is refused at response paths (without list indices)."""
        if action != "read":
            self._actions.setdefault(coordinate, {})[action] = None
        self._paths.setdefault(coordinate, {}).update(dict.fromkeys(paths))

    def errors(self) -> list[dict[str, Json]]:
        """List the errors."""
        return [
            {
                "message": f"Access to '{coordinate}' is not permitted.",
                "extensions": {
                    "code": FORBIDDEN,
                    "coordinate": coordinate,
                    "paths": sorted(paths)[:MOST_PATHS],
                }
                | ({"actions": list(actions)} if actions else {}),
            }
            for coordinate, paths in sorted(self._paths.items())
            for actions in (self._actions.get(coordinate),)
        ]


def code_of(error: ResourceError) -> str:
    """Give the stable code of an expected failure, as GraphQL has it."""
    return FORBIDDEN if isinstance(error, AccessDenied) else error.code


def described(error: ResourceError, **where: Json) -> dict[str, Json]:
    """Say an expected failure; `where` is `path` or `locations`."""
    cause = error.why if isinstance(error, NotShown) else error
    extensions: dict[str, Json] = {"code": code_of(cause)}
    if isinstance(error, NotShown):
        extensions["done"] = True
    if isinstance(cause, PolicyRefused):
        extensions["problems"] = cause.problems
    if isinstance(cause, TooComplex):
        extensions |= {"limit": cause.limit, "value": cause.value, "max": cause.most}
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
