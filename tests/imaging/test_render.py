"""Pictures are what pydicom makes of the same pixels, and what PS3.3 C.11 says."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from app.imaging import render as renderer
from app.imaging.layout import PixelLayout, Undecodable
from app.imaging.lut import Bulk
from app.imaging.render import Rendering, bulk_ranges
from app.imaging.shrink import shrink
from app.imaging.viewport import Viewport
from app.imaging.windows import Window, to_grey
from fhir.attributes import Attributes, tag
from fhir.errors import Invalid, NotAcceptable
from tests.imaging import reference

IMAGES = reference.image_paths()

REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "the codestream says it is 3,722,445,056 wide",
    "MR_truncated.dcm": "62 bytes are missing",
}

WITHOUT_REFERENCE = {
    "SC_rgb_small_odd_big_endian.dcm": "27 bytes of swapped pairs: the last lies in the padding",
    "badVR.dcm": "its NumberOfFrames is 1A, which pydicom does not read",
    "OBXXXX1A_expb.dcm": "pydicom takes the big-endian palette for a little-endian one",
    "OBXXXX1A_expb_2frame.dcm": "pydicom takes the big-endian palette for a little-endian one",
}

# pydicom needs a plug-in for these that is not installed. DCMTK and GDCM decoded some of them.
TWINS = {
    "SC_jpeg_no_color_transform.dcm": "SC_rgb_jpeg_dcmd.dcm",
    "SC_rgb_jpeg.dcm": "SC_rgb_jpeg_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm": "SC_rgb_dcmtk_ebcr_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": "SC_rgb_dcmtk_ebcyn1_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm": "SC_rgb_dcmtk_ebcyn2_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "SC_rgb_dcmtk_ebcynp_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm": "SC_rgb_dcmtk_ebcys2_dcmd.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": "SC_rgb_dcmtk_ebcys4_dcmd.dcm",
    "SC_rgb_jpeg_dcmtk.dcm": "SC_rgb_dcmtk_ebcys4_dcmd.dcm",
    "SC_rgb_jpeg_gdcm.dcm": "SC_rgb.dcm",
}

# Of the others the mean of each channel is known, from Pillow and GDCM; nothing else here reads
# the 12 bits of JPEG Extended, so those two are only held to what they were when looked at.
MEANS = {
    "JPEG-LL.dcm": [12.61],
    "JPEG-lossy.dcm": [13.89],
    "JPGExtended.dcm": [13.89],
    "JPGLosslessP14SV1_1s_1f_8b.dcm": [17.36],
    "SC_jpeg_no_color_transform_2.dcm": [245.50, 245.52, 245.90],
    "SC_rgb_jpeg_app14_dcmd.dcm": [245.50, 245.52, 245.90],
    "SC_rgb_jpeg_lossy_gdcm.dcm": [127.53, 127.54, 127.52],
    "SC_rgb_small_odd_jpeg.dcm": [128.67, 129.00, 127.33],
    "bad_sequence.dcm": [119.12],
    "color3d_jpeg_baseline.dcm": [9.32, 9.65, 9.68],
    "examples_ybr_color.dcm": [9.21, 9.53, 9.67],
}

APART = {*REFUSED, *WITHOUT_REFERENCE, *TWINS, *MEANS}

GREY = {
    "Rows": ("US", [1]),
    "SamplesPerPixel": ("US", [1]),
    "BitsAllocated": ("US", [16]),
    "BitsStored": ("US", [16]),
    "HighBit": ("US", [15]),
    "PixelRepresentation": ("US", [1]),
    "PhotometricInterpretation": ("CS", ["MONOCHROME2"]),
}


def render(
    frame: bytes,
    attributes: Attributes,
    syntax: str,
    *,
    frame_number: int = 1,
    bulk: Bulk | None = None,
    size: tuple[int, int] | None = None,
    **wanted: Any,
) -> bytes:
    """Render a frame; a picture of some size at most is never enlarged."""
    if size is not None:
        wanted["viewport"] = Viewport(*size, enlarges=False)
    layout = PixelLayout.read(attributes, syntax)
    asked = Rendering(**wanted)
    return renderer.render(frame, attributes, layout, asked, frame_number=frame_number, bulk=bulk)


def picture(encoded: bytes) -> NDArray[Any]:
    decoded: NDArray[Any] = imagecodecs.png_decode(encoded)
    return decoded


def rendered(name: str, number: int = 1) -> NDArray[Any]:
    dataset = reference.read(name)
    return picture(
        render(
            reference.frame(dataset, number),
            reference.attributes(dataset),
            reference.syntax(dataset),
            frame_number=number,
            media_type="image/png",
        )
    )


def header(values: list[int], **more: tuple[str, list[Any]]) -> dict[str, Any]:
    elements = GREY | {"Columns": ("US", [len(values)])} | more
    return {tag(word): {"vr": vr, "Value": value} for word, (vr, value) in elements.items()}


def levels(
    values: list[int], window: Window | None = None, **more: tuple[str, list[Any]]
) -> list[int]:
    """Give the grey levels of one row of signed 16-bit values."""
    frame = np.array(values, "<i2").tobytes()
    found: list[int] = picture(
        render(
            frame,
            header(values, **more),
            ExplicitVRLittleEndian,
            window=window,
            media_type="image/png",
        )
    )[0].tolist()
    return found


def test_the_shipped_images_are_all_there() -> None:
    names = {path.name for path in IMAGES}
    assert len(IMAGES) == 159
    assert {*APART, *TWINS.values()} <= names


@pytest.mark.parametrize(
    "path", [path for path in IMAGES if path.name not in APART], ids=lambda path: path.name
)
def test_every_shipped_image_looks_as_pydicom_shows_it(path: Path) -> None:
    dataset = reference.read_path(path)
    arrays = reference.stored(dataset)
    header = reference.attributes(dataset)
    for number in range(1, reference.frames(dataset) + 1):
        ours = picture(
            render(
                reference.frame(dataset, number),
                header,
                reference.syntax(dataset),
                frame_number=number,
                media_type="image/png",
            )
        )
        theirs = reference.picture(dataset, arrays[number - 1], number)
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_a_shipped_image_that_nobody_can_show_is_refused(name: str) -> None:
    with pytest.raises(Undecodable):
        rendered(name)


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_a_jpeg_looks_like_the_file_another_toolkit_decoded_it_to(name: str, twin: str) -> None:
    assert np.abs(rendered(name).astype(int) - rendered(twin)).max() == 0


@pytest.mark.parametrize(("name", "means"), MEANS.items())
def test_a_jpeg_has_the_colours_other_decoders_give_it(name: str, means: list[float]) -> None:
    ours = rendered(name)
    channels = ours.reshape(-1, len(means)).mean(axis=0)
    assert channels.tolist() == pytest.approx(means, abs=0.1)


def test_a_big_endian_image_looks_like_its_little_endian_twin() -> None:
    for little, big in (
        ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
        ("OBXXXX1A_2frame.dcm", "OBXXXX1A_expb_2frame.dcm"),
        ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
        ("liver.dcm", "liver_expb.dcm"),
    ):
        assert np.array_equal(rendered(little), rendered(big))


def test_a_file_with_a_wrong_number_of_frames_is_shown() -> None:
    dataset = reference.read("badVR.dcm")
    values = np.frombuffer(dataset.PixelData, "<u4", 100).reshape(10, 10).astype(float)
    share = (values - values.min()) / (values.max() - values.min())
    assert np.abs(rendered("badVR.dcm") - np.rint(share * 255)).max() <= 1


def test_the_last_frame_of_a_cine_is_not_the_first() -> None:
    first, last = rendered("examples_ybr_color.dcm"), rendered("examples_ybr_color.dcm", 30)
    assert first.shape == last.shape == (240, 320, 3)
    assert not np.array_equal(first, last)


def test_a_linear_window_ends_half_a_step_inside_its_width() -> None:
    # PS3.3 C.11.2.1.2.1: centre 2048 and width 4096 map 0 to black and 4095 to white.
    window = Window(2048, 4096)
    assert levels([-1, 0, 2047, 2048, 4095, 4096], window) == [0, 0, 127, 128, 255, 255]


def test_a_linear_window_of_width_1_is_a_threshold() -> None:
    # PS3.3 C.11.2.1.2.1: up to centre - 0.5 is black, above it is white.
    assert levels([2046, 2047, 2048, 2049], Window(2048, 1)) == [0, 0, 255, 255]


def test_a_linear_window_of_center_0_and_width_100_ends_at_minus_50_and_49() -> None:
    window = Window(0, 100)
    assert levels([-51, -50, -49, 48, 49, 50], window) == [0, 0, 3, 252, 255, 255]


def test_an_exact_window_ends_at_its_width() -> None:
    # PS3.3 C.11.2.1.3.2: centre 0 and width 100 map -50 to black and 50 to white.
    window = Window(0, 100, "LINEAR_EXACT")
    assert levels([-51, -50, 0, 49, 50, 51], window) == [0, 0, 128, 252, 255, 255]


def test_a_sigmoid_window_has_its_middle_at_the_center() -> None:
    # PS3.3 C.11.2.1.3.1: 255 / (1 + exp(-4 (x - c) / w)).
    window = Window(100, 200, "SIGMOID")
    assert levels([-32768, 0, 100, 200, 32767], window) == [0, 30, 128, 225, 255]


def test_a_window_may_have_a_negative_center() -> None:
    assert levels([-1000, -600, 0], WindowCenter=("DS", [-600]), WindowWidth=("DS", [1601])) == [
        64,
        128,
        223,
    ]


def test_a_window_counts_after_the_rescale() -> None:
    assert levels(
        [0, 1024, 1064, 2048],
        Window(40, 401),
        RescaleSlope=("DS", [1]),
        RescaleIntercept=("DS", [-1024]),
    ) == [0, 102, 128, 255]


def test_the_window_of_the_caller_replaces_that_of_the_file() -> None:
    center, width = ("DS", [0]), ("DS", [1])
    assert levels([2, 5], WindowCenter=center, WindowWidth=width) == [255, 255]
    window = Window(5, 10, "LINEAR_EXACT")
    assert levels([2, 5], window, WindowCenter=center, WindowWidth=width) == [51, 128]


def test_the_first_of_several_windows_counts() -> None:
    assert levels([0, 100], WindowCenter=("DS", [50, 1]), WindowWidth=("DS", [101, 1])) == [1, 255]


def test_monochrome1_shows_the_least_value_white() -> None:
    inverse = {"PhotometricInterpretation": ("CS", ["MONOCHROME1"])}
    assert levels([0, 1024, 4095], Window(2048, 4096), **inverse) == [255, 191, 0]


def test_an_image_without_a_window_is_shown_from_its_least_to_its_greatest_value() -> None:
    assert levels([-100, 0, 100, 300]) == [0, 64, 128, 255]


def test_a_window_that_cannot_be_is_as_if_it_were_not_there() -> None:
    assert levels([-100, 300], WindowCenter=("DS", [0]), WindowWidth=("DS", [0])) == [0, 255]


def test_padding_does_not_stretch_the_range_that_is_shown() -> None:
    assert levels([-2000, 0, 100], PixelPaddingValue=("SS", [-2000])) == [0, 0, 255]
    assert levels(
        [-2000, -1990, 0, 100],
        PixelPaddingValue=("US", [65536 - 2000]),
        PixelPaddingRangeLimit=("US", [65536 - 1990]),
    ) == [0, 0, 0, 255]
    assert levels([7, 7], PixelPaddingValue=("SS", [7])) == [0, 0]


def test_eight_bits_without_a_window_are_shown_as_they_are() -> None:
    header_8 = header(
        [0] * 3,
        BitsAllocated=("US", [8]),
        BitsStored=("US", [8]),
        HighBit=("US", [7]),
        PixelRepresentation=("US", [0]),
    )
    png = render(b"\x05\x0a\x14", header_8, ExplicitVRLittleEndian, media_type="image/png")
    assert picture(png).tolist() == [[5, 10, 20]]


def test_each_frame_of_an_enhanced_image_has_its_own_window_and_rescale() -> None:
    def item(**elements: float) -> dict[str, Any]:
        return {tag(word): {"vr": "DS", "Value": [value]} for word, value in elements.items()}

    def group(**macros: dict[str, Any]) -> dict[str, Any]:
        return {tag(word): {"vr": "SQ", "Value": [value]} for word, value in macros.items()}

    shared = group(
        PixelValueTransformationSequence=item(RescaleSlope=2, RescaleIntercept=-100),
        FrameVOILUTSequence=item(WindowCenter=0, WindowWidth=1),
    )
    own = group(FrameVOILUTSequence=item(WindowCenter=100.5, WindowWidth=201))
    values = [0, 50, 100, 150]
    enhanced = header(
        values,
        SharedFunctionalGroupsSequence=("SQ", [shared]),
        PerFrameFunctionalGroupsSequence=("SQ", [{}, own]),
    )
    frame = np.array(values, "<i2").tobytes()
    for number, expected in ((1, [0, 255, 255, 255]), (2, [0, 0, 128, 255])):
        png = render(
            frame, enhanced, ExplicitVRLittleEndian, frame_number=number, media_type="image/png"
        )
        assert picture(png)[0].tolist() == expected


def lut(values: list[int], bits: int, first: int = 0, **data: Any) -> dict[str, Any]:
    element = data or {"Value": values}
    return {
        tag("LUTDescriptor"): {"vr": "SS", "Value": [len(values), first, bits]},
        tag("LUTData"): {"vr": "US", **element},
    }


def test_a_modality_lut_precedes_the_window() -> None:
    table = lut([0, 1000, 2000, 4095], 12, first=-1)
    assert levels(
        [-9, -1, 0, 1, 2, 9], Window(2048, 4096), ModalityLUTSequence=("SQ", [table])
    ) == [0, 0, 62, 125, 255, 255]


def test_a_voi_lut_precedes_a_window_of_the_same_file() -> None:
    table = lut([255, 128, 0], 8, first=10)
    assert levels(
        [0, 10, 11, 12, 99],
        VOILUTSequence=("SQ", [table]),
        WindowCenter=("DS", [0]),
        WindowWidth=("DS", [1]),
    ) == [255, 255, 128, 0, 0]


def test_a_long_lut_is_asked_for_and_read_in_the_byte_order_of_the_object() -> None:
    values = list(range(0, 65536, 64))
    table = lut(values, 16, BulkDataURI="?offset=700&length=2048")
    attributes = header([0, 512, 1023], VOILUTSequence=("SQ", [table]))
    assert bulk_ranges(attributes) == [(700, 2048)]
    for order, syntax in (("<", ExplicitVRLittleEndian), (">", ExplicitVRBigEndian)):
        bulk = {(700, 2048): np.array(values, f"{order}u2").tobytes()}
        frame = np.array([0, 512, 1023], f"{order}i2").tobytes()
        png = render(frame, attributes, syntax, bulk=bulk, media_type="image/png")
        assert picture(png)[0].tolist() == [0, 128, 255]
        with pytest.raises(Undecodable, match="LUTData could not be read"):
            render(frame, attributes, syntax)


def test_nothing_is_asked_for_where_tables_are_short() -> None:
    table = lut([0, 1], 8)
    assert bulk_ranges(header([0], VOILUTSequence=("SQ", [table]))) == []
    assert bulk_ranges(reference.attributes(reference.read("examples_palette.dcm"))) == []


@pytest.mark.parametrize(
    "table",
    [
        lut([0, 1], 8) | {tag("LUTDescriptor"): {"vr": "US", "Value": [300, 0, 16]}},
        lut([0, 1], 8) | {tag("LUTDescriptor"): {"vr": "US", "Value": [2, 0]}},
        lut([0, 1], 0),
        lut([0, 1], 8, InlineBinary="###"),
        {tag("LUTDescriptor"): {"vr": "US", "Value": [2, 0, 8]}},
    ],
)
def test_a_damaged_lut_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        levels([0, 1], VOILUTSequence=("SQ", [table]))


def palette(bits: int, form: str = "", **channels: bytes) -> dict[str, Any]:
    """Give the attributes of two rows of two 8-bit indices with a palette of four colours."""
    elements = header(
        [0, 0],
        Rows=("US", [2]),
        BitsAllocated=("US", [8]),
        BitsStored=("US", [8]),
        HighBit=("US", [7]),
        PixelRepresentation=("US", [0]),
        PhotometricInterpretation=("CS", ["PALETTE COLOR"]),
    )
    for channel, data in channels.items():
        name = f"{channel}PaletteColorLookupTable"
        elements[tag(f"{name}Descriptor")] = {"vr": "US", "Value": [4, 10, bits]}
        elements[tag(f"{form}{name}Data")] = {
            "vr": "OW",
            "InlineBinary": b64encode(data).decode(),
        }
    return elements


def coloured(attributes: dict[str, Any]) -> list[Any]:
    frame = bytes([0, 10, 12, 99])
    found: list[Any] = picture(
        render(frame, attributes, ExplicitVRLittleEndian, media_type="image/png")
    ).tolist()
    return found


def test_a_palette_of_words_shows_their_high_bytes() -> None:
    red = np.array([0x0100, 0x4000, 0x8000, 0xFF00], "<u2").tobytes()
    attributes = palette(16, Red=red, Green=bytes(8), Blue=red[::-1])
    assert coloured(attributes) == [[[1, 0, 0], [1, 0, 0]], [[128, 0, 0], [255, 0, 0]]]


def test_a_palette_of_bytes_comes_two_in_a_word() -> None:
    attributes = palette(8, Red=bytes([1, 2, 3, 4]), Green=bytes(4), Blue=bytes([9, 8, 7, 6]))
    assert coloured(attributes) == [[[1, 0, 9], [1, 0, 9]], [[3, 0, 7], [4, 0, 6]]]


def test_a_palette_of_words_that_hold_bytes_shows_the_bytes() -> None:
    red = np.array([1, 2, 3, 255], "<u2").tobytes()
    attributes = palette(16, Red=red, Green=red, Blue=bytes(8))
    assert coloured(attributes) == [[[1, 1, 0], [1, 1, 0]], [[3, 3, 0], [255, 255, 0]]]


def test_a_segmented_palette_has_discrete_linear_and_indirect_segments() -> None:
    # PS3.3 C.7.9.2: one entry; three entries rising to 255; the segment at byte 0 once more.
    red = np.array([0, 1, 0x1000, 1, 3, 0x4000], "<u2").tobytes()
    green = np.array([0, 2, 0x2000, 0x3000, 2, 1, 0, 0], "<u2").tobytes()
    blue = np.array([0, 4, 0, 1 << 8, 2 << 8, 255 << 8], "<u2").tobytes()
    attributes = palette(16, "Segmented", Red=red, Green=green, Blue=blue)
    assert coloured(attributes) == [
        [[0x10, 0x20, 0], [0x10, 0x20, 0]],
        [[0x30, 0x20, 2], [0x40, 0x30, 255]],
    ]


@pytest.mark.parametrize(
    "segments",
    [
        [1, 4, 0],
        [9, 4, 0],
        [0, 4, 0, 0],
        [0, 1, 7],
        [2, 1, 0, 0],
        [0, 1, 7, 2, 1, 6, 0],
        [0, 1, 7, 2, 9, 0, 0],
        [0, 1, 7, 1, 3],
    ],
)
def test_a_segmented_palette_that_cannot_be_expanded_is_refused(segments: list[int]) -> None:
    whole = np.array([0, 4, 1, 2, 3, 4], "<u2").tobytes()
    broken = np.array(segments, "<u2").tobytes()
    with pytest.raises(Undecodable):
        coloured(palette(16, "Segmented", Red=broken, Green=whole, Blue=whole))


def test_floats_are_shown_and_what_is_no_number_is_black() -> None:
    elements = {word: GREY[word] for word in ("Rows", "SamplesPerPixel")}
    floats = {
        tag(word): {"vr": vr, "Value": value}
        for word, (vr, value) in (
            elements | {"Columns": ("US", [5]), "BitsAllocated": ("US", [32])}
        ).items()
    }
    frame = np.array([-1.5, 0, 1.5, np.nan, np.inf], "<f4").tobytes()
    png = render(frame, floats, ExplicitVRLittleEndian, media_type="image/png")
    assert picture(png)[0].tolist() == [0, 128, 255, 0, 255]


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        (0, 0.5, "LINEAR"),
        (0, 0, "LINEAR_EXACT"),
        (0, -1, "SIGMOID"),
        (float("nan"), 1, "LINEAR"),
        (0, float("inf"), "LINEAR"),
        (0, 10, "linear"),
    ],
)
def test_a_window_that_cannot_be_is_refused(center: float, width: float, function: str) -> None:
    with pytest.raises(Invalid):
        Window(center, width, function)


def test_a_jpeg_looks_like_the_png_and_is_smaller_at_lower_quality() -> None:
    dataset = reference.read("693_UNCI.dcm")
    frame, attributes = reference.frame(dataset), reference.attributes(dataset)
    syntax = reference.syntax(dataset)
    png = picture(render(frame, attributes, syntax, media_type="image/png"))
    fine = render(frame, attributes, syntax, quality=100)
    coarse = render(frame, attributes, syntax, quality=20)
    difference = np.abs(imagecodecs.jpeg8_decode(fine).astype(int) - png)
    assert imagecodecs.jpeg8_decode(fine).shape == (512, 512)
    assert difference.max() <= 3
    assert len(coarse) < len(fine) / 4


def test_a_thumbnail_fits_its_size_and_keeps_its_proportions() -> None:
    for name, expected in (
        ("693_UNCI.dcm", (256, 256)),
        ("examples_rgb_color.dcm", (192, 256, 3)),
        ("RG1_UNCI.dcm", (256, 241)),
        ("MR_small.dcm", (64, 64)),
    ):
        dataset = reference.read(name)
        png = render(
            reference.frame(dataset),
            reference.attributes(dataset),
            reference.syntax(dataset),
            size=(256, 256),
            media_type="image/png",
        )
        assert picture(png).shape == expected


@pytest.mark.parametrize("word", ["PixelAspectRatio", "PixelSpacing"])
def test_a_thumbnail_of_pixels_twice_as_high_as_wide_is_twice_as_high(word: str) -> None:
    attributes = header([0] * 4, Rows=("US", [4]), **{word: ("DS", [2, 1])})
    frame = np.arange(16, dtype="<i2").tobytes()
    for size, expected in (((4, 4), (4, 2)), ((100, 100), (4, 2)), ((1, 100), (2, 1))):
        png = render(frame, attributes, ExplicitVRLittleEndian, size=size, media_type="image/png")
        assert picture(png).shape == expected
    whole = render(frame, attributes, ExplicitVRLittleEndian, media_type="image/png")
    assert picture(whole).shape == (4, 4)


def test_a_smaller_picture_has_the_means_of_what_its_pixels_cover() -> None:
    whole = np.array([[0, 0, 200, 200], [0, 0, 200, 200], [40, 40, 80, 80]], np.uint8)
    assert shrink(whole, 1, 2).tolist() == [[13, 160]]
    assert shrink(whole, 3, 2).tolist() == [[0, 200], [0, 200], [40, 80]]
    # Two of three lines: each covers one and a half.
    assert shrink(whole, 2, 1).tolist() == [[100], [73]]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 99), (64, 64), (100, 37)])
def test_a_smaller_picture_is_as_bright_as_the_whole(size: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0:100, 0:101]
    whole = ((rows * 3 + columns * 5) % 256).astype(np.uint8)
    small = shrink(np.stack([whole, 255 - whole, whole], -1), size[1], size[0])
    assert small.shape == (size[1], size[0], 3)
    assert small[..., 0].mean() == pytest.approx(whole.mean(), abs=1.5)
    assert small[..., 1].mean() == pytest.approx(255 - whole.mean(), abs=1.5)


def test_what_cannot_be_asked_for_is_refused() -> None:
    attributes, frame = header([1]), b"\x01\x00"
    with pytest.raises(NotAcceptable):
        render(frame, attributes, ExplicitVRLittleEndian, media_type="image/bmp")
    with pytest.raises(Invalid):
        render(frame, attributes, ExplicitVRLittleEndian, quality=0)
    with pytest.raises(Invalid):
        render(frame, attributes, ExplicitVRLittleEndian, size=(0, 10))
    with pytest.raises(Invalid):
        Viewport(100_000, 100_000)
    with pytest.raises(Invalid):
        Viewport(10, 10, columns=0)
    with pytest.raises(Invalid):
        Viewport(10, 10, left=float("inf"))


def test_large_images_take_the_same_levels_from_a_table_as_small_ones_by_arithmetic() -> None:
    values = np.arange(-32768, 32768, dtype=np.int16)
    attributes = header([], Columns=("US", [256]), Rows=("US", [256]))
    layout = PixelLayout.read(attributes, ExplicitVRLittleEndian)
    for window in (Window(40, 400), Window(-600, 1600.5, "SIGMOID"), None):
        whole = to_grey(values.reshape(256, 256), attributes, layout, window=window, bulk={})
        if window is not None:
            part = to_grey(values[None, 30000:36000], attributes, layout, window=window, bulk={})
            assert np.array_equal(whole.reshape(-1)[30000:36000], part[0])
        assert whole.min() == 0
        assert whole.max() == 255
