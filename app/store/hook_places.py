"""How far each webhook was told of changes, in `webhooks`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import ReturnDocument

from app.store.database import Database


@dataclass(frozen=True, slots=True)
class HookPlace:
    """Where a hook stands.

    Attributes:
        sequence: Number of the latest change that it was told, or need not be told.
        skipped: Changes that it should have been told, and was not.
    """

    sequence: int
    skipped: int


class HookPlaces:
    """Shared by all processes; the one that tells writes."""

    def __init__(self, database: Database) -> None:
        self._hooks = database["webhooks"]

    async def of(self, name: str, newest: int) -> HookPlace:
        """Say where a hook stands; one that is new begins at the number given."""
        found = await self._hooks.find_one_and_update(
            {"_id": name},
            {"$setOnInsert": {"sequence": newest, "skipped": 0}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return HookPlace(found["sequence"], found["skipped"])

    async def reach(self, name: str, sequence: int, skipped: int = 0) -> None:
        """Note that a hook is done with a change, and those before it."""
        await self._hooks.update_one(
            {"_id": name},
            {
                "$max": {"sequence": sequence},
                "$inc": {"skipped": skipped},
                "$unset": {"failing": ""},
            },
        )

    async def begin_anew(self, name: str, sequence: int) -> None:
        """Go on from a number, whichever it stood at: what was between is not known any more."""
        await self._hooks.update_one(
            {"_id": name},
            {"$set": {"sequence": sequence}, "$inc": {"skipped": 1}, "$unset": {"failing": ""}},
        )

    async def failing(self, name: str, sequence: int) -> datetime:
        """Note that a hook could not be told of a change; give when that was so first."""
        now = datetime.now(UTC)
        await self._hooks.update_one(
            {"_id": name, "failing.sequence": {"$ne": sequence}},
            {"$set": {"failing": {"sequence": sequence, "since": now}}},
        )
        found = await self._hooks.find_one({"_id": name}, {"failing": 1})
        since: datetime = found["failing"]["since"] if found and "failing" in found else now
        return since
