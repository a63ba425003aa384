"""Removing studies for good: out of sight first, then bytes, instances and the record."""

import asyncio
from collections.abc import Iterable
from typing import Final

from app.cache.cache import Cache
from app.store.ledger import Ledger
from app.store.ports import ObjectStore

_BATCH: Final = 500
_AT_ONCE: Final = 16


async def delete_study(
    ledger: Ledger, objects: ObjectStore, study: str, cache: Cache | None = None
) -> bool:
    """Remove a study with everything in it; say whether it was there, and nobody holds it.

    It is out of sight at once; if the process dies after that, `app.imaging.sweep` finishes.

    Args:
        ledger: Of the archive.
        objects: Of the archive.
        study: Its UID.
        cache: Of this process; those of others hear of it from the database.
    """
    claim = await ledger.deleted.hide(study)
    if claim is None:
        return False
    if cache is not None:
        await cache.forget(study)
    await finish_deletion(ledger, objects, study, claim)
    if cache is not None:  # whoever was let in before may have read its bytes meanwhile
        await cache.forget(study)
    return True


async def finish_deletion(ledger: Ledger, objects: ObjectStore, study: str, claim: str) -> None:
    """Remove what is left of a study whose removal has begun."""
    while entries := await ledger.deleted.objects_of(study, _BATCH):
        holding = await ledger.claim_on(study)
        if holding is None or holding.id != claim:
            return  # finished by somebody else: these entries are of the study's next life
        await delete_objects(objects, [key for _, key in entries])
        await ledger.remove_instances(entries)
    for key in await ledger.deleted.remove(study, claim):
        await ledger.settle_patient(key)


async def delete_objects(objects: ObjectStore, keys: Iterable[str]) -> None:
    """Remove objects, some at a time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def delete(key: str) -> None:
        async with places:
            await objects.delete(key)

    await asyncio.gather(*(delete(key) for key in keys))
