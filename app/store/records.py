"""Records in MongoDB, read by search tree."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from app.store.database import COLLECTIONS, IN_ORDER, Database
from app.store.dicom_records import count_dicom, find_dicom
from app.store.entries import stored
from app.store.facets import count_by
from app.store.filters import Query, mongo_filter, needs_index, within_order
from app.store.lazy_header import LazyHeader
from app.store.ports import InstanceMemory
from fhir.dicom_rows import Asked, DicomRow, Portion
from fhir.elements import LINKS
from fhir.errors import Conflict
from fhir.parameters import ABSENT_DATE, PARAMETERS
from fhir.repository import (
    Position,
    Record,
    Sort,
    StoredHeader,
    StoredImage,
    Tallied,
    Tally,
    Wanted,
)
from fhir.search import Filter

Document = Mapping[str, Any]


class MongoRepository:
    """`fhir.repository.Repository` over MongoDB; every method is one command."""

    def __init__(self, database: Database, memory: InstanceMemory | None = None) -> None:
        """Read from a database; what is read of instances may be remembered."""
        self._database = database
        self._memory = memory
        # the driver makes a new object each time one is asked for
        self._collections = {kind: database[name] for kind, name in COLLECTIONS.items()}
        self._instances = self._collections["Image"]
        raw: Any = self._instances.with_options(
            codec_options=CodecOptions(document_class=RawBSONDocument)
        )
        self._raw_instances: AsyncIOMotorCollection[RawBSONDocument] = raw

    async def find(
        self,
        resource: str,
        tree: Filter,
        *,
        wanted: Wanted,
        sort: Sequence[Sort] = (),
        limit: int,
        after: Position | None = None,
        skip: int = 0,
    ) -> list[Record]:
        """List records in a stable order, beginning after a position."""
        query = await self._of_live(resource, _complete(resource, mongo_filter(tree)))
        if bound := within_order(tree, sort):
            query = {"$and": [query, bound]}
        if after is not None:
            query = {"$and": [query, _beyond(after, sort)]}
        cursor = self._collections[resource].find(
            query,
            _projection(resource, wanted, sort),
            sort=_order(sort),
            skip=skip,
            limit=limit,
            batch_size=limit + 1,  # one batch, one round trip
        )
        found = [_record(resource, document, sort) for document in await cursor.to_list(limit)]
        if self._memory is not None and resource == "ImagingStudy":
            for record in found:
                self._memory.saw(record.id, (record.life, record.version))
        return found

    async def find_each(
        self,
        resource: str,
        tree: Filter,
        *,
        parameter: str,
        values: Sequence[str],
        wanted: Wanted,
        sort: Sequence[Sort] = (),
        limit: int,
    ) -> dict[str, tuple[int, list[Record]]]:
        """For each value of one parameter, count its records and list the first ones."""
        field = f"index.{parameter}"
        asked = {"$in": list(values)}
        query = await self._of_live(resource, _complete(resource, mongo_filter(tree)))
        pipeline: list[Query] = [
            {"$match": {"$and": [query, {field: asked}]}},
            {"$sort": dict(_order(sort))},
            {"$project": _projection(resource, wanted, sort) | {"value": f"${field}"}},
            # a record that has several of the values belongs to each of them
            {"$unwind": "$value"},
            {"$match": {"value": asked}},
            {
                "$group": {
                    "_id": "$value",
                    "total": {"$sum": 1},
                    "first": {"$firstN": {"input": "$$ROOT", "n": max(limit, 1)}},
                }
            },
        ]
        cursor = self._collections[resource].aggregate(pipeline, allowDiskUse=True)
        found: dict[str, tuple[int, list[Record]]] = {value: (0, []) for value in values}
        async for group in cursor:
            records = [_record(resource, document, sort) for document in group["first"]]
            found[group["_id"]] = (group["total"], records[:limit])
        return found

    async def count(self, resource: str, tree: Filter) -> int:
        """Count records."""
        query = await self._of_live(resource, _counted(resource, tree))
        return await self._collections[resource].count_documents(query)

    async def _of_live(self, resource: str, query: Query) -> Query:
        """Leave out the images of studies that are deleted: nothing in an image says so."""
        if resource != "Image":
            return query
        gone = await self._collections["ImagingStudy"].distinct("_id", _GONE)
        return {"$and": [query, {"study": {"$nin": gone}}]} if gone else query

    async def count_by(self, resource: str, tree: Filter, tallies: Sequence[Tally]) -> Tallied:
        """Count records by the values of parameters."""
        query = _complete(resource, mongo_filter(tree))
        return await count_by(self._collections[resource], resource, query, tallies)

    async def images_of(
        self, studies: Sequence[str], elements: frozenset[str], limit: int | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """List the Image records of studies by series, number and id; by study."""
        projection = {f"resource.{name}": 1 for name in elements} | {"study": 1, "series": 1}
        cursor = self._instances.find(
            {"study": {"$in": list(studies)}},
            projection,
            sort=IN_ORDER,
            limit=limit or 0,
            batch_size=_ONE_BATCH,
        )
        found: dict[str, list[dict[str, Any]]] = {study: [] for study in studies}
        for document in await cursor.to_list(None):
            image = document.get("resource", {})
            image["series"] = document["series"]
            image["id"] = document["_id"]
            found[document["study"]].append(image)
        return found

    async def stored_image(self, identifier: str, *, outdated: bool = False) -> StoredImage | None:
        """Give what serving an instance's bytes needs, or None."""
        if self._memory is not None and outdated:
            self._memory.mistaken(identifier)
        turn = self._memory.turn() if self._memory is not None else None
        found = await self._raw_instances.find_one(
            {"_id": {"$eq": identifier}}, {"resource": 0, "index": 0}
        )
        if found is None:
            return None
        image = _image(bson.decode(found.raw))
        if self._memory is not None and turn is not None:
            await self._memory.put(identifier, image.study, bytes(found.raw), turn)
        return image

    async def remembered_image(self, identifier: str) -> StoredImage | None:
        """Give what `stored_image` gave some time ago, or None."""
        known = await self._memory.get(identifier) if self._memory is not None else None
        if known is None:
            return None
        document, state = known
        return replace(_image(bson.decode(document)), known_at=state)

    async def stored_images(
        self, study: str, series: str | None = None, *, headers: bool
    ) -> list[StoredImage]:
        """Give what serving the bytes of a study's instances needs, by series, number and id."""
        query: Query = {"study": {"$eq": study}}
        query |= {"series": {"$eq": series}} if series is not None else {}
        cursor = self._instances.find(
            query,
            {"resource": 0, "index": 0} | ({} if headers else {"header": 0, "frames": 0}),
            sort=IN_ORDER,
            batch_size=_ONE_BATCH,
        )
        return [_image(document) async for document in cursor]

    async def headers(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> AsyncIterator[list[StoredHeader]]:
        """Give the headers of a study's instances by series, number and id, batch by batch."""
        query: Query = {"study": {"$eq": study}}
        query |= {"series": {"$eq": series}} if series is not None else {}
        query |= {"_id": {"$eq": instance}} if instance is not None else {}
        cursor = self._instances.find_raw_batches(
            query,
            _HEADER,
            sort=IN_ORDER,
            batch_size=_HEADERS,
        )
        ended = False
        try:
            async for batch in cursor:
                if documents := bson.decode_all(batch):
                    yield [_header(one) for one in documents]
            ended = True
        finally:
            if not ended:
                await cursor.close()

    async def find_dicom(self, asked: Asked, portion: Portion) -> list[DicomRow]:
        """List studies, their series, or instances by what their headers say."""
        return await find_dicom(self._database, asked, portion)

    async def count_dicom(self, asked: Asked) -> int:
        """Count what `find_dicom` would list without a limit."""
        return await count_dicom(self._database, asked)

    async def create(self, resource: Mapping[str, Any]) -> Record:
        """Store a new record as version 1."""
        kind = resource["resourceType"]
        document = {"_id": resource["id"], **stored(resource, 1)}
        try:
            await self._collections[kind].insert_one(document)
        except DuplicateKeyError:
            raise Conflict(f"there is a {kind} like this already") from None
        return _record(kind, document, ())

    async def replace(self, resource: Mapping[str, Any], version: int) -> Record | None:
        """Store a record in place of its version, unless it has moved on."""
        kind = resource["resourceType"]
        written = stored(resource, version + 1)
        same = {"_id": resource["id"], "version": version, **_complete(kind, {})}
        try:
            done = await self._collections[kind].update_one(same, {"$set": written})
        except DuplicateKeyError:
            raise Conflict(f"there is another {kind} like this already") from None
        return _record(kind, {"_id": resource["id"], **written}, ()) if done.matched_count else None

    async def remove(self, resource: str, identifier: str) -> bool:
        """Delete a record for good; say whether there was one."""
        query = {"_id": {"$eq": identifier}, **_complete(resource, {})}
        done = await self._collections[resource].delete_one(query)
        return bool(done.deleted_count)


# Large enough for the instances of one page of studies; MongoDB caps a batch at 16 MB itself.
_ONE_BATCH = 100_000
_HEADERS = 200  # so many are in memory while they are written out


def _image(document: Document) -> StoredImage:
    return StoredImage(
        id=document["_id"],
        study=document["study"],
        series=document["series"],
        transfer_syntax=document["transferSyntax"],
        object_key=document["object"],
        size=document["size"],
        sha256=document["sha256"],
        frames=document.get("frames"),
        attributes=LazyHeader(document.get("header", b"{}")),
    )


_HEADER: Query = {
    "series": 1,
    "transferSyntax": 1,
    "header": 1,
    "frames.count": 1,
    "frames.encapsulated": 1,
    "resource.bitsAllocated": 1,
}


def _header(document: Document) -> StoredHeader:
    frames = document.get("frames")
    form: Literal["native", "encapsulated"] | None = None
    if frames is not None:
        form = "encapsulated" if frames.get("encapsulated") else "native"
    return StoredHeader(
        id=document["_id"],
        series=document["series"],
        transfer_syntax=document["transferSyntax"],
        text=document["header"],
        pixels=form,
        bits_allocated=document.get("resource", {}).get("bitsAllocated"),
    )


def _complete(resource: str, query: Query) -> Query:
    """Narrow to records of the type that are complete.

    A study that is claimed by an upload and has no instance yet is none; several types of links
    share a collection.
    """
    kind = {"resource.resourceType": resource} if resource in LINKS else _DERIVED
    return {"$and": [query, kind]} if query else kind


def _counted(resource: str, tree: Filter) -> Query:
    """Narrow to complete records by what an index tells: then none of them is read to be counted.

    Only complete ones have an `index` to be found by, and a key of when they were updated.
    """
    query = mongo_filter(tree)
    if resource in LINKS or "_lastUpdated" not in PARAMETERS[resource]:
        return _complete(resource, query)
    if needs_index(tree):
        return query
    return {"$and": [query, _UPDATED]} if query else _UPDATED


_DERIVED: Query = {"resource": {"$exists": True}}
_UPDATED: Query = {"keys._lastUpdated": {"$gte": ABSENT_DATE}}
# both have an index of the few that have them
_GONE: Query = {"$or": [{"deleted.until": {"$exists": True}}, {"deleting": {"$exists": True}}]}


# An access is kept flat, as `app.audit` writes it; this is how it reads as a record.
_ACCESS: Query = {
    "id": "$_id",
    "recorded": "$recorded",
    "action": "$action",
    "outcome": "$outcome",
    "agent": {"who": "$who", "name": "$name", "roles": "$roles", "address": "$address"},
    "source": {"door": "$door", "requestId": "$requestId"},
    "entity": {
        "resource": "$resource",
        "ids": "$ids",
        "patients": "$patients",
        "total": "$total",
        "query": "$query",
        "refused": "$refused",
    },
}


def _projection(resource: str, wanted: Wanted, sort: Sequence[Sort]) -> Query:
    projection: Query = {"version": 1, "lastUpdated": 1}
    if resource == "AuditEvent":
        read = _ACCESS.keys() if wanted.elements is None else wanted.elements | {"id"}
        projection["resource"] = {path: _ACCESS[path] for path in read}
        projection |= {"version": {"$literal": 1}, "lastUpdated": "$recorded"}  # never changes
    elif wanted.elements is None:
        projection["resource"] = 1
    else:
        projection |= {f"resource.{path}": 1 for path in wanted.elements | {"resourceType"}}
        projection["resource.id"] = 1
    if resource == "ImagingStudy":
        projection["claim"] = 1
    projection |= {f"index.{name}": 1 for name in wanted.index}
    projection |= {f"keys.{one.parameter}": 1 for one in sort if one.parameter != "_id"}
    return projection


def _order(sort: Sequence[Sort]) -> list[tuple[str, int]]:
    order = [(_key(one.parameter), DESCENDING if one.descending else ASCENDING) for one in sort]
    if any(name == "_id" for name, _ in order):
        return order
    # ties go the way of the last key, so that an index on (key, _id) serves both directions
    return [*order, ("_id", order[-1][1] if order else ASCENDING)]


def _key(parameter: str) -> str:
    return "_id" if parameter == "_id" else f"keys.{parameter}"


def _beyond(position: Position, sort: Sequence[Sort]) -> Query:
    """Match what comes after a position: equal in the first keys, beyond in the next one."""
    order = _order(sort)
    clauses = []
    for at, (name, direction) in enumerate(order):
        equal = {
            earlier: {"$eq": value}
            for (earlier, _), value in zip(order[:at], position, strict=False)
        }
        comparison = "$gt" if direction == ASCENDING else "$lt"
        clauses.append({**equal, name: {comparison: position[at]}})
    return {"$or": clauses}


def _record(resource: str, document: Document, sort: Sequence[Sort]) -> Record:
    keys = document.get("keys", {})
    identifier = document["_id"]
    values = tuple(
        identifier if one.parameter == "_id" else keys.get(one.parameter) for one in sort
    )
    return Record(
        id=identifier,
        resource={"resourceType": resource} | document["resource"],
        version=document["version"],
        last_updated=document["lastUpdated"],
        index=document.get("index", {}),
        position=(*values, identifier),
        life=document.get("claim"),
    )
