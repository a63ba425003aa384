"""Counting records by what they are searched by: one aggregation command."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import ExecutionTimeout

from app.store.filters import Query, mongo_filter
from fhir.errors import Unavailable
from fhir.parameters import PARAMETERS
from fhir.repository import Tallied, Tally
from fhir.search import EVERYTHING, Filter

LONGEST_SECONDS: Final = 10

_TOTAL: Final = "all"  # no search parameter is called so
# Of the spellings of a token, the one that has both a bar and a code; a bar within either of the
# two is marked (`fhir.parameters.spelled`).
_CODED: Final = r"^(?:[^|\\]|\\.)*\|."


async def count_by(
    collection: AsyncIOMotorCollection[dict[str, Any]],
    resource: str,
    query: Query,
    tallies: Sequence[Tally],
    seconds: float = LONGEST_SECONDS,
) -> Tallied:
    """Count what a query finds by the values of search parameters.

    Raises:
        Unavailable: It takes longer than so many seconds.
    """
    pipeline: list[Query] = [{"$match": query}, {"$count": _TOTAL}]
    for part in _parts(resource, tallies):
        within = [{"$match": query}, *part]
        pipeline.append({"$unionWith": {"coll": collection.name, "pipeline": within}})
    found: dict[str, Any] = {_TOTAL: 0}
    try:
        async for one in collection.aggregate(pipeline, maxTimeMS=int(seconds * 1000)):
            found |= one
    except ExecutionTimeout:
        raise Unavailable(
            f"counting takes longer than {seconds:g} seconds; narrow what is counted"
        ) from None
    names = [one.parameter for one in tallies]
    counts = {name: [_counted(one) for one in found.get(name, ())] for name in names}
    return Tallied(found[_TOTAL], counts)


def _parts(resource: str, tallies: Sequence[Tally]) -> Iterator[list[Query]]:
    """Give what each of several scans counts: tokens of the same rows together, dates alone."""
    tokens: dict[Filter, list[Tally]] = {}
    for one in tallies:
        if PARAMETERS[resource][one.parameter].kind == "date":
            yield [*_narrowed(one.rows), *_days(one)]
        else:
            tokens.setdefault(one.rows, []).append(one)
    for rows, some in tokens.items():
        yield [*_narrowed(rows), *_tokens(some)]


def _narrowed(rows: Filter) -> list[Query]:
    return [] if rows == EVERYTHING else [{"$match": mongo_filter(rows)}]


def _tokens(tallies: Sequence[Tally]) -> list[Query]:
    """Count what has the same values first: that is far less than there are records."""
    alike = {f"v{at}": f"$index.{one.parameter}" for at, one in enumerate(tallies)}
    return [
        {"$group": {"_id": alike, "count": {"$sum": 1}}},
        {
            "$facet": {
                one.parameter: [
                    {"$unwind": f"$_id.v{at}"},
                    {"$group": {"_id": f"$_id.v{at}", "count": {"$sum": "$count"}}},
                    {"$match": {"_id": {"$regex": _CODED}}},
                    {"$sort": {"count": -1, "_id": 1}},
                    {"$limit": one.most},
                ]
                for at, one in enumerate(tallies)
            }
        },
    ]


def _days(tally: Tally) -> list[Query]:
    """Count by day, the latest first; a month or a year is on no day."""
    field = f"index.{tally.parameter}"
    day = {"$dateTrunc": {"date": f"${field}.low", "unit": "day"}}
    after = {"$dateAdd": {"startDate": day, "unit": "day", "amount": 1}}
    return [
        {"$unwind": f"${field}"},
        {"$match": {"$expr": {"$lte": [f"${field}.high", after]}}},
        {"$group": {"_id": day, "count": {"$sum": 1}}},
        {"$sort": {"_id": -1}},
        {"$limit": tally.most},
        {"$group": {"_id": None, tally.parameter: {"$push": "$$ROOT"}}},
        {"$unset": "_id"},
    ]


def _counted(group: Mapping[str, Any]) -> tuple[str, int]:
    value = group["_id"]
    return value.date().isoformat() if isinstance(value, datetime) else value, group["count"]
