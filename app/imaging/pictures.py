"""The way from a stored instance to one of its frames: as stored, uncompressed, or as a picture."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from app.cache.ranges import Ranges
from app.imaging.arriving.dataset import DEFLATED
from app.imaging.decode import decode, decode_exactly
from app.imaging.encode import JPEG, QUALITY, encode, native
from app.imaging.frames import FrameTable
from app.imaging.inflating import inflated
from app.imaging.layout import BIG_ENDIAN, PixelLayout, Undecodable
from app.imaging.lut import Bulk
from app.imaging.render import Rendering, bulk_ranges, profile_ranges, render
from app.store.ports import ObjectMissing, ObjectStore
from fhir.attributes import integer
from fhir.errors import NotFound
from fhir.repository import StoredImage

MAX_FRAME_BYTES: Final = 2**28
"""A longer frame is not read: whoever wants it retrieves the instance, which is streamed."""

MAX_SPAN_BYTES: Final = 2**23
"""Frames of a list that are near each other are read together up to this."""

# Reading so much for nothing takes no longer than asking once more.
_GAP_BYTES = 2**16
_MAX_TABLE_BYTES = 2**20
_EXPLICIT = "1.2.840.10008.1.2.1"
_ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
_BYTE_BITS = 8
# From a value representation in Explicit VR to the value: itself, two reserved bytes, the length.
_AFTER_TAG = 8
# More frames are read ahead than are decoded, so that slow storage leaves no worker idle.
_READ_AHEAD = 4
Range = tuple[int, int]
Result = TypeVar("Result")


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
    (no image can be made of it, or it is longer than `MAX_FRAME_BYTES`). Those for several frames
    give them in the order they are asked for, and may raise when a frame is due.
    """

    def __init__(self, objects: ObjectStore, workers: int, ranges: Ranges | None = None) -> None:
        """Read from a store, through what was read and made before if there is a cache of that."""
        self._objects = objects
        self._ranges = ranges
        self._count = workers
        self._workers = asyncio.Semaphore(workers)
        self._places = asyncio.Semaphore(workers * _READ_AHEAD)

    async def stored(self, image: StoredImage, frame_number: int) -> bytes:
        """Give a frame as it is: its codestream, or native pixels in the object's byte order."""
        table = frame_table(image, (frame_number,))
        [data] = await self._read(image, [_checked(table.range(frame_number))])
        return table.extract(frame_number, data)

    async def stored_each(
        self, image: StoredImage, numbers: Sequence[int]
    ) -> AsyncGenerator[bytes, None]:
        """Give frames as they are; neighbours are read together."""
        table = frame_table(image, numbers)
        for together in _neighbours(table, numbers):
            ranges = [table.range(number) for number in together.numbers]
            for number, data in zip(
                together.numbers, await self._read_near(image, ranges), strict=True
            ):
                yield table.extract(number, data)

    async def native(self, image: StoredImage, frame_number: int) -> bytes:
        """Give a frame as Explicit VR Little Endian has it.

        Compressed colour comes in RGB, colour by pixel. Frames of 1 bit are packed, the first
        pixel lowest (PS3.5 8.1.1).
        """
        if _is_little_endian(image):
            return await self.stored(image, frame_number)
        frame_table(image, (frame_number,))
        work = _to_native(image)
        async with self._places:
            frame = await self._in_order(image, frame_number)
            return await self._work(lambda: work(frame))

    def native_each(
        self, image: StoredImage, numbers: Sequence[int]
    ) -> AsyncGenerator[bytes, None]:
        """Give frames as `native` does."""
        if _is_little_endian(image):
            return self.stored_each(image, numbers)
        return self.worked_each(image, numbers, _to_native(image))

    async def encoded(
        self, image: StoredImage, frame_number: int, syntax: str, quality: int = QUALITY
    ) -> bytes:
        """Give a frame in another transfer syntax, one of `app.imaging.encode.encodings`."""
        [frame] = [one async for one in self.encoded_each(image, (frame_number,), syntax, quality)]
        return frame

    def encoded_each(
        self, image: StoredImage, numbers: Sequence[int], syntax: str, quality: int = QUALITY
    ) -> AsyncGenerator[bytes, None]:
        """Give frames in another transfer syntax, one of `app.imaging.encode.encodings`."""
        layout = PixelLayout.read(image.attributes, pixel_syntax(image))
        return self.worked_each(
            image, numbers, lambda frame: encoded(frame, layout, syntax, quality)[0]
        )

    async def worked_each(
        self, image: StoredImage, numbers: Sequence[int], work: Callable[[bytes], Result]
    ) -> AsyncGenerator[Result, None]:
        """Give what a function makes of the stored bytes of each frame, in a thread.

        Bytes that big endian words hold the wrong way round are in order. As many frames are
        worked on at the same time as there are workers.
        """
        ahead: deque[asyncio.Task[Result]] = deque()
        frames = self._in_order_each(image, numbers)
        try:
            async for frame in frames:
                ahead.append(asyncio.create_task(self._placed(work, frame)))
                if len(ahead) >= self._count:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            await frames.aclose()
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def rendered(self, image: StoredImage, frame_number: int, rendering: Rendering) -> bytes:
        """Give a picture of a frame.

        Raises:
            NotAcceptable: It cannot be had in this media type.
            Invalid: The rendering asks for what cannot be.
        """
        if self._ranges is None or rendering.lines:  # text is of one caller's reading
            return await self._rendered(image, frame_number, rendering)
        return await self._ranges.picture(
            image,
            frame_number,
            rendering,
            lambda: self._rendered(image, frame_number, rendering),
        )

    async def holds(self, image: StoredImage, frame_number: int) -> bool:
        """Say whether a frame is in the cache."""
        where = frame_table(image, (frame_number,)).range(frame_number)
        return self._ranges is not None and await self._ranges.holds(image, where)

    async def fetch(self, image: StoredImage, frame_number: int, rule: str) -> None:
        """Put a frame into the cache, if there is one.

        Args:
            image: Whose pixels the caller may have.
            frame_number: Counts from 1.
            rule: The prefetch rule that wants it.
        """
        where = _checked(frame_table(image, (frame_number,)).range(frame_number))
        if self._ranges is not None:
            await self._ranges.fetch(image, where, lambda some: self._load(image, some), rule)

    async def _rendered(self, image: StoredImage, frame_number: int, rendering: Rendering) -> bytes:
        table = frame_table(image, (frame_number,))
        # Rows and Columns that cannot be are refused before a byte is read.
        layout = PixelLayout.read(image.attributes, pixel_syntax(image))
        tables = [_table(one) for one in bulk_ranges(image.attributes, frame_number)]
        if rendering.profile != "no":
            tables += [_table(one) for one in profile_ranges(image.attributes)]
        where = _checked(table.range(frame_number))
        async with self._places:
            data, *extra = await self._read(image, [where, *tables])
            bulk: Bulk = dict(zip(tables, extra, strict=True))
            if _may_be_swapped(image):
                frame = await self._in_order(image, frame_number)
            else:
                frame = table.extract(frame_number, data)
            return await self._work(
                lambda: render(
                    frame,
                    image.attributes,
                    layout,
                    rendering,
                    frame_number=frame_number,
                    bulk=bulk,
                )
            )

    async def _in_order(self, image: StoredImage, frame_number: int) -> bytes:
        if not _may_be_swapped(image):
            return await self.stored(image, frame_number)
        [frame] = [one async for one in self._in_order_each(image, (frame_number,))]
        return frame

    async def _in_order_each(
        self, image: StoredImage, numbers: Sequence[int]
    ) -> AsyncGenerator[bytes, None]:
        """Give frames as they are, but bytes that are swapped in words (PS3.5 8.1.1) in order."""
        table = frame_table(image, numbers)
        swapped = False
        if _may_be_swapped(image):
            [vr] = await self._read(image, [(table.offset - _AFTER_TAG, 2)])
            swapped = vr == b"OW"
        if not swapped:
            async for frame in self.stored_each(image, numbers):
                yield frame
            return
        for number in numbers:
            begin, length = _checked(table.range(number))
            before = (begin - table.offset) % 2
            words = -(-(before + length) // 2)
            [data] = await self._read(image, [(begin - before, 2 * words)])
            turned = np.frombuffer(data.ljust(2 * words, b"\0"), "u2").byteswap().tobytes()
            yield table.extract(number, turned[before : before + length])

    async def part(self, image: StoredImage, start: int, length: int) -> bytes:
        """Give bytes of an object, at most `MAX_FRAME_BYTES`, counted as its frame table counts."""
        [data] = await self._read(image, [_checked((start, length))])
        return data

    async def _placed(self, work: Callable[[bytes], Result], frame: bytes) -> Result:
        async with self._places:
            return await self._work(lambda: work(frame))

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

    async def _read(self, image: StoredImage, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges, offset and length each."""
        if self._ranges is None:
            return await self._load(image, ranges)
        return await self._ranges.read(image, ranges, lambda some: self._load(image, some))

    async def _read_near(self, image: StoredImage, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges that are near each other; what has to be loaded is loaded in one piece."""

        async def load(some: Sequence[Range]) -> list[bytes]:
            start = min(begin for begin, _ in some)
            end = max(begin + length for begin, length in some)
            [data] = await self._load(image, [(start, end - start)])
            if len(some) == 1:
                return [data]
            return [data[begin - start : begin - start + length] for begin, length in some]

        if self._ranges is None:
            return await load(ranges)
        return await self._ranges.read(image, ranges, load)

    async def _load(self, image: StoredImage, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges with one access to storage for each."""
        try:
            if image.transfer_syntax in DEFLATED:
                return await self._inflated(image, ranges)
            if len(ranges) == 1:
                [(start, length)] = ranges
                return [await self._objects.read(image.object_key, start, start + length)]
            reads = (
                self._objects.read(image.object_key, start, start + length)
                for start, length in ranges
            )
            return await asyncio.gather(*reads)
        except ObjectMissing as error:
            raise NotFound("The bytes of this instance are gone: it is being deleted.") from error

    async def _inflated(self, image: StoredImage, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges of an object whose data set is deflated, in one pass over it."""
        found = [bytearray() for _ in ranges]
        end = max(start + length for start, length in ranges)
        async for position, piece in inflated(image, self._objects, end):
            for (start, length), kept in zip(ranges, found, strict=True):
                kept.extend(piece[max(start - position, 0) : max(start + length - position, 0)])
        return [bytes(one) for one in found]


@dataclass(slots=True)
class _Together:
    """Frames that are read in one piece, in the order they are asked for."""

    numbers: list[int]
    start: int
    end: int

    @property
    def span(self) -> int:
        return self.end - self.start


def _neighbours(table: FrameTable, numbers: Sequence[int]) -> Iterator[_Together]:
    """Divide frames into those that are read together: near each other, and not too many bytes."""
    together: _Together | None = None
    asked = 0
    for number in numbers:
        begin, length = _checked(table.range(number))
        end = begin + length
        if together is not None:
            start, last = min(together.start, begin), max(together.end, end)
            # frames that are asked for twice are read once
            if last - start <= MAX_SPAN_BYTES and last - start - asked - length <= _GAP_BYTES:
                together.numbers.append(number)
                together.start, together.end = start, last
                asked += length
                continue
            yield together
        together, asked = _Together([number], begin, end), length
    if together is not None:
        yield together


def encoded(
    frame: bytes, layout: PixelLayout, syntax: str, quality: int = QUALITY
) -> tuple[bytes, str]:
    """Decode a frame and encode it in another transfer syntax.

    Args:
        frame: Native pixels in the byte order of the transfer syntax, or one whole codestream.
        layout: Of its instance.
        syntax: One of `app.imaging.encode.encodings`.
        quality: 1 to 100, JPEG only.

    Returns:
        The codestream, and the photometric interpretation of the values that were encoded.

    Raises:
        Undecodable: It cannot be decoded, or not encoded so.
    """
    if syntax == JPEG:
        values, interpretation = decode(frame, layout), "RGB"
        if layout.samples_per_pixel == 1:
            interpretation = layout.photometric_interpretation
    else:
        values, interpretation = decode_exactly(frame, layout)
    return encode(values, interpretation, layout, syntax, quality), interpretation


def _checked(where: Range) -> Range:
    if where[1] > MAX_FRAME_BYTES:
        raise Undecodable(f"A frame of more than {MAX_FRAME_BYTES} bytes is not served alone.")
    return where


def _table(where: Range) -> Range:
    if where[1] > _MAX_TABLE_BYTES:
        raise Undecodable("A lookup table is longer than one can be.")
    return where


def _may_be_swapped(image: StoredImage) -> bool:
    """Say whether bytes may be held in words the wrong way round: that the element itself tells."""
    bits = integer(image.attributes, "BitsAllocated") or 0
    return image.transfer_syntax == BIG_ENDIAN and bits <= _BYTE_BITS


def pixel_syntax(image: StoredImage) -> str:
    """Give the transfer syntax that frames are encoded in, once they are cut out."""
    syntax = image.transfer_syntax
    return _EXPLICIT if syntax == _ENCAPSULATED_NATIVE else syntax


def _is_little_endian(image: StoredImage) -> bool:
    """Say whether frames are stored as Explicit VR Little Endian has them."""
    table = frame_table(image)
    return not table.encapsulated and image.transfer_syntax != BIG_ENDIAN


def _to_native(image: StoredImage) -> Callable[[bytes], bytes]:
    """Give what makes native little-endian pixels of the stored bytes of a frame."""
    layout = PixelLayout.read(image.attributes, pixel_syntax(image))
    if image.transfer_syntax == _ENCAPSULATED_NATIVE:
        # A fragment has an even length, a frame need not have one.
        length = -(-layout.samples * layout.bits_allocated // _BYTE_BITS)
        return lambda frame: frame[:length]
    if image.transfer_syntax == BIG_ENDIAN:
        return lambda frame: _swapped(frame, layout)
    return lambda frame: native(decode(frame, layout), layout)


def _swapped(frame: bytes, layout: PixelLayout) -> bytes:
    word = layout.bits_allocated // _BYTE_BITS
    if word <= 1 or len(frame) % word:
        return frame
    return np.frombuffer(frame, f"u{word}").byteswap().tobytes()
