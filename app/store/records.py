"""Records in MongoDB, read by search tree."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from app.store.database import COLLECTIONS, Database
from app.store.entries import stored
from app.store.filters import Query, mongo_filter
from fhir.elements import LINKS
from fhir.errors import Conflict
from fhir.repository import Position, Record, Sort, StoredImage, Wanted
from fhir.search import Filter

Document = Mapping[str, Any]


class MongoRepository:
    """`fhir.repository.Repository` over MongoDB; every method is one command."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        query = _complete(resource, mongo_filter(tree))
        if after is not None:
            query = {"$and": [query, _beyond(after, sort)]}
        cursor = self._database[COLLECTIONS[resource]].find(
            query,
            _projection(resource, wanted, sort),
            sort=_order(sort),
            skip=skip,
            limit=limit,
            batch_size=limit + 1,  # one batch, one round trip
        )
        return [_record(resource, document, sort) for document in await cursor.to_list(limit)]

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
        pipeline: list[Query] = [
            {"$match": {"$and": [_complete(resource, mongo_filter(tree)), {field: asked}]}},
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
        cursor = self._database[COLLECTIONS[resource]].aggregate(pipeline, allowDiskUse=True)
        found: dict[str, tuple[int, list[Record]]] = {value: (0, []) for value in values}
        async for group in cursor:
            records = [_record(resource, document, sort) for document in group["first"]]
            found[group["_id"]] = (group["total"], records[:limit])
        return found

    async def count(self, resource: str, tree: Filter) -> int:
        """Count records."""
        query = _complete(resource, mongo_filter(tree))
        return await self._database[COLLECTIONS[resource]].count_documents(query)

    async def images_of(
        self, studies: Sequence[str], elements: frozenset[str], limit: int | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """List the Image records of studies by series, number and id; by study."""
        projection = {f"resource.{name}": 1 for name in elements} | {"study": 1, "series": 1}
        cursor = self._database["instances"].find(
            {"study": {"$in": list(studies)}},
            projection,
            sort=[(name, ASCENDING) for name in ("study", "series", "number", "_id")],
            limit=limit or 0,
            batch_size=_ONE_BATCH,
        )
        found: dict[str, list[dict[str, Any]]] = {study: [] for study in studies}
        async for document in cursor:
            image = document.get("resource", {})
            image["series"] = document["series"]
            image["id"] = document["_id"]
            found[document["study"]].append(image)
        return found

    async def stored_image(self, identifier: str) -> StoredImage | None:
        """Give what serving an instance's bytes needs, or None."""
        document = await self._database["instances"].find_one(
            {"_id": {"$eq": identifier}}, {"resource": 0, "index": 0}
        )
        if document is None:
            return None
        return StoredImage(
            id=document["_id"],
            study=document["study"],
            series=document["series"],
            transfer_syntax=document["transferSyntax"],
            object_key=document["object"],
            size=document["size"],
            sha256=document["sha256"],
            frames=document["frames"],
            attributes=orjson.loads(document["header"]),
        )

    async def create(self, resource: Mapping[str, Any]) -> Record:
        """Store a new record as version 1."""
        kind = resource["resourceType"]
        document = {"_id": resource["id"], **stored(resource, 1)}
        try:
            await self._database[COLLECTIONS[kind]].insert_one(document)
        except DuplicateKeyError:
            raise Conflict(f"there is a {kind} of this id already") from None
        return _record(kind, document, ())

    async def replace(self, resource: Mapping[str, Any], version: int) -> Record | None:
        """Store a record in place of its version, unless it has moved on."""
        kind = resource["resourceType"]
        written = stored(resource, version + 1)
        done = await self._database[COLLECTIONS[kind]].update_one(
            {"_id": resource["id"], "version": version, **_complete(kind, {})}, {"$set": written}
        )
        return _record(kind, {"_id": resource["id"], **written}, ()) if done.matched_count else None


# Large enough for the instances of one page of studies; MongoDB caps a batch at 16 MB itself.
_ONE_BATCH = 100_000


def _complete(resource: str, query: Query) -> Query:
    """Narrow to records of the type that are complete.

    A study that is claimed by an upload and has no instance yet is none; several types of links
    share a collection.
    """
    kind = {"resource.resourceType": resource} if resource in LINKS else _DERIVED
    return {"$and": [query, kind]} if query else kind


_DERIVED: Query = {"resource": {"$exists": True}}


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
    )
