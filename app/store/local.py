"""Objects as files below one folder of a local disk."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice
from pathlib import Path
from stat import S_ISREG
from typing import Final, Self, TypeVar
from uuid import uuid4

from app.store.naming import Naming, Unnamed, begin_to_sync, sync_folder, write_all
from app.store.ports import (
    Entry,
    ObjectMissing,
    StoreFull,
    StoreUnreachable,
    checked,
    checked_prefix,
    checked_range,
)

PIECE_BYTES: Final = 2**20
PAGE: Final = 1000
PARTIAL: Final = ".partial"
Result = TypeVar("Result")


class LocalObjects:
    """An `ObjectStore` in a folder.

    A put writes into `.partial/` on the same disk and links the finished, synced file under its
    key. A link fails if the name is taken: that keeps the first bytes among any processes.
    Puts that end at the same time share what they wait for.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / PARTIAL
        self._naming = Naming(root)
        self._ours = uuid4().hex
        self._numbers = count()

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Open the folder with this absolute path, making it if it is not there.

        Raises:
            StoreUnreachable: It cannot be made.
        """
        store = cls(root)
        await store._on_disk(partial(store._partial.mkdir, parents=True, exist_ok=True))
        return store

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """See `ObjectStore.put`."""
        path = self._path(key)
        # not one more random name: drawing it takes as long as a small write
        temporary = self._partial / f"{self._ours}-{next(self._numbers)}"
        waiting: list[bytes] = []
        waiting_bytes = written = 0
        begun = False
        try:
            async for chunk in chunks:
                waiting.append(chunk)
                waiting_bytes += len(chunk)
                if waiting_bytes >= PIECE_BYTES:
                    begun = True
                    await self._on_disk(partial(append, temporary, waiting))
                    written += waiting_bytes
                    waiting, waiting_bytes = [], 0
            if begun:  # it may take long, for which others shall not wait
                await self._on_disk(partial(append, temporary, waiting, sync=True))
                written += waiting_bytes
                waiting = []
            begun = True
            file = Unnamed(temporary, written, waiting, path)
            return await self._to_its_end(self._naming.name(file))
        except BaseException:
            if begun:
                await self._on_disk(partial(temporary.unlink, missing_ok=True))
            raise

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `ObjectStore.get`."""
        path = self._path(key)
        checked_range(start, end)
        while True:
            stop = start + PIECE_BYTES if end is None else min(end, start + PIECE_BYTES)
            piece, size = await self._on_disk(partial(read_range, key, path, start, stop))
            if piece:
                yield piece
            start += len(piece)
            if not piece or start >= size or start == end:
                return

    async def read(self, key: str, start: int, end: int) -> bytes:
        """See `ObjectStore.read`."""
        path = self._path(key)
        checked_range(start, end)
        piece, _ = await self._on_disk(partial(read_range, key, path, start, end))
        return piece

    async def size(self, key: str) -> int:
        """See `ObjectStore.size`."""
        _, size = await self._on_disk(partial(read_range, key, self._path(key), 0, 0))
        return size

    async def signed_address(self, key: str, lasting: timedelta, media_type: str) -> None:
        """See `ObjectStore.signed_address`; nobody else serves a folder."""

    async def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        await self._on_disk(partial(remove, self._path(key)))

    async def list(self, prefix: str = "") -> AsyncIterator[Entry]:
        """See `ObjectStore.list`."""
        folder, _, _ = checked_prefix(prefix).rpartition("/")
        entries = self._walk(folder, prefix)
        while page := await self._on_disk(lambda: tuple(islice(entries, PAGE))):
            for entry in page:
                yield entry

    async def sweep(self, older_than: timedelta) -> int:
        """See `ObjectStore.sweep`."""
        before = time.time() - older_than.total_seconds()
        return await self._on_disk(partial(self._sweep, before))

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        await self._on_disk(self._check)

    async def close(self) -> None:
        """See `ObjectStore.close`."""

    async def _on_disk(self, work: Callable[[], Result]) -> Result:
        """Work in a thread, to its end even if cancelled: what follows tidies up after it."""
        return await self._to_its_end(asyncio.to_thread(work))

    async def _to_its_end(self, work: Awaitable[Result]) -> Result:
        running = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((running,))
            running.exception()  # seen: what counts now is that the caller leaves
            raise
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreFull("the disk of the object store is full") from error
            message = f"the folder {self._root} of the object store fails: {error.strerror}"
            raise StoreUnreachable(message) from error

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        try:
            with os.scandir(self._root / folder) as scan:
                found = sorted(
                    scan, key=lambda item: f"{item.name}/" if item.is_dir() else item.name
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        for item in found:
            key = f"{folder}/{item.name}" if folder else item.name
            if item.name.startswith("."):
                continue
            if item.is_dir():
                if f"{key}/".startswith(prefix) or prefix.startswith(f"{key}/"):
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    status = item.stat()
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield Entry(key, status.st_size, modified)

    def _sweep(self, before: float) -> int:
        swept = 0
        for path in self._partial.iterdir():
            with suppress(FileNotFoundError):  # finished meanwhile
                if path.stat().st_mtime <= before:
                    path.unlink()
                    swept += 1
        return swept

    def _check(self) -> None:
        self._partial.mkdir(parents=True, exist_ok=True)
        probe = self._partial / uuid4().hex
        try:
            append(probe, [b"0"], sync=True)
        finally:
            probe.unlink(missing_ok=True)


def append(path: Path, pieces: Sequence[bytes], *, sync: bool = False) -> None:
    """Add to the end of a file, making it if needed; with `sync`, until the disk has it all."""
    with path.open("ab", buffering=0) as file:
        write_all(file.fileno(), pieces)
        if sync:
            os.fsync(file.fileno())
        else:
            begin_to_sync(file.fileno())


def read_range(key: str, path: Path, start: int, end: int) -> tuple[bytes, int]:
    """Bytes [start, end) of an object's file, and the size of the whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectMissing(key) from None
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise ObjectMissing(key)
        missing = min(end, status.st_size) - start
        pieces = []
        while missing > 0 and (piece := os.pread(descriptor, missing, start)):
            pieces.append(piece)
            start += len(piece)
            missing -= len(piece)
    finally:
        os.close(descriptor)
    return b"".join(pieces), status.st_size


def remove(path: Path) -> None:
    """Delete a file durably if it is there."""
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        path.unlink()
        sync_folder(path.parent)
