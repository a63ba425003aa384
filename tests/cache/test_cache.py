"""Tiers together: the fastest first, nothing that was dropped comes back, true numbers."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.cache.cache import Cache
from app.cache.disk import Folder
from app.cache.keys import Key, Kind, Names
from app.cache.memory import Memory
from app.cache.opening import open_cache
from app.cache.remote import Remote
from app.cache.statistics import Counts, Held
from app.cache.tier import Tier
from app.settings import Settings
from tests.cache.served import soon
from tests.cache.valkey import Valkey

NAMES = Names(b"secret")
MEGABYTE = 2**20


def key(number: int, study: str = "1.2.3", kind: Kind = "frames") -> Key:
    return NAMES.key(kind, study, number)


def memory() -> Tier:
    return Tier(Memory(MEGABYTE), 60, shared=False)


def disk(folder: Path) -> Tier:
    backend = Folder(folder, MEGABYTE)
    backend.open()
    return Tier(backend, 60, shared=True)


def remote(server: Valkey) -> Tier:
    return Tier(Remote(urlsplit(server.url), "tests", MEGABYTE), 60, shared=True)


async def held(cache: Cache) -> dict[str, Held]:
    report = await cache.report()
    return {
        one.name: sum(one.held.values(), Held()) if one.held is not None else Held(-1, -1)
        for one in report.tiers
    }


async def test_a_value_is_in_every_tier_and_comes_from_the_fastest(tmp_path: Path) -> None:
    cache = Cache([memory(), disk(tmp_path)], NAMES)
    assert await cache.get(key(1)) is None
    assert await cache.put(key(1), b"value", cache.since())
    await cache.settled()
    assert await held(cache) == {"memory": Held(1, 5), "disk": Held(1, 5)}
    assert await cache.get(key(1)) == b"value"
    report = await cache.report()
    assert report.counts["frames"] == Counts(hits=1, misses=1)
    assert report.tiers[0].counts["frames"] == Counts(hits=1, misses=1, stored=1)
    assert report.tiers[1].counts["frames"] == Counts(hits=0, misses=1, stored=1)
    await cache.close()


async def test_what_a_slow_tier_has_comes_to_the_fast_one(tmp_path: Path) -> None:
    filled = Cache([disk(tmp_path)], NAMES)
    await filled.put(key(1), b"value", filled.since())
    await filled.close()
    cache = Cache([memory(), disk(tmp_path)], NAMES)
    assert await cache.get(key(1)) == b"value"
    assert await cache.get(key(1)) == b"value"
    report = await cache.report()
    assert report.counts["frames"] == Counts(hits=2)
    assert report.tiers[0].counts["frames"] == Counts(hits=1, misses=1, stored=1)
    assert report.tiers[1].counts["frames"] == Counts(hits=1)


async def test_records_do_not_leave_the_process(tmp_path: Path) -> None:
    cache = Cache([memory(), disk(tmp_path)], NAMES)
    await cache.put(key(1, kind="records"), b"name of a patient", cache.since())
    assert await held(cache) == {"memory": Held(1, 17), "disk": Held(0, 0)}
    alone = Cache([disk(tmp_path)], NAMES)
    assert not await alone.put(key(1, kind="records"), b"name of a patient", alone.since())
    assert await alone.get(key(1, kind="records")) is None
    assert await held(alone) == {"disk": Held(0, 0)}


async def test_what_was_read_before_a_deletion_is_not_kept_after_it(tmp_path: Path) -> None:
    cache = Cache([memory(), disk(tmp_path)], NAMES)
    before = cache.since()
    await cache.put(key(1), b"there", before)
    assert await cache.forget("1.2.3")
    assert await held(cache) == {"memory": Held(), "disk": Held()}
    assert not await cache.put(key(2), b"read before", before)
    assert await cache.put(key(1, "4.5.6"), b"of another study", before)
    assert await cache.put(key(3), b"of its next life", cache.since())
    await cache.settled()
    assert await held(cache) == {"memory": Held(2, 32), "disk": Held(2, 32)}
    before = cache.since()
    assert await cache.clear()
    assert not await cache.put(key(1, "4.5.6"), b"read before", before)
    assert await held(cache) == {"memory": Held(), "disk": Held()}


async def test_a_deletion_waits_for_what_is_being_written(tmp_path: Path, server: Valkey) -> None:
    server.empty()
    cache = Cache([remote(server), disk(tmp_path)], NAMES)
    for number in range(50):
        await cache.put(key(number), bytes(10_000), cache.since())
    assert await cache.forget("1.2.3")
    assert await held(cache) == {"redis": Held(), "disk": Held()}
    await cache.settled()
    assert await held(cache) == {"redis": Held(), "disk": Held()}
    await cache.close()


async def test_what_is_over_its_time_goes_although_nobody_asks(tmp_path: Path) -> None:
    now = [100.0]
    folder = Folder(tmp_path, MEGABYTE, clock=lambda: now[0])
    folder.open()
    fast = Memory(MEGABYTE, clock=lambda: now[0])
    cache = Cache([Tier(fast, 60, shared=False), Tier(folder, 60, shared=True)], NAMES)
    await cache.put(key(1), b"value", cache.since())
    await cache.settled()
    now[0] += 60
    await cache.tidy(shared=False)
    assert fast.cost == 0
    assert [one for one in os.walk(tmp_path / "entries") if one[2]]
    await cache.tidy(shared=True)
    assert not [one for one in os.walk(tmp_path / "entries") if one[2]]


async def test_a_large_value_pushes_out_nothing() -> None:
    cache = Cache([memory()], NAMES)
    await cache.put(key(1), b"small", cache.since())
    assert not await cache.put(key(2), bytes(MEGABYTE // 8 + 1), cache.since())
    assert await cache.get(key(2)) is None
    assert await held(cache) == {"memory": Held(1, 5)}


async def test_a_guess_that_was_wrong_is_no_hit() -> None:
    cache = Cache([memory()], NAMES)
    await cache.put(key(1, kind="records"), b"old", cache.since())
    assert await cache.get(key(1, kind="records")) == b"old"
    cache.mistaken(key(1, kind="records"))
    assert await cache.holds(key(1, kind="records"))
    report = await cache.report()
    assert report.counts["records"] == Counts(hits=0, misses=1)
    assert report.tiers[0].counts["records"] == Counts(hits=0, misses=1, stored=1)


async def test_what_was_read_ahead_is_used_once() -> None:
    cache = Cache([memory()], NAMES)
    for number in range(4):
        await cache.put(key(number), bytes(100), cache.since(), rule="next")
    for _ in range(3):
        await cache.get(key(1))
        await cache.get(key(7))
    assert (cache.ahead["next"].fetched, cache.ahead["next"].used) == (4, 1)
    assert cache.ahead["next"].bytes == 400
    assert cache.ahead["next"].hit_rate == 0.25
    await cache.forget("1.2.3")
    assert cache.ahead["next"].used == 1


async def test_redis_that_goes_away_costs_hits_and_nothing_else(
    server: Valkey,
) -> None:
    server.empty()
    cache = Cache([memory(), remote(server)], NAMES)
    await cache.put(key(1, "1.1"), b"deleted while it was away", cache.since())
    await cache.put(key(2, "2.2"), b"still true", cache.since())
    await cache.settled()
    assert await held(cache) == {"memory": Held(2, 35), "redis": Held(2, 35)}
    server.stop()
    assert await cache.get(key(1, "1.1")) == b"deleted while it was away"
    assert await cache.get(key(5)) is None
    assert not await cache.forget("1.1")
    assert await cache.get(key(1, "1.1")) is None
    await cache.put(key(3), b"meanwhile", cache.since())
    await cache.settled()
    assert (await held(cache))["redis"] == Held(-1, -1)
    report = await cache.report()
    assert report.tiers[1].failures >= 1
    assert report.tiers[0].failures == 0
    server.start()
    fresh = Cache([remote(server)], NAMES)  # what another process finds
    assert await fresh.get(key(1, "1.1")) == b"deleted while it was away"
    await fresh.close()
    # asked for the first time since, it drops what it owes before it answers
    await soon(lambda: held(cache), {"memory": Held(2, 19), "redis": Held(1, 10)})
    assert await cache.get(key(1, "1.1")) is None
    assert b"deleted while" not in server.content()
    await cache.close()


async def test_a_folder_that_goes_away_costs_hits_and_nothing_else(tmp_path: Path) -> None:
    cache = Cache([disk(tmp_path / "cache")], NAMES)
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert await cache.get(key(1)) is None
    await cache.put(key(1), b"value", cache.since())
    await cache.settled()
    report = await cache.report()
    assert report.tiers[0].failures >= 1
    assert report.tiers[0].held is None
    await cache.close()


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("memory://", ["memory"]),
        ("none", []),
        ("redis://127.0.0.1:1/0", ["redis"]),
        ("memory://, rediss://me:p%40ss@cache.example:6380/2", ["memory", "redis"]),
        ("memory://,file://", ["memory", "disk"]),
        ("memory://,redis://127.0.0.1:1,file://", ["memory", "redis", "disk"]),
    ],
)
async def test_the_settings_name_the_tiers(url: str, names: list[str], tmp_path: Path) -> None:
    settings = Settings.model_validate({"cache_url": url, "data_dir": tmp_path})
    cache = open_cache(settings, b"secret")
    assert [one.name for one in cache._tiers] == names
    assert cache.on is bool(names)
    assert (tmp_path / "cache").exists() is ("disk" in names)
    await cache.close()


@pytest.mark.parametrize(
    "url",
    [
        "memcached://x",
        "redis://",
        "redis://h/first",
        "memory://,memory://",
        "file://,memory://",
        "memory://x",
        "file://elsewhere/x",
        "memory",
        "memory://,,",
    ],
)
def test_what_names_no_tiers_is_refused_without_repeating_it(url: str, tmp_path: Path) -> None:
    settings = Settings.model_validate({"cache_url": url, "data_dir": tmp_path})
    with pytest.raises(ValueError, match=r"memory first|no cache at"):
        open_cache(settings, b"secret")
    assert "p%40ss" not in repr(Settings.model_validate({"cache_url": "redis://m:p%40ss@h"}))


def test_two_secrets_share_no_names(tmp_path: Path) -> None:
    settings = Settings.model_validate({"cache_url": "memory://", "data_dir": tmp_path})
    one, other = open_cache(settings, b"one"), open_cache(settings, b"other")
    assert one.names.group("1.2") != other.names.group("1.2")
    assert one.names.key("frames", "1.2", "ab") != other.names.key("frames", "1.2", "ab")
    assert one.names.key("frames", "1.2", "ab", 1) != one.names.key("frames", "1.2", "ab", 11)
