"""Studies that are deleted: out of sight and kept for a while, then removed.

One atomic write on a study's document decides each step: whether it is live (`resource`), deleted
and can come back (`deleted`, `kept`), or goes for good (`deleting`). While `holds` names a legal
hold, the document takes neither of the steps that lead away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from pymongo.errors import DuplicateKeyError

from app.store.database import Database
from app.store.entries import stored
from fhir.changes import KEPT
from fhir.dates import instant

Json = Any
Standing = Literal["live", "held", "deleted", "gone"]

DERIVED: Final = ("resource", "index", "keys", "spoken", "tags", "dicom")
"""What makes a study be found; none of it is left where one is deleted."""
_GONE: Final = {name: f"$index.{name}" for name in sorted(KEPT["ImagingStudy"])}
_NOT_HELD: Final = {"holds.0": {"$exists": False}}
_RESTORABLE: Final = {"kept": {"$exists": True}, "deleting": {"$exists": False}}
_INDEXED: Final = {"deleted.until": {"$exists": True}}  # few have it
_LIVE: Final = {"deleted": {"$exists": False}, "deleting": {"$exists": False}}


@dataclass(frozen=True, slots=True)
class Purged:
    """A study whose time is up.

    Attributes:
        claim: The id of its claim.
        by: Who deleted it.
        at: When, as FHIR instant.
        patient: Reference to whom it was about.
    """

    study: str
    claim: str
    by: str
    at: str
    patient: str


class DeletedStudies:
    """Steps of studies towards their end, and back; and the records that tell of them."""

    def __init__(self, database: Database) -> None:
        self._studies = database["studies"]
        self._instances = database["instances"]
        self._annotations = database["annotations"]
        self._records = database["deleted_studies"]

    async def standing(self, study: str) -> Standing:
        """Say how a study stands now; one that is only claimed by an upload is gone."""
        fields = {"claim": 1, "deleted.at": 1, "deleting": 1, "holds": 1, "resource.id": 1}
        document = await self._studies.find_one({"_id": study}, fields)
        if document is None or "deleting" in document:
            return "gone"
        if "deleted" in document:
            return "deleted"
        if "resource" not in document:
            return "gone"
        return "held" if document.get("holds") else "live"

    async def put_away(self, study: str, *, by: str, reason: str | None, window: timedelta) -> bool:
        """Delete a live study that nobody holds: nobody finds it from now on, and it can come back.

        Args:
            study: Study Instance UID.
            by: Who deletes it.
            reason: Why.
            window: How long it is kept, by the clock of the database.

        Returns:
            False if it is not live, or is held.
        """
        deleted = {
            "at": "$$NOW",
            "by": {"$literal": by},
            "until": {"$add": ["$$NOW", _milliseconds(window)]},
            "patient": "$resource.subject.reference",
        } | ({"reason": {"$literal": reason}} if reason is not None else {})
        done = await self._studies.update_one(
            {"_id": study, **_LIVE, **_NOT_HELD, "resource": {"$exists": True}},
            [
                {
                    "$set": {
                        "deleted": deleted,
                        "kept": {name: f"${name}" for name in DERIVED},
                        "version": {"$add": ["$version", 1]},
                    }
                },
                {"$unset": list(DERIVED)},
            ],
        )
        return bool(done.matched_count)

    async def take_back(self, study: str) -> bool:
        """Make a deleted study live again, as it was, if its time is not up or it is held.

        Returns:
            False if there is none.
        """
        in_time = {"$expr": {"$gt": ["$deleted.until", "$$NOW"]}}
        there = {"_id": study, **_RESTORABLE, "$or": [in_time, {"holds.0": {"$exists": True}}]}
        while document := await self._studies.find_one(there):
            kept, version = document["kept"], document["version"]
            done = await self._studies.update_one(
                {"_id": study, "claim": document["claim"], "version": version, **_RESTORABLE},
                {
                    "$set": kept | stored(kept["resource"], version + 1),
                    "$unset": {"deleted": "", "kept": ""},
                },
            )
            if done.matched_count:
                return True
        return False

    async def hide(self, study: str) -> str | None:
        """Begin to remove a study that is not held: nobody finds it from now on, or ever again.

        Returns:
            The id of its claim; None if there is no such study, or it is deleted and kept.
        """
        document = await self._studies.find_one_and_update(
            {"_id": study, "deleted": {"$exists": False}, **_NOT_HELD},
            [
                # by what is left it is known who may be told that it is gone
                {"$set": {"deleting": {"$ifNull": ["$deleting", "$$NOW"]}, "gone": _GONE}},
                {"$unset": list(DERIVED)},
            ],
            {"claim": 1},
        )
        return document["claim"] if document else None

    async def begin_purge(self) -> int:
        """Begin to remove every deleted study whose time is up and that nobody holds.

        Returns:
            How many there were.
        """
        done = await self._studies.update_many(
            {
                **_RESTORABLE,
                **_NOT_HELD,
                **_INDEXED,
                "$expr": {"$lte": ["$deleted.until", "$$NOW"]},
            },
            [{"$set": {"deleting": "$$NOW"}}, {"$unset": ["kept"]}],
        )
        return int(done.modified_count)

    async def purging(self) -> list[Purged]:
        """List the studies whose removal has begun because their time was up."""
        cursor = self._studies.find(
            {"deleting": {"$exists": True}, **_INDEXED},
            {"claim": 1, "deleted": 1},
        )
        return [
            Purged(
                one["_id"],
                one["claim"],
                one["deleted"]["by"],
                instant(one["deleted"]["at"]),
                one["deleted"].get("patient", ""),
            )
            async for one in cursor
            if "told" not in one["deleted"]
        ]

    async def told(self, purged: Purged) -> None:
        """Remember that a removal is in the audit: from now on `leftovers` has it too."""
        await self._studies.update_one(
            {"_id": purged.study, "claim": purged.claim, "deleting": {"$exists": True}},
            {"$set": {"deleted.told": True}},
        )

    async def objects_of(self, study: str, limit: int) -> list[tuple[str, str]]:
        """List some (SOP Instance UID, object key) of a study."""
        cursor = self._instances.find({"study": study}, {"object": 1}, limit=limit)
        return [(document["_id"], document["object"]) async for document in cursor]

    async def remove(self, study: str, claim: str) -> list[str]:
        """Remove a study of which nothing else is left; give the keys of its patient.

        What was written on its images goes first: should it come again, it is not there.
        """
        same = {"_id": study, "claim": claim, "deleting": {"$exists": True}}
        if await self._studies.find_one(same, {"_id": 1}) is not None:
            await self._annotations.delete_many({"index.study": study})
        document = await self._studies.find_one_and_delete(same)
        return _keys(document) if document else []

    async def patients_of(self, study: str) -> list[str]:
        """List the keys of a study's patient."""
        fields = {"patientKey": 1, "formerKeys": 1}
        document = await self._studies.find_one({"_id": study}, fields)
        return _keys(document) if document else []

    async def settle_record(self, study: str) -> None:
        """Make the record of a deletion what the study's document says, or remove it.

        Any interleaving ends with the truth: who has written looks again.
        """
        source = await self._source(study)
        while True:
            try:
                await self._write_record(study, source)
            except DuplicateKeyError:  # another process is quicker
                continue
            now = await self._source(study)
            if now == source:
                return
            source = now

    async def unsettled(self) -> list[str]:
        """List the studies that are deleted without a record, or have one and are not."""
        deleted = set(await self._studies.distinct("_id", {**_RESTORABLE, **_INDEXED}))
        recorded = set(await self._records.distinct("_id"))
        return sorted(deleted ^ recorded)

    async def _source(self, study: str) -> Mapping[str, Json] | None:
        fields = {"version": 1, "deleted": 1, "kept.resource.numberOfInstances": 1}
        document: Mapping[str, Json] | None = await self._studies.find_one(
            {"_id": study, **_RESTORABLE}, fields
        )
        return document

    async def _write_record(self, study: str, source: Mapping[str, Json] | None) -> None:
        if source is None:
            await self._records.delete_one({"_id": study})
            return
        written = stored(_record(source), source["version"])
        await self._records.update_one({"_id": study}, {"$set": written}, upsert=True)


def _record(source: Mapping[str, Json]) -> dict[str, Json]:
    deleted = source["deleted"]
    said = {
        "patient": {"reference": deleted["patient"]} if "patient" in deleted else None,
        "reason": deleted.get("reason"),
        "numberOfInstances": source["kept"]["resource"].get("numberOfInstances"),
    }
    return {
        "resourceType": "DeletedStudy",
        "id": source["_id"],
        "recorded": instant(deleted["at"]),
        "recorder": deleted["by"],
        "until": instant(deleted["until"]),
        **{name: value for name, value in said.items() if value is not None},
    }


def _keys(document: Mapping[str, Json]) -> list[str]:
    return [document["patientKey"], *document.get("formerKeys", ())]


def _milliseconds(length: timedelta) -> int:
    return int(length.total_seconds() * 1000)
