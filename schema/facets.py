"""How many studies there are of each kind. Ours, not FHIR's."""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final

import strawberry

from fhir.facets import MOST_DAYS, MOST_VALUES, study_facets
from fhir.guarded import GuardedRepository
from schema.arguments import argument, filter_arguments, relay_search
from schema.coordinates import element, linked, part, plumbing
from schema.selection import Place

Json = Any
DEFAULT_VALUES: Final = 20

# Field to what it counts by.
_BY: Mapping[str, str] = MappingProxyType(
    {
        "modality": "ImagingStudy.series.modality",
        "bodySite": "ImagingStudy.series.bodySite",
        "status": "ImagingStudy.status",
        "day": "ImagingStudy.started",
    }
)


@strawberry.type(description="How many studies have a value.")
class FacetCount:
    """A study counts once for each of its values."""

    value: str | None = part("As an argument of `studies` takes it; of days YYYY-MM-DD, in UTC.")
    display: str | None = part("In words, where the code is one of DICOM or SNOMED CT.")
    count: int | None = part("So many studies.")


@strawberry.type(description="How many studies there are of each kind, of those that you may see.")
class StudyFacets:
    """Where an element is open on some studies only, its counts are of these."""

    total: int = plumbing("Studies in all.")
    modality: list[FacetCount] | None = element(
        _BY["modality"], "By modality of a series, the most frequent first.", home=False
    )
    bodySite: list[FacetCount] | None = element(
        _BY["bodySite"], "By body site of a series, the most frequent first.", home=False
    )
    status: list[FacetCount] | None = element(
        _BY["status"], "By status, the most frequent first.", home=False
    )
    day: list[FacetCount] | None = element(
        _BY["day"], f"By day, the latest first; at most {MOST_DAYS} days.", home=False
    )


@strawberry.type
class FacetRoots:
    """Counting."""

    studyFacets = linked(
        "ImagingStudy.id",
        StudyFacets | None,
        "Counts of the studies that `studies` would list, by what they are.",
        fetch="facets",
        arguments=[
            *filter_arguments("ImagingStudy"),
            argument("most", int, f"Values of each, 1 to {MOST_VALUES}.", DEFAULT_VALUES),
        ],
    )


async def facets(
    guarded: GuardedRepository, place: Place, base_url: str
) -> tuple[dict[str, Json], frozenset[str]]:
    """Count what a place asks for; give the coordinates that are closed to the caller too.

    Raises:
        ResourceError: As `fhir.facets.study_facets`, or a criterion that will not do.
    """
    search, text = relay_search("ImagingStudy", place.arguments, base_url)
    wanted = [name for name, coordinate in _BY.items() if coordinate in place.elements]
    found = await study_facets(guarded, search, wanted, most=place.arguments["most"], query=text)
    counts = {name: [asdict(one) for one in some] for name, some in found.counts.items()}
    return {"total": found.total} | counts, found.refused
