"""Files, folders and zip files as a row of objects to ingest, read a piece at a time."""

import asyncio
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.imaging.part10 import Refused

PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to ingest.

    Attributes:
        name: For the person who named it: a path, or `archive.zip!entry`.
        size: Bytes, as far as known beforehand.
    """

    name: str
    size: int
    _open: Callable[[], AbstractContextManager[IO[bytes]]]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read it, off the event loop.

        Raises:
            Refused: It cannot be read.
        """
        try:
            stream = await asyncio.to_thread(self._open)
        except (OSError, *_BROKEN_ZIP) as error:
            raise _unreadable(error) from error
        with stream as opened:
            while True:
                try:
                    piece = await asyncio.to_thread(opened.read, PIECE)
                except (OSError, *_BROKEN_ZIP) as error:
                    raise _unreadable(error) from error
                if not piece:
                    return
                yield piece


# RuntimeError: encrypted; NotImplementedError: a compression this Python lacks.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


def _unreadable(error: Exception) -> Refused:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Refused("unreadable", f"cannot be read: {reason or type(error).__name__}")


def sources(paths: Iterable[Path]) -> Iterator[Source]:
    """List everything below some paths, in the order of names within each.

    A path that is not there is a source that cannot be read, so that it is reported as such.
    """
    for path in paths:
        if path.is_dir():
            for inner in sorted(path.rglob("*")):
                if inner.is_file():
                    yield from _of_file(inner)
        else:
            yield from _of_file(path)


def _of_file(path: Path) -> Iterator[Source]:
    if path.is_file() and path.suffix.lower() == ".zip":
        yield from zipped(str(path), path)
    else:
        size = path.stat().st_size if path.is_file() else 0
        yield Source(str(path), size, lambda: path.open("rb"))


def zipped(name: str, file: Path | IO[bytes]) -> Iterator[Source]:
    """List the files in a zip file, which is open until the last one was asked for.

    Args:
        name: What comes before `!entry` in the names.
        file: Where it is; one that is open already has to be seekable.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile) as error:
        refusal = _unreadable(error)

        def fail() -> IO[bytes]:
            raise refusal

        yield Source(name, 0, fail)
        return
    with archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                yield Source(
                    f"{name}!{entry.filename}", entry.file_size, _entry_opener(archive, entry)
                )


def _entry_opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(entry)
