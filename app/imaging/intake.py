"""Ingesting many objects at once: a few in flight, studies settled in batches, all reported."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import structlog

from app.audit import Audit, Circumstances
from app.imaging.ingest import Ingest, Outcome
from app.imaging.sources import Source
from app.logs import place
from app.store.database import is_outage
from fhir.access import MAX_IDS, Entry
from fhir.errors import Unavailable
from policies.caller import Caller

IN_FLIGHT: Final = 32
BATCH: Final = 128
_OUTAGE: Final = "unavailable"

log = structlog.get_logger(__name__)


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

    A source that fails never stops the others. Each batch is in the audit before it is given out.

    Raises:
        Unavailable: A store does not answer, so that going on makes no sense; the outcomes of
            what was tried have been given out.
    """
    remaining = iter(found)
    while batch := await asyncio.to_thread(lambda: list(islice(remaining, BATCH))):
        places = asyncio.Semaphore(IN_FLIGHT)
        taken = await asyncio.gather(*(_one(ingest, source, places) for source in batch))
        try:
            await ingest.settle_all(one.outcome.study or "" for one in taken if one.outcome.kept)
            await _note(audit, taken)
        except Exception as error:  # noqa: BLE001 - told, and not a reason to acknowledge anything
            taken = [_unsettled(one, error) for one in taken]
        yield taken
        if any(one.outcome.reason == _OUTAGE for one in taken):
            raise Unavailable("a store does not answer; `python -m app doctor` says which")


async def _one(ingest: Ingest, source: Source, places: asyncio.Semaphore) -> Taken:
    async with places, aclosing(source.chunks()) as chunks:
        try:
            outcome = await ingest.add(chunks)
        except Exception as error:  # noqa: BLE001 - one object must not stop the others
            outcome = _failure(error)
        return Taken(source.name, source.size, outcome)


def _unsettled(one: Taken, error: Exception) -> Taken:
    return replace(one, outcome=_failure(error)) if one.outcome.kept else one


def _failure(error: Exception) -> Outcome:
    """Say that it is not the object's fault; the error's text may hold patient data."""
    if isinstance(error, Unavailable) or is_outage(error):
        said = error.message if isinstance(error, Unavailable) else "the database does not answer"
        return Outcome("failed", _OUTAGE, f"{said}; ingest it again")
    log.error("object not taken in", **place(error))
    return Outcome("failed", "internal", "something went wrong here; the log says where")


async def _note(audit: Audit, taken: Iterable[Taken]) -> None:
    stored = [str(one.outcome.instance) for one in taken if one.outcome.status == "stored"]
    operator = Caller(subject=f"cli#{_user()}", roles=frozenset({"operator"}))
    entries = [
        Entry("create", "Image", "allowed", ids=tuple(stored[start : start + MAX_IDS]))
        for start in range(0, len(stored), MAX_IDS)
    ]
    await audit.write(entries, operator, Circumstances("cli", "cli", None))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without name, as containers have
        return "unnamed"
