"""Where frames are found in native and encapsulated pixel data, whatever the header claims."""

from struct import pack

import bson
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.imaging.frames import FrameTable
from app.imaging.part10 import Part10, Refused
from tests.imaging.raw import (
    BIG,
    END,
    EXPLICIT,
    JPEG,
    PIXELS,
    RLE,
    UNDEFINED,
    element,
    fragments,
    geometry,
    identity,
    item,
    meta,
    read,
    refusal,
    with_elements,
)

J2K = "1.2.840.10008.1.2.4.90"
JPEG_XL = "1.2.840.10008.1.2.4.110"
UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
VIDEO = "1.2.840.10008.1.2.4.102"

FEWER = "fewer frames are there than declared"
MORE = "more frames are there than declared"

SOI, EOI = b"\xff\xd8\xff", b"\xff\xd9"
A, B, C = (SOI + letter * 9 + EOI for letter in (b"A", b"B", b"C"))


def table(data: bytes) -> FrameTable:
    frames = read(data).frames
    assert frames is not None
    return frames


def cut(data: bytes) -> list[bytes]:
    frames = table(data)
    found = []
    for frame_number in range(1, frames.count + 1):
        offset, length = frames.range(frame_number)
        found.append(frames.extract(frame_number, data[offset : offset + length]))
    return found


def native(pixels: bytes, described: bytes, *, vr: str = "OW", tag: int = PIXELS) -> bytes:
    return with_elements(described, element(tag, vr, pixels))


def encapsulated(pixels: bytes, frames: bytes | None = None, *, syntax: str = JPEG) -> bytes:
    return with_elements(geometry(frames=frames), pixels, transfer_syntax=syntax)


def warnings(data: bytes) -> tuple[str, ...]:
    part10: Part10 = read(data)
    return part10.warnings


def halves(frame: bytes) -> tuple[bytes, bytes]:
    return frame[:6], frame[6:]


def test_native_frames_follow_each_other() -> None:
    data = native(b"aaaabbbbcccc", geometry(frames=b"3 "))
    assert cut(data) == [b"aaaa", b"bbbb", b"cccc"]
    assert table(data).range(2) == (data.index(b"bbbb"), 4)
    assert warnings(data) == ()


def test_an_object_that_names_no_number_has_one_frame() -> None:
    assert cut(native(b"aaaa", geometry())) == [b"aaaa"]


@pytest.mark.parametrize("frame_number", [-1, 0, 3])
def test_there_is_no_frame_outside_the_table(frame_number: int) -> None:
    frames = table(native(b"aaaabbbb", geometry(frames=b"2 ")))
    with pytest.raises(IndexError):
        frames.range(frame_number)
    with pytest.raises(IndexError):
        frames.extract(frame_number, b"aaaa")


def test_bytes_of_another_range_are_not_taken_for_a_frame() -> None:
    with pytest.raises(ValueError, match="4 bytes expected, 3 given"):
        table(native(b"aaaa", geometry())).extract(1, b"aaa")
    frames = table(encapsulated(fragments(A)))
    with pytest.raises(ValueError, match="not the fragments"):
        frames.extract(1, bytes(frames.range(1)[1]))


@pytest.mark.parametrize(
    ("described", "frame_bytes"),
    [
        (geometry(bits=16), 8),
        (geometry(bits=32), 16),
        (geometry(bits=8, samples=3, photometric=b"RGB "), 12),
        (geometry(bits=8, samples=3, photometric=b"YBR_FULL_422"), 8),
        (geometry(bits=1, rows=4, columns=4), 2),
    ],
)
def test_the_size_of_a_native_frame_follows_its_description(
    described: bytes, frame_bytes: int
) -> None:
    data = native(bytes(frame_bytes), described)
    assert table(data).range(1)[1] == frame_bytes
    assert warnings(data) == ()


def test_full_chrominance_under_a_name_that_denies_it_is_believed() -> None:
    data = native(bytes(12), geometry(samples=3, photometric=b"YBR_FULL_422"))
    assert table(data).range(1)[1] == 12


@pytest.mark.parametrize(
    ("tag", "vr", "frame_bytes"), [(0x7FE00008, "OF", 16), (0x7FE00009, "OD", 32)]
)
def test_float_pixels_have_their_own_size(tag: int, vr: str, frame_bytes: int) -> None:
    data = native(bytes(2 * frame_bytes), geometry(frames=b"2 ", bits=8), vr=vr, tag=tag)
    assert [len(frame) for frame in cut(data)] == [frame_bytes] * 2


@settings(deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    count=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_frames_of_single_bits_are_realigned(
    rows: int, columns: int, count: int, seed: int
) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, (count, rows * columns), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    data = native(packed, geometry(rows, columns, 1, frames=str(count).encode()))
    expected = [np.packbits(frame, bitorder="little").tobytes() for frame in bits]
    assert cut(data) == expected


def test_big_endian_frames_stay_as_they_are() -> None:
    header = meta(BIG) + identity(order=">")
    for tag, value in ((0x00280010, 1), (0x00280011, 2), (0x00280100, 16)):
        header += element(tag, "US", pack(">H", value), order=">")
    data = header + element(PIXELS, "OW", b"\1\2\3\4", order=">")
    assert cut(data) == [b"\1\2\3\4"]


@pytest.mark.parametrize(
    ("data", "count", "warning"),
    [
        (native(b"aaaa", geometry(frames=b"1000000 ")), 1, FEWER),
        (native(b"aaaa", geometry(65535, 65535)), 0, FEWER),
        (native(b"", geometry()), 0, FEWER),
        (native(b"aaaabbbb", geometry()), 1, "pixel data is longer than its frames"),
        (native(b"aaaa", geometry(rows=0)), 0, "the size of a frame is not known"),
        (native(b"aaaa", b""), 0, "the size of a frame is not known"),
        (encapsulated(fragments(A, B), b"1000000 "), 2, FEWER),
        (encapsulated(fragments(A), b"3 "), 1, FEWER),
        (encapsulated(fragments(*halves(A)), b"2 "), 1, FEWER),
        (encapsulated(fragments(), b"3 "), 0, FEWER),
        (encapsulated(fragments(A, B, C), b"2 "), 3, MORE),
        (encapsulated(fragments(A, B, C)), 3, MORE),
        (encapsulated(fragments(A, B), b"-2"), 2, MORE),
        (encapsulated(fragments(b"a", b"b", b"c"), b"2 "), 0, "frames cannot be told apart"),
    ],
)
def test_only_frames_that_are_there_are_listed(data: bytes, count: int, warning: str) -> None:
    assert table(data).count == count
    assert warning in warnings(data)


def test_a_fragment_per_frame_needs_no_table() -> None:
    data = encapsulated(fragments(A, B, C), b"3 ")
    assert cut(data) == [A, B, C]
    assert table(data).range(1) == (data.index(A) - 8, len(A) + 8)
    assert warnings(data) == ()


@pytest.mark.parametrize("content", [b"anything", b"", A])
def test_all_fragments_of_a_single_frame_belong_to_it(content: bytes) -> None:
    data = encapsulated(fragments(content, b"more", b"still more"))
    assert cut(data) == [content + b"morestill more"]


@pytest.mark.parametrize(
    ("syntax", "first", "last"),
    [
        (JPEG, b"\xff\xd8\xff\xe0", EOI),
        (JPEG, b"\xff\xd8\xff\xe0", EOI + b"\0"),
        (J2K, b"\xff\x4f\xff\x51", EOI),
        (J2K, b"\0\0\0\x0cjP  \r\n\x87\n", EOI),
        (JPEG_XL, b"\xff\x0a", b"end"),
        (JPEG_XL, b"\0\0\0\x0cJXL \r\n\x87\n", b"end"),
        (RLE, pack("<16I", 2, 64, 70, *[0] * 13), b"end"),
    ],
)
def test_frames_in_several_fragments_are_found_by_their_codestreams(
    syntax: str, first: bytes, last: bytes
) -> None:
    contents = [first + b"1", b"22", b"3" + last, first + last, first, b"5" + last]
    data = encapsulated(fragments(*contents), b"3 ", syntax=syntax)
    assert cut(data) == [b"".join(contents[:3]), contents[3], b"".join(contents[4:])]
    assert warnings(data) == ()


def test_a_fragment_that_looks_like_a_beginning_is_none_inside_a_codestream() -> None:
    lookalike = SOI + b"thumbnail"
    data = encapsulated(fragments(SOI + b"1", lookalike, EOI, SOI + b"2", EOI), b"2 ")
    assert cut(data) == [SOI + b"1" + lookalike + EOI, SOI + b"2" + EOI]


def test_a_frame_without_its_beginning_is_still_a_fragment_of_its_own() -> None:
    damaged = b"\0\0" + B
    assert cut(encapsulated(fragments(A, damaged, C), b"3 ")) == [A, damaged, C]


@pytest.mark.parametrize("offsets", [(0, 19, 40), (0, 8, 16), (0, 0, 0), (22, 0, 44), (0, 22)])
def test_a_wrong_offset_table_is_not_believed(offsets: tuple[int, ...]) -> None:
    lie = pack(f"<{len(offsets)}I", *offsets)
    data = encapsulated(fragments(A, B, C, table=lie), b"3 ")
    assert cut(data) == [A, B, C]
    assert warnings(data) == ("the offset table does not fit the fragments",)


def test_a_right_offset_table_is_accepted_in_silence() -> None:
    offsets = pack("<2I", 0, len(A) + 16)
    data = encapsulated(fragments(*halves(A), *halves(B), table=offsets), b"2 ")
    assert cut(data) == [A, B]
    assert warnings(data) == ()


def test_an_offset_table_tells_frames_apart_where_nothing_else_does() -> None:
    offsets = pack("<2I", 0, 20)
    data = encapsulated(fragments(b"ab", b"cd", b"ef", table=offsets), b"2 ", syntax=UNCOMPRESSED)
    assert cut(data) == [b"abcd", b"ef"]


def test_an_offset_table_that_points_nowhere_tells_nothing() -> None:
    offsets = pack("<2I", 0, 21)
    data = encapsulated(fragments(b"ab", b"cd", b"ef", table=offsets), b"2 ", syntax=UNCOMPRESSED)
    assert cut(data) == []


def test_complete_frames_without_the_final_delimiter_are_accepted() -> None:
    data = encapsulated(fragments(A, B, end=b""), b"2 ")
    assert cut(data) == [A, B]
    assert warnings(data) == ("the end of the pixel data is not marked",)


def test_a_missing_frame_without_the_final_delimiter_is_a_cut() -> None:
    assert refusal(encapsulated(fragments(A, B, end=b""), b"3 ")) == "truncated"


def test_something_else_among_the_fragments_is_refused() -> None:
    pixels = element(PIXELS, "OB", item() + item(A) + b"rubbish!" + END, length=UNDEFINED)
    assert refusal(encapsulated(pixels)) == "malformed"


def test_more_fragments_than_a_record_can_list_are_refused() -> None:
    pixels = element(PIXELS, "OB", item() * 1_000_002 + END, length=UNDEFINED)
    with pytest.raises(Refused) as refused:
        read(encapsulated(pixels))
    assert refused.value.reason == "too-large"


def test_a_video_is_one_stream() -> None:
    data = encapsulated(fragments(b"video", b"goes on"), b"250 ", syntax=VIDEO)
    frames = table(data)
    assert (frames.count, frames.video) == (1, True)
    assert cut(data) == [b"videogoes on"]
    assert warnings(data) == ()


@pytest.mark.parametrize(
    "data",
    [
        native(b"aaaabbbb", geometry(frames=b"2 ")),
        native(b"", geometry()),
        encapsulated(fragments(A, B, C), b"3 "),
        encapsulated(fragments(b"video"), syntax=VIDEO),
        encapsulated(fragments()),
    ],
)
def test_a_record_gives_the_same_table_back(data: bytes) -> None:
    frames = table(data)
    record = bson.decode(bson.encode(frames.to_record()))
    assert FrameTable.from_record(record) == frames


def test_records_are_small() -> None:
    many = encapsulated(fragments(*[A] * 1000), b"1000")
    assert table(native(bytes(4000), geometry(frames=b"1000"))).to_record() == {
        "count": 1000,
        "offset": len(with_elements(geometry(frames=b"1000"))) + 12,
        "bits": 32,
    }
    assert len(bson.encode(table(many).to_record())) == 8 * 1001 + 44


def test_the_transfer_syntax_of_a_native_object_is_the_stated_one() -> None:
    assert read(native(b"aaaa", geometry())).transfer_syntax == EXPLICIT
