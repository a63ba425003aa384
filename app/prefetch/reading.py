"""Which images a rule means, and whether its caller may have them: as any request of theirs."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.prefetch.events import Event
from app.prefetch.rules import Rule
from fhir.errors import NotFound
from fhir.guarded import GuardedRepository, Page, Row
from fhir.images import opened, study_record
from fhir.repository import Sort, State
from fhir.search import criteria

Order = tuple[tuple[str, str], ...]
"""Series and SOP Instance UID of images, in the order in which they are looked at."""

Target = tuple[str, str, int]
"""Study, instance, and the frame from which on it is read, counted from 1."""

_PIXELS: Final = frozenset({"Image.id", "Image.pixels"})
_SERIES: Final = "ImagingStudy.series"
_OF_STUDY: Final = frozenset(
    {
        "ImagingStudy.id",
        "ImagingStudy.subject",
        "ImagingStudy.started",
        "ImagingStudy.modality",
        _SERIES,
        f"{_SERIES}.uid",
        f"{_SERIES}.bodySite",
    }
)
_LISTED: Final = frozenset({"ImagingStudy.id", "ImagingStudy.modality", "ImagingStudy.started"})
_ORDERS_KEPT: Final = 64
_NEWEST: Final = (Sort("started", descending=True),)


class Reading:
    """Finds the images of rules; remembers in which order those of some studies are."""

    def __init__(self) -> None:
        self._orders: OrderedDict[tuple[str, str, State], Order] = OrderedDict()

    def targets(
        self, guarded: GuardedRepository, rule: Rule, event: Event
    ) -> AsyncIterator[Target]:
        """Give what a rule wants read, the most likely first.

        Raises:
            AccessDenied: The caller may not find it.
            NotFound: There is no such study, or none the caller may see.
        """
        match rule.fetch:
            case "next-frames":
                return self._next_frames(guarded, rule, event)
            case "next-series":
                return self._next_series(guarded, rule, event)
            case "priors":
                return self._priors(guarded, rule, event)
            case _:
                return self._recent(guarded, rule)

    async def study(self, guarded: GuardedRepository, study: str) -> AsyncIterator[Target]:
        """Give all images of a study."""
        for _, instance in await self.order(guarded, study):
            yield study, instance, 1

    async def order(self, guarded: GuardedRepository, study: str) -> Order:
        """List the images of a study, if its pixels are open to the caller.

        Raises:
            AccessDenied: Pixels are closed to the caller.
            NotFound: There is no such study, or its pixels are closed.
        """
        guarded.access.require("Image.pixels", "read")
        plan = guarded.plan("ImagingStudy", _PIXELS)
        record = await study_record(guarded, study, plan)
        if record is None or not opened(guarded, record, plan) >= _PIXELS:
            raise NotFound("no study of this UID is open to you")
        # by the caller too: in the de-identified view each project has names of its own
        key = (guarded.access.caller.subject, record.id, (record.life, record.version))
        if key not in self._orders:
            images = await guarded.repository.stored_images(study, headers=False)
            self._orders[key] = tuple((image.series, image.id) for image in images)
        self._orders.move_to_end(key)
        if len(self._orders) > _ORDERS_KEPT:
            self._orders.popitem(last=False)
        return self._orders[key]

    async def _next_frames(
        self, guarded: GuardedRepository, rule: Rule, event: Event
    ) -> AsyncIterator[Target]:
        yield event.study, event.instance, event.frame + 1
        series = [one for one in await self.order(guarded, event.study) if one[0] == event.series]
        at = _place(series, event)
        for _, instance in series[at + 1 : at + 1 + rule.count]:
            yield event.study, instance, 1

    async def _next_series(
        self, guarded: GuardedRepository, rule: Rule, event: Event
    ) -> AsyncIterator[Target]:
        order = await self.order(guarded, event.study)
        names = list(dict.fromkeys(series for series, _ in order))
        if event.series not in names[:-1]:
            return
        following = names[names.index(event.series) + 1]
        for instance in [one for series, one in order if series == following][: rule.count]:
            yield event.study, instance, 1

    async def _priors(
        self, guarded: GuardedRepository, rule: Rule, event: Event
    ) -> AsyncIterator[Target]:
        row = await guarded.read("ImagingStudy", event.study, _OF_STUDY)
        patient = row.resource.get("subject", {}).get("reference")
        sites = _body_sites(row)
        if not (patient and sites):
            return
        pairs = [("patient", patient), ("bodysite", ",".join(sites))]
        if started := row.resource.get("started"):
            pairs.append(("started", f"lt{started}"))
        rows = await _newest(guarded, pairs, rule)
        for prior in rows:
            if prior.id != event.study:
                async for target in self._beginning(guarded, prior, rule):
                    yield target

    async def _recent(self, guarded: GuardedRepository, rule: Rule) -> AsyncIterator[Target]:
        since = datetime.now(UTC) - timedelta(hours=rule.hours)
        pairs = [("started", f"ge{since.isoformat(timespec='seconds')}")]
        for row in await _newest(guarded, pairs, rule):
            async for target in self._beginning(guarded, row, rule):
                yield target

    async def _beginning(
        self, guarded: GuardedRepository, row: Row, rule: Rule
    ) -> AsyncIterator[Target]:
        """Give the first images of a study; nothing of one whose pixels are closed."""
        try:
            order = await self.order(guarded, row.id)
        except NotFound:
            return
        for _, instance in order[: rule.count]:
            yield row.id, instance, 1


def _place(series: Sequence[tuple[str, str]], event: Event) -> int:
    return next(
        (at for at, (_, instance) in enumerate(series) if instance == event.instance), len(series)
    )


def _body_sites(row: Row) -> list[str]:
    found = (one.get("bodySite", {}).get("code") for one in row.resource.get("series", ()))
    return sorted({str(code) for code in found if code})


async def _newest(
    guarded: GuardedRepository, pairs: list[tuple[str, str]], rule: Rule
) -> Sequence[Row]:
    modalities = wanted_modalities(guarded, rule)
    if modalities is not None:
        if not modalities:
            return []
        pairs = [*pairs, ("modality", ",".join(sorted(modalities)))]
    search = criteria("ImagingStudy", pairs)
    found = await guarded.search(search, Page(rule.studies, sort=_NEWEST), elements=_LISTED)
    return found.rows


def wanted_modalities(guarded: GuardedRepository, rule: Rule) -> frozenset[str] | None:
    """Give the modalities that a rule is about for a caller; None: all of them."""
    limits: list[frozenset[str]] = [frozenset(rule.modalities)] if rule.modalities else []
    variables: Any = guarded.access.caller.variables
    if rule.of_specialty and (relevant := variables.get("modality")):
        limits.append(frozenset(relevant))
    return frozenset.intersection(*limits) if limits else None
