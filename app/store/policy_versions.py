"""The history of the policy, in `policy_versions`: numbered, and never rewritten."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from app.store.database import Database

Json = Any


@dataclass(frozen=True, slots=True)
class Version:
    """Files of the policy that are in force, or about to be.

    Attributes:
        edition: Names the files.
        version: Names what they decide.
        by: `iss#sub`; None if they were edited by hand.
    """

    edition: str
    version: str
    texts: Mapping[str, str]
    by: str | None = None
    note: str | None = None


class PolicyVersions:
    """Each row says what followed the row before, so that going back to old files is seen too."""

    def __init__(self, database: Database) -> None:
        self._versions = database["policy_versions"]

    async def announce(self, version: Version) -> int:
        """Write down what is about to be saved; give its number. Nobody is shown it yet."""
        while True:
            newest = await self._newest()
            number = await self._insert(newest, version, pending=True)
            if number is not None:
                return number

    async def confirm(self, number: int) -> None:
        """Say that what was announced is in force."""
        await self._versions.update_one({"_id": number}, {"$unset": {"pending": ""}})

    async def withdraw(self, number: int) -> None:
        """Say that what was announced did not come to be."""
        await self._versions.delete_one({"_id": number, "pending": True})

    async def seen(self, version: Version) -> None:
        """Write down what was found in force, unless it is known to be; any process may say so."""
        while True:
            newest = await self._newest()
            if newest and newest["edition"] == version.edition:
                if newest.get("pending"):
                    await self.confirm(newest["_id"])  # whoever announced it has not come to it
                return
            latest = await self.newest(1)  # before what is only announced
            if latest and latest[0]["edition"] == version.edition:
                return
            if await self._insert(newest, version, pending=False) is not None:
                return

    async def newest(self, most: int) -> list[dict[str, Json]]:
        """List rows, the newest first."""
        cursor = self._versions.find(
            {"pending": {"$exists": False}}, sort=[("_id", DESCENDING)], limit=most
        )
        return await cursor.to_list(most)

    async def _newest(self) -> dict[str, Json] | None:
        found: dict[str, Json] | None = await self._versions.find_one(
            {}, {"edition": 1, "pending": 1}, sort=[("_id", DESCENDING)]
        )
        return found

    async def _insert(
        self, newest: Mapping[str, Json] | None, version: Version, *, pending: bool
    ) -> int | None:
        """Write the row after the newest one; None if somebody else was quicker."""
        number = (newest["_id"] if newest else 0) + 1
        row = {
            "_id": number,
            "edition": version.edition,
            "version": version.version,
            "at": datetime.now(UTC),
            "by": version.by,
            "note": version.note,
            # names of files have dots
            "files": [{"name": name, "text": text} for name, text in version.texts.items()],
        }
        try:
            await self._versions.insert_one(row | ({"pending": True} if pending else {}))
        except DuplicateKeyError:
            return None
        return number
