"""What the tests of this door share: objects put past it, forms, large files, types."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from app.archive import Archive
from app.imaging.ingest import Outcome
from tests.build import dicom

ActingAs = Callable[..., dict[str, str]]

BOUNDARY = "radiograph-form"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
END = f"--{BOUNDARY}--\r\n".encode()
PIECE = 2**16


def part(content: bytes, filename: str = "image.dcm") -> bytes:
    """Write one file of a form, up to the next boundary."""
    return opening(filename) + content + b"\r\n"


def opening(filename: str) -> bytes:
    """Write what stands before a file's bytes."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="files"; filename="{filename}"\r\n'
        "Content-Type: application/dicom\r\n\r\n"
    )
    return head.encode()


def form(*contents: bytes) -> bytes:
    """Write a whole form."""
    return b"".join(part(one) for one in contents) + END


async def pieces(*bodies: bytes | Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give bodies one after the other, in pieces as small as a network's."""
    for body in bodies:
        for one in [body] if isinstance(body, bytes) else body:
            for start in range(0, len(one), PIECE):
                yield one[start : start + PIECE]


def large(frames: int, **keywords: Any) -> Iterator[bytes]:
    """Make an object of 1 MiB a frame (512 by 1024, 16 bits) without ever holding it."""
    size = frames * 2**20
    header = dicom(image=False, **keywords, **_described(frames))
    pixels = b"\xe0\x7f\x10\x00OW\x00\x00" + size.to_bytes(4, "little")
    yield header + pixels
    piece = bytes(range(256)) * (PIECE // 256)
    for _ in range(size // PIECE):
        yield piece


def _described(frames: int) -> dict[str, Any]:
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": frames,
        "Rows": 512,
        "Columns": 1024,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    }


def statuses(results: Sequence[dict[str, object]]) -> list[tuple[object, object]]:
    """Give status and reason of each result."""
    return [(one["status"], one["reason"]) for one in results]


async def put(archive: Archive, *objects: bytes) -> list[Outcome]:
    """Store objects past the doors."""
    return [await archive.ingest.store(pieces(one)) for one in objects]
