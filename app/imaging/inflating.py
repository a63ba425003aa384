"""Reads an object whose data set is deflated, in one pass and off the event loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from app.imaging.arriving import meta
from app.imaging.arriving.deflated import Inflater
from app.store.ports import ObjectStore
from fhir.repository import StoredImage

_SPARE_BYTES: Final = 2**20


async def inflated(
    image: StoredImage, objects: ObjectStore, end: int
) -> AsyncIterator[tuple[int, bytes]]:
    """Give the data set piece by piece, each with where it begins, until an end is reached.

    Args:
        image: Whose; places count in the object with its data set inflated.
        objects: Where it lies.
        end: The byte after the last that is needed.

    Raises:
        ObjectMissing: On the first read, if the object is gone.
    """
    head, position = b"", 0
    inflater: Inflater | None = None
    async for stored in objects.get(image.object_key):
        chunk = stored
        if inflater is None:
            head += chunk
            begin = meta.read(head, {}, whole=len(head) == image.size)
            if isinstance(begin, int):
                continue
            # what an object may inflate to was decided when it was stored
            inflater = Inflater(end + _SPARE_BYTES)
            chunk, position = head[begin.end :], begin.end
        pieces = inflater.feed(chunk)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield position, piece
            position += len(piece)
            if position >= end:
                return
