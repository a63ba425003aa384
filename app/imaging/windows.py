"""From stored values to 8-bit grey: Modality LUT, VOI LUT and presentation, as PS3.3 C.11 says."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.imaging.layout import PixelLayout
from app.imaging.lut import Bulk, Lut, read_lut
from fhir.attributes import Attributes, decimal, decimals, items, text
from fhir.errors import Invalid

FUNCTIONS: Final = ("LINEAR", "LINEAR_EXACT", "SIGMOID")

_WHITE = 255.0
_TABLE_BYTES = 2
_SHOWN_BITS = 8
_PADDING = ("PixelPaddingValue", "FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue")
_PADDING_LIMITS = (
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingRangeLimit",
)


@dataclass(frozen=True, slots=True)
class Window:
    """A range of values to show, in the unit that the Modality LUT gives.

    Attributes:
        width: At least 1 for `LINEAR`, more than 0 for the others.
        function: One of `FUNCTIONS`.

    Raises:
        Invalid: It is not such a window.
    """

    center: float
    width: float
    function: str = "LINEAR"

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            raise Invalid(f"A window function is one of {', '.join(FUNCTIONS)}.")
        if not (isfinite(self.center) and isfinite(self.width)):
            raise Invalid("A window has a centre and a width that are numbers.")
        if self.width <= 0 or (self.function == "LINEAR" and self.width < 1):
            raise Invalid("A window is at least 1 wide; more than 0 if not LINEAR.")

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Map values to 0 to 1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2)."""
        if self.function == "SIGMOID":
            # Beyond 700 a double overflows, and the result is 0 or 1 long before.
            power = (-4 * (values - self.center) / self.width).clip(-700, 700)
            share: NDArray[Any] = 1 / (1 + np.exp(power))
            return share
        center, width = self.center, self.width
        if self.function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
        return ((values - center) / width + 0.5).clip(0, 1)


@dataclass(frozen=True, slots=True)
class Span:
    """All values from `low` to `high`, both included, where an instance names no window."""

    low: float
    high: float

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Map values to 0 to 1; all to 0 if the span is one value."""
        return ((values - self.low) / ((self.high - self.low) or 1.0)).clip(0, 1)


@dataclass(frozen=True, slots=True)
class Rescale:
    """A linear Modality LUT (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Map stored values to the unit of the modality."""
        return values * self.slope + self.intercept


@dataclass(frozen=True, slots=True)
class Greyscale:
    """The whole way from stored values to grey levels.

    Attributes:
        inverted: Whether the least value is white (MONOCHROME1).
    """

    modality: Rescale | Lut
    voi: Window | Lut | Span
    inverted: bool

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.uint8]:
        """Map stored values to 0 to 255; what is no number becomes 0."""
        share = self.voi(self.modality(stored.astype(np.float64)))
        if isinstance(self.voi, Lut):
            share = (share / self.voi.top).clip(0, 1)
        if self.inverted:
            share = 1 - share
        levels: NDArray[np.uint8] = (np.nan_to_num(share) * _WHITE + 0.5).astype(np.uint8)
        return levels


@np.errstate(invalid="ignore", over="ignore")
def to_grey(
    stored: NDArray[Any],
    attributes: Attributes,
    layout: PixelLayout,
    *,
    frame_number: int = 1,
    window: Window | None = None,
    bulk: Bulk,
) -> NDArray[np.uint8]:
    """Give the grey levels of one frame.

    Without a window of the caller's, the first VOI LUT or window of the frame counts; where there
    is none, values of up to 8 bits are shown in full and others from least to greatest, padding
    left out.

    Args:
        stored: Shape (rows, columns), as `decode` gives them.
        attributes: Of the instance.
        layout: Of the instance.
        frame_number: Counts from 1.
        window: Instead of the instance's own.
        bulk: What `bulk_ranges` asked for.

    Raises:
        Undecodable: A lookup table is damaged or was not read.
    """
    modality = _modality(attributes, layout, frame_number, bulk)
    voi = (
        window
        or _voi(attributes, layout, frame_number, bulk)
        or _span(stored, attributes, layout, modality)
    )
    inverted = layout.photometric_interpretation == "MONOCHROME1"
    greyscale = Greyscale(modality, voi, inverted)
    size = stored.dtype.itemsize
    if layout.floating or size > _TABLE_BYTES or stored.size < 1 << (8 * size):
        return greyscale(stored)
    # Identical windows follow each other in a series; tables of their own do not repay keeping.
    kept = isinstance(modality, Rescale) and isinstance(voi, Window)
    levels = (_kept_levels if kept else _levels)(greyscale, stored.dtype.str)
    return levels.take(stored.view(f"u{size}"))


def _levels(greyscale: Greyscale, dtype: str) -> NDArray[np.uint8]:
    """Give the level of each bit pattern of a type of one or two bytes."""
    kind = np.dtype(dtype)
    return greyscale(np.arange(1 << (8 * kind.itemsize), dtype=f"u{kind.itemsize}").view(kind))


@lru_cache(maxsize=64)
def _kept_levels(greyscale: Greyscale, dtype: str) -> NDArray[np.uint8]:
    return _levels(greyscale, dtype)


def functional_group(attributes: Attributes, frame_number: int, keyword: str) -> Attributes:
    """Give the item of a functional group macro for one frame, or else the data set itself.

    What a frame says precedes what all frames share (PS3.3 C.7.6.16).
    """
    frames: Sequence[Attributes] = items(attributes, "PerFrameFunctionalGroupsSequence")
    own = frames[frame_number - 1 : frame_number]
    for group in (*own, *items(attributes, "SharedFunctionalGroupsSequence")[:1]):
        found = items(group, keyword)
        if found:
            return found[0]
    return attributes


def _modality(
    attributes: Attributes, layout: PixelLayout, frame_number: int, bulk: Bulk
) -> Rescale | Lut:
    tables = items(attributes, "ModalityLUTSequence")
    if tables and not layout.floating:
        return read_lut(tables[0], layout, bulk)
    source = functional_group(attributes, frame_number, "PixelValueTransformationSequence")
    slope, intercept = decimal(source, "RescaleSlope"), decimal(source, "RescaleIntercept")
    # A slope of 0 would make one grey of every image.
    return Rescale(slope or 1.0, intercept or 0.0)


def _voi(
    attributes: Attributes, layout: PixelLayout, frame_number: int, bulk: Bulk
) -> Window | Lut | None:
    source = functional_group(attributes, frame_number, "FrameVOILUTSequence")
    tables = items(source, "VOILUTSequence")
    if tables and not layout.floating:
        return read_lut(tables[0], layout, bulk)
    centers, widths = decimals(source, "WindowCenter"), decimals(source, "WindowWidth")
    if not centers or not widths:
        return None
    function = (text(source, "VOILUTFunction") or "LINEAR").upper()
    try:
        return Window(centers[0], widths[0], function)
    except Invalid:
        # Files do say a width of 0; an image beats an error.
        return None


def _span(
    stored: NDArray[Any], attributes: Attributes, layout: PixelLayout, modality: Rescale | Lut
) -> Span:
    if layout.bits_stored <= _SHOWN_BITS and not layout.signed and isinstance(modality, Rescale):
        ends = modality(np.array([0.0, (1 << layout.bits_stored) - 1]))
    else:
        shown = _unpadded(stored, attributes, layout)
        if isinstance(modality, Rescale):
            shown = np.array([shown.min(), shown.max()], np.float64)
        ends = modality(shown)
    return Span(float(ends.min()), float(ends.max()))


def _unpadded(stored: NDArray[Any], attributes: Attributes, layout: PixelLayout) -> NDArray[Any]:
    """List the values that are neither padding (PS3.3 C.7.5.1.1.2) nor infinite; all if none."""
    found = next((v for word in _PADDING if (v := decimal(attributes, word)) is not None), None)
    shown = stored[np.isfinite(stored)] if layout.floating else stored
    if found is not None:
        limits = (decimal(attributes, word) for word in _PADDING_LIMITS)
        limit = next((value for value in limits if value is not None), found)
        top = 1 << layout.bits_allocated
        if layout.signed:
            # The padding of a signed image may be written as if it were unsigned.
            found, limit = (v - top if v >= top / 2 else v for v in (found, limit))
        low, high = min(found, limit), max(found, limit)
        shown = shown[(shown < low) | (shown > high)]
    return shown if shown.size else stored
