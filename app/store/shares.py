"""What is kept of the tokens of shares, in MongoDB: their digests, beside the records."""

from app.store.database import Database


class ShareTokens:
    """`fhir.sharing.Shares`. A digest is no part of the record, so that no door gives it out."""

    def __init__(self, database: Database) -> None:
        self._grants = database["access_grants"]

    async def keep(self, identifier: str, digest: str) -> None:
        """Keep the SHA-256 of the token of a stored share."""
        await self._grants.update_one({"_id": identifier}, {"$set": {"digest": digest}})

    async def find(self, digest: str) -> str | None:
        """Give the id of the share whose token has this SHA-256."""
        found = await self._grants.find_one({"digest": {"$eq": digest}}, {"_id": 1})
        return None if found is None else str(found["_id"])
