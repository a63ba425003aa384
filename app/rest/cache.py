"""The cache as its administrator sees it: `/postdicom/cache`."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field, StringConstraints

from app.archive import Archive
from app.cache.statistics import Ahead, Counts, Held, Report, summed
from app.doors import guarded
from app.prefetch.rules import Rule
from app.rest.envelope import Envelope, Shape
from app.rest.studies import checked_uid, not_found
from fhir.access import Access, Action, Entry
from fhir.errors import NotFound, Unavailable
from fhir.sight import always

MOST_STUDIES = 20
MOST_FRAMES = 2_000

Uid = Annotated[str, Path(description="DICOM UID", examples=["2.25.7"])]
Failures = Callable[..., dict[int | str, dict[str, Any]]]


class CacheFailed(Unavailable):
    """A tier does not answer: it drops what it has to before it answers anything else."""

    code = "CACHE_ERROR"


class Numbers(Shape):
    """What was counted since the process began."""

    hits: int = Field(description="answers that came from here")
    misses: int
    hit_rate: float | None = Field(description="hits of all; null if nothing was asked")
    stored: int = Field(description="entries put in; of all tiers: null", examples=[7])
    evicted: int = Field(description="entries that made room for others")
    entries: int | None = Field(description="held now; null if the tier does not answer")
    bytes: int | None = Field(description="held now, by their values")


class TierState(Shape):
    """One tier."""

    name: str = Field(description="memory, redis or disk")
    limit_bytes: int
    answers: bool
    failures: int = Field(description="how often it did not answer this process")
    total: Numbers
    kinds: dict[str, Numbers] = Field(description="frames, pictures, records")


class RuleState(Shape):
    """One prefetch rule, and how often it guessed right in this process."""

    name: str
    fetch: str
    enabled: bool
    prefetched: int = Field(description="entries that were read ahead")
    prefetched_bytes: int
    used: int = Field(description="of these, how many somebody asked for later, here")
    hit_rate: float | None = Field(description="used of prefetched; null if nothing was")
    known: int = Field(description="were in the cache already")
    refused: int = Field(description="closed to the caller, or gone")
    over_budget: int
    dropped: int = Field(description="came too late, or found no place in the queue")


class Settings(Shape):
    """What is configured."""

    on: bool
    ttl_seconds: float
    prefetch: bool


class CacheState(Shape):
    """The cache, as the process that answers sees it: tiers that are shared hold for all."""

    settings: Settings
    total: dict[str, Numbers] = Field(description="by kind; an answer of any tier is one hit")
    tiers: list[TierState]
    prefetch: list[RuleState]


class Cleared(Shape):
    """What is gone from every tier of this process, and of the others in a moment."""

    study_instance_uid: str | None = Field(description="null: everything")


class WarmUp(Shape):
    """Which studies are read in."""

    study_uids: list[Annotated[str, StringConstraints(max_length=64)]] = Field(
        alias="studyUIDs", min_length=1, max_length=MOST_STUDIES
    )


class Warming(Shape):
    """What is going to be read in, while nobody is in the way."""

    studies: int
    images: int
    frames_at_most: int = Field(examples=[MOST_FRAMES])


def add_cache(router: APIRouter, failures: Failures) -> None:
    """Add the routes.

    Args:
        router: Behind the guard.
        failures: Documents how a route fails.
    """

    @router.get("/cache/stats", responses=failures(403))
    async def cache_stats(request: Request) -> Envelope[CacheState]:
        """Tell what the cache holds and how often it helped, by tier, kind and prefetch rule."""
        access = guarded(request).access
        for coordinate in ("Cache.id", "Cache.stats"):
            _require(access, coordinate, "read")
        access.note(Entry("read", "Cache", "allowed", total=1, query="stats"))
        archive = _archive(request)
        return Envelope[CacheState](data=_state(archive, await archive.cache.report()))

    @router.delete("/cache", responses=failures(403))
    async def clear_cache(request: Request) -> Envelope[Cleared]:
        """Drop everything from every tier, in every process."""
        access = guarded(request).access
        _require(access, "Cache.id", "delete")
        archive = _archive(request)
        access.note(Entry("delete", "Cache", "allowed", total=1, query="everything"))
        await archive.deletions.order(None)
        if not await archive.cache.clear():
            raise _failed()
        return Envelope[Cleared](data=Cleared(study_instance_uid=None))

    @router.delete("/cache/studies/{study_uid}", responses=failures(400, 403))
    async def clear_cached_study(request: Request, study_uid: Uid) -> Envelope[Cleared]:
        """Drop all of a study from every tier, in every process, whether there was any or not."""
        access = guarded(request).access
        _require(access, "Cache.id", "delete")
        uid = checked_uid(study_uid)
        archive = _archive(request)
        access.note(Entry("delete", "Cache", "allowed", ids=(uid,), total=1))
        await archive.deletions.order(uid)
        if not await archive.cache.forget(uid):
            raise _failed()
        return Envelope[Cleared](data=Cleared(study_instance_uid=uid))

    @router.post("/cache/warmup", status_code=202, responses=failures(400, 403, 404))
    async def warm_cache(request: Request, body: WarmUp) -> Envelope[Warming]:
        """Read studies in whose pixels you may see: all of them, or none if one is closed to you.

        It is done when nobody else needs the processor, at most 2,000 frames of it.
        """
        repository = guarded(request)
        _require(repository.access, "Cache.id", "update")
        studies = tuple(dict.fromkeys(checked_uid(one) for one in body.study_uids))
        archive = _archive(request)
        images = 0
        try:
            for study in studies:
                images += len(await archive.prefetch.reading.order(repository, study))
        except NotFound as error:
            repository.access.note(
                Entry("update", "Cache", "failed", ids=studies, total=0, query="warm-up")
            )
            raise not_found() from error
        repository.access.note(
            Entry("update", "Cache", "allowed", ids=studies, total=images, query="warm-up")
        )
        archive.prefetch.warm(repository.access.caller, studies, MOST_FRAMES)
        return Envelope[Warming](
            data=Warming(studies=len(studies), images=images, frames_at_most=MOST_FRAMES)
        )


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive


def _require(access: Access, coordinate: str, action: Action) -> None:
    """Refuse unless an action is open: there is one cache, and no row of it for a scope."""
    access.require(coordinate, action)
    if not always(access, coordinate, action):
        access.refuse(action, "Cache", {coordinate})


def _failed() -> CacheFailed:
    return CacheFailed(
        "a tier of the cache does not answer; it drops this before it answers anything else"
    )


def _state(archive: Archive, report: Report) -> CacheState:
    settings = archive.settings
    held = [one.held for one in report.tiers]
    return CacheState(
        settings=Settings(
            on=archive.cache.on,
            ttl_seconds=settings.cache_ttl.total_seconds(),
            prefetch=archive.prefetch.on,
        ),
        total={
            kind: _numbers(
                counts,
                None
                if None in held
                else sum((one[kind] for one in held if one is not None), Held()),
            )
            for kind, counts in report.counts.items()
        },
        tiers=[
            TierState(
                name=tier.name,
                limit_bytes=tier.limit,
                answers=tier.held is not None,
                failures=tier.failures,
                total=_numbers(
                    summed(tier.counts.values()),
                    sum(tier.held.values(), Held()) if tier.held is not None else None,
                ),
                kinds={
                    kind: _numbers(counts, tier.held[kind] if tier.held is not None else None)
                    for kind, counts in tier.counts.items()
                },
            )
            for tier in report.tiers
        ],
        prefetch=[_rule(one, report.ahead) for one in archive.prefetch.rules.rules],
    )


def _numbers(counts: Counts, held: Held | None) -> Numbers:
    asked = counts.hits + counts.misses
    return Numbers(
        hits=counts.hits,
        misses=counts.misses,
        hit_rate=counts.hits / asked if asked else None,
        stored=counts.stored,
        evicted=counts.evicted,
        entries=held.entries if held is not None else None,
        bytes=held.bytes if held is not None else None,
    )


def _rule(rule: Rule, ahead: dict[str, Ahead]) -> RuleState:
    found = ahead.get(rule.name, Ahead())
    return RuleState(
        name=rule.name,
        fetch=rule.fetch,
        enabled=rule.enabled,
        prefetched=found.fetched,
        prefetched_bytes=found.bytes,
        used=found.used,
        hit_rate=found.hit_rate,
        known=found.known,
        refused=found.refused,
        over_budget=found.unaffordable,
        dropped=found.dropped,
    )
