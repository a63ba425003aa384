"""Lookup tables as a data set holds them: descriptors, table data in every form, segments."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.layout import BIG_ENDIAN, PixelLayout, Undecodable
from fhir.attributes import Attributes, decimals, tag, values

Bulk = Mapping[tuple[int, int], bytes]
"""Bytes of the object that were read already, by their offset and length."""

_BULK_URI = re.compile(r"\?offset=(\d+)&length=(\d+)")
_WORD_BITS = 16
_BYTE_BITS = 8
_SIGN = 1 << 15
_DISCRETE, _LINEAR, _INDIRECT = range(3)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What the three values of a LUT descriptor say (PS3.3 C.7.6.3.1.5 and C.11.1.1).

    Attributes:
        entries: Number of entries, 65,536 where 0 is written.
        first: Input value of the first entry; inputs below it get that entry too.
        bits: Bits of one entry.
    """

    entries: int
    first: int
    bits: int

    @classmethod
    def read(cls, attributes: Attributes, keyword: str, *, signed: bool) -> "Descriptor":
        """Read a descriptor.

        Args:
            attributes: The data set or item that holds it.
            keyword: Which attribute it is.
            signed: Whether inputs may be negative, so that a first value above 32,767 is.

        Raises:
            Undecodable: It is missing or cannot be.
        """
        numbers = [int(number) for number in decimals(attributes, keyword)]
        if len(numbers) != len(("entries", "first", "bits")):
            raise Undecodable(f"{keyword} does not have three values.")
        count, start, bits = numbers
        if not 1 <= bits <= _WORD_BITS:
            raise Undecodable(f"{keyword} tells of entries that are not 1 to 16 bits.")
        if signed and start >= _SIGN:
            start -= 2 * _SIGN
        # All three values share one VR, so 40,000 entries may look negative.
        return cls(count & 0xFFFF or 0x10000, start, bits)


@dataclass(frozen=True, slots=True, eq=False)
class Lut:
    """A table from whole numbers to whole numbers.

    Attributes:
        first: Input value of the first entry.
        top: The greatest output there can be.
        entries: Outputs, in the order of inputs.
    """

    first: int
    top: int
    entries: NDArray[Any]

    def __call__(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Look inputs up; what is outside gets the first or the last entry."""
        indices = (inputs - float(self.first)).clip(0, len(self.entries) - 1)
        outputs: NDArray[Any] = self.entries.take(np.rint(indices).astype(np.intp))
        return outputs


def read_lut(item: Attributes, layout: PixelLayout, bulk: Bulk) -> Lut:
    """Read an item of the Modality LUT Sequence or of the VOI LUT Sequence.

    Raises:
        Undecodable: The item is incomplete or contradicts itself.
    """
    descriptor = Descriptor.read(item, "LUTDescriptor", signed=layout.signed)
    entries = table(item, "LUTData", descriptor, layout, bulk)
    return Lut(descriptor.first, (1 << descriptor.bits) - 1, entries)


def bulk_range(attributes: Attributes, keyword: str) -> tuple[int, int] | None:
    """Give offset and length, in the object, of a value that is not in the attributes."""
    element = attributes.get(tag(keyword)) or {}
    found = _BULK_URI.search(str(element.get("BulkDataURI", "")))
    return (int(found[1]), int(found[2])) if found else None


def table(
    attributes: Attributes, keyword: str, descriptor: Descriptor, layout: PixelLayout, bulk: Bulk
) -> NDArray[Any]:
    """Read the entries of a table, each in one byte or in one word.

    Raises:
        Undecodable: There are fewer than the descriptor says.
    """
    raw, order = _raw(attributes, keyword, layout, bulk)
    if len(raw) >= 2 * descriptor.entries:
        return _native(raw, order)[: descriptor.entries]
    if descriptor.bits <= _BYTE_BITS and len(raw) >= descriptor.entries:
        return _bytes(raw, order)[: descriptor.entries]
    raise Undecodable(f"{keyword} has fewer entries than its descriptor says.")


def segmented_table(
    attributes: Attributes, keyword: str, descriptor: Descriptor, layout: PixelLayout, bulk: Bulk
) -> NDArray[Any]:
    """Expand the segments of a palette (PS3.3 C.7.9.2).

    Raises:
        Undecodable: They do not make as many entries as the descriptor says.
    """
    raw, order = _raw(attributes, keyword, layout, bulk)
    narrow = descriptor.bits <= _BYTE_BITS
    codes = (_bytes(raw, order) if narrow else _native(raw, order)).tolist()
    entries: list[int] = []
    try:
        _expand(codes, 1 if narrow else 2, entries, descriptor.entries)
    except IndexError as error:
        raise Undecodable(f"{keyword} is cut.") from error
    if len(entries) < descriptor.entries:
        raise Undecodable(f"{keyword} has fewer entries than its descriptor says.")
    return np.array(entries[: descriptor.entries], np.uint16)


def _expand(
    codes: list[int],
    size: int,
    entries: list[int],
    enough: int,
    copied: tuple[int, int] | None = None,
) -> None:
    """Append the entries of all segments, or of some that are copied: their start and number."""
    position, left = copied or (0, len(codes))
    while left and position + 1 < len(codes) and len(entries) < enough:
        kind, length = codes[position], codes[position + 1]
        position, left = position + 2, left - 1
        if kind == _DISCRETE:
            entries.extend(codes[position : position + length])
            position += length
        elif kind == _LINEAR and entries:
            start, end = entries[-1], codes[position]
            rise = np.arange(1, length + 1) * ((end - start) / max(length, 1))
            entries.extend(np.rint(start + rise).astype(int).tolist())
            position += 1
        elif kind == _INDIRECT and copied is None:
            width = 4 // size
            parts = codes[position : position + width]
            offset = sum(part << (8 * size * place) for place, part in enumerate(parts))
            _expand(codes, size, entries, enough, (offset // size, length))
            position += width
        else:
            # A copied segment is no copy itself (PS3.3 C.7.9.2.3), so this ends.
            raise Undecodable("A segmented palette has a segment that cannot be.")


def _raw(
    attributes: Attributes, keyword: str, layout: PixelLayout, bulk: Bulk
) -> tuple[bytes, str]:
    """Give the bytes of a table and the byte order of its words."""
    element = attributes.get(tag(keyword)) or {}
    order = ">" if layout.transfer_syntax == BIG_ENDIAN else "<"
    where = bulk_range(attributes, keyword)
    if where is not None:
        if where not in bulk:
            raise Undecodable(f"{keyword} could not be read.")
        return bulk[where], order
    if "InlineBinary" in element:
        try:
            return b64decode(element["InlineBinary"]), order
        except NotBase64 as error:
            raise Undecodable(f"{keyword} is damaged.") from error
    numbers = [value for value in values(attributes, keyword) if isinstance(value, int)]
    if not numbers:
        raise Undecodable(f"{keyword} is missing.")
    return (np.array(numbers) & 0xFFFF).astype("<u2").tobytes(), "<"


def _native(raw: bytes, order: str) -> NDArray[Any]:
    return np.frombuffer(raw, f"{order}u2", len(raw) // 2).astype(np.uint16, copy=False)


def _bytes(raw: bytes, order: str) -> NDArray[Any]:
    # Entries of one byte come two in a word, the first in the low half.
    return _native(raw + bytes(len(raw) % 2), order).astype("<u2", copy=False).view(np.uint8)
