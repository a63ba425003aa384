"""Ingesting many objects at once: a few in flight, studies settled in batches, all reported."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from app.audit import Audit, Circumstances
from app.imaging.ingest import Ingest, Outcome
from app.imaging.sources import Source
from fhir.access import MAX_IDS, Entry
from policies.caller import Caller

IN_FLIGHT = 8
BATCH = 128


@dataclass(frozen=True, slots=True)
class Taken:
    """One source and what became of it."""

    name: str
    size: int
    outcome: Outcome


async def take_in(
    ingest: Ingest, audit: Audit, found: Iterable[Source]
) -> AsyncIterator[list[Taken]]:
    """Ingest sources and give their outcomes a batch at a time, once they are durable.

    Sources that fail never stop the others. Each batch is in the audit before it is given out.
    """
    remaining = iter(found)
    while batch := _next(remaining):
        places = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_one(ingest, source, places)) for source in batch]
        taken = [task.result() for task in tasks]
        kept = [one.outcome for one in taken if one.outcome.kept and one.outcome.study]
        await ingest.settle_all(str(one.study) for one in kept)
        await _note(audit, taken)
        yield taken


def _next(remaining: Iterable[Source]) -> list[Source]:
    batch = []
    for source in remaining:
        batch.append(source)
        if len(batch) == BATCH:
            break
    return batch


async def _one(ingest: Ingest, source: Source, places: asyncio.Semaphore) -> Taken:
    async with places:
        return Taken(source.name, source.size, await ingest.add(source.chunks()))


async def _note(audit: Audit, taken: Iterable[Taken]) -> None:
    stored = [str(one.outcome.instance) for one in taken if one.outcome.status == "stored"]
    operator = Caller(subject=f"cli#{getpass.getuser()}", roles=frozenset({"operator"}))
    entries = [
        Entry("create", "Image", "allowed", ids=tuple(stored[start : start + MAX_IDS]))
        for start in range(0, len(stored), MAX_IDS)
    ]
    await audit.write(entries, operator, Circumstances("cli", "cli", None))
