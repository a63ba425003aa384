"""Explicit VR becomes implicit VR and says the same."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from app.dimse.implicit import Implicit, implicit
from tests.build import dicom


def body(**keywords: Any) -> bytes:
    data = dicom(**keywords)
    return data[144 + int.from_bytes(data[140:144], "little") :]


NESTED = body(
    ProcedureCodeSequence=[
        {"CodeValue": "1", "CodeMeaning": "one"},
        {"CodeValue": "2", "EquivalentCodeSequence": [{"CodeValue": "3"}, {}]},
    ],
    ReferencedStudySequence=[],
    elements={0x00111001: ("UN", b"private!"), 0x00110010: ("LO", "US")},
)


def converted(data: bytes, cuts: list[int]) -> bytes:
    converter = Implicit()
    out, start = b"", 0
    for cut in sorted(cuts):
        out += converter.feed(data[start : cut % len(data)]) if cut % len(data) > start else b""
        start = max(start, cut % len(data))
    return out + converter.feed(data[start:]) + converter.close()


@given(st.lists(st.integers(0, len(NESTED)), max_size=8))
def test_the_data_set_says_the_same_however_it_is_cut(cuts: list[int]) -> None:
    before = read_dataset(BytesIO(NESTED), is_implicit_VR=False, is_little_endian=True)
    after = read_dataset(
        BytesIO(converted(NESTED, cuts)), is_implicit_VR=True, is_little_endian=True
    )
    assert after == before


def test_a_sequence_of_unknown_vr_and_length_stays_as_it_is() -> None:
    # PS3.5 6.2.2 note 3: what is in it is implicit already
    inner = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x00\x01\x02\x00\x00\x00AB"
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    data = b"\x11\x00\x01\x10UN\0\0\xff\xff\xff\xff" + inner + ends
    assert converted(data, []) == b"\x11\x00\x01\x10\xff\xff\xff\xff" + inner + ends


@pytest.mark.parametrize(
    "data",
    [
        NESTED[:-1],
        NESTED[:11],
        b"\x08\x00\x05\x00\x0a\0\0\0ISO_IR 100",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 40,
    ],
)
def test_what_is_no_explicit_data_set_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut|no explicit VR|delimiter|nested"):
        converted(data, [])


async def test_pieces_pass_as_they_come() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(NESTED), 100):
            yield NESTED[start : start + 100]

    out = [piece async for piece in implicit(pieces())]
    assert len(out) == -(-len(NESTED) // 100) + 1
    assert b"".join(out) == converted(NESTED, [])


def test_pixels_are_not_waited_for() -> None:
    converter = Implicit()
    data = body(frames=100)
    start = data.index(b"\xe0\x7f\x10\x00OW") + 12
    converter.feed(data[:start])
    assert converter.feed(data[start : start + 1000]) == data[start : start + 1000]
