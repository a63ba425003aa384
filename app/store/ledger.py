"""What ingest writes: claims, instances, and the records derived from them.

Every write is atomic for itself and may be repeated; whatever a crash leaves between two of them
is found again by `app.imaging.sweep`.
"""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from app.store.database import Database
from app.store.deleted import DeletedStudies
from app.store.entries import Claim, Encoded, Entered, Seen, SeriesCount, stored
from app.store.holds import Holds
from app.store.leases import Leases
from app.store.leftovers import Leftovers, leftovers
from app.store.together import Together
from fhir.errors import Unavailable
from fhir.from_dicom.site import SITE_SYSTEM, site_tags

Json = Any

_DUPLICATE_KEY: Final = 11000
_AT_ONCE: Final = 500


class Ledger:
    """Writes of ingest.

    Attributes:
        deleted: Studies on their way out, and back.
        holds: What keeps studies from being deleted.
    """

    def __init__(self, database: Database) -> None:
        self.leases = Leases(database)
        self.deleted = DeletedStudies(database)
        self.holds = Holds(database)
        self._database = database
        self._instances = database["instances"]
        self._studies = database["studies"]
        self._patients = database["patients"]
        self._seen = Together(self._see)
        self._entered = Together(self._enter)
        self._claims = Together(self._claims_on)
        self._claimed = Together(self._claim_all)

    async def seen(self, instance: str, study: str) -> Seen:
        """Look up an instance, and the claim on its study."""
        return await self._seen((instance, study))

    async def _see(self, wanted: list[tuple[str, str]]) -> list[Seen]:
        instances = list({instance for instance, _ in wanted})
        entries, claims = await asyncio.gather(
            self._instances.find({"_id": {"$in": instances}}, _STORED).to_list(None),
            self._claims_on([study for _, study in wanted]),
        )
        known = {one["_id"]: one for one in entries}
        return [
            Seen(one.get("sha256"), one.get("object"), claim)
            for (instance, _), claim in zip(wanted, claims, strict=True)
            for one in (known.get(instance, {}),)
        ]

    async def claim_on(self, study: str) -> Claim | None:
        """Give the claim on a study as it is now, or None."""
        return await self._claims(study)

    async def _claims_on(self, studies: list[str]) -> list[Claim | None]:
        query = {"_id": {"$in": list(set(studies))}}
        found = {one["_id"]: Claim.of(one) async for one in self._studies.find(query, _CLAIM)}
        return [found.get(study) for study in studies]

    async def claim(self, study: str, patient_key: str, lease: str) -> Claim:
        """Bind a study to its patient, unless it is bound already; give the claim as it is."""
        return await self._claimed((study, patient_key, lease))

    async def _claim_all(self, wanted: list[tuple[str, str, str]]) -> list[Claim]:
        """Bind each study as the first of its callers wants it."""
        first: dict[str, tuple[str, str, str]] = {}
        for one in wanted:
            first.setdefault(one[0], one)
        claims = await asyncio.gather(*(self._claim(*one) for one in first.values()))
        of_study = dict(zip(first, claims, strict=True))
        return [of_study[study] for study, _, _ in wanted]

    async def _claim(self, study: str, patient_key: str, lease: str) -> Claim:
        fresh = {
            "claim": secrets.token_hex(8),
            "patientKey": patient_key,
            "version": 0,
            "lease": lease,
        }
        while True:
            try:
                document = await self._studies.find_one_and_update(
                    {"_id": study},
                    {"$setOnInsert": fresh},
                    _CLAIM,
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:  # another process is quicker: the next look finds its claim
                continue
            return Claim.of(document)

    async def adopt(self, study: str, claim: Claim, lease: str) -> None:
        """Keep a claim from being swept with the process that made it."""
        await self._studies.update_one(
            {"_id": study, "claim": claim.id, "lease": {"$exists": True}},
            {"$set": {"lease": lease}},
        )

    async def sharpen(self, study: str, claim: Claim, patient_key: str) -> None:
        """Note that instances name the patient in different words, this being the most telling."""
        await self._studies.update_one(
            {"_id": study, "claim": claim.id, "patientKey": claim.patient_key, **_NOT_DELETED},
            {
                "$set": {"patientKey": patient_key, "mixed": True},
                "$addToSet": {"formerKeys": claim.patient_key},
                "$unset": {"derivedFrom": ""},
                "$inc": {"version": 1},
            },
        )

    async def enter(self, instance: Encoded) -> Entered:
        """Insert an instance as `encoded` made it, unless it is known."""
        return await self._entered(instance)

    async def _enter(self, instances: list[Encoded]) -> list[Entered]:
        outcomes: list[Entered] = ["entered"] * len(instances)
        try:
            await self._instances.insert_many(instances, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise Unavailable("the database could not keep what it was given") from error
            for one in error.details["writeErrors"]:
                known = one["code"] == _DUPLICATE_KEY
                outcomes[one["index"]] = "known" if known else "unfit"
        return outcomes

    async def series_of(self, study: str) -> list[SeriesCount]:
        """Count a study's instances by series, from the index alone."""
        pipeline: list[dict[str, Json]] = [
            {"$match": {"study": study}},
            {
                "$group": {
                    "_id": "$series",
                    "instances": {"$sum": 1},
                    "representative": {"$min": "$_id"},
                    "laterality": {"$addToSet": "$laterality"},
                }
            },
            {"$sort": {"_id": 1}},
        ]
        return [
            SeriesCount(
                uid=group["_id"],
                instances=group["instances"],
                representative=group["representative"],
                laterality=group["laterality"][0] if len(group["laterality"]) == 1 else None,
            )
            async for group in self._instances.aggregate(pipeline)
        ]

    async def headers_of(self, instances: Sequence[str]) -> dict[str, Mapping[str, Json]]:
        """Give the headers of instances, by SOP Instance UID."""
        cursor = self._instances.find({"_id": {"$in": list(instances)}}, {"header": 1})
        return {document["_id"]: orjson.loads(document["header"]) async for document in cursor}

    async def rewrite(
        self, study: str, written: Callable[[Mapping[str, Json], str], Mapping[str, Json]]
    ) -> None:
        """Write anew what DICOM searches have of a study's instances.

        Args:
            study: Study Instance UID.
            written: Gives the fields, for a header and its transfer syntax.
        """
        updates: list[UpdateOne] = []
        cursor = self._instances.find({"study": study}, {"header": 1, "transferSyntax": 1})
        async for document in cursor:
            fields = written(orjson.loads(document["header"]), document["transferSyntax"])
            absent = {} if "extra" in fields else {"$unset": {"extra": ""}}
            updates.append(UpdateOne({"_id": document["_id"]}, {"$set": dict(fields), **absent}))
            if len(updates) == _AT_ONCE:
                await self._instances.bulk_write(updates, ordered=False)
                updates.clear()
        if updates:
            await self._instances.bulk_write(updates, ordered=False)

    async def header_naming(self, study: str, patient_key: str) -> Mapping[str, Json] | None:
        """Give the header of a study's first instance that names its patient so."""
        query = {"study": study, "patientKey": patient_key}
        document = await self._instances.find_one(query, {"header": 1}, sort=[("_id", 1)])
        return orjson.loads(document["header"]) if document else None

    async def study(self, study: str) -> dict[str, Json] | None:
        """Give a study document as stored, derived or only claimed."""
        document: dict[str, Json] | None = await self._studies.find_one({"_id": study})
        return document

    async def save_study(
        self,
        found: Mapping[str, Json],
        resource: Mapping[str, Json],
        derived_from: Json,
        spoken: Mapping[str, Json],
        dicom: Mapping[str, Json],
    ) -> bool:
        """Replace a study's record if it is still as it was found; say whether it was.

        Args:
            found: The document that `study` gave.
            resource: ImagingStudy.
            derived_from: What of the instances it was derived from.
            spoken: What the study says of its patient: `rank`, and the Patient `resource`.
            dicom: What DICOM searches have of it: `tags` and `dicom`.
        """
        written = stored(resource, found["version"] + 1)
        written |= {"derivedFrom": derived_from, "spoken": spoken, **dicom}
        done = await self._studies.update_one(
            {
                "_id": found["_id"],
                "claim": found["claim"],
                "version": found["version"],
                **_NOT_DELETED,
            },
            {"$set": written, "$unset": {"lease": ""}},
        )
        return bool(done.matched_count)

    async def patient_id(self, key: str) -> str:
        """Give the id of the Patient with this identity.

        It is the one that the patient's studies name, deleted ones too, so that whoever was let
        in to the patient's records still is when a study comes back; a random one the first time.
        """
        named = True
        while True:
            document = await self._patients.find_one({"key": key}, {"_id": 1})
            if document is not None:
                return str(document["_id"])
            known = await self._named(key) if named else None
            fresh = {"_id": known or str(uuid.uuid4()), "version": 0}
            try:
                await self._patients.update_one({"key": key}, {"$setOnInsert": fresh}, upsert=True)
            except DuplicateKeyError:  # another process is quicker, or another patient has this id
                named = False

    async def _named(self, key: str) -> str | None:
        """Give the id by which a study, live or deleted, names a patient."""
        fields = ("resource.subject.reference", "kept.resource.subject.reference")
        document = await self._studies.find_one(
            {"patientKey": key, "$or": [{one: {"$exists": True}} for one in fields]},
            dict.fromkeys(fields, 1),
        )
        if document is None:
            return None
        record = document.get("resource") or document["kept"]["resource"]
        return str(record["subject"]["reference"]).removeprefix("Patient/")

    async def settle_patient(self, key: str) -> bool:
        """Make a Patient's record what the latest of its studies says; delete it with the last.

        Any order of arrival, and any interleaving of processes, ends with the same record.

        Returns:
            False if the Patient was deleted although it has a study that refers to it.
        """
        while True:
            patient = await self._patients.find_one({"key": key})
            latest = await self._studies.find_one(
                {"patientKey": key, "deleted": {"$exists": False}},
                {"claim": 1, "spoken": 1},
                sort=[("spoken.rank", -1)],
            )
            spoken = latest and latest.get("spoken")
            if patient is None:
                return spoken is None
            same = {"_id": patient["_id"], "version": patient["version"]}
            if latest is None:
                done = await self._patients.delete_one(same)
                if done.deleted_count:
                    return True
                continue
            if spoken is None:  # claimed, and about to be settled by whoever claimed it
                return True
            source = [latest["_id"], latest["claim"]]
            record = {**spoken["resource"], "id": patient["_id"]}
            if tags := await self._sites_of(key):
                record["meta"] = {**record.get("meta", {}), "tag": tags}
            fresh = stored(record, patient["version"] + 1)
            if patient.get("spokenBy") == source and _same_record(patient, fresh):
                return True
            update = {"$set": fresh | {"spokenBy": source}}
            if (await self._patients.update_one(same, update)).matched_count:
                return True

    async def _sites_of(self, key: str) -> list[Json]:
        """List the sites of a patient's studies, as `meta.tag`."""
        asked = {"patientKey": key, "resource.meta.tag.system": SITE_SYSTEM}
        tags = await self._studies.distinct("resource.meta.tag", asked)
        return site_tags(one["code"] for one in tags if one["system"] == SITE_SYSTEM)

    async def save_endpoint(self, resource: Mapping[str, Json]) -> None:
        """Store the Endpoint resource unless it is there as it is."""
        document = await self._database["endpoints"].find_one({"_id": resource["id"]})
        if document and _same(document["resource"], resource):
            return
        version = document["version"] + 1 if document else 1
        await self._database["endpoints"].update_one(
            {"_id": resource["id"]}, {"$set": stored(resource, version)}, upsert=True
        )

    async def remove_instances(self, entries: Iterable[tuple[str, str]]) -> None:
        """Delete instances as long as they are the ones with these object keys."""
        instances, keys = zip(*entries, strict=True)
        await self._instances.delete_many(
            {"_id": {"$in": list(instances)}, "object": {"$in": list(keys)}}
        )

    async def remove_claim(self, study: str, claim: str, lease: str) -> None:
        """Delete a claim that came to nothing, unless somebody else has taken it up."""
        document = await self._studies.find_one_and_delete(
            {"_id": study, "claim": claim, "lease": lease, "resource": {"$exists": False}}
        )
        if document:
            await self.settle_patient(document["patientKey"])

    async def referenced(self, keys: Sequence[str]) -> set[str]:
        """Say which of these object keys an instance refers to."""
        cursor = self._instances.find({"object": {"$in": list(keys)}}, {"object": 1})
        return {document["object"] async for document in cursor}

    async def leftovers(self) -> Leftovers:
        """List what a crash left half done."""
        return await leftovers(self._database)

    async def studies(self) -> AsyncIterator[str]:
        """List the UIDs of all studies."""
        async for document in self._studies.find({}, {"_id": 1}):
            yield document["_id"]

    async def marked(self, name: str) -> bool:
        """Say whether something that is done once was done."""
        return await self._database["marks"].find_one({"_id": name}) is not None

    async def mark(self, name: str) -> None:
        """Remember that something is done."""
        await self._database["marks"].update_one(
            {"_id": name}, {"$set": {"at": datetime.now(UTC)}}, upsert=True
        )

    async def problem(self) -> str | None:
        """Say in plain words why the database does not serve, or None if it does."""
        try:
            await self._database.command("ping")
        except OperationFailure as error:
            why = error.details.get("codeName", "no reason") if error.details else "no reason"
            return f"refuses us ({why}); check the user in RADIOGRAPH_DATABASE_URL"
        except PyMongoError as error:
            return f"does not answer ({type(error).__name__}); check RADIOGRAPH_DATABASE_URL"
        return None


_STORED: Final = {"sha256": 1, "object": 1}
_CLAIM: Final = {
    "claim": 1,
    "patientKey": 1,
    "deleting": 1,
    "deleted.until": 1,
    "mixed": 1,
    "lease": 1,
}
_NOT_DELETED: Final = {"deleted": {"$exists": False}, "deleting": {"$exists": False}}


def _same_record(document: Mapping[str, Json], fresh: Mapping[str, Json]) -> bool:
    """Say whether a record is as it would be written, also what it is searched and sorted by."""
    if not _same(document["resource"], fresh["resource"]):
        return False
    return all(
        {**document.get(name, {}), "_lastUpdated": None} == {**fresh[name], "_lastUpdated": None}
        for name in ("index", "keys")
    )


def _same(stored: Mapping[str, Json], fresh: Mapping[str, Json]) -> bool:
    return _bare(stored) == _bare(fresh)


def _bare(resource: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out what every write changes."""
    meta = {
        name: value
        for name, value in resource.get("meta", {}).items()
        if name not in {"versionId", "lastUpdated"}
    }
    return {**resource, "meta": meta}
