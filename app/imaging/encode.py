"""One frame's values become a codestream of a transfer syntax that is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.imaging.layout import PixelLayout, Undecodable

RLE: Final = "1.2.840.10008.1.2.5"
JPEG: Final = "1.2.840.10008.1.2.4.50"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
HTJ2K: Final = "1.2.840.10008.1.2.4.201"
LOSSLESS: Final = (JPEG_LS, JPEG_2000, HTJ2K, RLE)
ENCODED: Final = (*LOSSLESS, JPEG)
"""Transfer syntaxes that are written here, besides native ones."""

QUALITY: Final = 90
"""Of JPEG Baseline, 1 to 100."""

_BYTE_BITS = 8
_WORD_BITS = 16
_MAX_SEGMENTS = 15
_RLE_HEADER = Struct("<16I")
_PALETTE = "PALETTE COLOR"
_RGB = "RGB"
_FAILURES = (RuntimeError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Description:
    """What the Image Pixel module has to say of frames that were encoded here.

    Attributes:
        planar: Value of PlanarConfiguration; None where there is one sample a pixel.
    """

    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    planar: int | None


def encodings(layout: PixelLayout) -> tuple[str, ...]:
    """List the transfer syntaxes that frames of a layout can be encoded in here."""
    if layout.floating or layout.bits_allocated not in (_BYTE_BITS, _WORD_BITS):
        whole = layout.bits_allocated > _WORD_BITS and not layout.floating
        segments = layout.samples_per_pixel * layout.bits_allocated // _BYTE_BITS
        return (RLE,) if whole and segments <= _MAX_SEGMENTS else ()
    # Neighbours in a palette need not be alike: what is lossy would change colours altogether.
    lossy = (
        layout.bits_allocated == layout.bits_stored == _BYTE_BITS
        and not layout.signed
        and layout.photometric_interpretation != _PALETTE
    )
    return ENCODED if lossy else LOSSLESS


def described(layout: PixelLayout, interpretation: str, syntax: str) -> Description:
    """Say how frames are to be described once they are encoded.

    Args:
        layout: Of the instance as it is stored.
        interpretation: Photometric interpretation of the values that are encoded.
        syntax: One of `encodings`, or any native one.
    """
    colour = layout.samples_per_pixel > 1
    stored = layout.bits_stored
    if syntax in (JPEG_LS, HTJ2K):
        # These encoders write whole bytes; the bits above hold copies of the sign, or zero.
        stored = layout.bits_allocated
    if colour and interpretation == _RGB and syntax in (JPEG_2000, HTJ2K):
        interpretation = "YBR_RCT"
    elif colour and syntax == JPEG:
        interpretation = "YBR_FULL_422"
    # Segments of run lengths hold a plane each (PS3.5 8.2.2).
    planar = int(syntax == RLE) if colour else None
    return Description(interpretation, layout.bits_allocated, stored, planar)


def encode(
    values: NDArray[Any],
    interpretation: str,
    layout: PixelLayout,
    syntax: str,
    quality: int = QUALITY,
) -> bytes:
    """Encode one frame; everything but JPEG is without loss.

    Args:
        values: As `decode_exactly` gives them; for JPEG, as `decode` does.
        interpretation: Theirs.
        layout: Of the instance.
        syntax: One of `encodings`.
        quality: 1 to 100, JPEG only.

    Raises:
        Undecodable: It cannot be encoded so.
    """
    if syntax not in encodings(layout):
        raise Undecodable("Frames of this kind are not encoded in this transfer syntax.")
    try:
        contiguous = np.ascontiguousarray(values)
        return _ENCODERS[syntax](contiguous, interpretation == _RGB, layout.bits_stored, quality)
    except _FAILURES as error:
        raise Undecodable("The frame cannot be encoded in this transfer syntax.") from error


def native(values: NDArray[Any], layout: PixelLayout) -> bytes:
    """Give a frame as Explicit VR Little Endian has it, colour by pixel, bits packed."""
    if layout.bits_allocated == 1:
        # PS3.5 8.1.1: the first pixel is the least significant bit.
        return np.packbits(values.reshape(-1), bitorder="little").tobytes()
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _jpeg_ls(values: NDArray[Any], _rgb: bool, _bits: int, _quality: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(values.view(f"u{values.itemsize}")))


def _jpeg_2000(values: NDArray[Any], rgb: bool, bits: int, _quality: int) -> bytes:
    encoded = imagecodecs.jpeg2k_encode(
        values, codecformat="j2k", reversible=True, mct=rgb, bitspersample=bits
    )
    return bytes(encoded)


def _htj2k(values: NDArray[Any], rgb: bool, _bits: int, _quality: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(values, reversible=True, rgb=rgb))


def _jpeg(values: NDArray[Any], _rgb: bool, _bits: int, quality: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(values, level=quality, subsampling="422"))


def _rle(values: NDArray[Any], _rgb: bool, _bits: int, _quality: int) -> bytes:
    """Encode each byte of each sample as a plane, the most significant first (PS3.5 G.2)."""
    rows, columns = values.shape[:2]
    width = values.itemsize
    planes = values.astype(values.dtype.newbyteorder(">")).view(np.uint8)
    planes = np.moveaxis(planes.reshape(rows, columns, -1, width), 2, 0)
    segments = []
    for plane in planes:
        for byte in range(width):
            # Each row is encoded for itself (PS3.5 G.3.1).
            run = imagecodecs.packbits_encode(plane[..., byte].copy(), axis=-1)
            segments.append(bytes(run) + bytes(len(run) % 2))
    offsets, position = [0] * _MAX_SEGMENTS, _RLE_HEADER.size
    for index, segment in enumerate(segments):
        offsets[index] = position
        position += len(segment)
    return _RLE_HEADER.pack(len(segments), *offsets) + b"".join(segments)


_ENCODERS: Final[Mapping[str, Callable[[NDArray[Any], bool, int, int], bytes]]] = MappingProxyType(
    {
        RLE: _rle,
        JPEG: _jpeg,
        JPEG_LS: _jpeg_ls,
        JPEG_2000: _jpeg_2000,
        HTJ2K: _htj2k,
    }
)
