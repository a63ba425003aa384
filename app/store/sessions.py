"""Sessions in MongoDB: one record each, changed only by whoever has seen its latest version."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReadPreference
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from app.store.database import Database
from app.store.entries import stored
from app.store.together import Together
from fhir.parameters import spelled

Json = Any


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as it is stored.

    Attributes:
        resource: `Session` as JSON; its instants are UTC in milliseconds and compare as texts.
        program: Whether a program signed in for itself, and no person.
        pending: Whether room for it among its agent's sessions has still to be made.
        issued: When the latest of its tokens was issued.
        void: Tokens issued up to then are refused; None: there are no such.
        vanish: When the record is removed.
        version: 0 before it is stored.
    """

    resource: Mapping[str, Json]
    program: bool
    pending: bool
    issued: datetime
    void: datetime | None
    vanish: datetime
    version: int = 0

    @property
    def id(self) -> str:
        """Id of the session."""
        return str(self.resource["id"])


class SessionStore:
    """Reads see every write that any process was acknowledged before."""

    def __init__(self, database: Database) -> None:
        options: CodecOptions[dict[str, Json]] = database.codec_options
        self._sessions = database.get_collection(
            "sessions", codec_options=options, read_preference=ReadPreference.PRIMARY
        )
        # what a failing primary has only for itself does not count
        self._settled = self._sessions.with_options(read_concern=ReadConcern("majority"))
        self._together = Together(self._read)

    async def read(self, identifier: str) -> Kept | None:
        """Give a session, or None."""
        return await self._together(identifier)

    async def _read(self, wanted: list[str]) -> list[Kept | None]:
        """Give what is stored once this has begun, in one command."""
        each = list(dict.fromkeys(wanted))
        if len(each) == 1:
            document = await self._settled.find_one({"_id": {"$eq": each[0]}}, _WHOLE)
            return [_kept(document) if document else None] * len(wanted)
        cursor = self._settled.find({"_id": {"$in": each}}, _WHOLE, batch_size=len(each) + 1)
        found = {one["_id"]: _kept(one) for one in await cursor.to_list(None)}
        return [found.get(one) for one in wanted]

    async def create(self, session: Kept) -> None:
        """Store a session unless there is one of its id."""
        with suppress(DuplicateKeyError):  # another process is quicker
            await self._sessions.update_one(
                {"_id": session.id}, {"$setOnInsert": _document(session)}, upsert=True
            )

    async def replace(self, session: Kept) -> bool:
        """Store a session in place of its version; False, and nothing done, if it moved on."""
        done = await self._sessions.update_one(
            {"_id": session.id, "version": session.version}, {"$set": _document(session)}
        )
        return bool(done.matched_count)

    async def of(self, agent: str) -> list[Kept]:
        """List a person's sessions that have not been ended."""
        cursor = self._sessions.find(
            {
                "index.agent": {"$eq": spelled(agent)},
                "index.ended": {"$exists": False},
                "program": False,
            },
            _WHOLE,
        )
        return [_kept(document) for document in await cursor.to_list(None)]


_WHOLE = {"index": 0, "keys": 0, "lastUpdated": 0}


def _document(session: Kept) -> dict[str, Json]:
    return stored(session.resource, session.version + 1) | {
        "program": session.program,
        "pending": session.pending,
        "issued": session.issued,
        "void": session.void,
        "vanish": session.vanish,
    }


def _kept(document: Mapping[str, Json]) -> Kept:
    return Kept(
        resource=document["resource"],
        program=document["program"],
        pending=document["pending"],
        issued=document["issued"],
        void=document["void"],
        vanish=document["vanish"],
        version=document["version"],
    )
