"""What was done under which idempotency key, in MongoDB: for every process, for a day."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from app.store.database import Database
from fhir.errors import Conflict, KeyReused
from schema.context import Attempt

_KEPT: Final = timedelta(days=1)


class OnceStore:
    """`schema.context.Once`. What somebody begins, nobody else begins until it has failed."""

    def __init__(self, database: Database) -> None:
        self._attempts = database["attempts"]

    async def begin(self, attempt: Attempt) -> tuple[bool, Any]:
        """Begin, unless it was done before; then say so, and give what it gave."""
        fresh = {
            "_id": _name(attempt),
            "fingerprint": attempt.fingerprint,
            "vanish": datetime.now(UTC) + _KEPT,
        }
        try:
            await self._attempts.insert_one(fresh)
        except DuplicateKeyError:
            known = await self._attempts.find_one({"_id": fresh["_id"]})
        else:
            return False, None
        if known is not None and known["fingerprint"] != attempt.fingerprint:
            raise KeyReused
        if known is None or "result" not in known:
            raise Conflict(
                "a mutation with this idempotencyKey is not known to have ended: send it again in "
                "a while, or look whether it was done and make a new key"
            )
        return True, known["result"]["value"]

    async def done(self, attempt: Attempt, result: Any) -> None:
        """Remember what it gave."""
        await self._attempts.update_one(
            {"_id": _name(attempt)}, {"$set": {"result": {"value": result}}}
        )

    async def failed(self, attempt: Attempt) -> None:
        """Forget it."""
        await self._attempts.delete_one({"_id": _name(attempt)})


def _name(attempt: Attempt) -> str:
    parts = (attempt.agent, attempt.mutation, attempt.key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
