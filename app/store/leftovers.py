"""Finding in the database what a crash left between two writes."""

from dataclasses import dataclass
from typing import Any, Final

from app.store.database import Database

Pipeline = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is half done: by a dead process, or just now by a living one.

    Attributes:
        deleting: (study, claim) of studies whose removal has begun, and is in the audit.
        claimed: (study, claim, lease) of studies without an instance.
        uncounted: Studies whose record is not what their instances say.
        patients: Keys of patients whose record is not what their studies say.
    """

    deleting: list[tuple[str, str]]
    claimed: list[tuple[str, str, str]]
    uncounted: list[str]
    patients: list[str]


_HIDDEN: Final = {
    "deleting": {"$exists": True},
    # those that were kept for a while are for `app.imaging.retention` to tell of first
    "$or": [{"deleted": {"$exists": False}}, {"deleted.told": True}],
}
_ONLY_CLAIMED: Final = {
    "lease": {"$exists": True},
    "deleting": {"$exists": False},
    "deleted": {"$exists": False},
}
_COUNTED_OTHERWISE: Final[Pipeline] = [
    {"$sort": {"study": 1}},  # by the index, which has all that is needed
    {"$group": {"_id": "$study", "instances": {"$sum": 1}}},
    {
        "$lookup": {
            "from": "studies",
            "localField": "_id",
            "foreignField": "_id",
            "as": "study",
            "pipeline": [
                {"$project": {"resource.numberOfInstances": 1, "deleting": 1, "deleted.at": 1}}
            ],
        }
    },
    {"$set": {"study": {"$first": "$study"}}},
    {
        "$match": {
            "study.deleting": {"$exists": False},
            "study.deleted": {"$exists": False},
            "$expr": {"$ne": ["$study.resource.numberOfInstances", "$instances"]},
        }
    },
]
_OF_NOBODY: Final[Pipeline] = [
    {"$match": {"spoken": {"$exists": True}}},
    {
        "$lookup": {
            "from": "patients",
            "localField": "patientKey",
            "foreignField": "key",
            "as": "patient",
            "pipeline": [{"$project": {"_id": 1}}],
        }
    },
    {"$match": {"$or": [{"patient": []}, {"derivedFrom": {"$exists": False}}]}},
]
_SAID_OTHERWISE: Final[Pipeline] = [
    {
        "$lookup": {
            "from": "studies",
            "localField": "key",
            "foreignField": "patientKey",
            "as": "latest",
            "pipeline": [
                {"$match": {"deleted": {"$exists": False}}},
                {"$sort": {"spoken.rank": -1}},
                {"$limit": 1},
                {"$project": {"claim": 1}},
            ],
        }
    },
    {"$set": {"latest": {"$first": "$latest"}}},
    {"$match": {"$expr": {"$ne": ["$spokenBy", ["$latest._id", "$latest.claim"]]}}},
    {"$project": {"key": 1}},
]


async def leftovers(database: Database) -> Leftovers:
    """List what is half done."""
    studies, instances = database["studies"], database["instances"]
    hidden = studies.find(_HIDDEN, {"claim": 1})
    claimed = studies.find(_ONLY_CLAIMED, {"claim": 1, "lease": 1})
    return Leftovers(
        deleting=[(one["_id"], one["claim"]) async for one in hidden],
        claimed=[
            (one["_id"], one["claim"], one["lease"])
            async for one in claimed
            if await instances.find_one({"study": one["_id"]}, {"_id": 1}) is None
        ],
        uncounted=[
            *await _ids(database, "instances", _COUNTED_OTHERWISE),
            *await _ids(database, "studies", _OF_NOBODY),
        ],
        patients=[
            one["key"]
            async for one in database["patients"].aggregate(_SAID_OTHERWISE, allowDiskUse=True)
        ],
    )


async def _ids(database: Database, collection: str, pipeline: Pipeline) -> list[str]:
    found = database[collection].aggregate(pipeline, allowDiskUse=True)
    return [one["_id"] async for one in found]
