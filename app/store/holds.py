"""Legal holds on studies: named in the study's document, so that one write decides.

The Hold record is written before the document names it, and marked as lifted before the document
no longer does: a process that ends in between leaves what `settle` mends.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from app.store.database import Database

_ESTABLISHED: Final = timedelta(minutes=1)  # younger ones may be on their way into the document

_NAMED: Final = {"holds": {"$exists": True, "$ne": []}}


class Holds:
    """Holds in the documents of their studies."""

    def __init__(self, database: Database) -> None:
        self._studies = database["studies"]
        self._records = database["holds"]

    async def place(self, study: str, hold: str) -> bool:
        """Keep a study from being deleted and purged; say False if there is none any more.

        One that is deleted and can still come back is kept as well.
        """
        done = await self._studies.update_one(
            {
                "_id": study,
                "deleting": {"$exists": False},
                "$or": [{"resource": {"$exists": True}}, {"kept": {"$exists": True}}],
            },
            {"$addToSet": {"holds": hold}},
        )
        return bool(done.matched_count)

    async def lift(self, study: str, hold: str) -> None:
        """Keep a study no longer, if this was the only hold on it."""
        await self._studies.update_one({"_id": study}, {"$pull": {"holds": hold}})

    async def withdraw(self, hold: str) -> None:
        """Remove the record of a hold that was never placed."""
        await self._records.delete_one({"_id": hold})

    async def settle(self) -> None:
        """Make the documents of studies name the holds that are in force, and no others."""
        before = datetime.now(UTC) - _ESTABLISHED
        in_force = {"resource.revoked": {"$exists": False}, "lastUpdated": {"$lt": before}}
        async for record in self._records.find(in_force, {"resource.study": 1}):
            if not await self.place(record["resource"]["study"], record["_id"]):
                await self.withdraw(record["_id"])
        async for document in self._studies.find(_NAMED, {"holds": 1}):
            named = {"_id": {"$in": document["holds"]}, "resource.revoked": {"$exists": False}}
            kept = set(await self._records.distinct("_id", named))
            for hold in set(document["holds"]) - kept:
                await self.lift(document["_id"], hold)
