"""Reads hostile objects under a limit of CPU time, and prints why each is refused and what it took.

Run by tests as `python -m tests.bounds`; each line is a name, a reason or `held`, and the peak
memory in MB. The system ends it when its time is over.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from random import Random
from struct import pack
from typing import Final
from zlib import MAX_WBITS, compressobj

from app.imaging.part10 import Part10Parser, Refused
from tests.hostile import CASES
from tests.imaging.raw import (
    DEFLATED,
    EXPLICIT,
    JPEG,
    PIXELS,
    UNDEFINED,
    element,
    geometry,
    identity,
    item,
    meta,
    nested,
    sequence,
)

CPU_SECONDS: Final = 60
MAX_BYTES: Final = 2**32
PIECE: Final = 65_536

Pieces = Iterator[bytes]


def _opened(*elements: bytes, syntax: str = EXPLICIT) -> bytes:
    return meta(syntax) + identity() + b"".join(elements)


def _many(one: bytes, count: int, start: bytes = b"") -> Pieces:
    yield _opened() + start
    for _ in range(count * len(one) // PIECE):
        yield one * (PIECE // len(one))


def _many_tags(value: bytes) -> Pieces:
    yield _opened()
    for group in range(0x0011, 0x2001, 2):
        tags = (group << 16 | number for number in range(0x1000, 0x10000))
        for some in zip(*[tags] * 64, strict=True):
            yield b"".join(element(tag, "OB", value) for tag in some)


def _long_meta() -> Pieces:
    yield meta()
    for _ in range(10_000):
        yield element(0x00020102, "OB", bytes(1000))


def _inflating(one: bytes, megabytes: int) -> Pieces:
    squeeze = compressobj(9, wbits=-MAX_WBITS)
    yield meta(DEFLATED) + squeeze.compress(identity())
    yield squeeze.compress(element(0x00111001, "UN", length=megabytes << 20))
    for _ in range(megabytes):
        yield squeeze.compress(one)
    yield squeeze.flush()


def _fragments(count: int) -> Pieces:
    yield _opened(geometry(), syntax=JPEG) + element(PIXELS, "OB", item(), length=UNDEFINED)
    one = item(b"\xff\xd8")
    for _ in range(count * len(one) // PIECE + 1):
        yield one * (PIECE // len(one))


def _long_table(bytes_: int) -> Pieces:
    yield _opened(geometry(), syntax=JPEG) + element(PIXELS, "OB", length=UNDEFINED)
    yield pack("<HHI", 0xFFFE, 0xE000, bytes_)
    for _ in range(bytes_ // PIECE):
        yield bytes(PIECE)


def _nested_lengths(depth: int) -> bytes:
    """Write sequences in sequences, each of which says how long it is."""
    content = b""
    for _ in range(depth):
        content = sequence(0x0040A730, item(content))
    return content


def _geometry(rows: int, columns: int, frames: bytes) -> bytes:
    return geometry(rows, columns, 16, 3, frames=frames)


MADE: Final[dict[str, Callable[[], Pieces]]] = {
    "nested 20,000 deep": lambda: iter([_opened(nested(20_000))]),
    "nested 2,000 deep by lengths": lambda: iter([_opened(_nested_lengths(2_000))]),
    "nested inside unknown bytes": lambda: iter(
        [_opened(nested(20_000).replace(b"SQ\0\0", b"UN\0\0"))]
    ),
    "elements without end": lambda: _many(element(0x00111001, "LO"), 20_000_000),
    "items without end": lambda: _many(
        item(), 20_000_000, element(0x0040A730, "SQ", length=UNDEFINED)
    ),
    "values without end": lambda: _many(element(0x00111001, "LO", b"\\" * 1024), 1_000_000),
    "bulk data without end": lambda: _many_tags(bytes(1030)),
    "bomb of zeros": lambda: _inflating(bytes(2**20), 1024),
    "bomb of noise and zeros": lambda: _inflating(
        Random(1).randbytes(2**10) + bytes(2**20 - 2**10), 1024
    ),
    "fragments without end": lambda: _fragments(1_100_000),
    "offset table without end": lambda: _long_table(64 * 2**20),
    "fragment cut off": lambda: iter(
        [
            _opened(geometry(), syntax=JPEG)
            + element(PIXELS, "OB", item(), length=UNDEFINED)
            + pack("<HHI", 0xFFFE, 0xE000, 0x7FFFFFFE)
            + bytes(1000)
        ]
    ),
    "value of 4 GB": lambda: iter([_opened(element(0x00111001, "OB", length=UNDEFINED - 1))]),
    "pixels of 4 GB": lambda: iter(
        [_opened(geometry(), element(PIXELS, "OW", length=UNDEFINED - 1))]
    ),
    "picture of 65,535 squared": lambda: iter(
        [_opened(_geometry(65_535, 65_535, b"2147483647"), element(PIXELS, "OW", bytes(1000)))]
    ),
    "file meta without end": _long_meta,
}
"""What grows without end, or claims to, by name."""


def _in_pieces(data: bytes) -> Pieces:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def _verdict(pieces: Pieces) -> str:
    parser = Part10Parser(max_bytes=MAX_BYTES)
    try:
        for piece in pieces:
            parser.feed(piece)
        parser.close()
    except Refused as refused:
        return refused.reason
    return "held"


def main() -> None:
    """Read all of them."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    cases = {case.name: case.make for case in CASES}
    inputs = {name: (lambda make=make: _in_pieces(make())) for name, make in cases.items()} | MADE
    sys.stdout.write(f"start\tstart\t{_peak()}\n")
    for name, pieces in inputs.items():
        verdict = _verdict(pieces())
        sys.stdout.write(f"{name}\t{verdict}\t{_peak()}\n")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
