"""What one process does at a time, whichever it is: who has which duty, and for how long."""

from datetime import timedelta

from pymongo.errors import DuplicateKeyError

from app.store.database import Database


class Duties:
    """Duties in MongoDB, by the clock of its primary alone.

    A holder that stands still for longer than its time loses the duty, and may learn of it late:
    what is done under a duty has to be harmless where two do it.
    """

    def __init__(self, database: Database) -> None:
        self._duties = database["duties"]

    async def held(self, name: str) -> bool:
        """Say whether somebody has a duty; it is only read, so that waiting costs little."""
        found = await self._duties.find_one(
            {"_id": name, "$expr": {"$gt": ["$until", "$$NOW"]}}, {"_id": 1}
        )
        return found is not None

    async def take(self, name: str, holder: str, duration: timedelta) -> bool:
        """Take a duty that nobody has, or keep it; say False if somebody else has it."""
        until = {"$add": ["$$NOW", int(duration.total_seconds() * 1000)]}
        mine_or_free = {"$or": [{"$eq": ["$holder", holder]}, {"$lt": ["$until", "$$NOW"]}]}
        while True:
            done = await self._duties.update_one(
                {"_id": name, "$expr": mine_or_free},
                [{"$set": {"holder": holder, "until": until}}],
            )
            if done.matched_count:
                return True
            try:
                await self._duties.insert_one({"_id": name})
            except DuplicateKeyError:  # there is one, and it is somebody else's
                return False

    async def give_back(self, name: str, holder: str) -> None:
        """Let somebody else have a duty at once."""
        await self._duties.update_one(
            {"_id": name, "holder": holder}, {"$unset": {"holder": "", "until": ""}}
        )
