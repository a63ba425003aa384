"""Frames that are encoded here come back bit by bit, through our decoders and through pydicom's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.imaging.decode import decode, decode_exactly
from app.imaging.encode import (
    ENCODED,
    HTJ2K,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    RLE,
    described,
    encode,
    encodings,
    native,
)
from app.imaging.layout import PixelLayout, Undecodable

EXPLICIT = "1.2.840.10008.1.2.1"


def layout(
    shape: tuple[int, int] = (5, 7),
    samples: int = 1,
    allocated: int = 16,
    stored: int = 12,
    *,
    signed: bool = False,
    interpretation: str = "MONOCHROME2",
    floating: bool = False,
) -> PixelLayout:
    return PixelLayout(
        *shape,
        samples_per_pixel=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1,
        signed=signed,
        floating=floating,
        photometric_interpretation=interpretation,
        planar=False,
        swapped=False,
        transfer_syntax=EXPLICIT,
    )


def decoded(encoded: bytes, was: PixelLayout, interpretation: str, syntax: str) -> Any:
    """What comes back, if the header says what it has to."""
    now = described(was, interpretation, syntax)
    return decode_exactly(
        encoded,
        replace(
            was,
            transfer_syntax=syntax,
            bits_stored=now.bits_stored,
            high_bit=now.bits_stored - 1,
            photometric_interpretation=now.photometric_interpretation,
            planar=now.planar == 1,
        ),
    )


@st.composite
def frames(draw: st.DrawFn) -> tuple[PixelLayout, NDArray[Any]]:
    allocated, stored = draw(
        st.sampled_from([(8, 8), (8, 7), (8, 2), (8, 1), (16, 16), (16, 12), (16, 13), (16, 9)])
    )
    samples, interpretation = draw(
        st.sampled_from([(1, "MONOCHROME1"), (1, "PALETTE COLOR"), (3, "RGB"), (3, "YBR_FULL")])
    )
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    signed = draw(st.booleans())
    least = -(1 << (stored - 1)) if signed else 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    of = layout(shape, samples, allocated, stored, signed=signed, interpretation=interpretation)
    spread = draw(st.sampled_from([1, 3, 1 << stored]))
    values = least + rng.integers(0, min(spread, 1 << stored), of.shape)
    if draw(st.booleans()):
        values.flat[-1] = least + (1 << stored) - 1
    return of, values.astype(of.dtype)


@pytest.mark.parametrize("syntax", LOSSLESS)
@settings(max_examples=150, deadline=None)
@given(frame=frames())
def test_nothing_is_lost(syntax: str, frame: tuple[PixelLayout, NDArray[Any]]) -> None:
    of, values = frame
    interpretation = of.photometric_interpretation
    encoded = encode(values, interpretation, of, syntax)
    back, said = decoded(encoded, of, interpretation, syntax)
    assert np.array_equal(back, values)
    assert back.dtype == values.dtype
    assert said == interpretation


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
def test_words_of_32_bits_are_run_length_encoded_alone(samples: int, signed: bool) -> None:
    interpretation = "RGB" if samples == 3 else "MONOCHROME2"
    of = layout((9, 4), samples, 32, 32, signed=signed, interpretation=interpretation)
    values = np.random.default_rng(1).integers(-(2**31), 2**31, of.shape).astype(of.dtype)
    assert encodings(of) == (RLE,)
    back, _ = decoded(encode(values, interpretation, of, RLE), of, interpretation, RLE)
    assert np.array_equal(back, values)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (layout(allocated=8, stored=8), ENCODED),
        (layout(allocated=8, stored=8, signed=True), LOSSLESS),
        (layout(allocated=8, stored=8, interpretation="PALETTE COLOR"), LOSSLESS),
        (layout(), LOSSLESS),
        (layout(allocated=1, stored=1), ()),
        (layout(allocated=32, stored=32, floating=True), ()),
        (layout(samples=3, allocated=64, stored=64, interpretation="RGB"), ()),
    ],
)
def test_each_kind_of_frame_has_its_encodings(of: PixelLayout, expected: tuple[str, ...]) -> None:
    assert encodings(of) == expected


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(Undecodable):
        encode(np.zeros((5, 7), np.uint16), "MONOCHROME2", layout(), JPEG)
    with pytest.raises(Undecodable):
        encode(np.zeros((5, 7), np.uint16), "MONOCHROME2", layout(), "1.2.840.10008.1.2.4.91")


@pytest.mark.parametrize(
    ("syntax", "interpretation", "stored", "planar"),
    [
        (JPEG_LS, "RGB", 16, 0),
        (JPEG_2000, "YBR_RCT", 12, 0),
        (HTJ2K, "YBR_RCT", 16, 0),
        (RLE, "RGB", 12, 1),
        (EXPLICIT, "RGB", 12, 0),
    ],
)
def test_colours_are_described_as_they_are_encoded(
    syntax: str, interpretation: str, stored: int, planar: int
) -> None:
    found = described(layout(samples=3, interpretation="RGB"), "RGB", syntax)
    assert (found.photometric_interpretation, found.bits_stored) == (interpretation, stored)
    assert found.planar == planar


def test_chrominance_that_is_kept_is_said_to_be_kept() -> None:
    for syntax in LOSSLESS:
        found = described(layout(samples=3, interpretation="YBR_FULL"), "YBR_FULL", syntax)
        assert found.photometric_interpretation == "YBR_FULL"
    grey = described(layout(), "MONOCHROME1", HTJ2K)
    assert (grey.photometric_interpretation, grey.planar) == ("MONOCHROME1", None)


def test_lossy_colour_is_near_what_it_was() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    values = np.stack([rows * 2, columns * 2, 128 + rows - columns], -1).astype(np.uint8)
    of = layout((64, 64), 3, 8, 8, interpretation="RGB")
    encoded = encode(values, "RGB", of, JPEG, quality=95)
    now = described(of, "RGB", JPEG)
    assert now.photometric_interpretation == "YBR_FULL_422"
    back = decode(
        encoded, replace(of, transfer_syntax=JPEG, photometric_interpretation="YBR_FULL_422")
    )
    assert np.abs(back.astype(int) - values).mean() < 2


def test_native_bits_are_packed_from_the_lowest() -> None:
    bits = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1]], np.uint8)
    assert native(bits, layout((1, 9), allocated=1, stored=1)) == b"\x01\x01"
    assert native(np.array([[258]], np.uint16), layout((1, 1))) == b"\x02\x01"
