"""The tier in a folder, which the processes of a machine share: files with names that say nothing.

Every file is written beside its place and moved there, so that it is whole or not there; a
checksum tells what a crash of the machine left of it. How many bytes there are stands in one file
that is changed under a lock.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct, error
from typing import Any, Final

from app.cache.backend import Backend
from app.cache.keys import KINDS, Key, Kind
from app.cache.statistics import Held

_HEAD: Final = Struct("<4sdI")  # mark, when it ends (seconds since 1970), CRC-32 of the value
_MARK: Final = b"RGC1"
_TOTAL: Final = Struct("<q")
_PRIVATE_FOLDER: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_LEFT_AFTER_EVICTION: Final = 0.9


class Folder(Backend):
    """Files below `entries/<group>/`; the least recently used make room first."""

    NAME = "disk"

    def __init__(self, path: Path, limit: int, clock: Callable[[], float] = time.time) -> None:
        """Say where.

        Args:
            path: Made if it is not there; nobody else keeps anything in it.
            limit: Bytes of all files together.
            clock: Seconds since 1970; files outlive the process.
        """
        super().__init__(limit, timeout=None)
        self._path = path
        self._entries = path / "entries"
        self._arriving = path / "arriving"
        self._clock = clock

    def open(self) -> None:
        """Make the folder and count what is there.

        Raises:
            OSError: It cannot be.
        """
        for folder in (self._path, self._entries, self._arriving):
            folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        with self._counting() as total:
            total.set(sum(size for _, size, _ in self._files()))
        # an hour ago somebody died while writing
        for left in self._arriving.iterdir():
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - 3600:
                    left.unlink()

    async def _get(self, key: Key, encoding: str | None = None, _conn: Any = None) -> bytes | None:
        return await asyncio.to_thread(self._read, self._place(key))

    async def _exists(self, key: Key, _conn: Any = None) -> bool:
        return self._place(key).exists()

    async def _set(
        self,
        key: Key,
        value: bytes,
        ttl: float | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> bool:
        return await asyncio.to_thread(self._write, key, value, self._clock() + (ttl or 0))

    async def _delete(self, key: Key, _conn: Any = None) -> int:
        return await asyncio.to_thread(self._remove, [self._place(key)])

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        await asyncio.to_thread(self._empty)
        return True

    async def drop(self, group: str) -> None:
        """Remove every entry of a group."""
        await asyncio.to_thread(self._drop, group)

    async def held(self) -> dict[Kind, Held]:
        """Say what is kept now, by kind; what is over its time goes."""
        return await asyncio.to_thread(self._held)

    async def position(self) -> bytes | None:
        """Say up to where it follows deletions."""
        return await asyncio.to_thread(self._position)

    async def reach(self, position: bytes) -> None:
        """Remember up to where it follows deletions."""
        await asyncio.to_thread(self._arrive, self._path / "position", position)

    def _place(self, key: Key) -> Path:
        return self._entries / key.group / f"{key.kind}-{key.digest}"

    def _read(self, place: Path) -> bytes | None:
        try:
            content = place.read_bytes()
        except FileNotFoundError:
            return None
        value = content[_HEAD.size :]
        if len(content) >= _HEAD.size:
            mark, ends, checksum = _HEAD.unpack_from(content)
            if mark == _MARK and ends > self._clock() and zlib.crc32(value) == checksum:
                with suppress(FileNotFoundError):
                    os.utime(place)
                return value
        self._remove([place])
        return None

    def _write(self, key: Key, value: bytes, ends: float) -> bool:
        size = _HEAD.size + len(value)
        if size > self.limit:
            return False
        place = self._place(key)
        written = self._written(_HEAD.pack(_MARK, ends, zlib.crc32(value)) + value)
        try:
            with self._counting() as total:
                if total.value + size > self.limit:
                    total.set(self._make_room(size))
                place.parent.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
                before = _size(place)
                written.rename(place)
                total.set(total.value + size - before)
        finally:
            written.unlink(missing_ok=True)
        return True

    def _arrive(self, place: Path, content: bytes) -> None:
        self._written(content).rename(place)

    def _written(self, content: bytes) -> Path:
        path = self._arriving / secrets.token_hex(16)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, _PRIVATE_FILE), "wb") as file:
            file.write(content)
        return path

    def _make_room(self, size: int) -> int:
        """Remove what was not used for longest; give the bytes that stay."""
        files = sorted(self._files(), key=lambda one: one[2])
        left = sum(size for _, size, _ in files)
        for path, its_size, _ in files:
            if left + size <= self.limit * _LEFT_AFTER_EVICTION:
                break
            with suppress(FileNotFoundError):
                path.unlink()
            left -= its_size
            self.evicted[_kind(path)] += 1
        return left

    def _remove(self, places: list[Path]) -> int:
        removed = 0
        with self._counting() as total:
            for place in places:
                size = _size(place)
                with suppress(FileNotFoundError):
                    place.unlink()
                    total.set(total.value - size)
                    removed += 1
        return removed

    def _drop(self, group: str) -> None:
        folder = self._entries / group
        with self._counting() as total:
            if folder.exists():
                size = sum(_size(one) for one in folder.iterdir())
                shutil.rmtree(folder)
                total.set(total.value - size)

    def _empty(self) -> None:
        with self._counting() as total:
            for folder in self._entries.iterdir():
                shutil.rmtree(folder)
            total.set(0)

    def _held(self) -> dict[Kind, Held]:
        found = {kind: Held() for kind in KINDS}
        late = []
        for path, size, _ in self._files():
            if self._ends(path) <= self._clock():
                late.append(path)
            else:
                found[_kind(path)] += Held(1, size - _HEAD.size)
        self._remove(late)
        return found

    def _ends(self, path: Path) -> float:
        try:
            with path.open("rb") as file:
                _, ends, _ = _HEAD.unpack(file.read(_HEAD.size))
        except (FileNotFoundError, error):
            return 0
        return float(ends)

    def _position(self) -> bytes | None:
        try:
            return (self._path / "position").read_bytes()
        except FileNotFoundError:
            return None

    def _files(self) -> Iterator[tuple[Path, int, int]]:
        """Give place, size in bytes, and last use in nanoseconds of every file."""
        for folder in self._entries.iterdir():
            with suppress(FileNotFoundError), os.scandir(folder) as listed:
                for one in listed:
                    with suppress(FileNotFoundError):
                        found = one.stat()
                        yield Path(one.path), found.st_size, found.st_mtime_ns

    @contextmanager
    def _counting(self) -> Iterator["_Total"]:
        """Hold the lock on how many bytes there are."""
        flags = os.O_RDWR | os.O_CREAT
        file = os.open(self._path / "total", flags, _PRIVATE_FILE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield _Total(file)
        finally:
            os.close(file)


class _Total:
    """The number of bytes of all entries, in a file that is locked."""

    def __init__(self, file: int) -> None:
        self._file = file
        kept = os.pread(file, _TOTAL.size, 0)
        self.value: int = _TOTAL.unpack(kept)[0] if len(kept) == _TOTAL.size else 0

    def set(self, value: int) -> None:
        """Change it."""
        self.value = max(value, 0)
        os.pwrite(self._file, _TOTAL.pack(self.value), 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _kind(path: Path) -> Kind:
    return next(kind for kind in KINDS if path.name.startswith(f"{kind}-"))
