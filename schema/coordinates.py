"""Which policy coordinate decides about a field: declared on the field, read from the schema.

Four kinds of field: an *element* has a coordinate of its own; a *part* lies inside an element and
goes with it; *plumbing* (`edges`, `pageInfo`) says nothing about anybody; a *link* leads to other
records, whose id decides. A field that is none of them does not get into a schema. A mutation is a
link with *rights*: what it does, and to which elements.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, get_named_type
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from fhir.access import Action
from fhir.elements import COORDINATES

Kind = Enum("Kind", ["ELEMENT", "PART", "PLUMBING", "LINK"])
_KEY = "policy"


@dataclass(frozen=True, slots=True)
class Right:
    """Something that a mutation does.

    Attributes:
        given: Argument and value with which alone the mutation does it; None: it always does.
    """

    coordinate: str
    action: Action
    given: tuple[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides about a field.

    Attributes:
        coordinate: Of an element; of a link, what it leads to: `Patient.id`, or an element that
            is looked at from elsewhere. None otherwise.
        needs: Coordinates of the record that has the field, which its value tells as well.
        home: Whether this is the field that the coordinate is named after.
        fetch: How a link is followed (`schema.loading`).
        rights: What a mutation does; none elsewhere.
        tells: Elements that a mutation's outcome tells of; it needs the right to read them.
        perform: Does it, or finds what `fetch` calls given: takes a `schema.context.Change`,
            gives what `fetch` starts from.
    """

    kind: Kind
    coordinate: str | None = None
    needs: frozenset[str] = frozenset()
    home: bool = False
    fetch: str = ""
    rights: tuple[Right, ...] = ()
    tells: frozenset[str] = frozenset()
    perform: Callable[[Any], Awaitable[Any]] | None = None

    @property
    def resource(self) -> str:
        """Type of record that the coordinate belongs to."""
        return (self.coordinate or "").partition(".")[0]


class Undeclared(Exception):
    """A field of the schema does not say what decides about it."""


class Loaded(StrawberryField):
    """A field whose value was loaded before execution and lies under the field's path."""

    @property
    def is_basic_field(self) -> bool:
        """Say no: the value depends on where in the operation the field stands."""
        return False

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        """Take the value of this very field from its record."""
        return None if info is None else source.get(path_of(info.path))


def path_of(path: Any) -> str:
    """Write a response path without list indices: `studies.edges.node`."""
    keys = []
    while path is not None:
        if isinstance(path.key, str):
            keys.append(path.key)
        path = path.prev
    return ".".join(reversed(keys))


def element(
    coordinate: str, description: str, *, needs: Iterable[str] = (), home: bool = True
) -> Any:
    """Declare a field that holds what its name says of the record."""
    policy = Policy(Kind.ELEMENT, coordinate, frozenset(needs), home)
    return strawberry.field(description=_described(description, policy), metadata={_KEY: policy})


def computed(
    coordinate: str,
    graphql_type: Any,
    description: str,
    *,
    arguments: Iterable[StrawberryArgument],
    needs: Iterable[str] = (),
    home: bool = True,
) -> Any:
    """Declare an element that takes arguments."""
    policy = Policy(Kind.ELEMENT, coordinate, frozenset(needs), home)
    return loaded(graphql_type, _described(description, policy), policy, arguments)


def linked(
    coordinate: str,
    graphql_type: Any,
    description: str,
    *,
    fetch: str,
    arguments: Iterable[StrawberryArgument] = (),
    needs: Iterable[str] = (),
    perform: Callable[[Any], Awaitable[Any]] | None = None,
) -> Any:
    """Declare a field that leads to other records; `perform` finds what is none (`given`)."""
    policy = Policy(Kind.LINK, coordinate, frozenset(needs), fetch=fetch, perform=perform)
    return loaded(graphql_type, _described(description, policy), policy, arguments)


def loaded(
    graphql_type: Any, description: str, policy: Policy, arguments: Iterable[StrawberryArgument]
) -> Any:
    """Declare a field whose value is found before execution, under the field's path."""
    field = Loaded(
        type_annotation=StrawberryAnnotation(graphql_type),
        description=description,
        metadata={_KEY: policy},
    )
    field.arguments = list(arguments)
    return field


def part(description: str) -> Any:
    """Declare a field of a datatype; the element that holds it decides."""
    return strawberry.field(description=description, metadata={_KEY: Policy(Kind.PART)})


def plumbing(description: str) -> Any:
    """Declare a field that tells nothing by itself."""
    return strawberry.field(description=description, metadata={_KEY: Policy(Kind.PLUMBING)})


def policy_of(field: GraphQLField) -> Policy | None:
    """Give what was declared of a field."""
    declared = declared_of(field)
    policy = declared.metadata.get(_KEY) if declared else field.extensions.get(_KEY)
    return policy if isinstance(policy, Policy) else None


def declared_of(field: GraphQLField) -> StrawberryField | None:
    """Give the declaration of a field; None of one that was made by other means."""
    declared = field.extensions.get("strawberry-definition")
    return declared if isinstance(declared, StrawberryField) else None


def check(schema: GraphQLSchema) -> None:
    """Hold a schema closed: every field says what decides about it, in words that policies know.

    Raises:
        Undeclared: One does not; the text lists all that do not.
    """
    problems = [
        f"{kind.name}.{name}: {problem}"
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
        for name, field in kind.fields.items()
        for problem in (*_problems(field), *_idle(schema, kind, field))
    ]
    if problems:
        raise Undeclared("; ".join(problems))


def _problems(field: GraphQLField) -> Iterable[str]:
    policy = policy_of(field)
    if policy is None:
        yield "declared with none of element, computed, linked, part, plumbing"
        return
    named = policy.needs | policy.tells | {one.coordinate for one in policy.rights}
    named |= {policy.coordinate} if policy.coordinate else set()
    for coordinate in sorted(named - COORDINATES):
        yield f"{coordinate} is not in fhir.elements"
    if policy.coordinate is None and policy.kind in {Kind.ELEMENT, Kind.LINK}:
        yield "has no coordinate"
    if policy.kind in {Kind.PLUMBING, Kind.LINK} and _has_parts(field):
        yield "leads to a datatype that no element holds"


def _idle(schema: GraphQLSchema, kind: GraphQLObjectType, field: GraphQLField) -> Iterable[str]:
    policy = policy_of(field)
    if policy is not None and bool(policy.rights) != (kind is schema.mutation_type):
        yield "`changes` is for mutations, and all of them"


def _has_parts(field: GraphQLField) -> bool:
    kind = get_named_type(field.type)
    if not isinstance(kind, GraphQLObjectType):
        return False
    policies = [policy_of(inner) for inner in kind.fields.values()]
    return any(policy is not None and policy.kind is Kind.PART for policy in policies)


def _described(description: str, policy: Policy) -> str:
    others = "".join(f", `{one}`" for one in sorted(policy.needs))
    return f"{description} Policy: `{policy.coordinate}`{others}."
