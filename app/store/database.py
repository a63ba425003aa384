"""Opening MongoDB: one client, journalled majority writes, the indexes that searches need."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from types import MappingProxyType
from typing import Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import ConnectionFailure, ExecutionTimeout, PyMongoError
from pymongo.write_concern import WriteConcern

from fhir.dicom_keys import WHEN
from fhir.elements import LINKS
from fhir.errors import Invalid, Unavailable
from fhir.parameters import PARAMETERS

Database = AsyncIOMotorDatabase[dict[str, Any]]

COLLECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "Patient": "patients",
        "ImagingStudy": "studies",
        "Image": "instances",
        "Endpoint": "endpoints",
        "AuditEvent": "audit_events",
        **dict.fromkeys(LINKS, "access_grants"),
        "ReleaseRequest": "release_requests",
        "DeletedStudy": "deleted_studies",
        "Hold": "holds",
        "ImageAnnotation": "annotations",
        "Session": "sessions",
        "Job": "jobs",
        "SavedView": "saved_views",
    }
)


IN_ORDER = [(name, ASCENDING) for name in ("study", "series", "number", "_id")]
"""How instances follow each other."""

NAMES = [("tags.00100010", ASCENDING), (f"tags.{WHEN}", DESCENDING), ("_id", DESCENDING)]
"""Sorts what it finds before any of it is read."""

_DICOM_STUDIES = (
    IndexModel(NAMES),
    # lists in their order, and those of a modality
    IndexModel([(f"tags.{WHEN}", DESCENDING), ("_id", DESCENDING)]),
    IndexModel(
        [("tags.00080061", ASCENDING), (f"tags.{WHEN}", DESCENDING), ("_id", DESCENDING)],
    ),
    # every other key, the configured ones too
    IndexModel([("tags.$**", ASCENDING)]),
    IndexModel([("dicom.series.tags.$**", ASCENDING)]),
)
# what was configured; everything else is searched for within a study or a series
_DICOM_INSTANCES = (IndexModel([("extra.$**", ASCENDING)]),)


def open_database(url: str, name: str, timeout: timedelta) -> Database:
    """Connect lazily; writes are acknowledged once a majority has them in its journal.

    Raises:
        Invalid: The URL is none; the message does not repeat it, for it may hold a password.
    """
    seconds = min(timeout, timedelta(seconds=10)).total_seconds()
    try:
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            url,
            appname="radiograph",
            serverSelectionTimeoutMS=int(seconds * 1000),
            tz_aware=True,
            tzinfo=UTC,
        )
    except (PyMongoError, ValueError) as error:
        raise Invalid(
            "setting RADIOGRAPH_DATABASE_URL: not a MongoDB URL that can be used; write "
            "mongodb://user:password@host:27017/?replicaSet=name, with % for special characters"
        ) from error
    return client.get_database(
        name,
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        write_concern=WriteConcern(w="majority", j=True),
    )


async def prepare(database: Database) -> None:
    """Create the indexes that are missing.

    Raises:
        Unavailable: The database does not answer.
    """
    try:
        for resource, collection in COLLECTIONS.items():
            await database[collection].create_indexes(_search_indexes(resource))
        await database["access_grants"].create_index(
            [("resource.resourceType", ASCENDING), ("notified", ASCENDING)]
        )
        await database["access_grants"].create_index("digest", unique=True, sparse=True)
        await database["patients"].create_index("key", unique=True)
        await database["instances"].create_index("object")
        await database["studies"].create_index("patientKey")
        # few have them
        await database["studies"].create_index("deleted.until", sparse=True)
        await database["studies"].create_index("deleting", sparse=True)
        await database["studies"].create_index("holds", sparse=True)
        await database["studies"].create_indexes(list(_DICOM_STUDIES))
        await database["instances"].create_indexes(list(_DICOM_INSTANCES))
        # covers counting a study's instances by series, and listing them in order
        await database["instances"].create_index([*IN_ORDER, ("laterality", ASCENDING)])
        # the server removes what no token can lead to any more
        await database["sessions"].create_index("vanish", expireAfterSeconds=0)
        await database["saved_views"].create_index(
            [(f"resource.{name}", ASCENDING) for name in ("agent", "kind", "name")], unique=True
        )
        await database["attempts"].create_index("vanish", expireAfterSeconds=0)
        await database["signed_addresses"].create_index("vanish", expireAfterSeconds=0)
        await database["job_allowances"].create_index("vanish", expireAfterSeconds=0)
        await database["audit_events"].create_indexes(
            [IndexModel([("recorded", DESCENDING)]), IndexModel([("patients", ASCENDING)])]
        )
    except PyMongoError as error:
        raise Unavailable("the database does not answer; see `python -m app doctor`") from error


def is_outage(error: Exception) -> bool:
    """Say whether the database did not answer, so that the same may work later."""
    return isinstance(error, ConnectionFailure | ExecutionTimeout)


def _search_indexes(resource: str) -> list[IndexModel]:
    models = []
    for row in PARAMETERS[resource].values():
        if row.name == "_id":
            continue
        if row.kind == "date":
            # either end may be all that a comparison asks about
            low, high = (f"index.{row.name}.low", ASCENDING), (f"index.{row.name}.high", ASCENDING)
            models += [IndexModel([low, high]), IndexModel([high, low])]
        else:
            models.append(IndexModel([(f"index.{row.name}", ASCENDING)]))
        if row.sortable:
            models.append(IndexModel([(f"keys.{row.name}", ASCENDING), ("_id", ASCENDING)]))
    return models
