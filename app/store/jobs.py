"""What announced uploads may still bring, in MongoDB: one counter each, beside the records.

They are counters of their own so that counting is one atomic command, and no change of a record.
"""

from datetime import datetime, timedelta
from typing import Any

from app.store.database import Database
from fhir.jobs import Left

_KEPT = timedelta(days=1)  # after it is over


class JobTickets:
    """`fhir.jobs.Tickets`."""

    def __init__(self, database: Database) -> None:
        self._left = database["job_allowances"]
        self._patients = database["patients"]

    async def open(self, job: str, left: Left, until: datetime) -> None:
        """Let an upload bring something, until a moment."""
        await self._left.insert_one(
            {
                "_id": job,
                "files": left.files,
                "bytes": left.bytes,
                "until": until,
                "vanish": until + _KEPT,
            }
        )

    async def close(self, job: str) -> None:
        """Let it bring nothing more."""
        await self._left.update_one({"_id": job}, {"$set": {"closed": True}})

    async def take(self, job: str, files: int, size: int, now: datetime) -> bool:
        """Count files and bytes, all of them or none: say whether there was room."""
        enough = {"files": {"$gte": files}, "bytes": {"$gte": size}}
        done = await self._left.update_one(
            {**_open(job, now), **enough}, {"$inc": {"files": -files, "bytes": -size}}
        )
        return done.modified_count == 1

    async def give_back(self, job: str, files: int, size: int) -> None:
        """Count again what was taken and did not come."""
        await self._left.update_one({"_id": job}, {"$inc": {"files": files, "bytes": size}})

    async def left(self, job: str, now: datetime) -> Left | None:
        """Say what it may still bring; None if it is closed, or over."""
        found = await self._left.find_one(_open(job, now))
        return None if found is None else Left(found["files"], found["bytes"])

    async def patient_key(self, patient: str) -> str | None:
        """Give what headers of a Patient's objects say."""
        found = await self._patients.find_one({"_id": {"$eq": patient}}, {"key": 1})
        return None if found is None else str(found["key"])


def _open(job: str, now: datetime) -> dict[str, Any]:
    return {"_id": {"$eq": job}, "closed": {"$exists": False}, "until": {"$gt": now}}
