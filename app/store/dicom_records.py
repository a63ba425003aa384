"""DICOM searches in MongoDB: studies and series from their study's document, instances each."""

from collections.abc import Mapping
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING

from app.store.database import IN_ORDER, NAMES, Database
from app.store.filters import Query, mongo_filter, tag_filter
from fhir.dicom_keys import (
    BUILT_IN,
    INSTANCE_UID,
    PATIENT_NAME,
    SERIES_UID,
    STUDY_UID,
    WHEN,
    Level,
    field_of,
)
from fhir.dicom_matching import Criterion, Empty, Equal, Like, Test
from fhir.dicom_rows import Asked, DicomRow, Portion, Text
from fhir.search import EVERYTHING

Document = Mapping[str, Any]

_SERIES: Final = "dicom.series"
_IN_SERIES: Final = f"{_SERIES}.tags."
_STUDY_TAGS: Final = "tags."
_ONE_BATCH: Final = 100_000


async def find_dicom(database: Database, asked: Asked, portion: Portion) -> list[DicomRow]:
    """List the rows of a portion."""
    if portion.limit < 1:
        return []
    match asked.level:
        case "study":
            cursor = database["studies"].find(
                _studies(asked),
                _study_projection(portion),
                sort=_study_order(portion),
                skip=portion.skip,
                limit=portion.limit,
                batch_size=portion.limit + 1,  # one batch, one round trip
                hint=_hint(asked),
            )
            return [_study_row(one) for one in await cursor.to_list(portion.limit)]
        case "series":
            listed = database["studies"].aggregate(
                [*_series(asked, portion), *_page(portion)], batchSize=portion.limit + 1
            )
            return [_series_row(one) for one in await listed.to_list(portion.limit)]
        case "instance":
            found = database["instances"].find(
                _instances(asked),
                _instance_projection(portion),
                sort=_instance_order(portion),
                skip=portion.skip,
                limit=portion.limit,
                batch_size=min(portion.limit + 1, _ONE_BATCH),
            )
            return [_instance_row(one) for one in await found.to_list(portion.limit)]


async def count_dicom(database: Database, asked: Asked) -> int:
    """Count all rows."""
    if asked.level == "series":
        pipeline = [*_series(asked, None), {"$count": "total"}]
        [*counted] = await database["studies"].aggregate(pipeline).to_list(1)
        return int(counted[0]["total"]) if counted else 0
    collection, query = (
        ("instances", _instances(asked))
        if asked.level == "instance"
        else ("studies", _studies(asked))
    )
    done = await database.command("count", collection, query=query)
    return int(done["n"])


def _studies(asked: Asked) -> Query:
    study = asked.criteria.get("study", ())
    parts = [_study_filter(one) for one in study]
    if asked.rows != EVERYTHING:
        parts.append(mongo_filter(asked.rows))
    if series := asked.criteria.get("series", ()):
        met = [tag_filter("tags.", one) for one in series]
        parts.append({_SERIES: {"$elemMatch": met[0] if len(met) == 1 else {"$and": met}}})
    # what is claimed by an upload, or is being deleted, has no tags
    if not study:
        parts.append({f"tags.{WHEN}": {"$gte": ""}})
    elif not any(_says_something(one) for one in study):
        parts.append({"tags": {"$exists": True}})
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _hint(asked: Asked) -> list[tuple[str, int]] | None:
    """Choose the index where names alone are searched: MongoDB would read all that match."""
    criteria = asked.criteria.get("study", ())
    alone = asked.rows == EVERYTHING and not asked.criteria.get("series")
    named = any(isinstance(test, Like) for one in criteria for test in one.tests)
    is_name = len(criteria) == 1 and criteria[0].field == field_of(PATIENT_NAME)
    return NAMES if alone and named and is_name else None


def _says_something(criterion: Criterion) -> bool:
    empty = any(isinstance(test, Empty) for test in criterion.tests)
    return criterion.path != STUDY_UID and not empty


def _study_filter(criterion: Criterion) -> Query:
    if criterion.path == STUDY_UID:
        return tag_filter("", criterion, "_id")
    return tag_filter(_STUDY_TAGS, criterion)


def _study_order(portion: Portion) -> list[tuple[str, int]]:
    if portion.newest:
        return [(f"tags.{WHEN}", DESCENDING), ("_id", DESCENDING)]
    return [("_id", ASCENDING)]


def _study_projection(portion: Portion) -> Query:
    projection: Query = {f"index.{name}": 1 for name in portion.index}
    for level, part in portion.texts:
        if level == "study":
            projection[f"dicom.{part}"] = 1
    return projection or {"_id": 1}


def _series(asked: Asked, portion: Portion | None) -> list[Query]:
    stages: list[Query] = [{"$match": _studies(asked)}]
    if portion is None:
        stages.append({"$project": {f"{_SERIES}.tags": 1}})
    else:
        projection = _study_projection(portion) | {f"{_SERIES}.tags": 1, f"tags.{WHEN}": 1}
        projection |= {f"{_SERIES}.{part}": 1 for level, part in portion.texts if level == "series"}
        stages += [{"$sort": dict(_study_order(portion))}, {"$project": projection}]
    stages.append({"$unwind": f"${_SERIES}"})
    met = [tag_filter(_IN_SERIES, one) for one in asked.criteria.get("series", ())]
    if met:
        stages.append({"$match": {"$and": met}})
    return stages


def _page(portion: Portion) -> list[Query]:
    stages: list[Query] = []
    if not portion.numbered:
        uid = f"{_IN_SERIES}{field_of(SERIES_UID)}"
        stages.append({"$sort": dict([*_study_order(portion), (uid, ASCENDING)])})
    if portion.skip:
        stages.append({"$skip": portion.skip})
    return [*stages, {"$limit": portion.limit}]


def _instances(asked: Asked) -> Query:
    query: Query = {}
    if asked.studies is not None:
        query["study"] = _among(asked.studies)
    if asked.series is not None:
        query["series"] = _among(asked.series)
    parts = [_instance_filter(one) for one in asked.criteria.get("instance", ())]
    if not parts:
        return query
    return {"$and": [query, *parts]} if query else {"$and": parts}


def _among(uids: frozenset[str]) -> Query:
    [*listed] = sorted(uids)
    return {"$eq": listed[0]} if len(listed) == 1 else {"$in": listed}


def _instance_filter(criterion: Criterion) -> Query:
    if criterion.path == INSTANCE_UID:
        return tag_filter("", criterion, "_id")
    if criterion.path == _SOP_CLASS and len(criterion.tests) == 1:
        [test] = criterion.tests
        if isinstance(test, Equal):  # what the index of another search has
            urns = Equal(frozenset(f"urn:oid:{uid}" for uid in test.values))
            return tag_filter("", Criterion(_SOP_CLASS, "", (urns,)), "index.dicom-class")
    if criterion.path == _NUMBER and all(map(_counts, criterion.tests)):
        return tag_filter("", criterion, "number")
    return tag_filter("tags." if criterion.path in _BUILT_IN else "extra.", criterion)


_SOP_CLASS: Final = (0x00080016,)
_NUMBER: Final = (0x00200013,)
_BUILT_IN: Final = frozenset(BUILT_IN["instance"])


def _counts(test: Test) -> bool:
    return isinstance(test, Equal) and all(isinstance(one, int) and one >= 0 for one in test.values)


def _instance_projection(portion: Portion) -> Query:
    projection: Query = {"study": 1, "series": 1}
    return projection | {part: 1 for level, part in portion.texts if level == "instance"}


def _instance_order(portion: Portion) -> list[tuple[str, int]]:
    if not portion.numbered:
        return [("_id", ASCENDING)]
    return IN_ORDER


def _study_row(document: Document) -> DicomRow:
    dicom = document.get("dicom", {})
    texts: dict[Text, bytes] = {("study", part): text for part, text in dicom.items()}
    return DicomRow({"study": document["_id"]}, texts, document["_id"], document.get("index", {}))


def _series_row(document: Document) -> DicomRow:
    dicom = document["dicom"]
    one = dicom["series"]
    texts: dict[Text, bytes] = {
        **{("study", part): dicom[part] for part in ("shown", "rest") if part in dicom},
        **{("series", part): one[part] for part in ("shown", "rest") if part in one},
    }
    uids: dict[Level, str] = {
        "study": document["_id"],
        "series": one["tags"][field_of(SERIES_UID)],
    }
    return DicomRow(uids, texts, document["_id"], document.get("index", {}))


def _instance_row(document: Document) -> DicomRow:
    uids: dict[Level, str] = {
        "study": document["study"],
        "series": document["series"],
        "instance": document["_id"],
    }
    texts: dict[Text, bytes] = {
        ("instance", part): document[part] for part in ("shown", "header") if part in document
    }
    return DicomRow(uids, texts, document["_id"])
