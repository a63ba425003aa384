"""The headers of a study's instances as a caller may see them: all of them, or none."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fhir.access import MAX_IDS, Entry
from fhir.dicom_redaction import HEADER_COORDINATES
from fhir.errors import NotFound
from fhir.guarded import GuardedRepository, patients_of
from fhir.images import let_leave, opened, refuse_closed, study_record
from fhir.redaction import outermost
from fhir.repository import Record, StoredHeader

_IMAGE = frozenset({"Image.id"})
_COUNTS = frozenset({"id", "numberOfInstances", "series.uid", "series.numberOfInstances"})


@dataclass(frozen=True, slots=True)
class Place:
    """Which instances of a study are meant: all, those of a series, or one.

    Attributes:
        study: Study Instance UID.
        series: Series Instance UID.
        instance: SOP Instance UID.
    """

    study: str
    series: str | None = None
    instance: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The UIDs that are said."""
        return tuple(one for one in (self.study, self.series, self.instance) if one is not None)


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers to be redacted and, where they have a disguise, de-identified before they leave.

    Attributes:
        opened: The coordinates of headers that are open on this study.
        state: Changes whenever the study does.
        batches: In the order of series, number and UID. Iterating raises `NotFound` in the end if
            some are gone meanwhile, so that a part never looks like all.
    """

    opened: frozenset[str]
    state: str
    batches: AsyncIterator[list[StoredHeader]]


async def headers(guarded: GuardedRepository, place: Place, asked: str) -> Headers:
    """Give the headers of a study, a series or an instance; it is one access.

    Args:
        guarded: Repository of the caller.
        place: Of which instances.
        asked: What is asked for, for the audit.

    Raises:
        AccessDenied: Images are closed to the caller.
        NotFound: There is no such study, series or instance, or none the caller may know of.
        Withheld: The caller sees no identities, and an instance may not leave without.
    """
    guarded.access.require("Image.id", "read")
    plan = guarded.plan("ImagingStudy", HEADER_COORDINATES | _IMAGE)
    record = await study_record(guarded, place.study, plan, _COUNTS)
    readable = opened(guarded, record, plan) if record else frozenset[str]()
    if record and not readable >= _IMAGE:
        refuse_closed(guarded, _IMAGE)
    expected = _expected(record, place) if record else 0
    if expected and guarded.access.view == "deidentified":
        await _all_may_leave(guarded, place, asked)
    batches = _complete(guarded.repository.headers(*_arguments(place)), expected)
    begun = await _begun(batches) if expected else []
    first = [one for batch in begun for one in batch]
    if record is None or not first:
        guarded.access.note(Entry("read", "Image", "failed", ids=place.named, total=0, query=asked))
        raise NotFound("nothing of this UID is open to you")
    closed = outermost(HEADER_COORDINATES - readable)
    guarded.refused |= closed
    guarded.access.note(
        Entry(
            "read",
            "Image",
            "allowed",
            ids=tuple(one.real_id for one in first[:MAX_IDS]),
            patients=patients_of([record]),
            total=max(expected, len(first)),
            query=asked,
            refused=tuple(sorted(closed)),
        )
    )
    return Headers(readable, f"{record.life} {record.version}", _joined(begun, batches))


def _arguments(place: Place) -> tuple[str, str | None, str | None]:
    return place.study, place.series, place.instance


def _expected(study: Record, place: Place) -> int:
    """Say how many instances there are at least, by what the study's record says."""
    if place.instance is not None:
        return 1
    if place.series is None:
        return int(study.resource["numberOfInstances"])
    return sum(
        int(one["numberOfInstances"])
        for one in study.resource.get("series", ())
        if one["uid"] == place.series
    )


async def _all_may_leave(guarded: GuardedRepository, place: Place, asked: str) -> None:
    async for batch in guarded.repository.headers(*_arguments(place)):
        for one in batch:
            let_leave(guarded, one, asked)


async def _complete(
    batches: AsyncIterator[list[StoredHeader]], expected: int
) -> AsyncIterator[list[StoredHeader]]:
    found = 0
    async for batch in batches:
        found += len(batch)
        yield batch
    if found and found < expected:
        raise NotFound("an instance of this study is being deleted")


async def _begun(batches: AsyncIterator[list[StoredHeader]]) -> list[list[StoredHeader]]:
    """Read as many headers as the audit names."""
    begun, count = [], 0
    async for batch in batches:
        begun.append(batch)
        count += len(batch)
        if count >= MAX_IDS:
            break
    return begun


async def _joined(
    begun: list[list[StoredHeader]], rest: AsyncIterator[list[StoredHeader]]
) -> AsyncIterator[list[StoredHeader]]:
    for batch in begun:
        yield batch
    async for batch in rest:
        yield batch
