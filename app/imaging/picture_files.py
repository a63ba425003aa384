"""Grey levels and colours become the file of a picture."""

import zlib
from struct import pack
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/gif")

_LEVELS = np.array([6, 7, 6], np.uint16)
_PROFILE_NAME = b"ICC_PROFILE\0"
_SEGMENT_BYTES = 65_519
_APP2 = b"\xff\xe2"
_PNG_HEADER_END = 33


def write(
    picture: NDArray[np.uint8], media_type: str, quality: int, profile: bytes | None = None
) -> bytes:
    """Write a picture.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3).
        media_type: One of `MEDIA_TYPES`.
        quality: 1 to 100, JPEG only.
        profile: ICC profile that the file carries; GIF carries none.
    """
    if media_type == "image/png":
        # Runs after subtracting the left neighbour: half the time of level 1, at a tenth more size.
        png = bytes(imagecodecs.png_encode(picture, level=1, strategy=3, filter=16))
        return png if profile is None else _png_with(png, profile)
    if media_type == "image/gif":
        return _gif(picture)
    jpeg = bytes(imagecodecs.jpeg8_encode(picture, level=quality, subsampling="444"))
    return jpeg if profile is None else _jpeg_with(jpeg, profile)


def _gif(picture: NDArray[np.uint8]) -> bytes:
    if picture.ndim == 2:  # noqa: PLR2004 -- rows and columns
        grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        return bytes(imagecodecs.gif_encode(picture, colormap=grey))
    # 252 colours, evenly spread; the eye tells more greens apart
    tops = _LEVELS - 1
    steps: NDArray[Any] = (picture * tops + 127) // 255
    indices = ((steps[..., 0] * _LEVELS[1] + steps[..., 1]) * _LEVELS[2] + steps[..., 2]).astype(
        np.uint8
    )
    cube = np.zeros((256, 3), np.uint8)
    count = int(np.prod(_LEVELS))
    places = np.stack(np.unravel_index(np.arange(count), tuple(_LEVELS)), axis=1)
    cube[:count] = (places * 255 + tops // 2) // tops
    return bytes(imagecodecs.gif_encode(indices, colormap=cube))


def _jpeg_with(jpeg: bytes, profile: bytes) -> bytes:
    """Put a profile behind the first marker, in as many segments as it takes (ICC.1 annex B.4)."""
    pieces = [
        profile[start : start + _SEGMENT_BYTES] for start in range(0, len(profile), _SEGMENT_BYTES)
    ]
    segments = [
        _APP2
        + pack(">H", 2 + len(_PROFILE_NAME) + 2 + len(piece))
        + _PROFILE_NAME
        + bytes([number, len(pieces)])
        + piece
        for number, piece in enumerate(pieces, 1)
    ]
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def _png_with(png: bytes, profile: bytes) -> bytes:
    content = b"iCCP" + b"ICC profile\0\0" + zlib.compress(profile)
    chunk = pack(">I", len(content) - 4) + content + pack(">I", zlib.crc32(content))
    return png[:_PNG_HEADER_END] + chunk + png[_PNG_HEADER_END:]
