"""Reading ahead in the background: few at a time, each as its caller, when nobody is waiting."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import structlog

from app.cache.cache import Cache
from app.cache.statistics import Ahead
from app.imaging.pictures import Pictures, frame_table
from app.logs import place
from app.prefetch.budget import Purse
from app.prefetch.events import Event
from app.prefetch.lull import Lull
from app.prefetch.reading import Reading, Target, wanted_modalities
from app.prefetch.rules import Fetch, Rule, Rules
from fhir.attributes import text
from fhir.errors import AccessDenied, NotFound, ResourceError
from fhir.guarded import GuardedRepository
from fhir.images import stored_image
from fhir.repository import StoredImage
from policies.caller import Caller

_WORKERS: Final = 2
_WAITING: Final = 256
_PATIENCE: Final = 10.0
"""Seconds after which nobody is interested any more in what follows what they looked at."""
_WARMING_PATIENCE: Final = 600.0
_ONCE_IN: Final = 300.0
"""Seconds within which a study is opened, or a list looked through, only once."""
_REMEMBERED: Final = 10_000
WARM_UP: Final = "warm-up"

_FETCHES: Final[Mapping[str, tuple[Fetch, ...]]] = MappingProxyType(
    {
        "frames": ("next-frames", "next-series", "priors"),
        "opened": ("priors",),
        "searched": ("recent",),
    }
)

log = structlog.get_logger()
Begin = Callable[[Caller], Awaitable[GuardedRepository]]


@dataclass(slots=True)
class _Job:
    """Something to read ahead.

    Attributes:
        studies: All of these instead of what the rule says of an event.
        left: Frames that may still be read.
    """

    caller: Caller
    rule: Rule
    event: Event
    deadline: float
    left: int
    studies: tuple[str, ...] = ()


@dataclass(slots=True)
class _Queue:
    """Bounded; a newer job takes the place of an older one for the same purpose."""

    jobs: OrderedDict[tuple[str, ...], _Job] = field(default_factory=OrderedDict)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, purpose: tuple[str, ...], job: _Job) -> _Job | None:
        """Take a job; give the one that finds no place any more."""
        self.jobs.pop(purpose, None)
        self.jobs[purpose] = job
        self.filled.set()
        return self.jobs.popitem(last=False)[1] if len(self.jobs) > _WAITING else None

    async def next(self) -> _Job:
        """Wait for the latest job: its caller is there now."""
        while not self.jobs:
            self.filled.clear()
            await self.filled.wait()
        return self.jobs.popitem()[1]


class Prefetch:
    """The reading ahead of one process.

    Nothing is given to anybody here, so that nothing of it is in the audit: what is read ahead is
    noted there once somebody asks for it, as everything is.
    """

    def __init__(
        self, rules: Rules, cache: Cache, pictures: Pictures, begin: Begin, *, on: bool = True
    ) -> None:
        """Read by rules.

        Args:
            rules: In force until the process ends.
            cache: What is read goes there.
            pictures: Read frames.
            begin: Begins a request of a caller, with the policy and the links in force now.
            on: Whether anything is read ahead for rules.
        """
        self.rules = rules
        self.lull = Lull()
        self.on = on and cache.on
        self._cache = cache
        self._pictures = pictures
        self._begin = begin
        self._purse = Purse(rules.budget)
        self.reading = Reading()
        self._queue = _Queue()
        self._once: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._at_work = 0
        self._under_way: set[tuple[str, int]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        for name in (WARM_UP, *(rule.name for rule in rules.rules)):
            cache.ahead.setdefault(name, Ahead())

    def noticed(self, caller: Caller, event: Event) -> None:
        """Think of what a caller may ask for next."""
        if not self.on:
            return
        now = time.monotonic()
        for fetch in _FETCHES[event.what]:
            for rule in self.rules.that(fetch):
                if self._is_for(rule, caller) and self._is_due(rule, caller, event, now):
                    purpose = (caller.subject, rule.name, event.study)
                    job = _Job(caller, rule, event, now + _PATIENCE, rule.count * rule.studies)
                    if fetch in {"next-frames", "next-series"}:
                        job.left = rule.count
                    self._add(purpose, job)

    def warm(self, caller: Caller, studies: tuple[str, ...], frames: int) -> None:
        """Read studies in, as soon as nobody is in the way.

        Args:
            caller: May read them; this is looked at again.
            studies: Study Instance UIDs.
            frames: At most so many in all.
        """
        rule = Rule(name=WARM_UP, fetch="recent", count=1)
        deadline = time.monotonic() + _WARMING_PATIENCE
        job = _Job(caller, rule, Event("opened"), deadline, frames, studies)
        self._add((caller.subject, WARM_UP, *studies), job)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Read ahead until the end of the block."""
        workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker

    async def rest(self) -> None:
        """Wait until there is nothing left to do."""
        await self._idle.wait()

    def _add(self, purpose: tuple[str, ...], job: _Job) -> None:
        self._idle.clear()
        dropped = self._queue.add(purpose, job)
        if dropped is not None:
            self._cache.ahead[dropped.rule.name].dropped += 1

    @staticmethod
    def _is_for(rule: Rule, caller: Caller) -> bool:
        own = caller.variables.get("specialty", ())
        return not rule.specialties or not set(rule.specialties).isdisjoint(own)

    def _is_due(self, rule: Rule, caller: Caller, event: Event, now: float) -> bool:
        """Say whether this happens for the first time in a while; frames are always new."""
        if rule.fetch == "next-frames":
            return True
        part = event.series if rule.fetch == "next-series" else ""
        key = (caller.subject, rule.name, event.study, part)
        last = self._once.pop(key, None)
        due = last is None or now - last >= _ONCE_IN
        self._once[key] = last if last is not None and not due else now
        if len(self._once) > _REMEMBERED:
            self._once.popitem(last=False)
        return due

    async def _work(self) -> None:
        while True:
            job = await self._queue.next()
            self._at_work += 1
            try:
                await self._do(job)
            except (AccessDenied, NotFound):
                self._cache.ahead[job.rule.name].refused += 1
            except Exception as error:  # noqa: BLE001 -- the edge of a task; nobody waits for it
                log.warning("not read ahead", **place(error))
            finally:
                self._at_work -= 1
                if not (self._at_work or self._queue.jobs):
                    self._idle.set()

    async def _do(self, job: _Job) -> None:
        if not await self.lull.come(job.deadline):
            self._cache.ahead[job.rule.name].dropped += 1
            return
        guarded = await self._begin(job.caller)
        async for target in self._targets(guarded, job):
            if job.left <= 0:
                return
            if not await self.lull.come(job.deadline):
                self._cache.ahead[job.rule.name].dropped += 1
                return
            if not await self._read(guarded, job, target):
                return

    async def _targets(self, guarded: GuardedRepository, job: _Job) -> AsyncIterator[Target]:
        if not job.studies:
            async for target in self.reading.targets(guarded, job.rule, job.event):
                yield target
        for study in job.studies:
            async for target in self.reading.study(guarded, study):
                yield target

    async def _read(self, guarded: GuardedRepository, job: _Job, target: Target) -> bool:
        """Read an image, as its caller; say whether to go on."""
        ahead = self._cache.ahead[job.rule.name]
        study, instance, first = target
        try:
            image = await stored_image(guarded, instance, "Image.pixels", study)
            if image.frames is None or not _is_meant(guarded, job.rule, image):
                return True
            count = frame_table(image).count
        except ResourceError:
            ahead.refused += 1
            return True
        for number in range(first, min(first + job.left, count + 1)):
            job.left -= 1
            if await self._is_known(image, number):
                ahead.known += 1
            elif not self._affordable(job, image, number):
                ahead.unaffordable += 1
                return False
            else:
                await self._fetch(image, number, job.rule)
        return True

    async def _is_known(self, image: StoredImage, number: int) -> bool:
        """Say whether a frame is there, or about to be."""
        under_way = (image.object_key, number) in self._under_way
        return under_way or await self._pictures.holds(image, number)

    def _affordable(self, job: _Job, image: StoredImage, number: int) -> bool:
        if job.studies:
            return True
        _, length = frame_table(image).range(number)
        return self._purse.spend(job.caller.subject, job.rule, length)

    async def _fetch(self, image: StoredImage, number: int, rule: Rule) -> None:
        frame = (image.object_key, number)
        if frame in self._under_way:
            return
        self._under_way.add(frame)
        try:
            await self._pictures.fetch(image, number, rule.name)
        except ResourceError:
            self._cache.ahead[rule.name].refused += 1
        finally:
            self._under_way.discard(frame)


def _is_meant(guarded: GuardedRepository, rule: Rule, image: StoredImage) -> bool:
    modalities = wanted_modalities(guarded, rule)
    return modalities is None or text(image.attributes, "Modality") in modalities
