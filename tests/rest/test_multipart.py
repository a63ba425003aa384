"""Bodies cut into parts as they arrive, wherever the pieces of the stream end."""

from collections.abc import AsyncIterator

import pytest

from app.multipart import MAX_PARTS, boundary, parts
from fhir.errors import Invalid, TooLarge, UnsupportedMedia

WHOLE = (
    b"--B\r\nContent-Type: a/b\r\nX-Name: \xc3\xa9\r\n\r\nabc\r\n"
    b"--B\r\n\r\n\r\n"
    b"--B  \r\nq: 1\r\n\r\n\r\n--Bx\r\n--\r\n"
    b"--B--\r\nepilogue"
)
Read = tuple[int, dict[str, str], bytes]
READ: list[Read] = [
    (1, {"content-type": "a/b", "x-name": "é"}, b"abc"),
    (2, {}, b""),
    (3, {"q": "1"}, b"\r\n--Bx\r\n--"),
]


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: AsyncIterator[bytes], seen: list[Read]) -> None:
    async for one in parts(body, b"B"):
        content = b"".join([chunk async for chunk in one.chunks])
        seen.append((one.number, dict(one.headers), content))


async def whole(body: bytes, size: int) -> list[Read]:
    seen: list[Read] = []
    await read(cut(body, size), seen)
    return seen


@pytest.mark.parametrize("preamble", [b"", b"\r\n", b"to be ignored\r\n", b"--A\r\n--\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 13, 64, 1000])
async def test_parts_are_the_same_however_the_body_is_cut(preamble: bytes, size: int) -> None:
    assert await whole(preamble + WHOLE, size) == READ


@pytest.mark.parametrize("size", [1, 9, 1000])
async def test_what_is_not_read_of_a_part_is_skipped(size: int) -> None:
    numbers = [one.number async for one in parts(cut(WHOLE, size), b"B")]
    assert numbers == [1, 2, 3]


async def test_a_body_cut_anywhere_gives_whole_parts_and_then_fails() -> None:
    end = WHOLE.index(b"--B--") + len(b"--B--")
    for length in range(end):
        seen: list[Read] = []
        with pytest.raises(Invalid):
            await read(cut(WHOLE[:length], 7), seen)
        assert seen == READ[: len(seen)]
    assert await whole(WHOLE[:end], 7) == READ


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b"--C\r\n\r\n\r\n--C--",
        b"--B\r\nno colon\r\n\r\n",
        b"x" * 70_000,
    ],
)
async def test_what_is_no_multipart_body_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        await whole(body, 1000)


async def test_parts_before_a_broken_one_are_given() -> None:
    seen: list[Read] = []
    with pytest.raises(Invalid, match="no well-formed"):
        await read(cut(b"--B\r\n\r\nabc\r\n--B\r\n(: 1\r\n\r\n", 1000), seen)
    assert seen == [(1, {}, b"abc")]


async def test_there_is_an_upper_bound_of_parts() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"--B\r\n\r\n\r\n"

    seen: list[Read] = []
    with pytest.raises(TooLarge):
        await read(endless(), seen)
    assert len(seen) == MAX_PARTS


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
    ],
)
def test_a_boundary_is_read_from_the_header(header: str, found: bytes) -> None:
    assert boundary(header, "multipart/form-data") == found


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("", UnsupportedMedia),
        ("multipart/related; boundary=abc", UnsupportedMedia),
        ("multipart/form-data", Invalid),
        ('multipart/form-data; boundary=""', Invalid),
        (f"multipart/form-data; boundary={'a' * 201}", Invalid),
    ],
)
def test_a_header_without_a_usable_boundary_is_refused(header: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        boundary(header, "multipart/form-data")
