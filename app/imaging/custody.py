"""Deleting studies, restoring and holding them: the steps of `app.store.deleted`, carried out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.cache.cache import Cache
from app.imaging.deletion import delete_study
from app.imaging.ingest import Ingest
from fhir.deleting import Held
from fhir.errors import NotFound


@dataclass(frozen=True, slots=True)
class StudyCustody:
    """`fhir.deleting.Custody` over the stores of an archive.

    Attributes:
        cache: Of this process; those of others hear from the database what was deleted.
        window: How long a deleted study can be restored; zero: it is removed at once.
    """

    ingest: Ingest
    cache: Cache
    window: timedelta

    async def delete(self, study: str, *, by: str, reason: str | None) -> datetime | None:
        """Put a study out of sight, or remove it where nothing is kept."""
        while not await self._deleted(study, by, reason):
            match await self.ingest.ledger.deleted.standing(study):
                case "held":
                    raise Held
                case "gone" | "deleted":
                    raise NotFound("no ImagingStudy of this id is open to you")
        return await self._until(study)

    async def restore(self, study: str) -> bool:
        """Bring a deleted study back as it was."""
        if not await self.ingest.ledger.deleted.take_back(study):
            return False
        await self.settle(study)
        return True

    async def hold(self, study: str, hold: str) -> bool:
        """Keep a study from being deleted and purged."""
        if await self.ingest.ledger.holds.place(study, hold):
            return True
        await self.ingest.ledger.holds.withdraw(hold)
        return False

    async def lift(self, study: str, hold: str) -> None:
        """Let go of a study."""
        await self.ingest.ledger.holds.lift(study, hold)

    async def settle(self, study: str) -> None:
        """Make everything that is derived from a study true for how it stands now."""
        ledger = self.ingest.ledger
        await self.ingest.settle(study)
        for key in await ledger.deleted.patients_of(study):
            await ledger.settle_patient(key)
        await ledger.deleted.settle_record(study)

    async def _deleted(self, study: str, by: str, reason: str | None) -> bool:
        ledger = self.ingest.ledger
        if not self.window:
            return await delete_study(ledger, self.ingest.objects, study, self.cache)
        if not await ledger.deleted.put_away(study, by=by, reason=reason, window=self.window):
            return False
        await self.cache.forget(study)
        await self.settle(study)
        return True

    async def _until(self, study: str) -> datetime | None:
        claim = await self.ingest.ledger.claim_on(study)
        return claim.kept_until if claim else None
