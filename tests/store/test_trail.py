"""The audit's records as they are stored: all of them, once, whatever comes beside them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from app.archive import Archive
from app.store.trail import Trail
from fhir.errors import Unavailable


@pytest.fixture
def trail(archive: Archive) -> Trail:
    return Trail(archive.database)


def records(count: int, **values: Any) -> list[dict[str, Any]]:
    return [{"_id": uuid4().hex, "action": "read", **values} for _ in range(count)]


async def stored(archive: Archive, written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    query = {"_id": {"$in": [one["_id"] for one in written]}}
    return await archive.database["audit_events"].find(query).to_list(None)


async def test_what_many_write_at_once_is_stored_once(archive: Archive, trail: Trail) -> None:
    each = [records(3, number=number) for number in range(40)]
    await asyncio.gather(*(trail.begin(some) for some in each))
    whole = [one for some in each for one in some]
    found = await stored(archive, whole)
    assert sorted(found, key=str) == sorted(whole, key=str)


async def test_a_record_that_is_there_already_stays_and_is_no_failure(
    archive: Archive, trail: Trail
) -> None:
    written = records(2)
    await trail.begin(written)
    await trail.begin([*written, *(further := records(1))])
    assert len(await stored(archive, written + further)) == 3


async def test_a_record_that_cannot_be_stored_fails_alone(archive: Archive, trail: Trail) -> None:
    good = records(1)
    writing = trail.begin(good)
    for value in ("\ud800", "x" * 2**24, object()):
        with pytest.raises(Unavailable):
            await trail.begin(records(1, query=value))
    await writing
    assert await stored(archive, good) == good


async def test_more_than_fits_one_command_is_stored_in_several(
    archive: Archive, trail: Trail
) -> None:
    large = [records(1, query="x" * 15 * 2**20) for _ in range(4)]
    await asyncio.gather(*(trail.begin(one) for one in large))
    assert len(await stored(archive, [one for some in large for one in some])) == 4


async def test_what_is_on_its_way_arrives_although_nobody_waits(
    archive: Archive, trail: Trail
) -> None:
    given_up, further = records(1), records(1)
    begun = trail.begin(given_up)
    begun.cancel()
    await trail.begin(further)
    assert len(await stored(archive, given_up + further)) == 2
