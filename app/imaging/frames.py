"""Where each frame lies in a stored object, and how to cut it out of the bytes read there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, Self

_PAIR: Final = Struct("<2q")
_ITEM: Final = Struct("<4sI")
_ITEM_TAG = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Where each frame lies in the stored object.

    Native frames are of equal size, so their place is arithmetic. Encapsulated frames follow each
    other without a gap, so one list of boundaries is enough.

    Attributes:
        count: Frames that are really there; a whole video stream counts as one.
        encapsulated: Whether a frame is a codestream in one or more fragments.
        deflated: Whether offsets count in the object with its data set inflated: the file meta as
            it is stored, then the inflated data set. Readers inflate first.
        video: Whether the one "frame" is an MPEG or HEVC stream of all of them.
        offset: First byte of native pixel data; 0 if encapsulated.
        frame_bits: Bits of one native frame, no padding between frames; 0 if encapsulated.
        bounds: Little-endian int64: the first byte of the first item of each encapsulated frame,
            then the byte after the last frame; empty if native.
    """

    count: int
    encapsulated: bool = False
    deflated: bool = False
    video: bool = False
    offset: int = 0
    frame_bits: int = 0
    bounds: bytes = b""

    def range(self, frame_number: int) -> tuple[int, int]:
        """Give offset and length, in bytes, of the one range that holds a frame.

        Args:
            frame_number: Counts from 1.

        Raises:
            IndexError: There is no such frame.
        """
        if not 1 <= frame_number <= self.count:
            raise IndexError(frame_number)
        if self.encapsulated:
            start, end = _PAIR.unpack_from(self.bounds, (frame_number - 1) * 8)
            return start, end - start
        first = (frame_number - 1) * self.frame_bits
        start, end = first // 8, -(-(first + self.frame_bits) // 8)
        return self.offset + start, end - start

    def extract(self, frame_number: int, data: bytes) -> bytes:
        """Cut a frame out of the bytes of its range.

        Args:
            frame_number: Counts from 1.
            data: Exactly the bytes that `range` names.

        Returns:
            The codestream, or native pixels in the byte order of the object. Frames whose bits do
            not fill whole bytes begin at the lowest bit of the first byte and end with zeros.

        Raises:
            IndexError: There is no such frame.
            ValueError: These are not the bytes of its range.
        """
        _, length = self.range(frame_number)
        if len(data) != length:
            raise ValueError(f"{length} bytes expected, {len(data)} given")
        if self.encapsulated:
            return b"".join(_payloads(data))
        if not self.frame_bits % 8:
            return data
        shift = (frame_number - 1) * self.frame_bits % 8
        bits = int.from_bytes(data, "little") >> shift & (1 << self.frame_bits) - 1
        return bits.to_bytes(-(-self.frame_bits // 8), "little")

    def to_record(self) -> dict[str, Any]:
        """Give what `from_record` needs, in types that BSON has."""
        record: dict[str, Any] = {"count": self.count}
        for name in ("encapsulated", "deflated", "video"):
            if getattr(self, name):
                record[name] = True
        if self.encapsulated:
            return record | {"bounds": self.bounds}
        return record | {"offset": self.offset, "bits": self.frame_bits}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Give the table a record was made of."""
        return cls(
            count=record["count"],
            encapsulated=record.get("encapsulated", False),
            deflated=record.get("deflated", False),
            video=record.get("video", False),
            offset=record.get("offset", 0),
            frame_bits=record.get("bits", 0),
            bounds=bytes(record.get("bounds", b"")),
        )


def _payloads(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        tag, length = _ITEM.unpack_from(data, position)
        position += 8
        if tag != _ITEM_TAG or position + length > len(data):
            raise ValueError("these bytes are not the fragments of a frame")
        yield data[position : position + length]
        position += length
