"""Every tier keeps the same promises: bytes back as they were, bounded, dropped by group."""

import os
import random
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.cache.backend import Backend
from app.cache.disk import Folder
from app.cache.keys import Key, Kind, Names
from app.cache.memory import OVERHEAD, Memory
from app.cache.remote import Remote
from app.cache.statistics import Held
from tests.cache.conftest import LIMIT
from tests.cache.served import soon
from tests.cache.valkey import Valkey

NAMES = Names(b"secret")
NONE = Held(0, 0)


def key(number: int, study: str = "1.2.3", kind: Kind = "frames") -> Key:
    return NAMES.key(kind, study, number)


async def total(backend: Backend) -> Held:
    return sum((await backend.held()).values(), Held())


async def test_bytes_come_back_as_they_were(backend: Backend) -> None:
    values = [b"", b"\0", bytes(range(256)), random.Random(1).randbytes(10_000)]
    for number, value in enumerate(values):
        assert await backend.get(key(number)) is None
        assert await backend.set(key(number), value, ttl=60)
        assert await backend.exists(key(number))
        assert await backend.get(key(number)) == value
    assert not await backend.exists(key(99))
    assert (await backend.held())["frames"] == Held(len(values), sum(map(len, values)))
    assert (await backend.held())["pictures"] == NONE


async def test_a_value_in_place_of_another_is_counted_once(backend: Backend) -> None:
    await backend.set(key(1), b"x" * 500, ttl=60)
    await backend.set(key(1), b"y" * 300, ttl=60)
    assert await backend.get(key(1)) == b"y" * 300
    assert await total(backend) == Held(1, 300)


async def test_only_bytes_are_kept(backend: Backend) -> None:
    for value in ("text", 1, None, {"a": 1}, object()):
        with pytest.raises(TypeError):
            await backend.set(key(1), value, ttl=60)
    assert await total(backend) == NONE


async def test_it_never_holds_more_than_its_bytes(backend: Backend) -> None:
    draw = random.Random(2)
    for number in range(300):
        await backend.set(key(number), draw.randbytes(draw.randrange(5000)), ttl=60)
        assert (await total(backend)).bytes <= LIMIT
    held = await total(backend)
    assert held.bytes > LIMIT / 2
    assert backend.evicted["frames"] == 300 - held.entries
    assert backend.evicted["pictures"] == 0


async def test_what_is_larger_than_all_of_it_is_not_kept(backend: Backend) -> None:
    await backend.set(key(1), b"x", ttl=60)
    assert not await backend.set(key(2), bytes(LIMIT + 1), ttl=60)
    assert await backend.get(key(2)) is None
    assert await backend.get(key(1)) == b"x"


async def test_a_group_is_dropped_as_a_whole_and_alone(backend: Backend) -> None:
    for number in range(1200):  # more than one step of Redis
        await backend.set(key(number, "1.1"), b"gone", ttl=60)
    await backend.set(key(1, "1.1", "pictures"), b"gone", ttl=60)
    await backend.set(key(9, "2.2"), b"stays", ttl=60)
    await backend.drop(NAMES.group("1.1"))
    assert await total(backend) == Held(1, 5)
    assert await backend.get(key(9, "2.2")) == b"stays"
    assert await backend.get(key(5, "1.1")) is None
    await backend.drop(NAMES.group("1.1"))
    await backend.drop(NAMES.group("never seen"))
    assert await total(backend) == Held(1, 5)


async def test_clearing_leaves_nothing_and_goes_on(backend: Backend) -> None:
    for number in range(600):
        await backend.set(key(number, str(number % 7)), b"gone", ttl=60)
    await backend.clear()
    assert await total(backend) == NONE
    await backend.set(key(1), b"new", ttl=60)
    assert await total(backend) == Held(1, 3)


async def test_what_is_over_its_time_is_gone_and_not_counted(
    tmp_path: Path, server: Valkey
) -> None:
    now = [1000.0]
    folder = Folder(tmp_path, LIMIT, clock=lambda: now[0])
    folder.open()
    for backend in (Memory(LIMIT, clock=lambda: now[0]), folder):
        await backend.set(key(1), b"first", ttl=60)
        now[0] += 30
        await backend.set(key(2), b"second", ttl=60)
        assert await total(backend) == Held(2, 11)
        now[0] += 30
        assert not await backend.get(key(1))
        assert await total(backend) == Held(1, 6)
        now[0] += 30
        assert await total(backend) == NONE
        assert await backend.get(key(2)) is None
    assert list((tmp_path / "entries").rglob("frames-*")) == []


async def test_redis_forgets_in_its_time_and_keeps_true_books(server: Valkey) -> None:
    server.empty()
    remote = Remote(urlsplit(server.url), "tests", LIMIT)
    await remote.set(key(1), b"short", ttl=0.05)
    await remote.set(key(2), b"long", ttl=60)
    await soon(lambda: remote.exists(key(1)), False)
    assert await total(remote) == Held(1, 4)
    with server.client() as client:  # as a server that runs out of memory does
        [name] = client.keys("{tests}:frames:*")
        client.delete(name)
    assert await total(remote) == Held(1, 4)
    assert await remote.get(key(2)) is None
    assert await total(remote) == NONE
    assert not [one for one in server.names() if b"group" in one or b"frames:" in one]
    await remote.close()


async def test_names_say_nothing(backend: Backend, tmp_path: Path, server: Valkey) -> None:
    study, instance = "1.2.840.113619.2.55.3", "1.2.840.113619.2.55.3.77"
    server.empty()
    await backend.set(NAMES.key("frames", study, instance, 0, 10), b"pixels", ttl=60)
    if backend.NAME == "disk":
        said = repr(list(os.walk(tmp_path))).encode()
    elif backend.NAME == "redis":
        said = server.content().replace(b"pixels", b"")
    else:
        said = repr(NAMES.key("frames", study, instance, 0, 10)).encode()
    assert said
    for word in (study, instance, "1.2.840"):
        assert word.encode() not in said
    assert NAMES.group(study) != Names(b"another").group(study)


async def test_the_disk_shows_its_files_to_nobody_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "deep" / "cache", LIMIT)
    folder.open()
    await folder.set(key(1), b"pixels", ttl=60)
    await folder.reach(b"position")
    paths = list((tmp_path / "deep" / "cache").rglob("*"))
    assert {one.stat().st_mode & 0o777 for one in paths if one.is_file()} == {0o600}
    assert {one.stat().st_mode & 0o777 for one in paths if one.is_dir()} == {0o700}
    assert await folder.position() == b"position"


@pytest.mark.parametrize("harm", [b"", b"RGC1", b"x" * 40])
async def test_a_file_that_a_crash_spoiled_is_no_answer(tmp_path: Path, harm: bytes) -> None:
    folder = Folder(tmp_path, LIMIT)
    folder.open()
    await folder.set(key(1), b"pixels" * 10, ttl=60)
    [file] = (tmp_path / "entries").rglob("frames-*")
    content = file.read_bytes()
    file.write_bytes(harm or content[:-1] + b"?")
    assert await folder.get(key(1)) is None
    assert not file.exists()


async def test_two_processes_share_a_folder_and_its_bound(tmp_path: Path) -> None:
    one, other = Folder(tmp_path, LIMIT), Folder(tmp_path, LIMIT)
    one.open()
    other.open()
    await one.set(key(1), b"x" * 1000, ttl=60)
    assert await other.get(key(1)) == b"x" * 1000
    for number in range(2, 60):
        await one.set(key(number), b"x" * 2000, ttl=60)
        await other.set(key(-number), b"x" * 2000, ttl=60)
        files = (tmp_path / "entries").rglob("frames-*")
        assert sum(file.stat().st_size for file in files) <= LIMIT
    await other.drop(NAMES.group("1.2.3"))
    assert await total(one) == NONE
    third = Folder(tmp_path, LIMIT)
    third.open()
    assert (tmp_path / "total").read_bytes() == bytes(8)


async def test_what_is_asked_for_again_outlives_a_pass_over_much() -> None:
    memory = Memory(20 * (1000 + OVERHEAD))
    for number in range(5):
        await memory.set(key(number), bytes(1000), ttl=60)
        assert await memory.get(key(number))
    for number in range(100, 200):
        await memory.set(key(number), bytes(1000), ttl=60)
    assert [number for number in range(5) if await memory.get(key(number))] == [0, 1, 2, 3, 4]
    assert (await total(memory)).entries == 20
    assert memory.evicted["frames"] == 85
    assert memory.cost == 20 * (1000 + OVERHEAD)


async def test_the_oldest_on_trial_makes_room_first() -> None:
    memory = Memory(3 * (1000 + OVERHEAD))
    for number in (1, 2, 3, 4):
        await memory.set(key(number), bytes(1000), ttl=60)
    assert [number for number in (1, 2, 3, 4) if await memory.exists(key(number))] == [2, 3, 4]


async def test_no_more_than_three_quarters_are_proven() -> None:
    memory = Memory(4 * (1000 + OVERHEAD))
    for number in range(4):
        await memory.set(key(number), bytes(1000), ttl=60)
        await memory.get(key(number))
    await memory.set(key(9), bytes(1000), ttl=60)
    assert await memory.exists(key(9))
    assert not await memory.exists(key(0))
