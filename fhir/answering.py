"""What the FHIR door answers to a read and to a search, alone or as one entry of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fhir.bundle import searchset
from fhir.chains import follow
from fhir.elements import COORDINATES
from fhir.errors import Invalid, NotFound
from fhir.guarded import GuardedRepository, Page, Row
from fhir.images import instances
from fhir.includes import Elements, include
from fhir.paging import encode
from fhir.queries import Pairs, read_query
from fhir.redaction import masked
from fhir.referring import TYPES
from fhir.repository import Record
from fhir.search import criteria
from fhir.summaries import named_elements, part, subsetted, summary_of, wanted

Json = Any
_INSTANCE = "ImagingStudy.series.instance"
_INSTANCE_ELEMENTS = frozenset(one for one in COORDINATES if one.startswith(_INSTANCE))


@dataclass(frozen=True, slots=True)
class Reading:
    """One resource that is to be read.

    Attributes:
        guarded: Repository of the caller.
        row: As it was found, without its instances.
        elements: What is asked for of it; None is everything.
    """

    guarded: GuardedRepository
    row: Row
    elements: frozenset[str] | None

    @property
    def record(self) -> Record | None:
        """Its version and time; None where the caller may not know of versions."""
        hidden = f"{self.row.resource['resourceType']}.meta" in self.row.refused
        return None if hidden else self.row.record

    async def resource(self) -> dict[str, Json]:
        """Give what the caller may see of it."""
        [resource] = await _complete(self.guarded, [self.row], self.elements)
        return resource


async def read(guarded: GuardedRepository, resource: str, identifier: str, pairs: Pairs) -> Reading:
    """Read one resource.

    Args:
        guarded: Repository of the caller.
        resource: Type.
        identifier: Its id.
        pairs: `_summary` and `_elements`; others change nothing.

    Raises:
        NotFound: There is no such type or resource, or none the caller may know of.
        AccessDenied: The type is closed to the caller.
        Invalid: A part is asked for that there is none of.
    """
    named = known(resource)
    given = [(name, value) for name, value in pairs if value]
    summary = summary_of([value for name, value in given if name == "_summary"])
    if summary == "count":
        raise Invalid("_summary=count is for searches; a read gives the resource")
    chosen = named_elements(named, [value for name, value in given if name == "_elements"])
    elements = wanted(named, summary, chosen)
    return Reading(guarded, await guarded.read(named, identifier, elements), elements)


async def search(
    guarded: GuardedRepository, base_url: str, resource: str, pairs: Pairs, *, strict: bool
) -> dict[str, Json]:
    """Search a type; the answer is a searchset.

    Args:
        guarded: Repository of the caller.
        base_url: FHIR base.
        resource: Type.
        pairs: Parameters as the client wrote them.
        strict: Whether what is not understood is refused.

    Raises:
        NotFound: There is no such type.
        AccessDenied: The type, or something that is searched or sorted by, is closed.
        Invalid: Something is asked that makes no sense, or more than an answer holds.
    """
    query = read_query(known(resource), pairs, strict=strict)
    plain = criteria(resource, query.criteria, base_url=base_url)
    found = await guarded.search(
        await follow(guarded, plain, query.chains, base_url),
        Page(query.count, query.after, query.sort, query.counted),
        elements=query.read,
        query=urlencode(query.honoured),
    )
    elements = query.wanted
    included = await include(guarded, found.rows, query.include, elements)
    more = found.more and query.count > 0
    return searchset(
        base_url,
        resource,
        matches=await _complete(guarded, found.rows, elements[resource]),
        included=await _complete_each(guarded, included, elements),
        total=found.total,
        honoured=query.honoured,
        cursor=encode(found.rows[-1].record.position, query.sort) if more else None,
        moment=datetime.now(UTC),
    )


def known(resource: str) -> str:
    """Give the name of a type that is served.

    Raises:
        NotFound: It is not.
    """
    if resource not in TYPES:
        raise NotFound(f"this server has {', '.join(TYPES)}")
    return resource


async def _complete_each(
    guarded: GuardedRepository, rows: Sequence[Row], wanted_of: Elements
) -> list[dict[str, Json]]:
    complete = []
    for kind in TYPES:
        some = [row for row in rows if row.resource["resourceType"] == kind]
        complete += await _complete(guarded, some, wanted_of[kind])
    return complete


async def _complete(
    guarded: GuardedRepository, rows: Sequence[Row], elements: frozenset[str] | None
) -> list[dict[str, Json]]:
    """Put instances into their studies, mark what is refused, and what is left out."""
    within = _INSTANCE_ELEMENTS if elements is None else _INSTANCE_ELEMENTS & elements
    studies = [row for row in rows if within and "series" in row.resource]
    by_study = await instances(guarded, studies, within) if studies else {}
    complete = []
    for row in rows:
        by_series: dict[str, list[Json]] = {}
        for instance in by_study.get(row.id, ()):
            by_series.setdefault(instance.series, []).append(instance.element)
        resource = _with_instances(row, by_series) if by_series else row.resource
        if elements is None:
            complete.append(masked(resource, row.refused))
        else:
            complete.append(subsetted(masked(part(resource, elements), row.refused)))
    return complete


def _with_instances(row: Row, by_series: dict[str, list[Json]]) -> dict[str, Json]:
    # the record knows every series' UID, even if the caller may not
    uids = [one["uid"] for one in row.record.resource["series"]]
    series = [
        {**part, "instance": by_series[uid]} if uid in by_series else part
        for part, uid in zip(row.resource["series"], uids, strict=True)
    ]
    return {**row.resource, "series": series}
