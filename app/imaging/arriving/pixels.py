"""Finds the frames in arriving pixel data, of which only a few bytes a fragment are kept."""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from struct import Struct, unpack_from
from typing import Any, Final

from app.imaging.arriving.refused import Refused
from app.imaging.frames import FrameTable
from fhir.attributes import first, integer

MAX_FRAGMENTS: Final = 1_000_000
"""More do not fit a record of the database, which needs eight bytes for each frame."""

FEWER: Final = "fewer frames are there than declared"
MORE: Final = "more frames are there than declared"
LEFT_OVER: Final = "pixel data is longer than its frames"
NO_GEOMETRY: Final = "the size of a frame is not known"
NOT_SPLIT: Final = "frames cannot be told apart"
NO_DELIMITER: Final = "the end of the pixel data is not marked"
WRONG_TABLE: Final = "the offset table does not fit the fragments"

_VIDEO = frozenset(
    f"1.2.840.10008.1.2.4.{number}{suffix}" for number in range(100, 109) for suffix in ("", ".1")
)
_ITEM = Struct("<HHI")
_OFFSET = Struct("<I")
_MAX_TABLE_BYTES = 4 * MAX_FRAGMENTS
_HEAD = 12
# How codestreams begin: JPEG and JPEG-LS, JPEG 2000 and HTJ2K bare and boxed, JPEG XL bare and
# boxed. Entropy-coded JPEG data cannot hold the first.
_STARTS = (
    b"\xff\xd8\xff",
    b"\xff\x4f\xff\x51",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n",
)
_ITEM_BYTES = 8
_COLOURS = 3
_PADDING_BITS = 16
_TAIL = 3
_UNDEFINED = 0xFFFFFFFF
_RLE_SEGMENTS = range(1, 16)
_RLE_HEADER = 64
_SAMPLE_BITS = {0x7FE00008: 32, 0x7FE00009: 64}


def is_video(transfer_syntax: str) -> bool:
    """Say whether the pixel data of a transfer syntax is one MPEG or HEVC stream."""
    return transfer_syntax in _VIDEO


class NativePixels:
    """Counts the bytes of native pixel data."""

    def __init__(self, offset: int, length: int) -> None:
        self._offset = offset
        self._length = length
        self._missing = length

    def feed(self, chunk: bytes) -> bytes | None:
        """Take bytes; give what follows the pixel data once it is complete."""
        if len(chunk) < self._missing:
            self._missing -= len(chunk)
            return None
        rest = chunk[self._missing :]
        self._missing = 0
        return rest

    def close(self) -> None:
        """End the object here.

        Raises:
            Refused: Pixel data is missing.
        """
        if self._missing:
            raise Refused("truncated", "Pixel data is shorter than its length; send it whole.")

    def table(
        self, tag: int, attributes: Mapping[str, Any], notes: dict[str, None], *, deflated: bool
    ) -> FrameTable:
        """Give the frames that fit what is there, and no more than declared."""
        pixels = _frame_pixels(attributes)
        bits = pixels * _SAMPLE_BITS.get(tag, integer(attributes, "BitsAllocated") or 0)
        if tag not in _SAMPLE_BITS:
            samples = integer(attributes, "SamplesPerPixel") or 1
            bits *= samples
        declared = _declared(attributes)
        available = self._length * 8
        if (
            first(attributes, "PhotometricInterpretation") == "YBR_FULL_422"
            and integer(attributes, "SamplesPerPixel") == _COLOURS
            and available < bits * declared
        ):
            # PS3.3 C.7.6.3.1.2: every other chrominance sample is left out; some writers do not.
            bits = bits * 2 // 3
        if bits <= 0:
            notes[NO_GEOMETRY] = None
            return FrameTable(0, deflated=deflated, offset=self._offset)
        count = min(declared, available // bits)
        if count < declared:
            notes[FEWER] = None
        elif available - count * bits >= _PADDING_BITS:
            notes[LEFT_OVER] = None
        return FrameTable(count, deflated=deflated, offset=self._offset, frame_bits=bits)


def _frame_pixels(attributes: Mapping[str, Any]) -> int:
    rows, columns = integer(attributes, "Rows"), integer(attributes, "Columns")
    return rows * columns if rows and columns and rows > 0 and columns > 0 else 0


def _declared(attributes: Mapping[str, Any]) -> int:
    return max(integer(attributes, "NumberOfFrames") or 1, 1)


class EncapsulatedPixels:
    """Follows the fragments of encapsulated pixel data as they arrive."""

    def __init__(self, offset: int) -> None:
        self._position = offset
        self._starts = array("q")
        self._marks = bytearray()
        self._header = b""
        self._left = 0
        self._head = b""
        self._tail = b""
        self._table: bytearray | None = None
        self._in_table = False
        self._done = False

    def feed(self, chunk: bytes) -> bytes | None:
        """Take bytes; give what follows the pixel data once its end is reached.

        Raises:
            Refused: Something else than fragments is there.
        """
        if self._done:
            return chunk
        position = 0
        while position < len(chunk):
            if self._left:
                taken = min(self._left, len(chunk) - position)
                self._take(chunk, position, taken)
                position += taken
                continue
            header = self._header + chunk[position : position + _ITEM_BYTES - len(self._header)]
            position += len(header) - len(self._header)
            self._header = header
            if len(header) == _ITEM_BYTES:
                self._header = b""
                self._position += _ITEM_BYTES
                if not self._open(*_ITEM.unpack(header)):
                    return chunk[position:]
        return None

    def _open(self, group: int, number: int, length: int) -> bool:
        if (group, number) == (0xFFFE, 0xE0DD):
            self._done = True
            return False
        if (group, number) != (0xFFFE, 0xE000) or length == _UNDEFINED:
            raise Refused("malformed", "Pixel data holds something other than fragments.")
        if self._table is None:
            self._table = bytearray()
            self._in_table = bool(length)
        else:
            if len(self._starts) == MAX_FRAGMENTS:
                raise Refused("too-large", f"Pixel data has more than {MAX_FRAGMENTS} fragments.")
            self._starts.append(self._position - _ITEM_BYTES)
            self._marks.append(0)
            self._head = self._tail = b""
        self._left = length
        return True

    def _take(self, chunk: bytes, position: int, taken: int) -> None:
        self._position += taken
        self._left -= taken
        end = position + taken
        if self._in_table:
            if self._table is not None and len(self._table) < _MAX_TABLE_BYTES:
                self._table += chunk[position:end]
            self._in_table = bool(self._left)
            return
        if len(self._head) < _HEAD:
            self._head += chunk[position : min(end, position + _HEAD - len(self._head))]
        if self._left < _TAIL:
            self._tail = (self._tail + chunk[max(position, end - _TAIL) : end])[-_TAIL:]
            if not self._left:
                self._marks[-1] = _begins(self._head) | _ends(self._tail) << 1

    def close(self, notes: dict[str, None]) -> None:
        """End the object here.

        Raises:
            Refused: A fragment, or the header of one, is cut.
        """
        if self._left or self._header:
            raise Refused("truncated", "The object ends inside a fragment; send it whole.")
        if not self._done:
            notes[NO_DELIMITER] = None

    def table(
        self,
        transfer_syntax: str,
        attributes: Mapping[str, Any],
        notes: dict[str, None],
        *,
        deflated: bool,
    ) -> FrameTable:
        """Give the frames that are there, found by their codestreams before any offset table."""
        video = is_video(transfer_syntax)
        declared = 1 if video else _declared(attributes)
        count = len(self._starts)
        firsts = self._firsts(declared, notes) if count and not video else [0] if count else []
        if len(firsts) < declared and NOT_SPLIT not in notes:
            if not self._done:
                raise Refused("truncated", "The object ends before its last frame; send it whole.")
            notes[FEWER] = None
        elif len(firsts) > declared:
            notes[MORE] = None
        end = self._position - (_ITEM_BYTES if self._done else 0)
        bounds = array("q", (self._starts[index] for index in firsts))
        bounds.append(end)
        if sys.byteorder == "big":
            bounds.byteswap()
        return FrameTable(
            len(firsts),
            encapsulated=True,
            deflated=deflated,
            video=video,
            bounds=bounds.tobytes() if firsts else b"",
        )

    def _firsts(self, declared: int, notes: dict[str, None]) -> Sequence[int]:
        """Give the index of the first fragment of each frame."""
        count = len(self._starts)
        marks = self._marks
        begun = array("I", (index for index, mark in enumerate(marks) if mark & 1))
        if begun and not begun[0]:
            if len(begun) > declared:
                # A fragment may begin by chance like a codestream, not after the end of one.
                begun = array("I", (i for i in begun if not i or marks[i - 1] & 2))
            elif len(begun) < declared == count:
                begun = array("I", (i for i in range(count) if self._may_begin(i)))
            if self._offsets() not in (None, begun):
                notes[WRONG_TABLE] = None
            return begun
        if count <= declared:
            return range(count)
        if declared == 1:
            return range(1)
        offsets = self._offsets()
        if offsets is not None and len(offsets) == declared:
            return offsets
        notes[NOT_SPLIT] = None
        return range(0)

    def _may_begin(self, index: int) -> bool:
        return not index or bool(self._marks[index] & 1 or self._marks[index - 1] & 2)

    def _offsets(self) -> "array[int] | None":
        """Give the basic offset table as indices of fragments; empty if it points elsewhere."""
        if not self._table or not self._starts:
            return None
        found = array("I")
        for (offset,) in _OFFSET.iter_unpack(self._table[: len(self._table) // 4 * 4]):
            start = self._starts[0] + offset
            index = bisect_left(self._starts, start)
            if index == len(self._starts) or self._starts[index] != start:
                return array("I")
            found.append(index)
        ascending = found and not found[0] and all(a < b for a, b in pairwise(found))
        return found if ascending else array("I")


def _begins(head: bytes) -> int:
    if head.startswith(_STARTS):
        return 1
    if len(head) < _ITEM_BYTES:
        return 0
    # RLE: 1 to 15 segments, the first of which follows the header of 64 bytes (PS3.5 G.5).
    segments, offset = unpack_from("<2I", head)
    return int(segments in _RLE_SEGMENTS and offset == _RLE_HEADER)


def _ends(tail: bytes) -> int:
    # A codestream of odd length is padded by one byte.
    return int(tail.endswith(b"\xff\xd9") or tail[:2] == b"\xff\xd9")
