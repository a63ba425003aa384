"""One frame becomes a picture that anybody can look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.imaging.annotate import annotated
from app.imaging.decode import decode
from app.imaging.layout import PixelLayout
from app.imaging.lut import Bulk, bulk_range
from app.imaging.palette import PALETTE_DATA, to_colour
from app.imaging.picture_files import MEDIA_TYPES, write
from app.imaging.profiles import own_profile, own_profile_source, with_profile
from app.imaging.viewport import Viewport, show
from app.imaging.windows import Window, functional_group, to_grey
from fhir.attributes import Attributes, decimals, items, text
from fhir.errors import Invalid, NotAcceptable

_BEST_QUALITY: Final = 100
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


def profile_ranges(attributes: Attributes) -> list[tuple[int, int]]:
    """List what of the object must be read for the colour profile of an instance."""
    found = bulk_range(own_profile_source(attributes), "ICCProfile")
    return [found] if found else []


@dataclass(frozen=True, slots=True)
class Rendering:
    """What kind of picture is wanted (PS3.18 8.3.5).

    Attributes:
        media_type: One of `MEDIA_TYPES`.
        window: Instead of the instance's own; colour has none and ignores it.
        viewport: Proportions are kept, those of `PixelAspectRatio` and `PixelSpacing` included.
            Without one the picture has the pixels of the frame, one to one.
        quality: 1 to 100, JPEG only.
        profile: One of `app.imaging.profiles.PROFILES`.
        lines: Text that is written over the picture.
    """

    media_type: str = "image/jpeg"
    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 85
    profile: str = "no"
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.media_type not in MEDIA_TYPES:
            raise NotAcceptable(f"Frames are rendered as {' or '.join(MEDIA_TYPES)}.")
        if not 1 <= self.quality <= _BEST_QUALITY:
            raise Invalid("The quality is a number from 1 to 100.")


def render(
    frame: bytes,
    attributes: Attributes,
    layout: PixelLayout,
    rendering: Rendering,
    *,
    frame_number: int = 1,
    bulk: Bulk | None = None,
) -> bytes:
    """Render one frame with 8 bits a sample. It takes a processor for milliseconds; use a thread.

    Args:
        frame: As `FrameTable.extract` cuts it out.
        attributes: Of the instance.
        layout: Of the instance.
        rendering: What is wanted.
        frame_number: Counts from 1; functional groups of enhanced images depend on it.
        bulk: What `bulk_ranges` asked for, and `profile_ranges` where a profile is wanted.

    Raises:
        Undecodable: No image can be made of the frame.
        Invalid: Nothing of the frame is to be shown.
    """
    stored = decode(frame, layout)
    if layout.samples_per_pixel > 1:
        picture = _bytes(stored, layout)
    elif layout.photometric_interpretation == _PALETTE and not layout.floating:
        picture = to_colour(stored, attributes, layout, bulk or {})
    else:
        picture = to_grey(
            stored,
            attributes,
            layout,
            frame_number=frame_number,
            window=rendering.window,
            bulk=bulk or {},
        )
    if rendering.viewport is not None:
        picture = show(picture, rendering.viewport, _stretch(attributes, frame_number))
    profile = None
    if rendering.profile != "no":
        own = own_profile(attributes, bulk or {})
        picture, profile = with_profile(picture, rendering.profile, own)
    if rendering.lines:
        picture = annotated(picture, rendering.lines)
    return write(picture, rendering.media_type, rendering.quality, profile)


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
