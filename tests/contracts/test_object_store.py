"""What every object store promises, on its real server."""

import asyncio
import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from app.settings import Settings
from app.store.ports import ObjectMissing, ObjectStore

ROOT = Path(__file__).parents[2]
MEBIBYTE = 2**20
LARGE = tuple(bytes([index]) * MEBIBYTE for index in range(20))


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def collect(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


async def keys(objects: ObjectStore, prefix: str = "") -> list[str]:
    return [entry.key async for entry in objects.list(prefix)]


async def assert_nothing_left(objects: ObjectStore) -> None:
    assert await keys(objects) == []
    assert await objects.sweep(timedelta(0)) == 0


async def test_what_was_put_is_read_back(objects: ObjectStore) -> None:
    assert await objects.put("ab/cd/object", pieces(b"01234", b"", b"56789")) == 10
    assert await objects.size("ab/cd/object") == 10
    assert await collect(objects.get("ab/cd/object")) == b"0123456789"


@pytest.mark.parametrize("parts", [(), (b"",)])
async def test_an_object_may_be_empty(objects: ObjectStore, parts: tuple[bytes, ...]) -> None:
    assert await objects.put("k", pieces(*parts)) == 0
    assert await objects.size("k") == 0
    assert await collect(objects.get("k")) == b""
    assert await objects.read("k", 0, 10) == b""


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 10, b"0123456789"),
        (2, 5, b"234"),
        (9, 10, b"9"),
        (8, 100, b"89"),
        (3, 3, b""),
        (5, 2, b""),
        (10, 11, b""),
        (100, 200, b""),
    ],
)
async def test_a_range_excludes_its_end_and_what_is_not_there(
    objects: ObjectStore, start: int, end: int, expected: bytes
) -> None:
    await objects.put("k", pieces(b"0123456789"))
    assert await objects.read("k", start, end) == expected
    assert await collect(objects.get("k", start, end)) == expected


@pytest.mark.parametrize(("start", "expected"), [(0, b"0123456789"), (7, b"789"), (10, b"")])
async def test_a_range_without_end_goes_to_the_last_byte(
    objects: ObjectStore, start: int, expected: bytes
) -> None:
    await objects.put("k", pieces(b"0123456789"))
    assert await collect(objects.get("k", start)) == expected


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (0, -1)])
async def test_a_range_does_not_count_from_the_end(
    objects: ObjectStore, start: int, end: int
) -> None:
    await objects.put("k", pieces(b"0123456789"))
    with pytest.raises(ValueError, match="not a range"):
        await objects.read("k", start, end)
    with pytest.raises(ValueError, match="not a range"):
        await collect(objects.get("k", start, end))


async def test_a_range_across_the_parts_of_a_large_object(objects: ObjectStore) -> None:
    await objects.put("k", pieces(*LARGE))
    whole = b"".join(LARGE)

    assert await objects.size("k") == len(whole)
    for boundary in (8 * MEBIBYTE, 16 * MEBIBYTE):
        part = await objects.read("k", boundary - 3, boundary + MEBIBYTE + 3)
        assert part == whole[boundary - 3 : boundary + MEBIBYTE + 3]
    assert await collect(objects.get("k", 5)) == whole[5:]


@pytest.mark.parametrize("size", [8 * MEBIBYTE - 1, 8 * MEBIBYTE, 8 * MEBIBYTE + 1])
async def test_sizes_around_a_part(objects: ObjectStore, size: int) -> None:
    body = bytes(index % 251 for index in range(1000)) * (size // 1000 + 1)
    assert await objects.put("k", pieces(body[:size])) == size
    assert await collect(objects.get("k")) == body[:size]


async def test_what_was_never_put_is_missing(objects: ObjectStore) -> None:
    await objects.put("ab/cd", pieces(b"0"))
    for key in ("nothing", "ab/nothing", "ab"):
        with pytest.raises(ObjectMissing):
            await collect(objects.get(key))
        with pytest.raises(ObjectMissing):
            await objects.read(key, 0, 1)
        with pytest.raises(ObjectMissing):
            await objects.read(key, 1, 1)
        with pytest.raises(ObjectMissing):
            await objects.size(key)


async def test_what_was_deleted_is_missing_and_may_be_put_again(objects: ObjectStore) -> None:
    await objects.put("k", pieces(b"first"))
    await objects.put("other", pieces(b"stays"))
    await objects.delete("k")
    with pytest.raises(ObjectMissing):
        await objects.read("k", 0, 5)
    await objects.delete("k")

    await objects.put("k", pieces(b"second"))
    assert await objects.read("k", 0, 6) == b"second"
    assert await objects.read("other", 0, 5) == b"stays"


@pytest.mark.parametrize("first", [(b"first",), LARGE], ids=["small", "large"])
@pytest.mark.parametrize("second", [(b"other bytes",), LARGE[::-1]], ids=["small", "large"])
async def test_the_first_bytes_stay_and_the_second_are_read_to_their_end(
    objects: ObjectStore, first: tuple[bytes, ...], second: tuple[bytes, ...]
) -> None:
    read: list[bytes] = []

    async def noted() -> AsyncIterator[bytes]:
        for part in second:
            read.append(part)
            yield part

    size = await objects.put("k", pieces(*first))
    assert await objects.put("k", noted()) == size == len(b"".join(first))
    assert tuple(read) == second
    assert await collect(objects.get("k")) == b"".join(first)
    assert await objects.sweep(timedelta(0)) == 0


@pytest.mark.parametrize("parts", [1, 9], ids=["small", "large"])
async def test_of_puts_at_once_one_wins_whole(objects: ObjectStore, parts: int) -> None:
    bodies = [[bytes([65 + writer]) * MEBIBYTE] * parts for writer in range(6)]
    sizes = await asyncio.gather(*(objects.put("k", pieces(*body)) for body in bodies))

    assert sizes == [parts * MEBIBYTE] * 6
    assert await collect(objects.get("k")) in [b"".join(body) for body in bodies]
    assert await keys(objects) == ["k"]
    assert await objects.sweep(timedelta(0)) == 0


@pytest.mark.parametrize("before", [(), (b"a little",), LARGE], ids=["none", "small", "large"])
async def test_chunks_that_fail_leave_nothing(
    objects: ObjectStore, before: tuple[bytes, ...]
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for part in before:
            yield part
        raise ConnectionResetError("the sender is gone")

    with pytest.raises(ConnectionResetError, match="the sender is gone"):
        await objects.put("k", broken())
    await assert_nothing_left(objects)


@pytest.mark.parametrize("before", [(), (b"a little",), LARGE], ids=["none", "small", "large"])
async def test_a_cancelled_put_leaves_nothing(
    objects: ObjectStore, before: tuple[bytes, ...]
) -> None:
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        for part in before:
            yield part
        waiting.set()
        await asyncio.Event().wait()

    put = asyncio.create_task(objects.put("k", stalled()))
    await waiting.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    await assert_nothing_left(objects)


@pytest.mark.parametrize("steps", [1, 3, 10, 30, 100])
async def test_a_put_cancelled_at_any_moment_leaves_nothing_or_all(
    objects: ObjectStore, steps: int
) -> None:
    put = asyncio.create_task(objects.put("k", pieces(*LARGE[:10])))
    for _ in range(steps):
        await asyncio.sleep(0)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put

    assert [entry.size async for entry in objects.list()] in ([], [10 * MEBIBYTE])
    assert await objects.sweep(timedelta(0)) == 0


async def test_what_a_killed_process_left_is_swept_once_it_is_old(
    objects: ObjectStore, object_settings: Settings
) -> None:
    told = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in object_settings
        if name.startswith("storage_")
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.contracts.endless_put", json.dumps(told)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"waiting\n"
    process.kill()
    await process.communicate()

    assert await keys(objects) == []
    assert await objects.sweep(timedelta(hours=1)) == 0
    assert await objects.sweep(timedelta(0)) == 1
    await assert_nothing_left(objects)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/absolute",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        ".partial/x",
        "a/.hidden",
        "Upper",
        "sp ace",
        "null\0",
        "line\n",
        "ümlaut",
        "back\\slash",
        "k" * 513,
    ],
)
async def test_other_keys_are_refused_everywhere(objects: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="not an object key"):
        await objects.put(key, pieces(b"0"))
    with pytest.raises(ValueError, match="not an object key"):
        await objects.read(key, 0, 1)
    with pytest.raises(ValueError, match="not an object key"):
        await collect(objects.get(key))
    with pytest.raises(ValueError, match="not an object key"):
        await objects.size(key)
    with pytest.raises(ValueError, match="not an object key"):
        await objects.delete(key)
    await assert_nothing_left(objects)


async def test_a_listing_has_what_begins_with_its_prefix(objects: ObjectStore) -> None:
    for key in ("ab/cd/one", "ab/cd/two", "ab/ce/three", "abc", "b/ab/four", "ab.d"):
        await objects.put(key, pieces(key.encode()))

    assert sorted(await keys(objects)) == sorted(
        ["ab/cd/one", "ab/cd/two", "ab/ce/three", "abc", "b/ab/four", "ab.d"]
    )
    assert sorted(await keys(objects, "ab")) == sorted(
        ["ab/cd/one", "ab/cd/two", "ab/ce/three", "abc", "ab.d"]
    )
    assert sorted(await keys(objects, "ab/")) == ["ab/cd/one", "ab/cd/two", "ab/ce/three"]
    assert sorted(await keys(objects, "ab/c")) == ["ab/cd/one", "ab/cd/two", "ab/ce/three"]
    assert sorted(await keys(objects, "ab/cd/t")) == ["ab/cd/two"]
    assert await keys(objects, "nothing/") == []
    (entry,) = [entry async for entry in objects.list("abc")]
    assert (entry.key, entry.size, entry.modified.tzinfo) == ("abc", 3, UTC)
    with pytest.raises(ValueError, match="not the beginning"):
        await keys(objects, "../")


async def test_a_listing_goes_on_past_a_page(objects: ObjectStore) -> None:
    expected = [f"{index % 7}/{index:04}" for index in range(1203)]
    limit = asyncio.Semaphore(16)

    async def put(key: str) -> None:
        async with limit:
            await objects.put(key, pieces(b"0"))

    await asyncio.gather(*map(put, expected))
    assert sorted(await keys(objects)) == sorted(expected)


async def test_a_stream_of_64_mebibytes_passes_in_bounded_memory(objects: ObjectStore) -> None:
    sent, received = hashlib.sha256(), hashlib.sha256()

    async def many() -> AsyncIterator[bytes]:
        for index in range(256):
            part = index.to_bytes(2) * (MEBIBYTE // 8)
            sent.update(part)
            yield part

    tracemalloc.start()
    try:
        assert await objects.put("k", many()) == 64 * MEBIBYTE
        async for piece in objects.get("k"):
            received.update(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert received.digest() == sent.digest()
    assert peak < 56 * MEBIBYTE


async def test_an_abandoned_get_holds_nothing_back(objects: ObjectStore) -> None:
    await objects.put("k", pieces(*LARGE))
    for _ in range(100):  # more than a client has connections
        async for piece in objects.get("k"):
            assert piece[:4] == bytes(4)
            break
    assert await objects.read("k", MEBIBYTE, MEBIBYTE + 1) == b"\x01"


async def test_a_usable_store_checks_well_and_nothing_appears(objects: ObjectStore) -> None:
    await objects.check()
    await assert_nothing_left(objects)


async def fetched(address: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask an address that was signed, as somebody who has nothing but it."""
    async with httpx.AsyncClient() as client:
        return await client.get(address, headers=headers)


async def test_a_signed_address_gives_the_object_and_its_ranges_or_there_is_none(
    objects: ObjectStore, request: pytest.FixtureRequest
) -> None:
    await objects.put("ab/k", pieces(b"0123456789"))
    address = await objects.signed_address("ab/k", timedelta(seconds=77), "application/dicom")
    if address is None:
        assert "file" in request.node.callspec.id
        return
    whole = await fetched(address)
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert whole.headers["content-type"] == "application/dicom"
    part = await fetched(address, {"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")


async def test_a_signed_address_holds_for_its_time_and_for_nothing_else(
    objects: ObjectStore,
) -> None:
    await objects.put("ab/k", pieces(b"0123456789"))
    await objects.put("ab/m", pieces(b"another"))
    address = await objects.signed_address("ab/k", timedelta(seconds=77), "application/dicom")
    if address is None:
        return
    assert dict(parse_qsl(urlsplit(address).query))["X-Amz-Expires"] == "77"
    for changed in (
        address.replace("ab/k", "ab/m"),
        address.replace("X-Amz-Expires=77", "X-Amz-Expires=7700"),
        address.partition("?")[0],
    ):
        refused = await fetched(changed)
        assert refused.status_code == 403
        assert b"another" not in refused.content
    await objects.delete("ab/k")
    assert (await fetched(address)).status_code == 404
