"""What a mutation gives back: the record it was about, and what kept it from being done."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args

import strawberry
from strawberry.types.arguments import StrawberryArgument

from fhir.access import Action
from fhir.errors import (
    AccessDenied,
    Conflict,
    Invalid,
    NotFound,
    ResourceError,
    TooLarge,
    Unavailable,
)
from schema.coordinates import Kind, Policy, Right, loaded, plumbing
from schema.errors import NotRun, NotShown, PolicyRefused, code_of

Json = Any
Record = TypeVar("Record")
IDEMPOTENCY_KEY = "idempotencyKey"


@strawberry.interface(description="Why a mutation was not done, or not shown.")
class MutationError:
    """The types that implement it are for what a client can do about it."""

    code: str = plumbing("Stable; the catalogue of codes says what to do.")
    message: str = plumbing("For people; it names no patient.")
    done: bool = plumbing("Whether the mutation was done all the same.")

    @classmethod
    def is_type_of(cls, value: Mapping[str, Json], _: object) -> bool:
        """Recognise a value by the name that it carries."""
        return bool(value["__typename"] == cls.__name__)


@strawberry.type(description="An argument makes no sense, or is out of bounds.")
class InvalidError(MutationError):
    """Write it differently."""


@strawberry.type(description="The policy closes this record to you.")
class ForbiddenError(MutationError):
    """Ask the policy's administrator."""

    coordinates: list[str] = plumbing("What is closed, in the words of the policy.")


@strawberry.type(description="Nothing is there, or nothing that you may know of.")
class NotFoundError(MutationError):
    """Look for it again."""


@strawberry.type(description="The record is in a state that does not allow it, or has moved on.")
class ConflictError(MutationError):
    """Read it again, and decide anew."""


@strawberry.type(description="More than a limit allows.")
class LimitError(MutationError):
    """Ask for less."""


@strawberry.type(description="Something that it needs does not answer.")
class UnavailableError(MutationError):
    """The same may succeed later."""


@strawberry.type(description="A mutation before it, in the same operation, was not done.")
class NotRunError(MutationError):
    """Mend that one."""


@strawberry.type(description="Not done, for another reason.")
class FailedError(MutationError):
    """`code` says more."""


ERRORS: Mapping[type[ResourceError], type[MutationError]] = MappingProxyType(
    {
        AccessDenied: ForbiddenError,
        NotFound: NotFoundError,
        Conflict: ConflictError,
        TooLarge: LimitError,
        Unavailable: UnavailableError,
        NotRun: NotRunError,
        Invalid: InvalidError,
        ResourceError: FailedError,
    }
)


@strawberry.type(description="The outcome of a mutation.")
class Payload(Generic[Record]):
    """Null where an operation was broken off by us; else there are a record or errors."""

    record: Record | None = plumbing(
        "The record as it is now; null where it was not done, or is not open to you."
    )
    errors: list[MutationError] = plumbing(
        "What kept it from being done. Who does not ask for them gets them as errors of GraphQL."
    )


@dataclass(frozen=True, slots=True)
class Done:
    """What a mutation did, where its payload has more than the record.

    Attributes:
        result: What `fetch` starts from: the id of the record.
        told: Further fields of the payload. They are told once: whoever sends the same
            idempotency key again gets null.
    """

    result: Json
    told: Mapping[str, Json] = field(default_factory=dict)


def changes(  # noqa: PLR0913 -- one row of a table
    coordinate: str,
    action: Action,
    graphql_type: Any,
    description: str,
    *,
    perform: Callable[[Any], Awaitable[Any]],
    arguments: Iterable[StrawberryArgument] = (),
    also: Iterable[Right] = (),
    tells: Iterable[str] = (),
    fetch: str = "one",
) -> Any:
    """Declare a mutation; its answer is a record of the type that `coordinate` belongs to.

    Args:
        coordinate: What it is done to.
        action: What is done.
        graphql_type: Type of the record, or a payload of its own with `record` and `errors`.
        description: For people.
        perform: Does it: takes a `schema.context.Change` and gives the id of the record, or
            `Done`.
        arguments: What it takes.
        also: What else it does.
        tells: Elements of which the caller learns something by how it goes.
        fetch: How the answer is found.
    """
    policy = Policy(
        Kind.LINK,
        f"{coordinate.partition('.')[0]}.id",
        fetch=fetch,
        rights=(Right(coordinate, action), *also),
        tells=frozenset(tells),
        perform=perform,
    )
    done = "; ".join(
        f"{one.action} `{one.coordinate}`" + (f" with `{one.given[0]}`" if one.given else "")
        for one in policy.rights
    )
    read = "".join(f"; read `{one}`" for one in sorted(policy.tells))
    return loaded(
        _payload(graphql_type),
        f"{description} Policy: {done}{read}.",
        policy,
        (*arguments, _once()),
    )


def failure(error: ResourceError) -> dict[str, Json]:
    """Write an expected failure as a MutationError."""
    cause = error.why if isinstance(error, NotShown) else error
    kind = next(made for known, made in ERRORS.items() if isinstance(cause, known))
    told: dict[str, Json] = {
        "__typename": kind.__name__,
        "code": code_of(cause),
        "message": error.message,
        "done": isinstance(error, NotShown),
    }
    if isinstance(cause, AccessDenied):
        told["coordinates"] = sorted(cause.coordinates)
    if isinstance(cause, PolicyRefused):
        told |= {"__typename": "PolicyRefusedError", "problems": cause.problems}
    return told


def _payload(graphql_type: Any) -> Any:
    kinds: list[Any] = [one for one in get_args(graphql_type) if one is not type(None)]
    kind = kinds[0] if kinds else graphql_type
    fields = getattr(kind, "__strawberry_definition__", None)
    whole = fields is not None and {"record", "errors"} <= {one.name for one in fields.fields}
    generic: Any = Payload
    return (kind if whole else generic[kind]) | None


def _once() -> StrawberryArgument:
    return StrawberryArgument(
        IDEMPOTENCY_KEY,
        IDEMPOTENCY_KEY,
        strawberry.annotation.StrawberryAnnotation(str | None),
        description="8 to 128 letters, digits, `-` or `_`, new for each thing that is to be done: "
        "sent again within a day, it is not done again.",
        default=strawberry.UNSET,
    )
