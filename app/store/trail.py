"""The audit's records: appended and never changed, those of many requests in one command."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect

from app.store.database import Database
from app.store.together import Together
from fhir.errors import Unavailable

_MOST_BYTES: Final = 2**24 - 2**14  # what MongoDB takes, less some for what it adds
_COMMAND_BYTES: Final = 2**23  # a command as a whole may not be larger than a record
_DUPLICATE_KEY: Final = 11000


class Trail:
    """Writes to `audit_events`, acknowledged as the database's write concern says."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together = Together(self._append)

    def begin(self, records: Sequence[Mapping[str, Any]]) -> asyncio.Future[None]:
        """Begin to append records; when the answer is there they survive a crash.

        Args:
            records: Each with an `_id` of its own; one that is there already stays.

        Raises:
            Unavailable: They cannot be kept; what others write at the same time can.
        """
        try:
            encoded = [bson.encode(one) for one in records]
        except (BSONError, ValueError) as error:
            raise Unavailable("an access cannot be written down") from error
        if any(len(one) > _MOST_BYTES for one in encoded):
            raise Unavailable("an access cannot be written down")
        return self._together.begin(encoded)

    async def _append(self, calls: list[list[bytes]]) -> list[None]:
        batch: list[bytes] = []
        for one in (one for call in calls for one in call):
            if batch and len(one) + sum(map(len, batch)) > _COMMAND_BYTES:
                await self._insert(batch)
                batch = []
            batch.append(one)
        await self._insert(batch)
        return [None] * len(calls)

    async def _insert(self, records: list[bytes]) -> None:
        # Not `insert_many`: so that it can be sent twice, the server keeps a record of each such
        # command, at twice the time. These say by their ids whether they have arrived already.
        command = {
            "insert": "audit_events",
            "documents": [RawBSONDocument(one) for one in records],
            "ordered": False,
            "writeConcern": self._database.write_concern.document,
        }
        try:
            reply = await self._database.command(command)
        except AutoReconnect:
            reply = await self._database.command(command)
        failed = [one for one in reply.get("writeErrors", ()) if one["code"] != _DUPLICATE_KEY]
        if failed or "writeConcernError" in reply:
            raise Unavailable("the database could not keep what it was given")
