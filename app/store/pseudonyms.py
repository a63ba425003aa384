"""What pseudonyms stand for, in MongoDB."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from pymongo import InsertOne
from pymongo.errors import BulkWriteError

from app.store.database import Database
from fhir.pseudonyms import Kind

_DUPLICATE_KEY = 11000
_REMEMBERED = 50_000
Meant = tuple[str, Kind, str]
"""Project, kind and real value."""


class PseudonymRegister:
    """`fhir.pseudonyms.Register`: one document for each pseudonym that was given out.

    The latest are remembered in memory, so that a page that is asked for again writes nothing.
    """

    def __init__(self, database: Database) -> None:
        self._pseudonyms = database["pseudonyms"]
        self._latest: OrderedDict[str, Meant] = OrderedDict()

    async def save(self, project: str, given: Mapping[str, tuple[Kind, str]]) -> None:
        """Remember, durably, what pseudonyms of a project stand for; known ones stay."""
        fresh = {one: meant for one, meant in given.items() if one not in self._latest}
        if fresh:
            inserts = [
                InsertOne({"_id": one, "project": project, "kind": kind, "real": real})
                for one, (kind, real) in fresh.items()
            ]
            try:
                await self._pseudonyms.bulk_write(inserts, ordered=False)
            except BulkWriteError as error:
                # already given out, here or by another process
                if any(one["code"] != _DUPLICATE_KEY for one in _problems(error)):
                    raise
        for one, (kind, real) in given.items():
            self._remember(one, (project, kind, real))

    async def real(self, project: str, asked: Collection[tuple[Kind, str]]) -> dict[str, str]:
        """Give the real values of the pseudonyms that a project was given as of this kind."""
        kinds: dict[str, set[Kind]] = {}
        for kind, pseudonym in asked:
            kinds.setdefault(pseudonym, set()).add(kind)
        unknown = [one for one in kinds if one not in self._latest]
        found = {one: self._latest[one] for one in kinds if one in self._latest}
        if unknown:
            # the project is part of the question: what others were given cannot be told from none
            query = {"_id": {"$in": unknown}, "project": {"$eq": project}}
            async for document in self._pseudonyms.find(query):
                meant = (document["project"], document["kind"], document["real"])
                found[document["_id"]] = meant
                self._remember(document["_id"], meant)
        return {
            one: real
            for one, (of_project, kind, real) in found.items()
            if of_project == project and kind in kinds[one]
        }

    def _remember(self, pseudonym: str, meant: Meant) -> None:
        self._latest[pseudonym] = meant
        self._latest.move_to_end(pseudonym)
        if len(self._latest) > _REMEMBERED:
            self._latest.popitem(last=False)


def _problems(error: BulkWriteError) -> list[dict[str, Any]]:
    details = error.details or {}
    if details.get("writeConcernErrors"):
        return [{"code": None}]
    problems: list[dict[str, Any]] = details.get("writeErrors", [])
    return problems
