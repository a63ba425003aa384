"""Parts are read as they were written, however the body is cut on its way."""

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dicomweb.envelope import END_OF_PART, Envelope
from app.multipart import parts
from fhir.errors import Invalid

BOUNDARY = "b0undary"
Read = list[tuple[dict[str, str], bytes]]


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 65_536) -> Read:
    return [
        (dict(part.headers), b"".join([chunk async for chunk in part.chunks]))
        async for part in parts(pieces(body, size), BOUNDARY.encode())
    ]


def written(contents: Sequence[bytes]) -> bytes:
    envelope = Envelope(BOUNDARY, "application/dicom")
    return (
        b"".join(
            envelope.opening(f"/{index}", len(content)) + content + END_OF_PART
            for index, content in enumerate(contents)
        )
        + envelope.closing
    )


# Bytes that come close to a boundary.
contents = st.lists(
    st.lists(
        st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--b0und", b"b0undar", b"\0\xff"])
    ).map(b"".join),
    max_size=4,
)


@given(contents, st.integers(1, 40))
async def test_what_was_written_is_read_whatever_the_pieces(
    given_contents: list[bytes], size: int
) -> None:
    assert await read(written(given_contents), size) == [
        (
            {
                "content-type": "application/dicom",
                "content-length": str(len(content)),
                "content-location": f"/{index}",
            },
            content,
        )
        for index, content in enumerate(given_contents)
    ]


@given(st.integers(1, 40), st.data())
async def test_a_body_that_is_cut_gives_its_whole_parts_and_then_an_error(
    size: int, data: st.DataObject
) -> None:
    body = written([b"first", b"second"])
    end_of_first = body.index(b"\r\n--b0undary", 1) + len("\r\n--b0undary\r\n")
    cut = data.draw(st.integers(end_of_first, len(body) - len("--\r\n") - 1))
    arriving = parts(pieces(body[:cut], size), BOUNDARY.encode())
    first = await anext(arriving)
    assert b"".join([chunk async for chunk in first.chunks]) == b"first"
    with pytest.raises(Invalid):
        _ = [chunk async for part in arriving async for chunk in part.chunks]


async def test_a_part_that_is_not_read_is_passed_over() -> None:
    body = written([bytes(100_000), b"second"])
    found = [
        dict(part.headers)["content-length"]
        async for part in parts(pieces(body, 999), BOUNDARY.encode())
    ]
    assert found == ["100000", "6"]
