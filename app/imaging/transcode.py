"""An instance in another transfer syntax: its frames encoded anew, its header saying so.

Encoded frames wait in memory, or in a temporary file where they are many, until the last one is
there: so whatever cannot be encoded is known before the first byte leaves, and offset tables are
true. Native frames are decoded while they leave, for their places follow from their size.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from struct import Struct, pack
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite

from app.imaging.decode import decode_exactly
from app.imaging.deidentify import UNREADABLE, Outgoing, outgoing_header
from app.imaging.encode import ENCODED, JPEG, described, encodings, native
from app.imaging.explicit import explicit
from app.imaging.frames import FrameTable
from app.imaging.layout import BIG_ENDIAN, PixelLayout, Undecodable
from app.imaging.pictures import Pictures, encoded, frame_table, pixel_syntax
from app.imaging.writing import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from app.store.ports import ObjectStore
from fhir.repository import StoredImage

EXPLICIT: Final = "1.2.840.10008.1.2.1"

MAX_BYTES: Final = 2**32 - 2
"""What native pixel data, or frames with a basic offset table, may have at most."""

_BYTE_BITS: Final = 8
_FLOAT_BITS: Final = 32
_IN_MEMORY: Final = 2**23
_PIECE: Final = 2**20
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = Struct("<HHI")
_LONG: Final = Struct("<HH2sHI")
_END: Final = _ITEM.pack(0xFFFE, 0xE0DD, 0)


def syntaxes(image: StoredImage) -> tuple[str, ...]:
    """List the transfer syntaxes that an instance can be given in, besides that it is stored in.

    What cannot be decoded in the end is listed too: that shows when it is tried.
    """
    if image.frames is None:
        return _others((EXPLICIT,), image)
    table = FrameTable.from_record(image.frames)
    if not table.count or table.video:
        return ()
    try:
        layout = PixelLayout.read(image.attributes, pixel_syntax(image))
    except Undecodable:
        return ()
    return _others((EXPLICIT, *encodings(layout)), image)


def _others(found: Sequence[str], image: StoredImage) -> tuple[str, ...]:
    return tuple(one for one in found if one != image.transfer_syntax)


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where pixels come from."""

    objects: ObjectStore
    pictures: Pictures

    async def native(
        self, image: StoredImage, layout: PixelLayout, table: FrameTable, size: int
    ) -> AsyncIterator[tuple[bytes, str | None]]:
        """Give native little-endian pixels, and their interpretation if it is not the header's."""
        numbers = range(1, table.count + 1)
        if table.encapsulated and image.transfer_syntax != pixel_syntax(image):
            async for frame in self.pictures.native_each(image, numbers):
                yield frame, None
        elif table.encapsulated:
            work = partial(_decoded, layout=layout)
            async for decoded in self.pictures.worked_each(image, numbers, work):
                yield decoded
        elif image.transfer_syntax == BIG_ENDIAN:
            async for frame in self.pictures.native_each(image, numbers):
                yield frame, None
        elif table.deflated:
            yield await self.pictures.part(image, table.offset, size), None
        else:
            end = table.offset + size
            async for piece in self.objects.get(image.object_key, table.offset, end):
                yield piece, None


def _decoded(frame: bytes, layout: PixelLayout) -> tuple[bytes, str]:
    values, interpretation = decode_exactly(frame, layout)
    return native(values, layout), interpretation


async def transcoded(
    image: StoredImage, syntax: str, objects: ObjectStore, pictures: Pictures
) -> Outgoing:
    """Give an instance in another transfer syntax, in the form in which it may leave.

    What follows the pixel data is left out: padding, and signatures that no longer hold.

    Args:
        image: The instance.
        syntax: One of `syntaxes`.
        objects: Where its bytes are.
        pictures: What decodes them.

    Raises:
        Undecodable: It cannot be given so; the text says why.
        Withheld: It may not leave.
        NotFound: Its bytes are gone.
    """
    found = await outgoing_header(image, objects)
    header = await asyncio.to_thread(explicit, found, image.attributes)
    if image.frames is None:
        content = _written(header, image, syntax)
        return Outgoing.of(content)
    layout = PixelLayout.read(image.attributes, pixel_syntax(image))
    table = frame_table(image)
    whole = table.count * layout.samples * layout.bits_allocated // 8
    if whole > MAX_BYTES:
        raise Undecodable(
            "The uncompressed pixels are longer than 4 GiB: retrieve it as it is stored "
            "(transfer-syntax=*), or frame by frame."
        )
    if syntax in ENCODED:
        return await _encoded(header, image, layout, syntax, pictures, table.count)
    return await _native(header, image, layout, _Sources(objects, pictures), table.count)


async def _native(
    header: Dataset, image: StoredImage, layout: PixelLayout, sources: _Sources, count: int
) -> Outgoing:
    """Give native frames one after the other; the first is made before anything is said."""
    size = -(-count * layout.samples * layout.bits_allocated // 8)
    table = frame_table(image)
    if table.encapsulated and count > 1 and layout.samples * layout.bits_allocated % 8:
        raise Undecodable("Frames whose bits do not fill bytes are not put together anew.")
    frames = sources.native(image, layout, table, size)
    first, interpretation = await anext(frames)
    if interpretation is not None:
        header.PhotometricInterpretation = interpretation
        header.HighBit = layout.bits_stored - 1
        if layout.samples_per_pixel > 1:
            header.PlanarConfiguration = 0
    head = _written(header, image, EXPLICIT) + _native_opening(layout, size + size % 2)

    async def chunks() -> AsyncIterator[bytes]:
        yield head
        yield first
        given = len(first)
        async for frame, said in frames:
            given += len(frame)
            if said != interpretation:
                raise Undecodable("Its frames are in different colour spaces.")
            yield frame
        if given != size:
            raise Undecodable("Its pixels are not as many as its header says.")
        yield bytes(size % 2)

    return Outgoing(len(head) + size + size % 2, chunks())


def _native_opening(layout: PixelLayout, length: int) -> bytes:
    if layout.floating:
        single = layout.bits_allocated == _FLOAT_BITS
        vr, element = (b"OF", 0x0008) if single else (b"OD", 0x0009)
    else:
        vr, element = (b"OW" if layout.bits_allocated > _BYTE_BITS else b"OB"), 0x0010
    return _LONG.pack(0x7FE0, element, vr, 0, length)


@dataclass(slots=True)
class _Frames:
    """Frames that were encoded, each as an item, in a file that is gone when it is closed."""

    file: IO[bytes] = field(default_factory=lambda: SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 -- closed by who reads it
    offsets: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    interpretation: str = ""
    size: int = 0

    def add(self, frame: bytes, interpretation: str) -> None:
        """Write one frame behind the others.

        Raises:
            Undecodable: It is of another colour space than they are.
        """
        if self.interpretation not in {"", interpretation}:
            raise Undecodable("Its frames are in different colour spaces.")
        self.interpretation = interpretation
        padded = len(frame) + len(frame) % 2
        self.offsets.append(self.size)
        self.lengths.append(padded)
        self.file.write(_ITEM.pack(0xFFFE, 0xE000, padded))
        self.file.write(frame + bytes(padded - len(frame)))
        self.size += 8 + padded

    def opening(self, longest: int) -> bytes:
        """Give the pixel data element up to its first frame.

        Args:
            longest: Offsets above it do not fit a basic offset table.
        """
        pixels = _LONG.pack(0x7FE0, 0x0010, b"OB", 0, _UNDEFINED)
        if self.offsets[-1] <= longest:
            offsets = pack(f"<{len(self.offsets)}I", *self.offsets)
            return pixels + _ITEM.pack(0xFFFE, 0xE000, len(offsets)) + offsets
        extended = b"".join(
            _LONG.pack(0x7FE0, element, b"OV", 0, 8 * len(numbers))
            + pack(f"<{len(numbers)}Q", *numbers)
            for element, numbers in ((0x0001, self.offsets), (0x0002, self.lengths))
        )
        return extended + pixels + _ITEM.pack(0xFFFE, 0xE000, 0)


async def _encoded(
    header: Dataset,
    image: StoredImage,
    layout: PixelLayout,
    syntax: str,
    pictures: Pictures,
    count: int,
) -> Outgoing:
    frames = _Frames()
    numbers = range(1, count + 1)
    made = pictures.worked_each(image, numbers, lambda frame: encoded(frame, layout, syntax))
    try:
        async for frame, interpretation in made:
            await asyncio.to_thread(frames.add, frame, interpretation)
        _describe(header, layout, frames, syntax)
        head = _written(header, image, syntax) + frames.opening(_UNDEFINED)
    except BaseException:
        frames.file.close()
        raise
    return Outgoing(len(head) + frames.size + len(_END), _spooled(head, frames.file))


async def _spooled(head: bytes, file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        await asyncio.to_thread(file.seek, 0)
        yield head
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
        yield _END


def _describe(header: Dataset, layout: PixelLayout, frames: _Frames, syntax: str) -> None:
    """Say in a header how its frames are encoded now."""
    now = described(layout, frames.interpretation, syntax)
    header.PhotometricInterpretation = now.photometric_interpretation
    header.BitsStored = now.bits_stored
    header.HighBit = now.bits_stored - 1
    if now.planar is not None:
        header.PlanarConfiguration = now.planar
    if syntax == JPEG:
        whole = len(frames.offsets) * layout.samples * layout.bits_allocated // 8
        ratio = f"{whole / max(frames.size, 1):.3g}"
        header.LossyImageCompression = "01"
        header.LossyImageCompressionRatio = [*_values(header, "LossyImageCompressionRatio"), ratio]
        header.LossyImageCompressionMethod = [
            *_values(header, "LossyImageCompressionMethod"),
            "ISO_10918_1",
        ]
        kinds = _values(header, "ImageType") or ["", "PRIMARY"]
        header.ImageType = ["DERIVED", *kinds[1:]]


def _values(header: Dataset, keyword: str) -> list[Any]:
    found = header.get(keyword)
    if found is None or found == "":
        return []
    return [found] if isinstance(found, (str, float, int)) else list(found)


def _written(header: Dataset, image: StoredImage, syntax: str) -> bytes:
    """Write preamble, file meta and a header in Explicit VR Little Endian."""
    try:
        header.file_meta = FileMetaDataset()
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = uid.UID(image.id)
        header.file_meta.TransferSyntaxUID = uid.UID(syntax)
        header.file_meta.ImplementationClassUID = uid.UID(IMPLEMENTATION_UID)
        header.file_meta.ImplementationVersionName = IMPLEMENTATION_NAME
        written = BytesIO()
        dcmwrite(written, header, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except UNREADABLE as error:
        raise Undecodable("The header cannot be written anew.") from error
    return written.getvalue()
