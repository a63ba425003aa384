"""Files, folders and zip files as a row of objects to ingest, read a piece at a time."""

import asyncio
import os
import zipfile
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final, TypeVar

from app.imaging.part10 import Refused

PIECE: Final = 2**20
Result = TypeVar("Result")


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

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Read it, off the event loop.

        Raises:
            Refused: It cannot be read.
        """
        stream = await asyncio.to_thread(_readable, self._open)
        with stream as opened:
            while piece := await asyncio.to_thread(_readable, lambda: opened.read(PIECE)):
                yield piece


def in_memory(name: str, data: bytes) -> Source:
    """Give bytes as a source."""
    return Source(name, len(data), lambda: closing(BytesIO(data)))


def sources(paths: Iterable[Path]) -> Iterator[Source]:
    """List everything below some paths, in the order of names within each folder.

    Folders behind symbolic links are not entered. What cannot be listed, or is not there, is a
    source that cannot be read, so that it is reported as such.
    """
    for path in paths:
        if path.is_dir():
            yield from _below(path)
        else:
            yield from _of_file(path)


def zipped(name: str, file: Path | IO[bytes]) -> Iterator[Source]:
    """List the files in a zip file, each of which keeps it open.

    Args:
        name: What comes before `!entry` in the names.
        file: Where it is; one that is open already has to be seekable.
    """
    try:
        archive = _readable(lambda: zipfile.ZipFile(file))
    except Refused as refusal:
        yield _unreadable(name, refusal)
        return
    for entry in archive.infolist():
        if not entry.is_dir():
            yield Source(f"{name}!{entry.filename}", entry.file_size, _opener(archive, entry))


def _below(folder: Path) -> Iterator[Source]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield _unreadable(str(folder), _refusal(error))
        return
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _below(path)
        elif not path.is_dir():
            yield from _of_file(path)


def _of_file(path: Path) -> Iterator[Source]:
    try:
        status = path.stat()
    except OSError as error:
        yield _unreadable(str(path), _refusal(error))
        return
    if not S_ISREG(status.st_mode):  # reading a pipe or a device could wait for ever
        yield _unreadable(str(path), Refused("unreadable", "is neither a file nor a folder"))
    elif path.suffix.lower() == ".zip":
        yield from zipped(str(path), path)
    else:
        yield Source(str(path), status.st_size, lambda: path.open("rb", buffering=0))


def _opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(entry)


def _unreadable(name: str, refusal: Refused) -> Source:
    def fail() -> IO[bytes]:
        raise refusal

    return Source(name, 0, fail)


def _readable(work: Callable[[], Result]) -> Result:
    """Open or read something.

    Raises:
        Refused: That fails.
    """
    try:
        return work()
    except OSError as error:
        raise _refusal(error) from error
    except NotImplementedError as error:
        raise Refused("unreadable", "is packed in a way that is not known here") from error
    except RuntimeError as error:  # what zipfile raises for the want of a password
        raise Refused("unreadable", "is encrypted; unpack it first") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise Refused("unreadable", "is in a damaged zip file; pack it again") from error


def _refusal(error: OSError) -> Refused:
    return Refused("unreadable", f"cannot be read: {error.strerror or type(error).__name__}")
