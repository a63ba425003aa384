"""One frame becomes a JPEG or PNG picture."""

from collections.abc import Iterator
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.imaging.decode import decode
from app.imaging.layout import PixelLayout
from app.imaging.lut import Bulk, bulk_range
from app.imaging.palette import PALETTE_DATA, to_colour
from app.imaging.shrink import shrink
from app.imaging.windows import Window, functional_group, to_grey
from fhir.attributes import Attributes, decimals, items, text
from fhir.errors import Invalid, NotAcceptable

MEDIA_TYPES: Final = ("image/jpeg", "image/png")

_BEST_QUALITY = 100
_BYTE_BITS = 8
_STRETCH = 16.0
_PALETTE = "PALETTE COLOR"


def bulk_ranges(attributes: Attributes, frame_number: int = 1) -> list[tuple[int, int]]:
    """List what of the object must be read to render a frame, besides the frame itself.

    Returns:
        Offset and length of each lookup table too long for the attributes; mostly none.
    """
    return [
        found
        for source, keyword in _tables(attributes, frame_number)
        if (found := bulk_range(source, keyword)) is not None
    ]


def _tables(attributes: Attributes, frame_number: int) -> Iterator[tuple[Attributes, str]]:
    if (text(attributes, "PhotometricInterpretation") or "").upper() == _PALETTE:
        yield from ((attributes, keyword) for keyword in PALETTE_DATA)
        return
    voi = functional_group(attributes, frame_number, "FrameVOILUTSequence")
    for source, keyword in ((attributes, "ModalityLUTSequence"), (voi, "VOILUTSequence")):
        yield from ((item, "LUTData") for item in items(source, keyword)[:1])


def render(  # noqa: PLR0913 - the parameters of a rendered resource (PS3.18 8.3.5)
    frame: bytes,
    attributes: Attributes,
    transfer_syntax: str,
    *,
    frame_number: int = 1,
    media_type: str = "image/jpeg",
    window: Window | None = None,
    size: tuple[int, int] | None = None,
    quality: int = 85,
    bulk: Bulk | None = None,
) -> bytes:
    """Render one frame with 8 bits a sample. It takes a processor for milliseconds; use a thread.

    Args:
        frame: As `FrameTable.extract` cuts it out.
        attributes: Of the instance.
        transfer_syntax: Of the instance.
        frame_number: Counts from 1; functional groups of enhanced images depend on it.
        media_type: One of `MEDIA_TYPES`.
        window: Instead of the instance's own; colour has none and ignores it.
        size: Greatest width and height in pixels. The picture keeps its proportions, those of
            `PixelAspectRatio` and `PixelSpacing` included, and is never enlarged. Without it the
            picture has the pixels of the frame, one to one.
        quality: 1 to 100, JPEG only.
        bulk: What `bulk_ranges` asked for.

    Raises:
        Undecodable: No image can be made of the frame.
        NotAcceptable: Another media type is asked for.
        Invalid: The size or the quality cannot be.
    """
    if media_type not in MEDIA_TYPES:
        raise NotAcceptable(f"Frames are rendered as {' or '.join(MEDIA_TYPES)}.")
    if not 1 <= quality <= _BEST_QUALITY:
        raise Invalid("The quality is a number from 1 to 100.")
    if size is not None and min(size) < 1:
        raise Invalid("The size is at least one pixel each way.")
    layout = PixelLayout.read(attributes, transfer_syntax)
    stored = decode(frame, layout)
    if layout.samples_per_pixel > 1:
        picture = _bytes(stored, layout)
    elif layout.photometric_interpretation == _PALETTE and not layout.floating:
        picture = to_colour(stored, attributes, layout, bulk or {})
    else:
        picture = to_grey(
            stored, attributes, layout, frame_number=frame_number, window=window, bulk=bulk or {}
        )
    if size is not None:
        picture = _fit(picture, size, _stretch(attributes, frame_number))
    if media_type == "image/png":
        # Runs after subtracting the left neighbour: half the time of level 1, at a tenth more size.
        return bytes(imagecodecs.png_encode(picture, level=1, strategy=3, filter=16))
    return bytes(imagecodecs.jpeg8_encode(picture, level=quality, subsampling="444"))


def _bytes(colours: NDArray[Any], layout: PixelLayout) -> NDArray[np.uint8]:
    if layout.bits_stored == _BYTE_BITS and colours.dtype == np.uint8:
        return np.ascontiguousarray(colours)
    share = colours.astype(np.float64).clip(0, None) * (255 / ((1 << layout.bits_stored) - 1))
    return (share.clip(0, 255) + 0.5).astype(np.uint8)


def _stretch(attributes: Attributes, frame_number: int) -> float:
    """Give how much higher than wide a pixel is, within reason."""
    measures = functional_group(attributes, frame_number, "PixelMeasuresSequence")
    for source, keyword in (
        (attributes, "PixelAspectRatio"),
        (measures, "PixelSpacing"),
        (attributes, "ImagerPixelSpacing"),
    ):
        pair = decimals(source, keyword)
        if len(pair) == len(("vertical", "horizontal")) and min(pair) > 0:
            return min(max(pair[0] / pair[1], 1 / _STRETCH), _STRETCH)
    return 1.0


def _fit(picture: NDArray[np.uint8], size: tuple[int, int], stretch: float) -> NDArray[np.uint8]:
    rows, columns = picture.shape[:2]
    scale = min(size[0] / columns, size[1] / (rows * stretch), 1.0, 1 / stretch)
    height, width = max(round(rows * stretch * scale), 1), max(round(columns * scale), 1)
    if (height, width) == (rows, columns):
        return picture
    return shrink(picture, height, width)
