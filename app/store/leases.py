"""Which processes are at work: only theirs can be objects that no instance refers to yet."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.store.database import Database


class Leases:
    """Leases in MongoDB, by the clock of its primary alone.

    A lease that has lapsed is still good until somebody takes it away (`revoke_lapsed`); from
    then on its holder is told by `renew`, and nobody gets one of the same name again.
    """

    def __init__(self, database: Database) -> None:
        self._leases = database["leases"]

    async def begin(self, name: str, duration: timedelta) -> None:
        """Take out a lease under a new name."""
        await self._leases.update_one({"_id": name}, _for(duration), upsert=True)

    async def renew(self, name: str, duration: timedelta) -> bool:
        """Prolong a lease; say False if it was taken away."""
        done = await self._leases.update_one({"_id": name}, _for(duration))
        return bool(done.matched_count)

    async def end(self, name: str) -> None:
        """Give a lease back: nothing is under way any more."""
        await self._leases.delete_one({"_id": name})

    async def until(self) -> Mapping[str, datetime]:
        """List all leases and when each lapses."""
        return {one["_id"]: one["until"] async for one in self._leases.find({})}

    async def revoke_lapsed(self) -> None:
        """Take away every lease that has lapsed."""
        await self._leases.delete_many({"$expr": {"$lt": ["$until", "$$NOW"]}})


def _for(duration: timedelta) -> list[dict[str, Any]]:
    until = {"$add": ["$$NOW", int(duration.total_seconds() * 1000)]}
    return [{"$set": {"until": until}}]
