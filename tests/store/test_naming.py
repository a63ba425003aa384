"""Files are named several at a time, and each gets its own answer."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.store.local import LocalObjects
from app.store.naming import Naming, Unnamed
from app.store.ports import StoreUnreachable


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def left_over(root: Path) -> list[Path]:
    return list((root / ".partial").iterdir())


async def test_puts_at_the_same_time_all_get_their_names(tmp_path: Path) -> None:
    store = await LocalObjects.open(tmp_path)
    keys = [f"{number % 7:02}/{number % 3:02}/{number:04}" for number in range(100)]
    sizes = await asyncio.gather(*(store.put(key, pieces(key.encode(), b"!")) for key in keys))
    assert sizes == [len(key) + 1 for key in keys]
    assert [await store.read(key, 0, 100) for key in keys] == [f"{key}!".encode() for key in keys]
    assert left_over(tmp_path) == []


async def test_many_small_pieces_stay_in_their_order(tmp_path: Path) -> None:
    store = await LocalObjects.open(tmp_path)
    parts = [str(number).encode() for number in range(5000)] + [b""]
    body = b"".join(parts)
    assert await store.put("k", pieces(*parts)) == len(body)
    assert await store.read("k", 0, len(body) + 1) == body


async def test_of_puts_of_one_key_at_the_same_time_the_first_counts(tmp_path: Path) -> None:
    store = await LocalObjects.open(tmp_path)
    sizes = await asyncio.gather(*(store.put("k", pieces(bytes(size))) for size in range(5, 30)))
    assert sizes == [5] * 25
    assert await store.size("k") == 5
    assert left_over(tmp_path) == []


async def test_one_that_fails_does_not_fail_the_others(tmp_path: Path) -> None:
    store = await LocalObjects.open(tmp_path)
    (tmp_path / "file").write_bytes(b"in the way of a folder")
    keys = ["a/1", "file/2", "b/3", "file/4", "a/5"]
    found = await asyncio.gather(
        *(store.put(key, pieces(b"bytes")) for key in keys), return_exceptions=True
    )
    assert [5 if one == 5 else type(one) for one in found] == [
        5,
        StoreUnreachable,
        5,
        StoreUnreachable,
        5,
    ]
    assert [entry.key async for entry in store.list()] == ["a/1", "a/5", "b/3", "file"]
    assert left_over(tmp_path) == []


async def test_a_folder_that_somebody_tidied_away_is_made_again(tmp_path: Path) -> None:
    store = await LocalObjects.open(tmp_path)
    await store.put("ab/cd/1", pieces(b"one"))
    shutil.rmtree(tmp_path / "ab")
    assert await store.put("ab/cd/2", pieces(b"two")) == 3
    assert await store.read("ab/cd/2", 0, 10) == b"two"


def everything(root: Path) -> list[Path]:
    return list(root.iterdir())


async def test_what_cannot_be_written_has_no_name(tmp_path: Path) -> None:
    naming = Naming(tmp_path)
    missing = tmp_path / "no folder" / "file"
    with pytest.raises(FileNotFoundError):
        await naming.name(Unnamed(missing, 0, [b"bytes"], tmp_path / "name"))
    assert everything(tmp_path) == []
