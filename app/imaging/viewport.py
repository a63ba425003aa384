"""The part of a picture that is shown, and the size in which it is (PS3.18 8.3.5.1.3)."""

from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.imaging.shrink import resize
from fhir.errors import Invalid

MAX_PIXELS: Final = 2**25
"""Greatest area of a viewport."""


@dataclass(frozen=True, slots=True)
class Viewport:
    """Where a picture has to fit, and what of it is shown.

    Attributes:
        width: Greatest width in pixels.
        height: Greatest height in pixels.
        left: First column of what is shown, from 0; what lies outside the picture is left out.
        top: First row of what is shown.
        columns: How many are shown, to the last one if None; less than 0 turns left and right.
        rows: How many are shown, to the last one if None; less than 0 turns it upside down.
        enlarges: Whether the picture grows as large as it can; else it is shrunk or left.

    Raises:
        Invalid: There is no such viewport.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    columns: float | None = None
    rows: float | None = None
    enlarges: bool = True

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1:
            raise Invalid("A viewport is at least one pixel each way.")
        if self.enlarges and self.width * self.height > MAX_PIXELS:
            raise Invalid(f"A viewport has at most {MAX_PIXELS:,} pixels.")
        sizes = (self.left, self.top, self.columns or 0.0, self.rows or 0.0)
        if not all(map(isfinite, sizes)) or 0 in (self.columns, self.rows):
            raise Invalid("What is shown in a viewport is at least a part of a pixel each way.")


def show(picture: NDArray[np.uint8], viewport: Viewport, stretch: float) -> NDArray[np.uint8]:
    """Cut out, turn and resize a picture, keeping its proportions.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3).
        viewport: What is asked for.
        stretch: How much higher than wide a pixel is.

    Raises:
        Invalid: Nothing of the picture is shown.
    """
    part = _cut(picture, viewport)
    rows, columns = part.shape[:2]
    scale = min(viewport.width / columns, viewport.height / (rows * stretch))
    if not viewport.enlarges:
        scale = min(scale, 1.0, 1 / stretch)
    height = min(max(round(rows * stretch * scale), 1), viewport.height)
    width = min(max(round(columns * scale), 1), viewport.width)
    if (height, width) == (rows, columns):
        return np.ascontiguousarray(part)
    return resize(part, height, width)


def _cut(picture: NDArray[Any], viewport: Viewport) -> NDArray[Any]:
    first_row, last_row = _span(viewport.top, viewport.rows, picture.shape[0])
    first_column, last_column = _span(viewport.left, viewport.columns, picture.shape[1])
    part = picture[first_row:last_row, first_column:last_column]
    if viewport.rows is not None and viewport.rows < 0:
        part = part[::-1]
    if viewport.columns is not None and viewport.columns < 0:
        part = part[:, ::-1]
    return part


def _span(start: float, length: float | None, size: int) -> tuple[int, int]:
    end = size if length is None else start + abs(length)
    first, last = max(floor(start), 0), min(ceil(end), size)
    if first >= last:
        raise Invalid("What the viewport shows lies outside the picture.")
    return first, last
