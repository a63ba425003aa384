"""What is kept of signed addresses, in MongoDB: under digests, until their time is up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.store.database import Database

Json = Any


class SignedStore:
    """Whom addresses were signed for, for every process; none of them can be used from here."""

    def __init__(self, database: Database) -> None:
        self._signed = database["signed_addresses"]

    async def keep(self, digest: str, said: Mapping[str, Json], vanish: datetime) -> None:
        """Keep what is said of an address whose token has this SHA-256, until a moment."""
        await self._signed.insert_one({"_id": digest, **said, "vanish": vanish})

    async def find(self, digest: str, now: datetime) -> Mapping[str, Json] | None:
        """Give what is said of it, or None if there is none or its time is up."""
        return await self._signed.find_one({"_id": {"$eq": digest}, "vanish": {"$gt": now}})
