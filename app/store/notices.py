"""Which openings of emergency access somebody still has to be told of."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo import ReturnDocument

from app.store.database import Database


@dataclass(frozen=True, slots=True)
class Notice:
    """One opening.

    Attributes:
        at: When, as FHIR instant.
    """

    id: str
    at: str


class Notices:
    """Shared by all processes; what one of them has taken, no other takes for a while."""

    def __init__(self, database: Database) -> None:
        self._grants = database["access_grants"]

    async def take(self, now: datetime, patience: timedelta) -> Notice | None:
        """Take the oldest opening that nobody was told of; None if there is none to take.

        Args:
            now: The time.
            patience: Whoever takes it has so long to deliver it, then it can be taken again.
        """
        found = await self._grants.find_one_and_update(
            {
                "resource.resourceType": "BreakGlass",
                "notified": {"$exists": False},
                "$or": [{"notifying": {"$exists": False}}, {"notifying": {"$lte": now - patience}}],
            },
            {"$set": {"notifying": now}},
            {"resource.period.start": 1},
            sort=[("index.date.low", 1), ("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return Notice(found["_id"], found["resource"]["period"]["start"]) if found else None

    async def delivered(self, notice: Notice, now: datetime) -> None:
        """Remember that somebody was told."""
        await self._grants.update_one(
            {"_id": notice.id}, {"$set": {"notified": now}, "$unset": {"notifying": ""}}
        )

    async def returned(self, notice: Notice) -> None:
        """Let an opening be taken again at once."""
        await self._grants.update_one({"_id": notice.id}, {"$unset": {"notifying": ""}})
