"""One frame's bytes become an array of stored values, whatever transfer syntax they are in."""

import zlib
from struct import Struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.imaging.codestream import Codestream, read_jpeg, read_jpeg2000
from app.imaging.layout import BIG_ENDIAN, PixelLayout, Undecodable

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_NATIVE = frozenset(f"1.2.840.10008.1.2{rest}" for rest in ("", ".1", ".1.98", ".1.99", ".2"))
_RLE = "1.2.840.10008.1.2.5"
_RLE_HEADER = Struct("<16I")
_NO_RUN = 128
_NUMBERED = "1.2.840.10008.1.2.4."
_JPEG = frozenset({"50", "51", "53", "55", "57", "70", "80", "81"})
_JPEG_2000 = frozenset({"90", "91", "92", "93", "201", "202", "203"})
_JPEG_XL = frozenset({"110", "111", "112"})
_JPEG_XL_LOSSLESS = "110"
_VIDEO = frozenset(str(number) for number in range(100, 109))
_YBR = "YBR_FULL"
_RGB = "RGB"
_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, zlib.error)


Stored = tuple[NDArray[Any], str]
"""Values, and the photometric interpretation that they have."""


def decode(frame: bytes, layout: PixelLayout) -> NDArray[Any]:
    """Decode one frame; colour becomes RGB.

    Args:
        frame: Native pixels in the byte order of the transfer syntax, or one whole codestream.
        layout: Layout of its instance.

    Returns:
        Stored values before the Modality LUT, sign extended: shape (rows, columns), or
        (rows, columns, 3) in RGB; row 0 at the top. Palettes are not applied. It may be read-only.

    Raises:
        Undecodable: The frame is damaged, too short, of another size than its layout says, or in
            a transfer syntax that is not decoded.
    """
    values, interpretation = decode_exactly(frame, layout)
    return _rgb(values, layout) if interpretation == _YBR else values


def decode_exactly(frame: bytes, layout: PixelLayout) -> Stored:
    """Decode one frame as `decode` does, but leave colours that are held as YBR_FULL as they are.

    What a codec turns itself (JPEG's chrominance, the transformations of JPEG 2000) comes in RGB
    all the same. Chrominance at half the resolution is repeated.

    Raises:
        Undecodable: As `decode` does.
    """
    syntax = layout.transfer_syntax
    family = syntax.removeprefix(_NUMBERED).partition(".")[0] if syntax not in _NATIVE else ""
    if family in _VIDEO:
        raise Undecodable("Video streams have no single frames; retrieve the stream itself.")
    try:
        if syntax in _NATIVE:
            return _native(frame, layout)
        if syntax == _DEFLATED_FRAMES:
            return _native(zlib.decompressobj(-15).decompress(frame, _length(layout)), layout)
        if syntax == _RLE:
            return _rle(frame, layout)
        if family in _JPEG:
            return _jpeg(frame, layout)
        if family in _JPEG_2000:
            return _jpeg2000(frame, layout)
        if family in _JPEG_XL:
            return _jpeg_xl(frame, layout, lossless=family == _JPEG_XL_LOSSLESS)
    except _FAILURES as error:
        raise Undecodable("The frame is damaged.") from error
    raise Undecodable("The transfer syntax is not one that is decoded here.")


def _length(layout: PixelLayout) -> int:
    return -(-layout.samples * layout.bits_allocated // 8)


def _native(frame: bytes, layout: PixelLayout) -> Stored:
    halved = (
        layout.photometric_interpretation == "YBR_FULL_422"
        and len(frame) < _length(layout)
        and layout.columns % 2 == 0
    )
    count = layout.samples * 2 // 3 if halved else layout.samples
    if len(frame) * 8 < count * layout.bits_allocated:
        raise Undecodable("The frame is shorter than its layout needs.")
    if layout.swapped:
        frame = np.frombuffer(frame + bytes(len(frame) % 2), ">u2").astype("<u2").tobytes()
    if layout.bits_allocated == 1:
        packed = np.frombuffer(frame, np.uint8, -(-count // 8))
        # PS3.5 8.1.1: the first pixel is the least significant bit.
        bits = np.unpackbits(packed, count=count, bitorder="little").reshape(layout.shape)
        return bits, layout.photometric_interpretation
    order = ">" if layout.transfer_syntax == BIG_ENDIAN else "<"
    kind = "f" if layout.floating else "u"
    words = np.frombuffer(frame, f"{order}{kind}{layout.bits_allocated // 8}", count)
    words = words.astype(words.dtype.newbyteorder("="), copy=False)
    if layout.floating:
        return words.reshape(layout.shape), layout.photometric_interpretation
    values = _extend(words, layout)
    if halved:
        return _upsample(values, layout), _YBR
    if layout.planar:
        planes = values.reshape(layout.samples_per_pixel, layout.rows, layout.columns)
        values = np.ascontiguousarray(planes.transpose(1, 2, 0))
    return _coloured(values.reshape(layout.shape), layout)


def _extend(words: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Take the stored bits out of their words; what else a word holds is overlay or noise."""
    above = layout.bits_allocated - 1 - layout.high_bit
    unused = layout.bits_allocated - layout.bits_stored
    values = words.view(layout.dtype)
    if not unused:
        return values
    if layout.signed:
        raised: NDArray[Any] = values << above
        return raised >> unused
    lowered: NDArray[Any] = values >> (unused - above) if unused > above else values
    masked: NDArray[Any] = lowered & values.dtype.type((1 << layout.bits_stored) - 1)
    return masked


def _upsample(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Repeat chrominance: two pixels are Y Y B R (PS3.3 C.7.6.3.1.2)."""
    pairs = values.reshape(layout.rows, layout.columns // 2, 4)
    whole = np.empty((layout.rows, layout.columns // 2, 2, 3), values.dtype)
    whole[..., 0] = pairs[..., :2]
    whole[..., 1:] = pairs[..., None, 2:]
    return whole.reshape(layout.shape)


def _rle(frame: bytes, layout: PixelLayout) -> Stored:
    if layout.bits_allocated == 1 or layout.floating:
        raise Undecodable("Run-length encoded bits and floats are not decoded.")
    width, pixels = layout.bits_allocated // 8, layout.rows * layout.columns
    # imagecodecs.dicomrle_decode trusts these numbers, and crashes if they are wrong.
    count, *offsets = _RLE_HEADER.unpack(frame[: _RLE_HEADER.size].ljust(_RLE_HEADER.size, b"\0"))
    if count != layout.samples_per_pixel * width or count > len(offsets):
        raise Undecodable("The frame has another number of segments than its layout needs.")
    ends = [*offsets[1:count], len(frame)]
    segments = [
        _expand_runs(frame[start:end], pixels) for start, end in zip(offsets, ends, strict=False)
    ]
    planes = np.empty((layout.samples_per_pixel, pixels, width), np.uint8)
    for index, segment in enumerate(segments):
        # Most significant byte first (PS3.5 G.2).
        planes[index // width, :, index % width] = segment
    words = planes.view(f">u{width}").astype(f"u{width}", copy=False)
    shape = layout.samples_per_pixel, layout.rows, layout.columns
    whole = np.ascontiguousarray(words.reshape(shape).transpose(1, 2, 0)).reshape(layout.shape)
    return _coloured(_extend(whole, layout), layout)


def _expand_runs(segment: bytes, length: int) -> NDArray[np.uint8]:
    try:
        found = imagecodecs.packbits_decode(segment)
    except RuntimeError:
        found = _expand_cut_runs(segment, length)
    if len(found) < length:
        raise Undecodable("The frame ends before its image does.")
    return np.frombuffer(found, np.uint8, length)


def _expand_cut_runs(segment: bytes, length: int) -> bytes:
    """Expand runs of which the last is cut, or followed by stray bytes, as some writers do."""
    found, position = bytearray(), 0
    while len(found) < length and position < len(segment):
        control = segment[position]
        if control < _NO_RUN:
            found += segment[position + 1 : position + 2 + control]
            position += 2 + control
        elif control > _NO_RUN:
            found += segment[position + 1 : position + 2] * (2 * _NO_RUN + 1 - control)
            position += 2
        else:
            position += 1
    return bytes(found)


def _jpeg(frame: bytes, layout: PixelLayout) -> Stored:
    header = _checked(read_jpeg(frame), layout)
    if header.jpeg_ls:
        return _coloured(_values(imagecodecs.jpegls_decode(frame), header, layout), layout)
    if header.lossless:
        # The same colour space twice: values stay as they are.
        pixels = imagecodecs.jpeg8_decode(frame, colorspace="UNKNOWN", outcolorspace="UNKNOWN")
        return _coloured(_values(pixels, header, layout), layout)
    if header.samples == 1:
        values = _values(imagecodecs.jpeg8_decode(frame), header, layout)
        return values, layout.photometric_interpretation
    stated = "RGB" if layout.photometric_interpretation == "RGB" else "YBR"
    space = "RGB" if (header.colour or stated) == "RGB" else "YCBCR"
    pixels = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace="RGB")
    return _values(pixels, header, layout), _RGB


def _jpeg2000(frame: bytes, layout: PixelLayout) -> Stored:
    header = _checked(read_jpeg2000(frame), layout)
    # OpenJPH would be twice as fast for HTJ2K, but imagecodecs hides its errors and gives what
    # was in memory, and values of irreversible wavelets wrap around.
    values = _values(imagecodecs.jpeg2k_decode(frame), header, layout)
    return (values, _RGB) if header.colour == "RGB" else _coloured(values, layout)


def _jpeg_xl(frame: bytes, layout: PixelLayout, *, lossless: bool) -> Stored:
    # The array that is given lets the decoder refuse another size before it allocates.
    out = np.empty(layout.shape, np.dtype(f"u{max(layout.bits_allocated // 8, 1)}"))
    pixels = imagecodecs.jpegxl_decode(frame, out=out)
    values = pixels.view(layout.dtype)
    if lossless:
        return _coloured(values, layout)
    return values, _RGB if layout.samples_per_pixel > 1 else layout.photometric_interpretation


def _checked(header: Codestream | None, layout: PixelLayout) -> Codestream:
    if header is None:
        raise Undecodable("The frame is not in its transfer syntax.")
    declared = layout.rows, layout.columns, layout.samples_per_pixel
    if (header.rows, header.columns, header.samples) != declared:
        raise Undecodable("The frame is of another size than its layout says.")
    if header.precision > layout.bits_allocated:
        raise Undecodable("The frame has deeper samples than its layout says.")
    if not header.complete:
        # Without an end, CharLS searches for seconds, and others make up what is missing.
        raise Undecodable("The frame ends before its image does.")
    return header


def _values(pixels: NDArray[Any], header: Codestream, layout: PixelLayout) -> NDArray[Any]:
    """Give decoded samples the sign and the size that the layout asks for."""
    if pixels.shape != layout.shape or layout.floating:
        raise Undecodable("The frame is of another kind than its layout says.")
    kind = "i" if layout.signed else "u"
    values = pixels.view(f"{kind}{pixels.dtype.itemsize}")
    unused = 8 * pixels.dtype.itemsize - header.precision
    if layout.signed != header.signed and unused:
        # Codestreams hold the bits of either sign, JPEG 2000 alone tells which.
        values = (values << unused) >> unused
    return values.astype(layout.dtype, copy=False)


def _coloured(values: NDArray[Any], layout: PixelLayout) -> Stored:
    if layout.photometric_interpretation.startswith("YBR_PARTIAL"):
        raise Undecodable("This retired colour space is not decoded.")
    if layout.photometric_interpretation in (_YBR, "YBR_FULL_422"):
        return values, _YBR
    return values, _RGB if layout.samples_per_pixel > 1 else layout.photometric_interpretation


def _rgb(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Turn YBR_FULL into RGB (PS3.3 C.7.6.3.1.2)."""
    middle, top = 1 << (layout.bits_stored - 1), (1 << layout.bits_stored) - 1
    luma = values[..., 0].astype(np.float32) + np.float32(0.5)
    blue = values[..., 1].astype(np.float32) - np.float32(middle)
    red = values[..., 2].astype(np.float32) - np.float32(middle)
    rgb = np.empty(values.shape, np.float32)
    rgb[..., 0] = luma + np.float32(1.402) * red
    rgb[..., 1] = luma - np.float32(0.344136) * blue - np.float32(0.714136) * red
    rgb[..., 2] = luma + np.float32(1.772) * blue
    return rgb.clip(0, top).astype(values.dtype)
