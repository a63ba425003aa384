"""What the database tells of its writes, as changes of records."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from app.store.change_log import ChangeLog, Noticed
from app.store.change_stream import ChangeStream, change_stream
from app.store.database import Database
from fhir.changes import Kind, kept
from fhir.search import Index

Json = Any
_RECORDS: Final = MappingProxyType({"studies": "ImagingStudy", "jobs": "Job"})
_POLICY: Final = "policy_versions"

# Names of what was written and the index are all that is read: records are large.
_PIPELINE: Final[list[dict[str, Json]]] = [
    {
        "$match": {
            "ns.coll": {"$in": [*_RECORDS, _POLICY]},
            "operationType": {"$in": ["insert", "update", "replace", "delete"]},
        }
    },
    {
        "$project": {
            "operationType": 1,
            "ns.coll": 1,
            "documentKey": 1,
            "written": {
                "$map": {
                    "input": {
                        "$objectToArray": {
                            "$ifNull": ["$updateDescription.updatedFields", "$fullDocument", {}]
                        }
                    },
                    "in": "$$this.k",
                }
            },
            "removed": {"$ifNull": ["$updateDescription.removedFields", []]},
            "index": {"$ifNull": ["$updateDescription.updatedFields.index", "$fullDocument.index"]},
            "kept": {
                "$ifNull": [
                    "$updateDescription.updatedFields.kept.index",
                    "$updateDescription.updatedFields.gone",
                ]
            },
            "version": "$fullDocument.version",
        }
    },
]


class ChangeEvents:
    """Reads the database's history."""

    def __init__(self, database: Database, log: ChangeLog) -> None:
        self._database = database
        self._log = log

    def written(self, position: str) -> AbstractAsyncContextManager[ChangeStream]:
        """Follow what is written to records, behind a position.

        Raises:
            HistoryLost: Nobody can tell any more.
        """
        return change_stream(self._database, _PIPELINE, position)

    async def noticed(self, events: Iterable[Json]) -> list[Noticed]:
        """Say what events mean, in their order.

        Writes of one record that were told together, with nothing between that makes or ends it,
        are one change: an upload writes its study again and again.
        """
        found: dict[int, Noticed] = {}
        latest: dict[tuple[str, str], int] = {}
        for number, event in enumerate(events):
            one = await self._meant(event, [*found.values()])
            if one is None:
                continue
            record = (one.resource, one.id)
            before = found.get(latest.get(record, -1))
            if one.kind == "changed" and before and before.kind != "deleted":
                if before.kind == "created":
                    found[latest[record]] = replace(before, index=one.index)
                    continue
                del found[latest[record]]
            if one.resource != "Policy":
                latest[record] = number
            found[number] = one
        return [*found.values()]

    async def _meant(self, event: Json, before: Sequence[Noticed]) -> Noticed | None:
        if event["ns"]["coll"] == _POLICY:
            return await self._policy(event)
        resource = _RECORDS[event["ns"]["coll"]]
        identifier = str(event["documentKey"]["_id"])
        kind = _kind(event)
        if event["operationType"] == "delete":
            known = await self._known(resource, identifier, before)
            kind = "deleted" if known is not None and known[0] != "deleted" else None
        if kind is None:
            return None
        index = event.get("index")
        if kind == "deleted":
            index = event.get("kept")
            if index is None:
                known = await self._known(resource, identifier, before)
                index = known[1] if known else None
        return Noticed(
            kind, resource, identifier, event["_id"]["_data"], index and kept(resource, index)
        )

    async def _known(
        self, resource: str, identifier: str, before: Sequence[Noticed]
    ) -> tuple[str, Index | None] | None:
        """Give the kind of a record's latest change, whether it has its number yet or not."""
        for one in reversed(before):
            if (one.resource, one.id) == (resource, identifier):
                return one.kind, one.index
        return await self._log.latest_of(resource, identifier)

    async def _policy(self, event: Json) -> Noticed | None:
        """Tell a version once it is in force, not when it is only announced."""
        position = event["_id"]["_data"]
        if event["operationType"] == "insert" and "pending" not in event["written"]:
            return Noticed("changed", "Policy", event["version"], position)
        if "pending" in event["removed"]:
            row = await self._database[_POLICY].find_one(
                {"_id": event["documentKey"]["_id"]}, {"version": 1}
            )
            return Noticed("changed", "Policy", row["version"], position) if row else None
        return None


def _kind(event: Json) -> Kind | None:
    """Say what a write of a record was; None where there is no record, or it stays as it was.

    A study that is only claimed by an upload has a lease and no resource.
    """
    if "resource" in event["removed"]:
        return "deleted"
    if not any(one == "resource" or one.startswith("resource.") for one in event["written"]):
        return None
    began = event["operationType"] == "insert" or not {"lease", "deleted"}.isdisjoint(
        event["removed"]
    )
    return "created" if began else "changed"
