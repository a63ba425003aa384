"""What execution takes from what was loaded, field by field, and what it notes on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLAbstractType, GraphQLResolveInfo

from schema.fhir_lists import pick
from schema.fhir_path import Naming

Json = Any
Path = tuple[str | int, ...]

# Beside the elements of a record, or a part of one: the places in the operation whose lists would
# be picked from by what is closed on that record. No element is called so.
CLOSED = ""


@dataclass(slots=True)
class Walk:
    """One operation's loaded values, by `place`, and what `schema.fhir_reshaping` needs to know.

    Attributes:
        roots: Values of the roots.
        referred: Records behind references, by what the reference says.
        namings: How `@slice` names the items of a list.
        names: These names, for each list in the answer.
        types: Type of each resource behind a reference in the answer.
    """

    roots: Mapping[str, Json] = field(default_factory=dict)
    referred: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    namings: Mapping[str, Naming] = field(default_factory=dict)
    names: dict[Path, list[str]] = field(default_factory=dict)
    types: dict[Path, str] = field(default_factory=dict)


def place(path: Any) -> str:
    """Write where in an operation a field stands: types and keys, without list indices.

    The same key may stand at the same response path for two types of record, behind a reference.
    """
    steps = []
    while path is not None:
        if isinstance(path.key, str):
            steps.append(step(path.typename, path.key))
        path = path.prev
    return "/".join(reversed(steps))


def step(typename: str, key: str) -> str:
    """Write one step of a place."""
    return f"{typename}.{key}"


def root(_source: Json, info: GraphQLResolveInfo[Walk], **_: Json) -> Json:
    """Take the value of a root."""
    return _noted(info.context.roots.get(place(info.path)), info)


def element(source: Mapping[str, Json], info: GraphQLResolveInfo[Walk], **arguments: Json) -> Json:
    """Take an element; of a list, what its arguments pick."""
    found = source.get(info.field_name)
    if isinstance(found, list) and (arguments or CLOSED in source):
        if place(info.path) in source.get(CLOSED, ()):
            return None
        found = pick(found, arguments)
    return _noted(found, info)


def linked(source: Mapping[str, Json], info: GraphQLResolveInfo[Walk], **_: Json) -> Json:
    """Take what a link from a record leads to; it was put beside its elements."""
    return _noted(source.get(place(info.path)), info)


def referred(source: Mapping[str, Json], info: GraphQLResolveInfo[Walk], **_: Json) -> Json:
    """Take the resource that a Reference refers to."""
    known = info.context.referred.get(place(info.path), {})
    return known.get(source.get("reference", ""))


def type_of(value: Json, info: GraphQLResolveInfo[Walk], _: GraphQLAbstractType) -> str:
    """Say of which type a resource is."""
    name: str = value["resourceType"]
    info.context.types[tuple(info.path.as_list())] = name
    return name


def _noted(found: Json, info: GraphQLResolveInfo[Walk]) -> Json:
    walk = info.context
    naming = walk.namings.get(place(info.path)) if walk.namings else None
    if naming is not None and found is not None:
        items: Sequence[Json] = found if isinstance(found, list) else [found]
        walk.names[tuple(info.path.as_list())] = [
            naming.of(one, index) for index, one in enumerate(items)
        ]
    return found
