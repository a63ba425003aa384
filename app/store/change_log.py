"""The ordered sequence of changes, in `changes`: numbered without gaps, and never rewritten."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import BulkWriteError, DuplicateKeyError

from app.store.change_stream import change_stream, is_time, now
from app.store.changes import NotReplicated
from app.store.database import Database
from fhir.changes import Change, HistoryLost, Kind
from fhir.errors import Unavailable
from fhir.search import Index

SEQUENCING: Final = "sequence"
"""The duty of whoever appends; beside it stands how far they came."""

_DUPLICATE_KEY: Final = 11000


class Overtaken(Exception):
    """Somebody else has appended meanwhile."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sequence stands.

    Attributes:
        sequence: Number of the latest change; 0 if there is none.
        position: In the database's own history; everything before it is in the sequence.
    """

    sequence: int
    position: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """A change that has no number yet.

    Attributes:
        index: What the record was searched by then, as far as that names nobody.
        position: In the database's own history.
    """

    kind: Kind | Literal["lost"]
    resource: str
    id: str
    position: str
    index: Index | None = None


class ChangeLog:
    """The sequence in MongoDB.

    Whoever appends gives the next number: of two that append at once one fails, so that there is
    neither a gap nor a change twice, whatever becomes of either. Where nobody can tell what
    happened meanwhile, a mark takes a number: who comes from before it has missed something.
    """

    def __init__(self, database: Database, keep: timedelta) -> None:
        """Set for how long changes are kept; the latest one always is, for its number."""
        self._database = database
        self._changes = database["changes"]
        self._duties = database["duties"]
        self._keep = keep

    async def prepare(self) -> bool:
        """Let the sequence begin now, if it has not; say False if there is nothing to follow."""
        try:
            position = await now(self._database)
        except NotReplicated:
            return False
        await self._changes.create_indexes(
            [
                IndexModel([("position", ASCENDING)], unique=True),
                IndexModel([("id", ASCENDING), ("resource", ASCENDING), ("_id", DESCENDING)]),
                IndexModel([("kind", ASCENDING), ("_id", DESCENDING)]),
            ]
        )
        if await self.newest() == 0:
            with suppress(DuplicateKeyError):  # it has begun
                await self._duties.update_one(
                    {"_id": SEQUENCING, "position": {"$exists": False}},
                    {"$set": {"position": position, "sequence": 0}},
                    upsert=True,
                )
        return True

    async def newest(self) -> int:
        """Give the number of the latest change; 0 if there is none yet."""
        latest = await self._changes.find_one({}, {"_id": 1}, sort=[("_id", DESCENDING)])
        return latest["_id"] if latest else 0

    async def oldest(self) -> int:
        """Give the number of the oldest change from which on nothing is missing."""
        lost = await self._changes.find_one(
            {"kind": "lost"}, {"_id": 1}, sort=[("_id", DESCENDING)]
        )
        if lost:
            return int(lost["_id"]) + 1
        first = await self._changes.find_one({}, {"_id": 1}, sort=[("_id", ASCENDING)])
        return first["_id"] if first else 1

    async def page(self, after: int, limit: int) -> list[Change]:
        """List changes in their order, beginning behind a number.

        Raises:
            HistoryLost: What came next is not kept any more, or was never known.
        """
        found = await self._changes.find(
            {"_id": {"$gt": after}}, _READ, sort=[("_id", ASCENDING)], limit=limit
        ).to_list(limit)
        if not found and after > await self.newest():
            raise HistoryLost  # it is a number of another database
        return changes_of(found, after)

    async def appended(self) -> AsyncGenerator[Sequence[Mapping[str, Any]]]:
        """Give what is appended from now on, as it is stored, and again and again nothing.

        First of all it gives nothing, once it has begun.
        """
        async with change_stream(self._database, _APPENDED, await now(self._database)) as stream:
            yield ()
            while True:
                yield [one["fullDocument"] for one in (await stream.next()).events]

    async def now(self) -> str:
        """Give the position, in the database's history, of what happens from now on."""
        return await now(self._database)

    async def place(self) -> Place:
        """Say where to go on appending."""
        said = await self._duties.find_one({"_id": SEQUENCING}, {"position": 1, "sequence": 1})
        latest = await self._changes.find_one({}, {"position": 1}, sort=[("_id", DESCENDING)])
        further = (said or {}).get("position", "")
        reached = (said or {}).get("sequence", 0)
        if latest is None:
            return Place(reached, further or await now(self._database))
        own = latest["position"]
        # tokens compare as the times that they stand for; with others they cannot be compared
        if reached == latest["_id"] and (further > own or is_time(own)) and further:
            return Place(reached, further)
        return Place(latest["_id"], own)

    async def append(self, place: Place, noticed: Sequence[Noticed]) -> Place:
        """Give changes the next numbers.

        Returns:
            The place behind them.

        Raises:
            Overtaken: Somebody else has given one of these numbers; those before it are given.
        """
        at = datetime.now(UTC)
        documents = [
            {
                "_id": number,
                "at": at,
                "kind": one.kind,
                "resource": one.resource,
                "id": one.id,
                "position": one.position,
            }
            | ({"index": dict(one.index)} if one.index is not None else {})
            for number, one in enumerate(noticed, place.sequence + 1)
        ]
        try:
            await self._changes.insert_many(documents)
        except BulkWriteError as error:
            if any(one["code"] == _DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise Overtaken from error
            raise
        return Place(place.sequence + len(noticed), noticed[-1].position)

    async def reach(self, place: Place, holder: str) -> None:
        """Note how far somebody came, so that whoever follows need not read it all again."""
        await self._duties.update_one(
            {"_id": SEQUENCING, "holder": holder},
            {"$set": {"position": place.position, "sequence": place.sequence}},
        )

    async def trim(self) -> None:
        """Delete what was kept for long enough, the oldest first: no gap ever shows."""
        latest = await self.newest()
        since = datetime.now(UTC) - self._keep
        first = await self._changes.find_one(
            {"at": {"$gte": since}}, {"_id": 1}, sort=[("_id", ASCENDING)]
        )
        await self._changes.delete_many({"_id": {"$lt": first["_id"] if first else latest}})

    async def latest_of(self, resource: str, identifier: str) -> tuple[str, Index | None] | None:
        """Give the kind of a record's latest change, and its index then; None if there is none."""
        found = await self._changes.find_one(
            {"id": identifier, "resource": resource},
            {"kind": 1, "index": 1},
            sort=[("_id", DESCENDING)],
        )
        return (found["kind"], found.get("index")) if found else None


def changes_of(documents: Sequence[Mapping[str, Any]], after: int) -> list[Change]:
    """Read changes that follow on a number.

    Raises:
        HistoryLost: They do not, or nobody knows what the first of them was.
    """
    found = []
    for number, one in enumerate(documents, after + 1):
        if one["_id"] != number or one["kind"] == "lost":
            break
        found.append(
            Change(
                number,
                one["at"],
                one["kind"],
                one["resource"],
                one["id"],
                one.get("index", {}) if one["kind"] == "deleted" else {},
            )
        )
    if documents and not found:
        raise HistoryLost
    return found


def not_followed() -> Unavailable:
    """Say why there is no sequence."""
    return Unavailable(
        "changes are not followed, for the database is no replica set; start it with --replSet "
        "and initiate it, a set of one will do"
    )


_READ: Final = {"position": 0}
_APPENDED: Final[list[dict[str, Any]]] = [
    {"$match": {"ns.coll": "changes", "operationType": "insert"}},
    {"$project": {"fullDocument": 1}},
]
