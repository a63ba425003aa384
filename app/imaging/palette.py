"""PALETTE COLOR: indices become the colours that an instance lists (PS3.3 C.7.9)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.layout import PixelLayout
from app.imaging.lut import Bulk, Descriptor, segmented_table, table
from fhir.attributes import Attributes, tag

_CHANNELS = ("Red", "Green", "Blue")
_BYTE = 0xFF

PALETTE_DATA = tuple(
    f"{form}{channel}PaletteColorLookupTableData"
    for form in ("", "Segmented")
    for channel in _CHANNELS
)
"""Keywords of everything that may have to be read from the object first."""


def to_colour(
    stored: NDArray[Any], attributes: Attributes, layout: PixelLayout, bulk: Bulk
) -> NDArray[np.uint8]:
    """Give the colours of one frame.

    Args:
        stored: Shape (rows, columns), as `decode` gives them.
        attributes: Of the instance.
        layout: Of the instance.
        bulk: What `bulk_ranges` asked for.

    Returns:
        Shape (rows, columns, 3), RGB.

    Raises:
        Undecodable: The palette is damaged or was not read.
    """
    first, colours = _colours(attributes, layout, bulk)
    indices = stored.astype(np.int64) - first
    return colours.take(indices.clip(0, len(colours) - 1), axis=0)


def _colours(
    attributes: Attributes, layout: PixelLayout, bulk: Bulk
) -> tuple[int, NDArray[np.uint8]]:
    first, channels = 0, []
    for channel in _CHANNELS:
        name = f"{channel}PaletteColorLookupTable"
        descriptor = Descriptor.read(attributes, f"{name}Descriptor", signed=layout.signed)
        segmented = tag(f"{name}Data") not in attributes
        read = segmented_table if segmented else table
        keyword = f"Segmented{name}Data" if segmented else f"{name}Data"
        channels.append(read(attributes, keyword, descriptor, layout, bulk))
        first = descriptor.first
    length = min(map(len, channels))
    colours = np.stack([entries[:length] for entries in channels], axis=-1)
    # Descriptors say 8 of words that are full, and 16 of words that only hold bytes.
    shift = 8 if int(colours.max()) > _BYTE else 0
    return first, (colours >> shift).astype(np.uint8)
