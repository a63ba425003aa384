"""Frames become stored values exactly, and what is no frame is refused before it costs memory."""

import tracemalloc
import zlib
from random import Random
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    MPEG4HP41,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from app.imaging.codestream import read_jpeg, read_jpeg2000
from app.imaging.decode import decode
from app.imaging.layout import MAX_SAMPLES, PixelLayout, Undecodable
from fhir.attributes import tag
from tests.imaging import reference

JPEG_XL_LOSSLESS = "1.2.840.10008.1.2.4.110"
JPEG_XL = "1.2.840.10008.1.2.4.112"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


def attributes(**changed: Any) -> dict[str, Any]:
    """Give the Image Pixel module of two rows of three 16-bit values; None leaves one out."""
    values = {
        "Rows": 2,
        "Columns": 3,
        "SamplesPerPixel": 1,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": None,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
    } | changed
    return {
        tag(word): {"vr": "US", "Value": [value]}
        for word, value in values.items()
        if value is not None
    }


def layout(syntax: str = ExplicitVRLittleEndian, **changed: Any) -> PixelLayout:
    return PixelLayout.read(attributes(**changed), syntax)


def colours(syntax: str = ExplicitVRLittleEndian, **changed: Any) -> PixelLayout:
    eight = {"SamplesPerPixel": 3, "BitsAllocated": 8, "BitsStored": 8}
    return layout(syntax, **{**eight, "PhotometricInterpretation": "RGB", **changed})


def plane(dtype: type[np.number[Any]] = np.uint16, top: int = 4096) -> NDArray[Any]:
    """Give an image of 48 by 64 that no transposition or wrong stride leaves the same."""
    rows, columns = np.mgrid[0:48, 0:64]
    values: NDArray[Any] = ((rows * 61 + columns * 7) % top).astype(dtype)
    return values


def sized(syntax: str, image: NDArray[Any], **changed: Any) -> PixelLayout:
    bits = 8 * image.dtype.itemsize
    about = {"Rows": image.shape[0], "Columns": image.shape[1]}
    about |= {"BitsAllocated": bits, "BitsStored": bits}
    if image.ndim == 3:
        about |= {"SamplesPerPixel": 3}
        changed = {"PhotometricInterpretation": "RGB"} | changed
    return layout(syntax, **{**about, **changed})


def j2k(image: NDArray[Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, codecformat="J2K", reversible=True, **options))


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "693_J2KI.dcm",
        "RG1_J2KR.dcm",
        "emri_small_jpeg_ls_lossless.dcm",
        "emri_small_RLE.dcm",
        "rtdose_rle.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_rle_16bit_2frame.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_ybr_full_uncompressed.dcm",
        "color-pl.dcm",
        "US1_J2KR.dcm",
        "GDCMJ2K_TextGBR.dcm",
        "liver.dcm",
        "OBXXXX1A_expb.dcm",
    ],
)
def test_stored_values_are_those_of_pydicom(name: str) -> None:
    dataset = reference.read(name)
    theirs = reference.stored(dataset)
    about = PixelLayout.read(reference.attributes(dataset), reference.syntax(dataset))
    for number in range(1, reference.frames(dataset) + 1):
        ours = decode(reference.frame(dataset, number), about)
        assert ours.shape == theirs[number - 1].shape
        assert ours.dtype == theirs.dtype.newbyteorder("=")
        assert np.abs(ours.astype(np.int64) - theirs[number - 1]).max() == 0


@pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated"])
def test_a_layout_says_what_is_missing(missing: str) -> None:
    present = {word: value for word, value in attributes().items() if word != tag(missing)}
    with pytest.raises(Undecodable, match=f"^{missing} is missing"):
        PixelLayout.read(present, ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    "changed",
    [
        {"Rows": 0},
        {"Columns": -1},
        {"Rows": 65536},
        {"Rows": "many"},
        {"BitsAllocated": 12},
        {"BitsAllocated": 24},
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"SamplesPerPixel": 2},
        {"SamplesPerPixel": 4, "PhotometricInterpretation": "ARGB"},
        {"SamplesPerPixel": 3},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "CMYK"},
        {"PhotometricInterpretation": "RGB"},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 1},
    ],
)
def test_a_layout_that_cannot_be_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        layout(**changed)


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        RLELossless,
        JPEGBaseline8Bit,
        JPEGLSLossless,
        JPEG2000Lossless,
        HTJ2KLossless,
        JPEG_XL,
        DEFLATED_FRAMES,
    ],
)
def test_a_huge_image_of_few_bytes_costs_no_memory(syntax: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            decode(bytes(512), layout(syntax, Rows=65535, Columns=65535))
        side = int(MAX_SAMPLES**0.5)
        if syntax != JPEG_XL:
            with pytest.raises(Undecodable):
                decode(bytes(512), layout(syntax, Rows=side, Columns=side))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 11])
def test_a_native_frame_that_is_too_short_is_refused(length: int) -> None:
    with pytest.raises(Undecodable, match="shorter"):
        decode(bytes(length), layout())


def test_padding_after_a_native_frame_is_ignored() -> None:
    frame = np.arange(6, dtype="<u2").tobytes() + b"\xff\xff"
    assert decode(frame, layout()).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("last", ["", ".1", ".1.98", ".1.99"])
def test_every_native_transfer_syntax_but_one_is_little_endian(last: str) -> None:
    frame = np.arange(6, dtype="<u2").tobytes()
    assert decode(frame, layout(f"1.2.840.10008.1.2{last}")).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_bytes_are_read_in_the_order_of_the_transfer_syntax() -> None:
    frame = bytes(range(12))
    assert decode(frame, layout())[0].tolist() == [0x0100, 0x0302, 0x0504]
    assert decode(frame, layout(ExplicitVRBigEndian))[0].tolist() == [0x0001, 0x0203, 0x0405]


def test_bytes_of_big_endian_words_are_swapped_and_bytes_alone_are_not() -> None:
    eight = attributes(BitsAllocated=8, BitsStored=8)
    for vr, expected in (("OB", [[0, 1, 2], [3, 4, 5]]), ("OW", [[1, 0, 3], [2, 5, 4]])):
        about = PixelLayout.read(eight | {"7FE00010": {"vr": vr}}, ExplicitVRBigEndian)
        assert decode(bytes(range(6)), about).tolist() == expected


def test_the_first_pixel_of_one_bit_is_the_lowest_bit() -> None:
    about = layout(BitsAllocated=1, BitsStored=1)
    assert decode(b"\x25", about).tolist() == [[1, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    ("bits", "high", "signed", "raw", "value"),
    [
        (12, 11, 0, 0xF123, 0x123),
        (12, 15, 0, 0x1234, 0x123),
        (12, 13, 0, 0xC48C, 0x123),
        (13, 12, 1, 0x1830, -2000),
        (13, 12, 1, 0xF830, -2000),
        (13, 12, 1, 0x0FFF, 4095),
        (15, 14, 1, 0x7FFF, -1),
        (12, 15, 1, 0xFFF5, -1),
        (16, 15, 1, 0x8000, -32768),
        (12, 3, 0, 0x0123, 0x123),
    ],
)
def test_stored_bits_are_taken_out_of_their_words_with_their_sign(
    bits: int, high: int, signed: int, raw: int, value: int
) -> None:
    about = layout(BitsStored=bits, HighBit=high, PixelRepresentation=signed)
    decoded = decode(np.full(6, raw, "<u2").tobytes(), about)
    assert decoded.dtype == (np.int16 if signed else np.uint16)
    assert decoded.tolist() == [[value] * 3] * 2


@pytest.mark.parametrize(("bits", "kind"), [(32, "<f4"), (64, "<f8")])
def test_pixels_without_stored_bits_are_floats(bits: int, kind: str) -> None:
    about = layout(BitsAllocated=bits, BitsStored=None, PixelRepresentation=None)
    values = np.array([[0.5, -1e30, 3], [np.inf, 0, 1]], kind)
    assert np.array_equal(decode(values.tobytes(), about), values)


def test_planes_of_colour_are_interleaved() -> None:
    frame = bytes(range(18))
    about = colours(PlanarConfiguration=1)
    assert decode(frame, about)[0].tolist() == [[0, 6, 12], [1, 7, 13], [2, 8, 14]]
    assert decode(frame, colours())[0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


YBR = {(76, 85, 255): [254, 0, 0], (255, 128, 128): [255] * 3, (29, 255, 107): [0, 0, 254]}


@pytest.mark.parametrize(("ybr", "rgb"), YBR.items())
def test_ybr_becomes_rgb_clamped_to_its_range(ybr: tuple[int, int, int], rgb: list[int]) -> None:
    frame = bytes(ybr) * 6
    decoded = decode(frame, colours(PhotometricInterpretation="YBR_FULL"))
    assert decoded.tolist() == [[rgb] * 3] * 2


def test_half_of_the_chrominance_is_repeated_and_all_of_it_is_taken_as_it_is() -> None:
    about = colours(PhotometricInterpretation="YBR_FULL_422", Columns=2, Rows=1)
    assert decode(bytes([10, 200, 128, 128]), about).tolist() == [[[10] * 3, [200] * 3]]
    whole = bytes([10, 128, 128, 200, 128, 128])
    assert decode(whole, about).tolist() == [[[10] * 3, [200] * 3]]


def test_deflated_frames_are_inflated_up_to_their_size() -> None:
    raw = np.arange(6, dtype="<u2").tobytes()
    packed = zlib.compressobj(wbits=-15)
    frame = packed.compress(raw + bytes(10**7)) + packed.flush()
    assert decode(frame, layout(DEFLATED_FRAMES)).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(Undecodable):
        decode(frame[:4], layout(DEFLATED_FRAMES))


def lossless(syntax: str, image: NDArray[Any], bits: int | None = None) -> bytes:
    match syntax:
        case "1.2.840.10008.1.2.4.80":
            return bytes(imagecodecs.jpegls_encode(image))
        case "1.2.840.10008.1.2.4.90":
            return j2k(image)
        case "1.2.840.10008.1.2.4.201":
            return bytes(imagecodecs.htj2k_encode(image))
        case "1.2.840.10008.1.2.4.110":
            return bytes(imagecodecs.jpegxl_encode(image, lossless=True))
        case "1.2.840.10008.1.2.4.70":
            deep = bits or 8 * image.dtype.itemsize
            return bytes(imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=deep))
    raise AssertionError(syntax)


LOSSLESS = [JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, JPEG_XL_LOSSLESS, JPEGLosslessSV1]


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_codestreams_give_every_value_back(syntax: str) -> None:
    for image in (
        plane(np.uint8, 256),
        plane(np.uint16, 65536),
        np.stack([plane(np.uint8, 256), plane(np.uint8, 99), plane(np.uint8, 7)], -1),
    ):
        decoded = decode(lossless(syntax, image), sized(syntax, image))
        assert decoded.dtype == image.dtype
        assert np.array_equal(decoded, image)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_codestream_of_16_bits_holds_either_sign(syntax: str) -> None:
    image = plane(np.uint16, 65536)
    about = sized(syntax, image, PixelRepresentation=1)
    assert np.array_equal(decode(lossless(syntax, image), about), image.view(np.int16))


@pytest.mark.parametrize("bits", [12, 13, 15])
def test_the_sign_of_a_narrow_codestream_is_its_own_highest_bit(bits: int) -> None:
    image = plane(np.uint16, 1 << bits)
    expected = np.where(image >= 1 << (bits - 1), image.astype(int) - (1 << bits), image)
    for syntax, frame in (
        (JPEG2000Lossless, j2k(image, bitspersample=bits)),
        (JPEGLosslessSV1, lossless(JPEGLosslessSV1, image, bits)),
    ):
        about = sized(syntax, image, PixelRepresentation=1, BitsStored=bits)
        assert np.array_equal(decode(frame, about), expected)


def test_a_signed_codestream_of_an_unsigned_image_keeps_its_bits() -> None:
    image = plane(np.int16, 4096) - 2048
    about = sized(JPEG2000Lossless, image)
    assert np.array_equal(decode(j2k(image), about), image.view(np.uint16))


def test_a_codestream_of_8_bits_fits_words_of_16() -> None:
    image = plane(np.uint8, 256)
    for syntax in (JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1):
        about = sized(syntax, image, BitsAllocated=16, BitsStored=16)
        decoded = decode(lossless(syntax, image), about)
        assert decoded.dtype == np.uint16
        assert np.array_equal(decoded, image)


def test_a_codestream_deeper_than_its_layout_is_refused() -> None:
    image = plane(np.uint16, 65536)
    for syntax in (JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, JPEG_XL_LOSSLESS):
        with pytest.raises(Undecodable):
            decode(lossless(syntax, image), sized(syntax, image, BitsAllocated=8, BitsStored=8))


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_codestream_of_another_size_is_refused(syntax: str) -> None:
    image = plane(np.uint8, 256)
    frame = lossless(syntax, image)
    for changed in (
        {"Rows": 47},
        {"Columns": 65},
        {"Rows": 64, "Columns": 48},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    ):
        with pytest.raises(Undecodable):
            decode(frame, sized(syntax, image, **changed))


@pytest.mark.parametrize("syntax", [*LOSSLESS, JPEGBaseline8Bit, JPEGExtended12Bit, HTJ2K])
def test_a_truncated_codestream_is_refused(syntax: str) -> None:
    image = plane(np.uint8, 256)
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        frame = bytes(imagecodecs.jpeg8_encode(image))
    else:
        frame = lossless(HTJ2KLossless if syntax == HTJ2K else syntax, image)
    about = sized(syntax, image)
    assert decode(frame, about).shape == image.shape
    assert decode(frame + b"\0", about).shape == image.shape
    for length in (0, 1, 4, 20, 60, len(frame) // 2, len(frame) - 40):
        with pytest.raises(Undecodable):
            decode(frame[:length], about)


def jpeg(image: NDArray[Any], space: str, subsampling: str = "444") -> bytes:
    """Encode with the given colours inside and no marker that tells which they are."""
    stored = "RGB" if space == "RGB" else "YCBCR"
    frame = bytes(
        imagecodecs.jpeg8_encode(
            image, level=98, colorspace="RGB", outcolorspace=stored, subsampling=subsampling
        )
    )
    while frame[3] in (0xE0, 0xEE):
        frame = frame[:2] + frame[4 + int.from_bytes(frame[4:6]) - 2 + 2 :]
    return frame


APP0 = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
APP14 = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"


def smooth() -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:64, 0:64]
    return np.stack([rows * 3, columns * 3, 255 - rows * 2], -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("inside", "marker", "interpretation"),
    [
        ("RGB", b"", "RGB"),
        ("YBR", b"", "YBR_FULL_422"),
        ("YBR", b"", "YBR_FULL"),
        ("RGB", APP14 + b"\x00", "RGB"),
        ("YBR", APP14 + b"\x01", "YBR_FULL_422"),
        ("YBR", APP14 + b"\x01", "RGB"),
        ("RGB", APP14 + b"\x00", "YBR_FULL_422"),
        ("YBR", APP0, "YBR_FULL_422"),
        ("YBR", APP0, "RGB"),
    ],
)
def test_the_colours_of_a_jpeg_are_what_its_markers_say_or_else_its_attributes(
    inside: str, marker: bytes, interpretation: str
) -> None:
    image = smooth()
    plain = jpeg(image, inside)
    frame = plain[:2] + marker + plain[2:]
    # Components named R, G and B would tell as well; these are named 0, 1 and 2.
    start = frame.index(b"\xff\xc0") + 10
    assert frame[start - 1] == 3
    named = bytearray(frame)
    scan = frame.index(b"\xff\xda") + 5
    for component in range(3):
        named[start + 3 * component] = component
        named[scan + 2 * component] = component
    about = sized(JPEGBaseline8Bit, image, PhotometricInterpretation=interpretation)
    assert np.abs(decode(bytes(named), about).astype(int) - image).max() <= 8


def test_a_jpeg_with_less_chrominance_is_not_rgb_whatever_its_attributes_say() -> None:
    image = smooth()
    about = sized(JPEGBaseline8Bit, image, PhotometricInterpretation="RGB")
    difference = decode(jpeg(image, "YBR", "422"), about).astype(int) - image
    assert np.abs(difference).mean() < 2


def test_twelve_bits_of_a_lossy_jpeg_are_kept() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    image = (rows * 32 + columns * 32).astype(np.uint16)
    frame = bytes(imagecodecs.jpeg8_encode(image, level=98, bitspersample=12))
    about = sized(JPEGExtended12Bit, image, BitsStored=12)
    assert np.abs(decode(frame, about).astype(int) - image).max() <= 16


def test_irreversible_htj2k_does_not_wrap_around() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[::7, ::5] = 255
    frame = bytes(imagecodecs.htj2k_encode(image, level=0.05, reversible=False))
    decoded = decode(frame, sized(HTJ2K, image)).astype(int)
    assert np.abs(decoded - image).max() < 128


@pytest.mark.parametrize("syntax", [MPEG4HP41, "1.2.840.10008.1.2.4.107", MPEG4HP41 + ".1"])
def test_video_is_refused_in_so_many_words(syntax: str) -> None:
    with pytest.raises(Undecodable, match="Video"):
        decode(b"\x00\x00\x01\xb3", layout(syntax))


@pytest.mark.parametrize("syntax", ["", "1.2.3", "1.2.840.10008.1.2.4.94"])
def test_a_transfer_syntax_that_is_not_decoded_is_refused(syntax: str) -> None:
    with pytest.raises(Undecodable, match="transfer syntax"):
        decode(bytes(12), layout(syntax))


def test_a_run_length_frame_with_stray_bytes_is_decoded() -> None:
    image = plane(np.uint16, 65536)
    octets = image.astype(">u2").view(np.uint8).reshape(48, 64, 2)
    high, low = (
        b"".join(bytes([63, *line]) for line in octets[..., place].tolist()) for place in (0, 1)
    )
    about = sized(RLELossless, image)

    def rle(first: bytes, second: bytes) -> bytes:
        offsets = [2, 64, 64 + len(first), *[0] * 13]
        return np.array(offsets, "<u4").tobytes() + first + second

    assert np.array_equal(decode(rle(high, low), about), image)
    # Nothing, a run and the beginning of another follow what is needed.
    assert np.array_equal(decode(rle(high + b"\x80\xfe\x07\x3f\x01", low + b"\x80"), about), image)
    for damaged in (rle(high, low[:-1]), rle(high[:-65], low), rle(b"", low), rle(low, b"")[:63]):
        with pytest.raises(Undecodable):
            decode(damaged, about)


def test_run_length_colour_is_decoded_plane_by_plane() -> None:
    dataset = reference.read("SC_rgb_rle.dcm")
    about = PixelLayout.read(reference.attributes(dataset), RLELossless)
    whole = decode(reference.frame(dataset), about)
    assert whole.shape == (100, 100, 3)
    # A last run that is cut is read by the other decoder.
    assert np.array_equal(decode(reference.frame(dataset) + b"\x3f\x01", about), whole)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xff\xff\xff",
        b"\xff\xd8\xff\xc0\x00\x02\xff\xda",
        b"\xff\xd8\xff\xc0\x00\x09\x08\x00\x02\x00\x03\xff\x00\xff\xda\x00\x02",
        b"\xff\xd8\x00\xc0",
        b"\xff\xd8\xff\xe0\x00\x00" * 3,
        b"\xff\x4f\xff\x51" + bytes(50),
        b"\xff\x4f\xff\x51\xff\xff",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(100),
    ],
)
def test_the_header_of_no_codestream_is_none(frame: bytes) -> None:
    assert read_jpeg(frame) is None
    assert read_jpeg2000(frame) is None


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_cut_of_a_codestream_is_refused(syntax: str) -> None:
    image = plane(np.uint8, 256)
    frame, about = lossless(syntax, image), sized(syntax, image)
    for length in range(0, len(frame) - 1, 7):
        with pytest.raises(Undecodable):
            decode(frame[:length], about)


@pytest.mark.parametrize("syntax", [*LOSSLESS, RLELossless])
def test_a_damaged_codestream_gives_an_image_of_its_size_or_is_refused(syntax: str) -> None:
    if syntax == RLELossless:
        dataset = reference.read("SC_rgb_rle_16bit.dcm")
        frame = reference.frame(dataset)
        about = PixelLayout.read(reference.attributes(dataset), syntax)
    else:
        image = plane(np.uint16, 4096)
        frame, about = lossless(syntax, image), sized(syntax, image)
    random = Random(syntax)
    refused = 0
    for _ in range(500):
        damaged = bytearray(frame)
        for _ in range(random.randint(1, 4)):
            damaged[random.randrange(random.choice([64, len(frame)]))] = random.randrange(256)
        try:
            assert decode(bytes(damaged), about).shape == about.shape
        except Undecodable:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 64],
        [3, 64, 100, 101],
        [15, *[64] * 15],
        [2, 2**32 - 1, 2**32 - 1],
        [2, 64, 2**31],
        [2, 8000, 64],
        [2**32 - 1, 64, 64],
    ],
)
def test_a_run_length_header_that_lies_is_refused(numbers: list[int]) -> None:
    header = np.array([*numbers, *[0] * (16 - len(numbers))], "<u4").tobytes()
    with pytest.raises(Undecodable):
        decode(header + bytes([63, *range(64)]) * 90, layout(RLELossless, Rows=64, Columns=100))
