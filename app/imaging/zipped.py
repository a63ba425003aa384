"""DICOM objects in one zip archive, written while they are read (PS3.18 table 8.7.3-1)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from io import RawIOBase
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from app.imaging.deidentify import Outgoing
from fhir.errors import NotFound

ZIP: Final = "application/zip"

_LONG_BYTES: Final = 2**31


class _Written(RawIOBase):
    """Keeps what is written until somebody takes it."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]  # what zipfile writes is one of them
        self._waiting.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Give what was written since."""
        taken, self._waiting = b"".join(self._waiting), []
        return taken


Entry = tuple[str, Callable[[], Awaitable[Outgoing]]]


async def zipped(entries: Iterable[Entry]) -> AsyncIterator[bytes]:
    """Give a zip archive of objects, not compressed, for most are already.

    Args:
        entries: Name of each, and what gives its bytes when it is due.

    Raises:
        NotFound: One of them ended too early.
    """
    written = _Written()
    with ZipFile(written, "w", ZIP_STORED) as archive:
        for name, found in entries:
            sent = await found()
            left = sent.size
            with archive.open(ZipInfo(name), "w", force_zip64=sent.size >= _LONG_BYTES) as entry:
                async for chunk in sent.chunks:
                    left -= len(chunk)
                    entry.write(chunk)
                    yield written.take()
            if left:
                raise NotFound("an instance was not there as a whole")
    yield written.take()
