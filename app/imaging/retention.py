"""Removing deleted studies once their time is up, by one of the processes that serve."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog

from app.audit import Audit, Circumstances
from app.background import in_background
from app.imaging.custody import StudyCustody
from app.imaging.deletion import finish_deletion
from app.logs import place
from app.store.deleted import Purged
from app.store.duties import Duties
from fhir.access import Entry
from policies.caller import Caller

log = structlog.get_logger()

EVERY: Final = timedelta(minutes=1)
_DUTY: Final = "retention"
_LENGTH: Final = timedelta(minutes=5)  # many times what most studies take
_NOBODY: Final = Caller("retention", frozenset(), name="Retention")
_CIRCUMSTANCES: Final = Circumstances("retention", "retention", None)


class Retention:
    """Purges, and mends what a crash left between two writes about deletions and holds."""

    def __init__(
        self, custody: StudyCustody, audit: Audit, duties: Duties, every: timedelta = EVERY
    ) -> None:
        """Set how often, by whichever process, it is looked for what is to be done."""
        self._custody = custody
        self._ledger = custody.ingest.ledger
        self._audit = audit
        self._duties = duties
        self._every = every
        self._me = secrets.token_hex(8)

    async def purge(self) -> int:
        """Remove every deleted study whose time is up and that nobody holds.

        Safe while others do the same. What a dead process began is finished; each removal is in
        the audit before it is complete.

        Returns:
            How many were removed.
        """
        await self._mend()
        await self._ledger.deleted.begin_purge()
        purging = await self._ledger.deleted.purging()
        for purged in purging:
            await self._audit.write([_entry(purged)], _NOBODY, _CIRCUMSTANCES)
            await self._ledger.deleted.told(purged)
            await self._finish(purged)
            await self._on_duty()
        return len(purging)

    async def look(self) -> int | None:
        """Purge, unless another process does; then None."""
        if not await self._on_duty():
            return None
        return await self.purge()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Purge in the background."""
        try:
            async with in_background(self._work()):
                yield
        finally:
            await self._duties.give_back(_DUTY, self._me)

    async def _work(self) -> None:
        while True:
            try:
                if removed := await self.look():
                    log.info("deleted studies purged", studies=removed)
            except Exception as error:  # noqa: BLE001 -- the edge of a task that has to go on
                log.error("deleted studies not purged", **place(error))  # noqa: TRY400 -- may hold PHI
            await asyncio.sleep(self._every.total_seconds())

    async def _on_duty(self) -> bool:
        return await self._duties.take(_DUTY, self._me, _LENGTH)

    async def _mend(self) -> None:
        for study in await self._ledger.deleted.unsettled():
            await self._custody.settle(study)
        await self._ledger.holds.settle()

    async def _finish(self, purged: Purged) -> None:
        objects = self._custody.ingest.objects
        await finish_deletion(self._ledger, objects, purged.study, purged.claim)
        await self._ledger.deleted.settle_record(purged.study)
        await self._custody.cache.forget(purged.study)


def _entry(purged: Purged) -> Entry:
    patient = purged.patient.removeprefix("Patient/")
    return Entry(
        "delete",
        "ImagingStudy",
        "allowed",
        ids=(purged.study,),
        patients=(patient,) if patient else (),
        total=1,
        query=f"deleted by {purged.by} at {purged.at}",
    )
