"""Removing what crashes left: half deletions, uncounted instances, objects nobody refers to."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.imaging.ingest import Ingest
from app.store.ledger import Ledger
from app.store.ports import ObjectStore

_BATCH = 500
# While an ingest runs somewhere, an object this young may be about to enter the index.
_YOUNG = timedelta(minutes=10)
# Object stores tell times to the second.
_COARSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each were left over, and are no more."""

    deletions_finished: int
    studies_settled: int
    claims_removed: int
    objects_removed: int
    partial_writes_removed: int


async def delete_study(ledger: Ledger, objects: ObjectStore, study: str) -> bool:
    """Delete a study with everything in it; say whether it was there.

    It is out of sight at once; if the process dies after that, `sweep` finishes.
    """
    if not await ledger.hide(study):
        return False
    await _finish_deletion(ledger, objects, study)
    return True


async def _finish_deletion(ledger: Ledger, objects: ObjectStore, study: str) -> None:
    for _, key in await ledger.objects_of(study):
        await objects.delete(key)
    await ledger.remove_instances(study)
    await ledger.remove_study(study)


async def sweep(ingest: Ingest) -> Swept:
    """Remove what is left over. Safe while others ingest: their work is waited for, or spared."""
    ledger, objects = ingest.ledger, ingest.objects
    spare, limit = await _spared(ledger)
    left = await ledger.unfinished()
    for study in left["deleting"]:
        await _finish_deletion(ledger, objects, study)
    for study in left["uncounted"]:
        await ingest.settle(study)
    claims = left["claimed"] if not spare else []
    for study in claims:
        await ledger.remove_study(study)
    return Swept(
        deletions_finished=len(left["deleting"]),
        studies_settled=len(left["uncounted"]),
        claims_removed=len(claims),
        objects_removed=await _remove_unreferenced(ledger, objects, limit),
        partial_writes_removed=await objects.sweep(spare),
    )


async def _spared(ledger: Ledger) -> tuple[timedelta, datetime]:
    """Wait for leases of dead processes to lapse.

    Returns:
        How old a write in progress must be to count as abandoned, and the time before which an
        object without instance is nobody's work: who begins later takes out a lease first.
    """
    until = await ledger.leased_until()
    if until is not None:
        await asyncio.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 0.1)
    before = datetime.now(UTC) - _COARSE
    spare = _YOUNG if await ledger.leased_until() else timedelta()
    return spare, before - spare


async def _remove_unreferenced(ledger: Ledger, objects: ObjectStore, limit: datetime) -> int:
    removed = 0
    batch: list[str] = []
    async for entry in objects.list():
        if entry.modified <= limit:
            batch.append(entry.key)
        if len(batch) >= _BATCH:
            removed += await _remove(ledger, objects, batch)
            batch = []
    return removed + await _remove(ledger, objects, batch)


async def _remove(ledger: Ledger, objects: ObjectStore, keys: list[str]) -> int:
    orphans = set(keys) - await ledger.referenced(keys)
    for key in orphans:
        await objects.delete(key)
    return len(orphans)
