"""What tells caches of deletions: in order, from where they were left, or else they begin empty."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from app.cache.cache import Cache
from app.cache.disk import Folder
from app.cache.following import Following
from app.cache.keys import Names
from app.cache.statistics import Held
from app.cache.tier import Tier
from app.store.changes import Deletions, Gone, HistoryLost
from app.store.database import Database, open_database
from tests.cache.served import soon

NAMES = Names(b"secret")


@pytest.fixture
async def database(database_url: str, database_name: str) -> AsyncIterator[Database]:
    database = open_database(database_url, database_name, timedelta(seconds=30))
    yield database
    database.client.close()


def disk(folder: Path) -> Cache:
    backend = Folder(folder, 2**20)
    backend.open()
    return Cache([Tier(backend, 60, shared=True)], NAMES)


async def fill(cache: Cache, *studies: str) -> None:
    for study in studies:
        await cache.put(NAMES.key("frames", study, study), b"pixels", cache.since())
    await cache.settled()


async def held(cache: Cache) -> Held:
    [tier] = (await cache.report()).tiers
    assert tier.held is not None
    return sum(tier.held.values(), Held())


@asynccontextmanager
async def following(cache: Cache, database: Database) -> AsyncIterator[None]:
    follow = Following(cache, Deletions(database))
    await follow.begin()
    task = asyncio.create_task(follow.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def heard(deletions: Deletions, position: bytes, count: int) -> list[Gone]:
    found: list[Gone] = []
    async with asyncio.timeout(20):
        async for told in deletions.follow(position):
            found += told.gone
            if len(found) == count:
                return found
    return found


async def test_deletions_and_orders_are_heard_in_their_order(database: Database) -> None:
    deletions = Deletions(database)
    start = await deletions.now()
    studies = database["studies"]
    await studies.insert_many([{"_id": one, "version": 1} for one in ("a", "b")])
    await studies.update_one({"_id": "a"}, {"$set": {"version": 2}})
    await studies.update_one({"_id": "a"}, {"$set": {"deleting": 1}, "$unset": {"version": ""}})
    await deletions.order("c")
    await studies.delete_one({"_id": "a"})
    await deletions.order(None)
    expected = [Gone("a"), Gone("c"), Gone("a"), Gone(None)]
    assert await heard(deletions, start, 4) == expected
    assert await heard(deletions, start, 4) == expected  # as often as somebody asks


async def test_whoever_was_away_goes_on_from_where_it_was_left(
    database: Database, tmp_path: Path
) -> None:
    cache = disk(tmp_path)
    await fill(cache, "a", "b", "c")
    assert await held(cache) == Held(3, 18)
    async with following(cache, database):
        await soon(lambda: held(cache), Held())  # nobody knew what was deleted before
        await fill(cache, "a", "b", "c")
        await Deletions(database).order("c")
        await soon(lambda: held(cache), Held(2, 12))
    await Deletions(database).order("b")
    again = disk(tmp_path)
    async with following(again, database):
        await soon(lambda: held(again), Held(1, 6))
    assert await again.get(NAMES.key("frames", "a", "a")) == b"pixels"


@pytest.mark.parametrize("position", [b"8200", b"nonsense"])
async def test_a_position_that_nobody_knows_any_more_leaves_an_empty_cache(
    position: bytes, database: Database, tmp_path: Path
) -> None:
    with pytest.raises(HistoryLost):
        await heard(Deletions(database), position, 1)
    cache = disk(tmp_path)
    await fill(cache, "a")
    (tmp_path / "position").write_bytes(position)
    async with following(cache, database):
        await soon(lambda: held(cache), Held())
        await fill(cache, "b", "c")
        await Deletions(database).order("b")
        await soon(lambda: held(cache), Held(1, 6))
