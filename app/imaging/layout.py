"""The Image Pixel module: how the pixels of an instance are laid out, checked before use."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from fhir.attributes import Attributes, integer, tag, text
from fhir.errors import ResourceError

BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
MAX_SAMPLES: Final = 2**27
"""More samples than this in one frame are refused; they would need 512 MiB inside a decoder."""

_BYTE_BITS = 8
_LONGEST_SIDE = 0xFFFF
_RGB = 3
_COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "XYB"})
_RETIRED_COLOURS = frozenset({"YBR_PARTIAL_422", "YBR_PARTIAL_420"})
_GREYS = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})


class Undecodable(ResourceError):
    """Pixel data is there but no image can be made of it; the message says why, never a value.

    The status is 406: what is stored stays available as it is, only no image of it is.
    """

    issue = "not-supported"
    code = "UNDECODABLE"
    status = 406


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """What the Image Pixel module says of every frame (PS3.3 C.7.6.3), checked.

    Attributes:
        samples_per_pixel: 1 or 3.
        bits_allocated: 1, 8, 16, 32 or 64.
        high_bit: Index of the highest bit of a native sample.
        floating: Whether samples are IEEE 754 numbers (PS3.3 C.7.6.24 and C.7.6.25).
        planar: Whether native colour comes plane by plane.
        swapped: Whether native bytes are swapped in pairs, as 8-bit samples in big-endian OW are.
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    floating: bool
    photometric_interpretation: str
    planar: bool
    swapped: bool
    transfer_syntax: str

    @classmethod
    def read(cls, attributes: Attributes, transfer_syntax: str) -> Self:
        """Read the layout of an instance.

        Args:
            attributes: Of the instance. Its PixelData, if it is there, is only asked for its VR.
            transfer_syntax: Of the instance.

        Raises:
            Undecodable: Something is missing or cannot be.
        """
        rows, columns = _positive(attributes, "Rows"), _positive(attributes, "Columns")
        allocated = _positive(attributes, "BitsAllocated")
        samples = integer(attributes, "SamplesPerPixel") or 1
        stored = integer(attributes, "BitsStored")
        representation = integer(attributes, "PixelRepresentation")
        # Only integer pixels have these two (PS3.3 C.7.6.3.3), and the values themselves are gone.
        floating = stored is None and representation is None and allocated in (32, 64)
        interpretation = (text(attributes, "PhotometricInterpretation") or "").upper()
        if samples == 1 and not interpretation:
            interpretation = "MONOCHROME2"
        stored = allocated if stored is None else stored
        high = integer(attributes, "HighBit")
        if high is None or not stored - 1 <= high < allocated:
            high = stored - 1
        layout = cls(
            rows=rows,
            columns=columns,
            samples_per_pixel=samples,
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=high,
            signed=representation == 1,
            floating=floating,
            photometric_interpretation=interpretation,
            planar=samples > 1 and integer(attributes, "PlanarConfiguration") == 1,
            swapped=transfer_syntax == BIG_ENDIAN
            and allocated <= _BYTE_BITS
            and (attributes.get(tag("PixelData")) or {}).get("vr") == "OW",
            transfer_syntax=transfer_syntax,
        )
        layout._check()
        return layout

    def _check(self) -> None:
        interpretations = _GREYS if self.samples_per_pixel == 1 else _COLOURS | _RETIRED_COLOURS
        if self.bits_allocated not in (1, 8, 16, 32, 64):
            raise Undecodable("BitsAllocated is not 1, 8, 16, 32 or 64.")
        if not 1 <= self.bits_stored <= self.bits_allocated:
            raise Undecodable("BitsStored does not fit BitsAllocated.")
        if self.samples_per_pixel not in (1, 3) or (
            self.samples_per_pixel == _RGB and (self.bits_allocated == 1 or self.floating)
        ):
            raise Undecodable("SamplesPerPixel is neither 1 nor 3, or does not fit BitsAllocated.")
        if self.photometric_interpretation not in interpretations:
            raise Undecodable("PhotometricInterpretation is unknown or misfits SamplesPerPixel.")
        if self.samples > MAX_SAMPLES:
            raise Undecodable(f"A frame has more than {MAX_SAMPLES} samples.")

    @property
    def samples(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a decoded frame."""
        size = (self.rows, self.columns)
        return size if self.samples_per_pixel == 1 else (*size, self.samples_per_pixel)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a decoded sample, in the byte order of this machine."""
        kind = "f" if self.floating else "i" if self.signed else "u"
        return np.dtype(f"{kind}{max(self.bits_allocated // 8, 1)}")


def _positive(attributes: Attributes, keyword: str) -> int:
    number = integer(attributes, keyword)
    if number is None or not 0 < number <= _LONGEST_SIDE:
        raise Undecodable(f"{keyword} is missing or not a positive number.")
    return number
