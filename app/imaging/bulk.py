"""Bulk data on its way out of a stored object: byte for byte, in little endian (PS3.18 8.7.3.3)."""

from collections.abc import AsyncIterator
from typing import Final

import numpy as np

from app.imaging.arriving.dataset import DEFLATED
from app.imaging.deidentify import Outgoing, sliced
from app.imaging.frames import FrameTable
from app.imaging.inflating import inflated
from app.imaging.layout import BIG_ENDIAN, Undecodable
from app.imaging.pictures import Pictures
from app.imaging.writing import WORD_BYTES
from app.store.ports import ObjectStore
from fhir.attributes import Attributes, integer
from fhir.repository import StoredImage

_BYTE_BITS: Final = 8
_BITS: Final = "00280100"


def value(
    image: StoredImage,
    objects: ObjectStore,
    vr: str,
    offset: int,
    start: int,
    end: int,
) -> AsyncIterator[bytes]:
    """Stream bytes [start, end) of a value.

    Args:
        image: Whose; offsets count in the object, inflated if its syntax deflates.
        objects: Where it lies.
        vr: Of the value, which says in what words it is swapped where it is big endian.
        offset: Of the value in the object.
        start: Zero-based, in the value.
        end: The byte after the last.

    Raises:
        ObjectMissing: On the first read, if the object is gone.
    """
    word = WORD_BYTES.get(vr, 1) if image.transfer_syntax == BIG_ENDIAN else 1
    first, last = start - start % word, end + -end % word
    chunks = _stored(image, objects, offset + first, offset + last)
    if word == 1:
        return chunks
    return sliced(_swapped(chunks, word), start - first, end - first)


def native_pixels(image: StoredImage) -> tuple[int, int] | None:
    """Say where the value of native pixel data lies, offset and length in bytes.

    None where it has to be made frame by frame.
    """
    table = FrameTable.from_record(image.frames or {"count": 0})
    if not table.count or table.encapsulated or image.transfer_syntax == BIG_ENDIAN:
        return None
    return table.offset, -(-table.count * table.frame_bits // _BYTE_BITS)


async def decoded_pixels(image: StoredImage, pictures: Pictures) -> Outgoing:
    """Make the value of pixel data in Explicit VR Little Endian, a frame at a time.

    Raises:
        Undecodable: The first frame cannot be decoded, or frames cannot be joined.
    """
    count = FrameTable.from_record(image.frames or {"count": 0}).count
    first = await pictures.native(image, 1)
    pixels = _pixels_of_a_frame(image.attributes)
    if count > 1 and image.attributes.get(_BITS, {}).get("Value") == [1] and pixels % _BYTE_BITS:
        raise Undecodable("Frames that do not fill whole bytes are given one by one.")
    size = len(first) * count
    return Outgoing(size + size % 2, _decoded(image, pictures, first, count))


async def _decoded(
    image: StoredImage, pictures: Pictures, first: bytes, count: int
) -> AsyncIterator[bytes]:
    yield first
    for number in range(2, count + 1):
        frame = await pictures.native(image, number)
        if len(frame) != len(first):
            raise Undecodable("A frame has another size than the first.")
        yield frame
    yield bytes(len(first) * count % 2)


def _pixels_of_a_frame(attributes: Attributes) -> int:
    return (integer(attributes, "Rows") or 0) * (integer(attributes, "Columns") or 0)


async def _stored(
    image: StoredImage, objects: ObjectStore, start: int, end: int
) -> AsyncIterator[bytes]:
    if image.transfer_syntax in DEFLATED:
        chunks = _inflated(image, objects, start, end)
    else:
        chunks = objects.get(image.object_key, start, end)
    missing = end - start
    async for chunk in chunks:
        missing -= len(chunk)
        yield chunk
    if missing:
        raise EOFError("a stored object is shorter than its header says")


async def _inflated(
    image: StoredImage, objects: ObjectStore, start: int, end: int
) -> AsyncIterator[bytes]:
    async for position, piece in inflated(image, objects, end):
        if wanted := piece[max(start - position, 0) : max(end - position, 0)]:
            yield wanted


async def _swapped(chunks: AsyncIterator[bytes], word: int) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % word
        rest = data[whole:]
        yield np.frombuffer(data[:whole], f">u{word}").astype(f"<u{word}").tobytes()
    yield rest
