"""Encoding of one frame for each transfer syntax that can be written."""

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.encoders.base import get_encoder

Frame = NDArray[Any]
"""One frame of shape (rows, columns) or (rows, columns, 3), 8 or 16 bits a sample."""

ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"  # neither is known to pydicom 3.0

NATIVE: frozenset[str] = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    }
)
"""Transfer syntaxes whose frames follow each other without fragments."""


def _rle(frame: Frame) -> bytes:
    return get_encoder(uid.RLELossless).encode(
        frame,
        rows=frame.shape[0],
        columns=frame.shape[1],
        samples_per_pixel=1 if frame.ndim == 2 else frame.shape[2],  # noqa: PLR2004 - the axis
        photometric_interpretation="MONOCHROME2" if frame.ndim == 2 else "RGB",  # noqa: PLR2004
        bits_allocated=8 * frame.itemsize,
        bits_stored=8 * frame.itemsize,
        pixel_representation=0,
        number_of_frames=1,
        planar_configuration=0,
    )


def _jpeg_lossless(frame: Frame) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1))


def _jpeg_2000(frame: Frame) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True))


def _jpeg_2000_lossy(frame: Frame) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=False, level=80))


def _ht_jpeg_2000(frame: Frame) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


def _deflate(frame: Frame) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(_little(frame)) + squeeze.flush()


def _little(frame: Frame) -> bytes:
    return np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).tobytes()


ENCODERS: Mapping[str, Callable[[Frame], bytes]] = MappingProxyType(
    {
        ENCAPSULATED_UNCOMPRESSED: _little,
        DEFLATED_FRAMES: _deflate,
        uid.RLELossless: _rle,
        uid.JPEGBaseline8Bit: lambda frame: bytes(
            imagecodecs.jpeg8_encode(frame, level=90, subsampling="422")
        ),
        uid.JPEGExtended12Bit: lambda frame: bytes(
            imagecodecs.jpeg8_encode(frame, level=95, bitspersample=12)
        ),
        uid.JPEGLossless: _jpeg_lossless,
        uid.JPEGLosslessSV1: _jpeg_lossless,
        uid.JPEGLSLossless: lambda frame: bytes(imagecodecs.jpegls_encode(frame)),
        uid.JPEGLSNearLossless: lambda frame: bytes(imagecodecs.jpegls_encode(frame, level=2)),
        uid.JPEG2000Lossless: _jpeg_2000,
        uid.JPEG2000: _jpeg_2000_lossy,
        uid.HTJ2KLossless: _ht_jpeg_2000,
        uid.HTJ2KLosslessRPCL: _ht_jpeg_2000,
    }
)
"""How the frames of each encapsulated transfer syntax are made."""


def encode(frame: Frame, transfer_syntax: str) -> bytes:
    """Encode one frame as the transfer syntax wants it, without padding.

    Raises:
        KeyError: Nothing here writes this transfer syntax.
    """
    if transfer_syntax == uid.ExplicitVRBigEndian:
        return np.ascontiguousarray(frame, frame.dtype.newbyteorder(">")).tobytes()
    if transfer_syntax in NATIVE:
        return _little(frame)
    return ENCODERS[transfer_syntax](frame)
