"""Explicit VR little endian turned into implicit VR, which every peer understands, as it passes.

Values stay as they are. Sequences and items become ones without a length, for theirs change.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

_TAG: Final = Struct("<HH")
_SHORT: Final = Struct("<HH2sH")
_BARE: Final = Struct("<HHI")
_LENGTH: Final = Struct("<I")
_LONG_VRS: Final = frozenset(one.encode() for one in EXPLICIT_VR_LENGTH_32)
_DELIMITERS: Final = 0xFFFE
_ITEM: Final = 0xE000
_END_OF_ITEM: Final = 0xE00D
_END_OF_SEQUENCE: Final = 0xE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_HEADER_BYTES: Final = 8
_LONG_HEADER_BYTES: Final = 12
_MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class _Open:
    """A sequence or an item that is being passed on.

    Attributes:
        end: Where it ends in what is read; None where a delimiter says so.
        implicit: Whether what is in it is implicit already (PS3.5 6.2.2, UN of unknown length).
    """

    item: bool
    end: int | None
    implicit: bool


class Implicit:
    """Push converter of one data set that has no encapsulated pixel data."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._position = 0
        self._value = 0
        self._open: list[_Open] = []

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes, and give what they become.

        Raises:
            ValueError: This is no explicit VR, or nested too deeply.
        """
        self._waiting += chunk
        return b"".join(self._pieces())

    def close(self) -> bytes:
        """End the data set.

        Raises:
            ValueError: It ends within an element.
        """
        rest = b"".join(self._pieces())
        if self._waiting or self._value or any(one.end is None for one in self._open):
            raise ValueError("the data set is cut")
        return rest

    def _pieces(self) -> Iterator[bytes]:
        while True:
            if self._value:
                if not self._waiting:
                    return
                yield self._taken(min(self._value, len(self._waiting)), value=True)
                continue
            while self._open and self._open[-1].end == self._position:
                yield self._closed()
            need = self._header_bytes()
            if need is None or len(self._waiting) < need:
                return
            yield self._header(self._taken(need))

    def _taken(self, count: int, *, value: bool = False) -> bytes:
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        self._position += count
        if value:
            self._value -= count
        return taken

    def _header_bytes(self) -> int | None:
        if len(self._waiting) < _HEADER_BYTES:
            return None
        implicit = bool(self._open) and self._open[-1].implicit
        delimits = _TAG.unpack_from(self._waiting)[0] == _DELIMITERS
        if implicit or delimits or bytes(self._waiting[4:6]) not in _LONG_VRS:
            return _HEADER_BYTES
        return _LONG_HEADER_BYTES

    def _header(self, header: bytes) -> bytes:
        group, element = _TAG.unpack_from(header)
        inner = bool(self._open) and self._open[-1].implicit
        if group == _DELIMITERS:
            return self._delimiter(element, _BARE.unpack(header)[2], implicit=inner)
        if inner:
            length, nested, implicit = _BARE.unpack(header)[2], False, True
        else:
            vr = header[4:6]
            if not (vr.isalpha() and vr.isupper()):
                raise ValueError("no explicit VR")
            if len(header) == _HEADER_BYTES:
                length = _SHORT.unpack(header)[3]
            else:
                [length] = _LENGTH.unpack_from(header, _HEADER_BYTES)
            nested, implicit = vr == b"SQ", vr == b"UN"
        if nested or length == _UNDEFINED:
            self._enter(item=False, length=length, implicit=implicit)
            return _BARE.pack(group, element, _UNDEFINED)
        self._value = length
        return _BARE.pack(group, element, length)

    def _delimiter(self, element: int, length: int, *, implicit: bool) -> bytes:
        if element == _ITEM:
            self._enter(item=True, length=length, implicit=implicit)
            return _BARE.pack(_DELIMITERS, _ITEM, _UNDEFINED)
        if not self._open:
            raise ValueError("a delimiter of nothing")
        return self._closed()

    def _enter(self, *, item: bool, length: int, implicit: bool) -> None:
        if len(self._open) == _MAX_DEPTH:
            raise ValueError("nested too deeply")
        end = None if length == _UNDEFINED else self._position + length
        self._open.append(_Open(item, end, implicit))

    def _closed(self) -> bytes:
        element = _END_OF_ITEM if self._open.pop().item else _END_OF_SEQUENCE
        return _BARE.pack(_DELIMITERS, element, 0)


async def implicit(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Convert a data set as it passes.

    Raises:
        ValueError: It is none that can be converted.
    """
    converter = Implicit()
    async for chunk in chunks:
        yield converter.feed(chunk)
    yield converter.close()
