"""The way from a stored instance to one of its frames: as stored, uncompressed, or as a picture."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.imaging.arriving import meta
from app.imaging.arriving.deflated import Inflater
from app.imaging.decode import decode
from app.imaging.frames import FrameTable
from app.imaging.layout import BIG_ENDIAN, PixelLayout, Undecodable
from app.imaging.lut import Bulk
from app.imaging.render import bulk_ranges, render
from app.imaging.windows import Window
from app.store.ports import ObjectMissing, ObjectStore
from fhir.errors import NotFound
from fhir.repository import StoredImage

MAX_FRAME_BYTES: Final = 2**28
"""A longer frame is not read: whoever wants it retrieves the instance, which is streamed."""

_MAX_TABLE_BYTES = 2**20
_EXPLICIT = "1.2.840.10008.1.2.1"
_ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
_BYTE_BITS = 8
# More frames are read ahead than are decoded, so that slow storage leaves no worker idle.
_READ_AHEAD = 4
Range = tuple[int, int]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Rendering:
    """What kind of picture is wanted; see `app.imaging.render.render`."""

    media_type: str = "image/jpeg"
    window: Window | None = None
    size: tuple[int, int] | None = None
    quality: int = 85


def frame_table(image: StoredImage, numbers: Sequence[int] = ()) -> FrameTable:
    """Give an instance's frame table, which has these frames.

    Args:
        image: The instance.
        numbers: Frame numbers, counted from 1.

    Raises:
        NotFound: There is no pixel data, or a frame of it is not there.
    """
    if image.frames is None:
        raise NotFound("This instance has no pixel data.")
    table = FrameTable.from_record(image.frames)
    if not table.count:
        raise NotFound("The pixel data of this instance cannot be told apart into frames.")
    if any(not 1 <= number <= table.count for number in numbers):
        there = "1 frame" if table.count == 1 else f"{table.count} frames"
        raise NotFound(f"This instance has {there}, and not all that are asked for.")
    return table


class Pictures:
    """Reads frames from storage, decodes and renders a bounded number of them at a time.

    Every method may raise `NotFound` (no such frame, or its bytes are gone) and `Undecodable`
    (no image can be made of it, or it is longer than `MAX_FRAME_BYTES`).
    """

    def __init__(self, objects: ObjectStore, workers: int) -> None:
        self._objects = objects
        self._workers = asyncio.Semaphore(workers)
        self._places = asyncio.Semaphore(workers * _READ_AHEAD)

    async def stored(self, image: StoredImage, frame_number: int) -> bytes:
        """Give a frame as it is: its codestream, or native pixels in the object's byte order."""
        table = frame_table(image, (frame_number,))
        [data] = await self._read(image, table, [_checked(table.range(frame_number))])
        return table.extract(frame_number, data)

    async def native(self, image: StoredImage, frame_number: int) -> bytes:
        """Give a frame as Explicit VR Little Endian has it.

        Compressed colour comes in RGB, colour by pixel. Frames of 1 bit are packed, the first
        pixel lowest (PS3.5 8.1.1).
        """
        table = frame_table(image, (frame_number,))
        if not table.encapsulated and image.transfer_syntax != BIG_ENDIAN:
            return await self.stored(image, frame_number)
        layout = PixelLayout.read(image.attributes, _syntax(image))
        async with self._places:
            frame = await self.stored(image, frame_number)
            if image.transfer_syntax == _ENCAPSULATED_NATIVE:
                # A fragment has an even length, a frame need not have one.
                return frame[: -(-layout.samples * layout.bits_allocated // _BYTE_BITS)]
            if not table.encapsulated:
                return await self._work(lambda: _swapped(frame, layout))
            return await self._work(lambda: _little_endian(decode(frame, layout)))

    async def rendered(self, image: StoredImage, frame_number: int, rendering: Rendering) -> bytes:
        """Give a picture of a frame.

        Raises:
            NotAcceptable: It cannot be had in this media type.
            Invalid: The rendering asks for what cannot be.
        """
        table = frame_table(image, (frame_number,))
        # Rows and Columns that cannot be are refused before a byte is read.
        PixelLayout.read(image.attributes, _syntax(image))
        tables = [_table(one) for one in bulk_ranges(image.attributes, frame_number)]
        where = _checked(table.range(frame_number))
        async with self._places:
            data, *extra = await self._read(image, table, [where, *tables])
            bulk: Bulk = dict(zip(tables, extra, strict=True))
            return await self._work(
                lambda: render(
                    table.extract(frame_number, data),
                    image.attributes,
                    _syntax(image),
                    frame_number=frame_number,
                    media_type=rendering.media_type,
                    window=rendering.window,
                    size=rendering.size,
                    quality=rendering.quality,
                    bulk=bulk,
                )
            )

    async def _work(self, work: Callable[[], Result]) -> Result:
        """Work in a thread; its place is free again when the thread is, not when we are."""
        await self._workers.acquire()
        running = asyncio.ensure_future(asyncio.to_thread(work))
        running.add_done_callback(self._finished)
        return await asyncio.shield(running)

    def _finished(self, running: "asyncio.Future[Any]") -> None:
        self._workers.release()
        if not running.cancelled():
            running.exception()  # seen: whoever waited may have left

    async def _read(
        self, image: StoredImage, table: FrameTable, ranges: Sequence[Range]
    ) -> list[bytes]:
        """Read ranges, offset and length each, with one access to storage for each."""
        try:
            if table.deflated:
                return await self._inflated(image, ranges)
            reads = (
                self._objects.read(image.object_key, start, start + length)
                for start, length in ranges
            )
            return await asyncio.gather(*reads)
        except ObjectMissing as error:
            raise NotFound("The bytes of this instance are gone: it is being deleted.") from error

    async def _inflated(self, image: StoredImage, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges of an object whose data set is deflated, in one pass over it."""
        wanted = _Wanted(ranges, image.size)
        async for chunk in self._objects.get(image.object_key):
            await asyncio.to_thread(wanted.feed, chunk)
            if wanted.complete:
                break
        return wanted.found


class _Wanted:
    """Keeps some ranges of an inflating object, and nothing else of it."""

    def __init__(self, ranges: Sequence[Range], size: int) -> None:
        self._ranges = ranges
        self._found = [bytearray() for _ in ranges]
        self._end = max(start + length for start, length in ranges)
        self._head = b""
        self._size = size
        self._position = 0
        self._inflater: Inflater | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing more is needed."""
        return self._position >= self._end

    @property
    def found(self) -> list[bytes]:
        """The ranges, as far as they are there."""
        return [bytes(one) for one in self._found]

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the object as it is stored."""
        if self._inflater is None:
            self._head += chunk
            start = meta.read(self._head, {}, whole=len(self._head) == self._size)
            if isinstance(start, int):
                return
            # What an object may inflate to was decided when it was stored.
            self._inflater = Inflater(self._end + 2**20)
            chunk, self._head, self._position = self._head[start.end :], b"", start.end
        for piece in self._inflater.feed(chunk):
            self._keep(piece)
            if self.complete:
                return

    def _keep(self, piece: bytes) -> None:
        begin, end = self._position, self._position + len(piece)
        for (start, length), kept in zip(self._ranges, self._found, strict=True):
            first, last = max(start, begin), min(start + length, end)
            if first < last:
                kept.extend(piece[first - begin : last - begin])
        self._position = end


def _checked(where: Range) -> Range:
    if where[1] > MAX_FRAME_BYTES:
        raise Undecodable(f"A frame of more than {MAX_FRAME_BYTES} bytes is not served alone.")
    return where


def _table(where: Range) -> Range:
    if where[1] > _MAX_TABLE_BYTES:
        raise Undecodable("A lookup table is longer than one can be.")
    return where


def _syntax(image: StoredImage) -> str:
    syntax = image.transfer_syntax
    return _EXPLICIT if syntax == _ENCAPSULATED_NATIVE else syntax


def _little_endian(pixels: NDArray[Any]) -> bytes:
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


def _swapped(frame: bytes, layout: PixelLayout) -> bytes:
    word = 2 if layout.swapped else layout.bits_allocated // _BYTE_BITS
    if word <= 1 or len(frame) % word:
        return frame
    return np.frombuffer(frame, f"u{word}").byteswap().tobytes()
