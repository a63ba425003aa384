"""What other processes delete, told by the database's change stream; and orders to all of them."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from app.store.database import Database

_ORDERS: Final = "cache_orders"
_KEPT_SECONDS: Final = 86_400
_AWAIT_MS: Final = 2_000
_NOT_REPLICATED: Final = 40573
_PASSES: Final = "ResumableChangeStreamError"
_TIME: Final = b"T"  # a position that is a time of the server; others are its tokens, in hex

# Whether a study went is all that is read of it.
_PIPELINE: Final[list[dict[str, Any]]] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": "studies", "operationType": "delete"},
                *(
                    {
                        "ns.coll": "studies",
                        "operationType": "update",
                        f"updateDescription.updatedFields.{step}": {"$exists": True},
                    }
                    for step in ("deleted", "deleting")
                ),
                {"ns.coll": _ORDERS, "operationType": "insert"},
            ]
        }
    },
    {"$project": {"ns.coll": 1, "documentKey": 1, "fullDocument.study": 1}},
]


class HistoryLost(Exception):
    """Nobody can tell any more what was deleted since the position."""


class NotReplicated(Exception):
    """The database is no replica set: it tells nobody what changes."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Something that has to be gone from caches.

    Attributes:
        study: Study Instance UID; None: everything.
    """

    study: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard since the last time.

    Attributes:
        gone: In the order in which it happened; most times nothing.
        position: To go on from; of two the greater one is later.
    """

    gone: tuple[Gone, ...]
    position: bytes


class Deletions:
    """Deletions of studies by any process, and orders to caches, in their order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Let orders vanish by themselves."""
        await self._database[_ORDERS].create_index("at", expireAfterSeconds=_KEPT_SECONDS)

    async def order(self, study: str | None) -> None:
        """Tell every process to drop a study, or everything."""
        await self._database[_ORDERS].insert_one({"study": study, "at": datetime.now(UTC)})

    async def now(self) -> bytes:
        """Give the position of what happens from now on.

        Raises:
            NotReplicated: There is nothing to follow.
        """
        time = (await self._database.command("ping")).get("operationTime")
        if not isinstance(time, Timestamp):
            raise NotReplicated
        return _TIME + f"{time.time}.{time.inc}".encode()

    async def follow(self, position: bytes) -> AsyncIterator[Told]:
        """Give what happens from a position on, and again and again that nothing did.

        Args:
            position: Of the last `Told`, or of `now`.

        Raises:
            HistoryLost: The position is too old, or none of this database.
            NotReplicated: There is nothing to follow.
        """
        try:
            async with self._database.watch(
                _PIPELINE, max_await_time_ms=_AWAIT_MS, **_start(position)
            ) as stream:
                while stream.alive:  # type: ignore[truthy-function]  # it is a property
                    change = await stream.try_next()
                    token = stream.resume_token
                    if token is not None:
                        gone = (_gone(change),) if change is not None else ()
                        yield Told(gone, str(token["_data"]).encode())
        except OperationFailure as error:
            if error.code == _NOT_REPLICATED:
                raise NotReplicated from error
            if not error.has_error_label(_PASSES):
                raise HistoryLost from error
            raise
        raise HistoryLost  # the database was dropped


def is_position(position: bytes) -> bool:
    """Say whether it may be one that was given out: of two the greater one is then later."""
    return re.fullmatch(rb"[0-9A-F]+|T\d+\.\d+", position) is not None


def _start(position: bytes) -> dict[str, Any]:
    if position.startswith(_TIME):
        seconds, _, number = position[1:].decode().partition(".")
        return {"start_at_operation_time": Timestamp(int(seconds), int(number))}
    return {"resume_after": {"_data": position.decode()}}


def _gone(change: Any) -> Gone:
    if change["ns"]["coll"] == _ORDERS:
        return Gone(change["fullDocument"].get("study"))
    return Gone(change["documentKey"]["_id"])
