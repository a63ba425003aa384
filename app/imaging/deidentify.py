"""DICOM objects on their way out: as they are stored or, in a disguise, without identity.

The header is read into memory, at most `MAX_HEADER_BYTES` of it; pixel data is passed on as it
comes from storage. Objects that are deflated, or have no frame that could be told apart, are read
whole up to the same limit.
"""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from struct import Struct
from typing import Final, Self

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from app.imaging.arriving import meta
from app.imaging.arriving.dataset import DEFLATED
from app.imaging.arriving.deflated import Inflater
from app.imaging.arriving.refused import Refused
from app.imaging.cleaning import disguised_header
from app.imaging.frames import FrameTable
from app.imaging.layout import Undecodable
from app.imaging.writing import PREAMBLE_BYTES, Elements, opening, written
from app.store.ports import ObjectMissing, ObjectStore
from fhir.errors import NotFound, Withheld
from fhir.from_dicom.texts import line
from fhir.pseudonyms import Disguise
from fhir.repository import StoredImage

MAX_HEADER_BYTES: Final = 2**26

UNREADABLE: Final = (
    Refused,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What pydicom raises for a header that is not one, and our own reader."""

_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_UNDEFINED: Final = 0xFFFFFFFF
_END: Final = 0xFFFEE0DD
_ITEM_HEADER: Final = 8
_VR_HEADER: Final = 8


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Bytes on their way out.

    Attributes:
        size: How many there are.
        chunks: All of them.
        seek: Gives those from a first one to before a last one; None: what is before is read too.
    """

    size: int
    chunks: AsyncIterator[bytes]
    seek: Callable[[int, int], AsyncIterator[bytes]] | None = None

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Give bytes that are there."""
        return cls(len(content), _piece(content))

    def between(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Give bytes [start, end), instead of `chunks`."""
        if (start, end) == (0, self.size):
            return self.chunks
        return self.seek(start, end) if self.seek else sliced(self.chunks, start, end)


async def outgoing(
    image: StoredImage, objects: ObjectStore, *, zero_preamble: bool = False
) -> Outgoing:
    """Give the bytes of an instance in the form in which they may leave.

    Args:
        image: The instance.
        objects: Where its bytes are.
        zero_preamble: Whether the 128 bytes before `DICM` leave as zeros, for they can make the
            object a program or a picture of another kind (PS3.10 7.1). Without identity they
            always do.

    Raises:
        Withheld: Nobody can be sure that no identity is left in them; the text says why.
        NotFound: They are gone; some stores say so when the first is read.
    """
    if image.disguise is None:

        def seek(start: int, end: int) -> AsyncIterator[bytes]:
            if zero_preamble and start < PREAMBLE_BYTES:
                return _zeroed(image, objects, start, end)
            return objects.get(image.object_key, start, end)

        return Outgoing(image.size, seek(0, image.size), seek)
    if image.withheld is not None:
        raise Withheld(image.withheld)
    try:
        return await _disguised(image, image.disguise, objects)
    except ObjectMissing as error:
        raise NotFound("The bytes of this instance are gone: it is being deleted.") from error


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an instance in the form in which it may leave, before its pixel data.

    Attributes:
        dataset: As it is encoded: nothing of it has been decoded.
        implicit: Whether it is encoded without value representations.
        big: Whether it is big endian.
    """

    dataset: Dataset
    implicit: bool
    big: bool


async def outgoing_header(image: StoredImage, objects: ObjectStore) -> Header:
    """Give the header of an instance in the form in which it may leave.

    Raises:
        Withheld: Nobody can be sure that no identity is left in it; the text says why.
        Undecodable: It cannot be read.
        NotFound: It is gone.
    """
    if image.disguise is not None and image.withheld is not None:
        raise Withheld(image.withheld)
    _, begin = _header_end(image)
    if (begin or image.size) > MAX_HEADER_BYTES:
        raise Undecodable("The header is too long to be written anew.")
    try:
        data = await objects.read(image.object_key, 0, begin or image.size)
    except ObjectMissing as error:
        raise NotFound("The bytes of this instance are gone: it is being deleted.") from error
    return await asyncio.to_thread(_header, data, image)


def _header(data: bytes, image: StoredImage) -> Header:
    try:
        read = _parsed(data)
        if image.disguise is None:
            return Header(read.dataset, read.implicit, read.big)
        elements = _elements(read.dataset, image, image.disguise)
        encoded_anew = BytesIO(written(elements, implicit=read.implicit, big=read.big))
        dataset = read_dataset(encoded_anew, read.implicit, not read.big)
        return Header(dataset, read.implicit, read.big)
    except UNREADABLE as error:
        raise Undecodable("The header cannot be read well enough to be written anew.") from error


def _header_end(image: StoredImage) -> tuple[FrameTable | None, int | None]:
    """Give the frame table, and where its first frame begins; None where all has to be read."""
    table = FrameTable.from_record(image.frames) if image.frames is not None else None
    known = table is not None and table.count and not table.deflated
    return table, table.range(1)[0] if table and known else None


async def _disguised(image: StoredImage, disguise: Disguise, objects: ObjectStore) -> Outgoing:
    table, begin = _header_end(image)
    if (begin or image.size) > MAX_HEADER_BYTES:
        raise Withheld("its header is too long to take identity out of it")
    data = await objects.read(image.object_key, 0, begin or image.size)
    found = await asyncio.to_thread(_read, data, image, disguise)
    if begin is None or table is None:
        content = await asyncio.to_thread(found.whole)
        return Outgoing.of(content)
    end, closing = found.end(begin, table)
    return Outgoing(
        len(found.head) + len(found.pixels) + end - begin + len(closing),
        _joined(found.head + found.pixels, objects.get(image.object_key, begin, end), closing),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A cleaned header, and what was read of the pixel data behind it.

    Attributes:
        head: Preamble, file meta and the cleaned header; without the latter if deflated.
        body: The cleaned header if it has to be deflated.
        pixels: What follows the header, from the tag of the pixel data on; empty without any.
    """

    head: bytes
    body: bytes
    pixels: bytes
    implicit: bool
    big: bool
    deflated: bool

    def whole(self) -> bytes:
        """Give the whole object, if it was read whole."""
        pixels = self.pixels[: self._length()] if self.pixels else b""
        if not self.deflated:
            return self.head + pixels
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = squeeze.compress(self.body + pixels) + squeeze.flush()
        return self.head + content + bytes(len(content) % 2)

    def end(self, begin: int, table: FrameTable) -> tuple[int, bytes]:
        """Say where in storage the pixel data ends, and what has to follow it."""
        _, length = self._header()
        if length != _UNDEFINED:
            return begin + length, b""
        start, size = table.range(table.count)
        return start + size, self._struct("HHI").pack(_END >> 16, _END & 0xFFFF, 0)

    def _header(self) -> tuple[int, int]:
        """Give the length of the pixel data element's header, and of its value."""
        has_long = not self.implicit and self.pixels[4:6] in (
            b"OB",
            b"OW",
            b"OF",
            b"OD",
            b"UN",
            b"OV",
        )
        at = _VR_HEADER if has_long else 4
        if not self.implicit and not has_long:
            raise Withheld("its pixel data is of no kind that pixel data can be")
        [length] = self._struct("I").unpack_from(self.pixels, at)
        return at + 4, length

    def _length(self) -> int:
        """Give the length of the whole pixel data element."""
        position, length = self._header()
        if length != _UNDEFINED:
            return position + length
        item = self._struct("HHI")
        while True:
            group, element, length = item.unpack_from(self.pixels, position)
            position += _ITEM_HEADER
            if group << 16 | element == _END:
                return position
            position += length

    def _struct(self, layout: str) -> Struct:
        return Struct(f"{'>' if self.big else '<'}{layout}")


def _read(data: bytes, image: StoredImage, disguise: Disguise) -> _Found:
    """Clean the header of an object that was read as far as its pixel data.

    Raises:
        Withheld: It cannot be read well enough.
    """
    try:
        return _cleaned(data, image, disguise)
    except UNREADABLE as error:
        raise Withheld(
            "its header cannot be read well enough to take identity out of it"
        ) from error


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A header as it was read, and what was read of the pixel data behind it."""

    transfer_syntax: str
    dataset: Dataset
    pixels: bytes
    implicit: bool
    big: bool
    deflated: bool


def _parsed(data: bytes) -> _Parsed:
    start = meta.read(data, {}, whole=True)
    if isinstance(start, int):
        raise ValueError("no header")  # noqa: TRY004 -- it is a number of bytes that are missing
    body = data[start.end :]
    deflated = start.transfer_syntax in DEFLATED
    if deflated:
        body = b"".join(Inflater(MAX_HEADER_BYTES).feed(body))
    implicit = not (body[4:6].isalpha() and body[4:6].isupper())
    big = start.transfer_syntax == uid.ExplicitVRBigEndian
    stream = BytesIO(body)
    dataset = read_dataset(
        stream, implicit, not big, stop_when=lambda tag, _vr, _length: tag in _PIXELS
    )
    pixels = body[stream.tell() :]
    if pixels and Struct(">HH" if big else "<HH").unpack_from(pixels)[0] != 0x7FE0:  # noqa: PLR2004 -- their group
        raise ValueError("something else than pixel data")
    return _Parsed(start.transfer_syntax, dataset, pixels, implicit, big, deflated)


def _elements(dataset: Dataset, image: StoredImage, disguise: Disguise) -> Elements:
    return disguised_header(dataset, disguise, line(image.attributes, "AccessionNumber"))


def _cleaned(data: bytes, image: StoredImage, disguise: Disguise) -> _Found:
    read = _parsed(data)
    elements = _elements(read.dataset, image, disguise)
    head = opening(elements[0x00080016], elements[0x00080018], read.transfer_syntax)
    header = written(elements, implicit=read.implicit, big=read.big)
    if read.deflated:
        return _Found(head, header, read.pixels, read.implicit, read.big, read.deflated)
    return _Found(head + header, b"", read.pixels, read.implicit, read.big, read.deflated)


async def _zeroed(
    image: StoredImage, objects: ObjectStore, start: int, end: int
) -> AsyncIterator[bytes]:
    """Give bytes [start, end) of an object, what is before `DICM` as zeros."""
    marked = PREAMBLE_BYTES + 4
    head = await objects.read(image.object_key, 0, marked)
    if head[PREAMBLE_BYTES:] == b"DICM":
        zeros = min(PREAMBLE_BYTES, end) - start
        yield bytes(zeros)
        start += zeros
    if start < end:
        async for chunk in objects.get(image.object_key, start, end):
            yield chunk


async def sliced(chunks: AsyncIterator[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    """Give bytes [start, end) of what chunks hold together; what is behind is not read."""
    position = 0
    async for chunk in chunks:
        if position + len(chunk) > start:
            yield chunk[max(start - position, 0) : end - position]
        position += len(chunk)
        if position >= end:
            return


async def _piece(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _joined(
    head: bytes, chunks: AsyncIterator[bytes], closing: bytes
) -> AsyncIterator[bytes]:
    first = await anext(chunks, b"")  # before the answer begins: the object may be gone
    yield head
    yield first
    async for chunk in chunks:
        yield chunk
    yield closing
