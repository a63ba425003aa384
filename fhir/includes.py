"""What `_include` and `_revinclude` bring along: what rows refer to, and what refers to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir.errors import AccessDenied, Invalid, NotSupported
from fhir.guarded import GuardedRepository, Page, Row
from fhir.parameters import Parameter
from fhir.referring import TYPES, references, referred, referring_to, targets
from fhir.search import Among, Has, Search, any_of, coordinates_of

Json = Any
Elements = Mapping[str, frozenset[str] | None]
"""Coordinates wanted by type; None is all of them."""

MAX_REFERRING = 500
_MARKS = ("", "iterate", "recurse")  # the last is what R4's `iterate` was called before


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One thing that is to come along.

    Attributes:
        source: Type that refers.
        via: Its search parameter that does.
        target: Type that it refers to.
        back: Whether what refers comes along; else what is referred to.
    """

    source: str
    via: Parameter
    target: str
    back: bool = False


def read_includes(resource: str, pairs: Iterable[tuple[str, str]]) -> list[Inclusion]:
    """Read `_include`, `_include:iterate` and `_revinclude`.

    Args:
        resource: Type searched.
        pairs: Names and values; `*` is everything possible.

    Raises:
        NotSupported: Nothing of this name can come along here.
    """
    found: dict[Inclusion, None] = {}
    for name, value in pairs:
        bare, _, mark = name.partition(":")
        back = bare == "_revinclude"
        if mark not in _MARKS or (mark and back):
            raise NotSupported("_include takes the modifier :iterate, _revinclude none")
        possible = _referring(resource) if back else _referred((*TYPES,) if mark else (resource,))
        source, _, rest = value.partition(":")
        by, _, target = rest.partition(":")
        some = [
            one
            for one in possible
            if value == "*"
            or ((source, by) == (one.source, one.via.name) and target in {"", one.target})
        ]
        if not some and value != "*":
            able = ", ".join(f"{one.source}:{one.via.name}" for one in possible) or "nothing"
            raise NotSupported(f"{bare} takes {able} here")
        found |= dict.fromkeys(some)
    return list(found)


def _referred(sources: Iterable[str]) -> list[Inclusion]:
    return [
        Inclusion(source, row, target)
        for source in sources
        for row in references(source)
        for target in targets(row)
    ]


def _referring(resource: str) -> list[Inclusion]:
    return [Inclusion(source, row, resource, back=True) for source, row in referring_to(resource)]


async def include(
    guarded: GuardedRepository,
    found: Sequence[Row],
    wanted: Iterable[Inclusion],
    elements: Elements,
) -> list[Row]:
    """Fetch what is to come along, as far as the caller may read it; a closed type is left out.

    What refers to rows is found as a search of the caller's would find it.

    Args:
        guarded: Repository of the caller.
        found: Rows of one type.
        wanted: What is to come along with them, and with each other.
        elements: What of it.

    Raises:
        Invalid: More refers to the rows than an answer holds.
    """
    inclusions = list(wanted)
    rows: dict[tuple[str, str], Row] = {}
    for source in {one.source: None for one in inclusions if one.back}:
        some = [one for one in inclusions if one.back and one.source == source]
        rows |= _named(await _referring_rows(guarded, found, some, elements[source]))
    forward = [one for one in inclusions if not one.back]
    names: dict[str, dict[str, None]] = {}
    for one in forward:
        for row in (*found, *rows.values()):
            for kind, identifier in _referred_by(row, one):
                names.setdefault(kind, {})[identifier] = None
    there = _named(found)
    for kind, identifiers in names.items():
        missing = [one for one in identifiers if (kind, one) not in there]
        rows |= _named(await _referred_rows(guarded, kind, missing, elements[kind]))
    return list(rows.values())


def _named(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    return {(row.resource["resourceType"], row.id): row for row in rows}


def _referred_by(row: Row, inclusion: Inclusion) -> Iterable[tuple[str, str]]:
    if row.resource["resourceType"] != inclusion.source:
        return ()
    return (one for one in referred(row.resource, inclusion.via) if one[0] == inclusion.target)


async def _referred_rows(
    guarded: GuardedRepository, kind: str, ids: Sequence[str], elements: frozenset[str] | None
) -> list[Row]:
    if not ids:
        return []
    search = Search(kind, any_of(Has("_id", one) for one in ids))
    try:
        found = await guarded.search(
            search, Page(len(ids)), elements=elements, query="_include", action="read"
        )
    except AccessDenied:
        return []
    return found.rows


async def _referring_rows(
    guarded: GuardedRepository,
    found: Sequence[Row],
    inclusions: Sequence[Inclusion],
    elements: frozenset[str] | None,
) -> list[Row]:
    rows: dict[str, Row] = {}
    for one in inclusions if found else ():
        named = frozenset(f"{one.target}/{row.id}" for row in found)
        search = Search(
            one.source,
            Among(one.via.name, named),
            frozenset(coordinates_of(one.source, one.via)),
        )
        page = Page(MAX_REFERRING)
        try:
            some = await guarded.search(search, page, elements=elements, query="_revinclude")
        except AccessDenied:
            continue
        if some.more or len(rows | {row.id: row for row in some.rows}) > MAX_REFERRING:
            raise Invalid(
                f"_revinclude: more than {MAX_REFERRING} of {one.source} refer to this page; ask "
                f"for fewer with _count, or search {one.source} by {one.via.name}"
            )
        rows |= {row.id: row for row in some.rows}
    return list(rows.values())
