"""Removing what crashes left: half deletions, uncounted instances, objects nobody refers to."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.imaging.deletion import delete_objects, finish_deletion
from app.imaging.ingest import Ingest
from app.imaging.lease import holder
from app.store.leases import Leases
from app.store.ledger import Ledger
from app.store.ports import ObjectStore

_BATCH: Final = 500
_LOOKS_EVERY: Final = 0.25
# If nobody held a lease, older writes are nobody's; stores tell times coarsely.
_COARSE: Final = timedelta(seconds=2)
# Somebody is at work, and may be slow.
_ABANDONED: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each were left over, and are no more."""

    deletions_finished: int
    studies_settled: int
    claims_removed: int
    objects_removed: int
    partial_writes_removed: int


async def sweep(ingest: Ingest) -> Swept:
    """Remove what is left over. Safe while others ingest and delete.

    Waits until it is known which processes live: at most for as long as a lease lasts.
    """
    ledger, objects = ingest.ledger, ingest.objects
    living = await _living(ledger.leases)
    known = time.monotonic()
    left = await ledger.leftovers()
    for study, claim in left.deleting:
        await finish_deletion(ledger, objects, study, claim)
    for study in dict.fromkeys(left.uncounted):
        await ingest.settle(study)
    for key in left.patients:
        await ledger.settle_patient(key)
    # A lease is taken out before anything is claimed under it.
    holding = await ledger.leases.until()
    abandoned = [one for one in left.claimed if one[2] not in holding]
    for study, claim, lease in abandoned:
        await ledger.remove_claim(study, claim, lease)
    removed = await _remove_unreferenced(ledger, objects)
    since = timedelta(seconds=time.monotonic() - known)
    return Swept(
        deletions_finished=len(left.deleting),
        studies_settled=len(set(left.uncounted)),
        claims_removed=len(abandoned),
        objects_removed=removed,
        partial_writes_removed=await objects.sweep(_ABANDONED if living else since + _COARSE),
    )


async def _living(leases: Leases) -> frozenset[str]:
    """Wait until each lease is renewed or lapsed; give those that live."""
    before = await leases.until()
    while True:
        await leases.revoke_lapsed()
        now = await leases.until()
        if all(now[name] != before.get(name) for name in now):
            return frozenset(now)
        await asyncio.sleep(_LOOKS_EVERY)


async def _remove_unreferenced(ledger: Ledger, objects: ObjectStore) -> int:
    removed = 0
    batch: list[str] = []
    async for entry in objects.list():
        batch.append(entry.key)
        if len(batch) == _BATCH:
            removed += await _remove(ledger, objects, batch)
            batch = []
    return removed + await _remove(ledger, objects, batch)


async def _remove(ledger: Ledger, objects: ObjectStore, keys: list[str]) -> int:
    """Remove those of some listed objects that belong to nobody.

    The order matters. A lease is taken out before an object is named, and held until it is
    referred to: if it is gone after the object was seen, a reference that will ever count is there.
    """
    living = await ledger.leases.until()
    dead = [key for key in keys if holder(key) not in living]
    orphans = set(dead) - await ledger.referenced(dead) if dead else set()
    await delete_objects(objects, orphans)
    return len(orphans)
