"""The database ends what took too long by itself."""

from typing import Any

import pytest
from pymongo.errors import PyMongoError

from app.archive import Archive
from app.store.deadline import deadline

# ten thousand million rows, one after the other
ENDLESS: list[dict[str, Any]] = [
    {"$set": {"a": {"$range": [0, 100_000]}}},
    {"$unwind": "$a"},
    {"$set": {"b": {"$range": [0, 100_000]}}},
    {"$unwind": "$b"},
    {"$group": {"_id": None, "count": {"$sum": 1}}},
]
RUNNING: list[dict[str, Any]] = [{"$currentOp": {}}, {"$match": {"command.comment": "endless"}}]


async def test_the_server_stops_working_when_the_time_is_over(archive: Archive) -> None:
    collection = archive.database["deadline"]
    await collection.insert_one({"_id": "one"})
    with pytest.raises(PyMongoError) as failed, deadline(0.5):
        await collection.aggregate(ENDLESS, comment="endless").to_list(None)
    assert failed.value.timeout
    admin = archive.database.client["admin"]
    for _ in range(1_000):  # the server has its own clock
        if not await admin.aggregate(RUNNING).to_list(None):
            break
    assert await admin.aggregate(RUNNING).to_list(None) == []


async def test_afterwards_there_is_no_end(archive: Archive) -> None:
    collection = archive.database["deadline"]
    with deadline(60):
        await collection.find_one({})
    assert await collection.count_documents({}) == 1
