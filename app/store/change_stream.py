"""What is written into the database, batch by batch, from a position on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from bson.timestamp import Timestamp
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import OperationFailure, PyMongoError

from app.store.changes import HistoryLost, NotReplicated
from app.store.database import Database

_AWAIT_MS: Final = 2_000
_BATCH: Final = 200
_NOT_REPLICATED: Final = 40573
_TIME: Final = "T"  # a position that is a time of the server; others are its tokens, in hex
# the position is gone from the oplog, or is none of this database; an event cannot be told
_LOST: Final = frozenset({286, 280, 260, 50811, 10334})


class Ended(Exception):
    """There is nothing to follow any more: the database was dropped."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was heard at once; most times nothing.

    Attributes:
        position: Behind all of it.
    """

    events: Sequence[dict[str, Any]]
    position: str


class ChangeStream:
    """One cursor; it is asked again and again.

    The driver gives events one by one and does not tell which of them came together, so that
    this speaks to the server itself.
    """

    def __init__(self, database: Database, session: AsyncIOMotorClientSession) -> None:
        self._database = database
        self._session = session
        self._cursor: int = 0
        self._first: Batch | None = None
        # it waits nearly always, and the driver has few threads for all that is asked
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="change stream")

    async def open(self, pipeline: Sequence[dict[str, Any]], position: str) -> None:
        """Begin behind a position."""
        stages = [{"$changeStream": _start(position)}, *pipeline]
        self._first = await self._asked(
            {
                "aggregate": 1,
                "pipeline": stages,
                "cursor": {"batchSize": _BATCH},
                "readConcern": {"level": "majority"},
            },
            "firstBatch",
        )

    async def next(self) -> Batch:
        """Wait for something to happen, two seconds at most.

        Raises:
            HistoryLost: Nobody can tell any more what happened behind the position.
            Ended: The database was dropped.
        """
        if self._first is not None:
            batch, self._first = self._first, None
            return batch
        if not self._cursor:
            raise Ended
        return await self._asked(
            {
                "getMore": self._cursor,
                "collection": "$cmd.aggregate",
                "batchSize": _BATCH,
                "maxTimeMS": _AWAIT_MS,
            },
            "nextBatch",
        )

    async def close(self) -> None:
        """Let the server forget it, also where it is still waiting."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._cursor:
            cursor, self._cursor = self._cursor, 0
            with suppress(PyMongoError):
                await self._database.command({"killCursors": "$cmd.aggregate", "cursors": [cursor]})

    async def _asked(self, command: dict[str, Any], events: str) -> Batch:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._ask, command
            )
        except OperationFailure as error:
            if error.code == _NOT_REPLICATED:
                raise NotReplicated from error
            if error.code in _LOST:
                raise HistoryLost from error
            raise
        cursor: dict[str, Any] = answer["cursor"]
        self._cursor = cursor["id"]
        return Batch(cursor[events], str(cursor["postBatchResumeToken"]["_data"]))

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        database = self._database.delegate
        answer: dict[str, Any] = database.command(
            command, session=self._session.delegate, codec_options=database.codec_options
        )
        return answer


@asynccontextmanager
async def change_stream(
    database: Database, pipeline: Sequence[dict[str, Any]], position: str
) -> AsyncIterator[ChangeStream]:
    """Follow what is written, behind a position.

    Args:
        database: All of its collections are followed.
        pipeline: What is wanted of the events; each keeps its `_id`.
        position: Of a batch or an event, or of `now`.

    Raises:
        HistoryLost: The position is too old, or none of this database.
        NotReplicated: There is nothing to follow.
    """
    # a cursor belongs to the session that opened it
    async with await database.client.start_session(causal_consistency=False) as session:
        stream = ChangeStream(database, session)
        try:
            await stream.open(pipeline, position)
            yield stream
        finally:
            await stream.close()


async def now(database: Database) -> str:
    """Give the position of what happens from now on.

    Raises:
        NotReplicated: There is nothing to follow.
    """
    time = (await database.command("ping")).get("operationTime")
    if not isinstance(time, Timestamp):
        raise NotReplicated
    return f"{_TIME}{time.time}.{time.inc}"


def is_time(position: str) -> bool:
    """Say whether a position is a time of the server, and no token."""
    return position.startswith(_TIME)


def _start(position: str) -> dict[str, Any]:
    if is_time(position):
        seconds, _, number = position[1:].partition(".")
        return {
            "startAtOperationTime": Timestamp(int(seconds), int(number)),
        }
    return {"resumeAfter": {"_data": position}}
