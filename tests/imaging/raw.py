"""DICOM written byte by byte, right or wrong, and read in any pieces."""

from collections.abc import Iterable
from struct import pack

from app.imaging.part10 import Part10, Part10Parser, Refused

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
UNDEFINED = 0xFFFFFFFF
PIXELS = 0x7FE00010

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


def element(
    tag: int,
    vr: str,
    value: bytes = b"",
    *,
    length: int | None = None,
    order: str = "<",
    implicit: bool = False,
) -> bytes:
    """Write one element; `length` lies about its value."""
    length = len(value) if length is None else length
    head = pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + pack(order + "I", length) + value
    if vr in LONG:
        return head + vr.encode() + pack(order + "HI", 0, length) + value
    return head + vr.encode() + pack(order + "H", length) + value


def item(content: bytes = b"", *, undefined: bool = False) -> bytes:
    """Write an item of a sequence, or a fragment."""
    if undefined:
        return pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + content + pack("<HHI", 0xFFFE, 0xE00D, 0)
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


END = pack("<HHI", 0xFFFE, 0xE0DD, 0)


def sequence(tag: int, *items: bytes, vr: str = "SQ", undefined: bool = False) -> bytes:
    """Write a sequence of written items."""
    content = b"".join(items)
    if undefined:
        return element(tag, vr, content + END, length=UNDEFINED)
    return element(tag, vr, content)


def nested(depth: int) -> bytes:
    """Write sequences in sequences."""
    start = pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, UNDEFINED) + item(undefined=True)[:8]
    return start * depth + (pack("<HHI", 0xFFFE, 0xE00D, 0) + END) * depth


def fragments(*contents: bytes, table: bytes = b"", end: bytes = END) -> bytes:
    """Write encapsulated pixel data."""
    content = item(table) + b"".join(item(content) for content in contents)
    return element(PIXELS, "OB", content + end, length=UNDEFINED)


def meta(transfer_syntax: str | None = EXPLICIT, instance: bytes = b"1.2.3.4\0") -> bytes:
    """Write preamble, prefix and file meta information."""
    elements = element(0x00020003, "UI", instance)
    if transfer_syntax is not None:
        uid = transfer_syntax.encode()
        elements += element(0x00020010, "UI", uid + b"\0" * (len(uid) % 2))
    group_length = element(0x00020000, "UL", pack("<I", len(elements)))
    return bytes(128) + b"DICM" + group_length + elements


def identity(
    *,
    order: str = "<",
    implicit: bool = False,
    without: int = 0,
    **uids: bytes,
) -> bytes:
    """Write the four UIDs that every object has; `study` and the like override one."""
    values = {
        0x00080016: uids.get("sop_class", b"1.2.840.10008.5.1.4.1.1.7\0"),
        0x00080018: uids.get("instance", b"1.2.3.4\0"),
        0x0020000D: uids.get("study", b"1.2.3\0"),
        0x0020000E: uids.get("series", b"1.2.3.3\0"),
    }
    return b"".join(
        element(tag, "UI", value, order=order, implicit=implicit)
        for tag, value in values.items()
        if tag != without
    )


def geometry(
    rows: int = 2,
    columns: int = 2,
    bits: int = 8,
    samples: int = 1,
    *,
    frames: bytes | None = None,
    photometric: bytes = b"MONOCHROME2 ",
) -> bytes:
    """Write what the size of a frame follows from."""
    number = b"" if frames is None else element(0x00280008, "IS", frames)
    return b"".join(
        (
            element(0x00280002, "US", pack("<H", samples)),
            element(0x00280004, "CS", photometric),
            number,
            element(0x00280010, "US", pack("<H", rows)),
            element(0x00280011, "US", pack("<H", columns)),
            element(0x00280100, "US", pack("<H", bits)),
        )
    )


def with_elements(*elements: bytes, transfer_syntax: str = EXPLICIT) -> bytes:
    """Write an object of these elements, after its identity."""
    return meta(transfer_syntax) + identity() + b"".join(elements)


def read(data: bytes, sizes: Iterable[int] = ()) -> Part10:
    """Read an object in pieces of these sizes, the rest in one."""
    parser = Part10Parser()
    position = 0
    for size in sizes:
        if position >= len(data):
            break
        parser.feed(data[position : position + size])
        position += size
    parser.feed(data[position:])
    return parser.close()


def refusal(data: bytes) -> str:
    """Give the reason why an object is refused."""
    try:
        read(data)
    except Refused as refused:
        return refused.reason
    raise AssertionError("it was not refused")
