"""How many studies there are of each kind, among those that a caller may see and search by."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from fhir.access import Entry
from fhir.asked import searchable
from fhir.errors import AccessDenied, Invalid
from fhir.from_dicom.body_parts import MEANINGS
from fhir.from_dicom.coding_schemes import DCM, SNOMED_CT
from fhir.from_dicom.modalities import meaning
from fhir.guarded import GuardedRepository
from fhir.parameters import PARAMETERS, Parameter
from fhir.repository import Tally
from fhir.search import Filter, Search, all_of, coordinates_of, split, unescape

MOST_VALUES: Final = 100
MOST_DAYS: Final = 366

_RESOURCE: Final = "ImagingStudy"


def _wordless(_: str) -> None:
    """Know no words for a code."""


@dataclass(frozen=True, slots=True)
class _Facet:
    """One way of counting.

    Attributes:
        parameter: Search parameter whose values are counted.
        system: Of codes that are written without theirs.
        display: Says in words what a code of that system means.
    """

    parameter: str
    system: str = ""
    display: Callable[[str], str | None] = _wordless


_FACETS: Mapping[str, _Facet] = MappingProxyType(
    {
        "modality": _Facet("modality", DCM, meaning),
        "bodySite": _Facet("bodysite", SNOMED_CT, MEANINGS.get),
        "status": _Facet("status", "http://hl7.org/fhir/imagingstudy-status"),
        "day": _Facet("started"),
    }
)


@dataclass(frozen=True, slots=True)
class FacetCount:
    """How many studies have a value.

    Attributes:
        value: As a search for it writes it: a code, `system|code`, or YYYY-MM-DD (UTC).
    """

    value: str
    count: int
    display: str | None = None


@dataclass(frozen=True, slots=True)
class StudyFacets:
    """What was counted.

    Attributes:
        total: Studies in all.
        counts: By facet; those that are closed to the caller are left out.
        refused: Coordinates of those.
    """

    total: int
    counts: Mapping[str, list[FacetCount]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()


async def study_facets(
    guarded: GuardedRepository,
    search: Search,
    wanted: Collection[str],
    *,
    most: int,
    query: str | None = None,
) -> StudyFacets:
    """Count the studies that the caller may see and that a search finds, in one database command.

    To count by an element is to read it: where it is open on some rows only, these are counted.

    Args:
        guarded: Repository of the caller.
        search: Criteria, on ImagingStudy.
        wanted: Of modality, bodySite, status and day.
        most: Values of each, the most frequent first; days are the latest 366.
        query: What the client wrote, for the audit.

    Raises:
        AccessDenied: Studies, or what is searched by, are closed to the caller.
        Invalid: `most` is out of bounds.
        Unavailable: Counting takes too long.
    """
    if not 1 <= most <= MOST_VALUES:
        raise Invalid(f"most: ask for 1 to {MOST_VALUES}")
    tree = await guarded.rows(search)
    tallies: dict[str, Tally] = {}
    refused: set[str] = set()
    for name in sorted(wanted):
        row = PARAMETERS[_RESOURCE][_FACETS[name].parameter]
        rows = _rows(guarded, row)
        if rows is None:
            refused |= coordinates_of(_RESOURCE, row)
        else:
            tallies[name] = Tally(row.name, MOST_DAYS if row.kind == "date" else most, rows)
    found = await guarded.repository.count_by(_RESOURCE, tree, list(tallies.values()))
    guarded.refused |= refused
    guarded.access.note(
        Entry(
            "search",
            _RESOURCE,
            "allowed",
            total=found.total,
            query=query,
            refused=tuple(sorted(refused)),
        )
    )
    counts = {
        name: [_count(_FACETS[name], *one) for one in found.counts[tally.parameter]]
        for name, tally in tallies.items()
    }
    return StudyFacets(found.total, counts, frozenset(refused))


def _rows(guarded: GuardedRepository, row: Parameter) -> Filter | None:
    """Give the rows on which the caller may look at a parameter; None where on none."""
    access = guarded.access
    if access.view == "deidentified":
        try:
            searchable(_RESOURCE, row.name)
        except AccessDenied:
            return None
    decisions = [
        decision
        for coordinate in coordinates_of(_RESOURCE, row)
        for decision in access.decisions(coordinate, on=_RESOURCE)
    ]
    if any(one.never for one in decisions):
        return None
    anchor = access.grant.decision(f"{_RESOURCE}.id", "read")
    return all_of(access.rows(one, _RESOURCE) for one in decisions if one & anchor != anchor)


def _count(facet: _Facet, value: str, count: int) -> FacetCount:
    if "|" not in value:
        return FacetCount(value, count)
    system, code = (unescape(piece) for piece in split(value, "|"))
    if system != facet.system:
        return FacetCount(value, count)
    return FacetCount(code, count, facet.display(code))
