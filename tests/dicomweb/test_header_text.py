"""Headers joined as bytes are those that are read, changed and written."""

from dataclasses import replace

import orjson
import pytest
from pydicom import Dataset

from app.dicomweb.header_text import _joined, header_text
from app.imaging.part10 import Part10Parser, Refused
from app.samples.archive import pydicom_files
from fhir.dicom_redaction import HEADER_COORDINATES
from fhir.repository import StoredHeader
from tests.build import dicom

URL = "http://radiograph.test/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4"


def header(data: bytes) -> StoredHeader:
    parser = Part10Parser()
    parser.feed(data)
    found = parser.close()
    values = found.attributes.get("00280100", {}).get("Value", [None])
    return StoredHeader(
        id="1.2.3.4",
        series="1.2.3",
        transfer_syntax=found.transfer_syntax,
        text=orjson.dumps(found.attributes),
        pixels=None
        if found.frames is None
        else "encapsulated"
        if found.frames.encapsulated
        else "native",
        bits_allocated=values[0],
    )


def read_and_written(one: StoredHeader) -> bytes:
    """Write a header the long way, which is the way of all that do not begin with a brace."""
    spaced = replace(one, text=b" " + one.text)
    assert _joined(spaced, URL) is None
    return header_text(spaced, HEADER_COORDINATES, URL)


def test_every_header_is_joined_as_it_would_be_written() -> None:
    compared = joined = 0
    for path in pydicom_files():
        try:
            one = header(path.read_bytes())
        except Refused:
            continue
        joined += _joined(one, URL) is not None
        assert header_text(one, HEADER_COORDINATES, URL) == read_and_written(one), path.name
        compared += 1
    assert compared > 100
    assert joined > compared - 10


def nested(depth: int) -> Dataset:
    item = Dataset()
    item.CodeMeaning = 'a } brace, a ] bracket, a " quote and a \\ too'
    for _ in range(depth):
        outer = Dataset()
        outer.add_new(0x00081032, "SQ", [item])
        item = outer
    return item


@pytest.mark.parametrize("depth", [0, 1, 3, 4, 5, 12])
def test_sequences_before_the_transfer_syntax_do_not_mislead(depth: int) -> None:
    one = header(dicom(elements={0x00081032: ("SQ", [nested(depth)])}))
    text = header_text(one, HEADER_COORDINATES, URL)
    assert text == read_and_written(one)
    assert list(orjson.loads(text)) == sorted(orjson.loads(text))


@pytest.mark.parametrize("tag", [0x00083001, 0x00083002, 0x00083010, 0x0008FFFE])
def test_attributes_next_to_the_transfer_syntax_keep_their_order(tag: int) -> None:
    one = header(dicom(elements={tag: ("UI", "1.2.3")}))
    found = orjson.loads(header_text(one, HEADER_COORDINATES, URL))
    assert list(found) == sorted(found)
    assert found["00083002"]["Value"] == [one.transfer_syntax]
    assert f"{tag:08X}" in found


def test_a_header_without_more_than_what_must_be_there_is_complete() -> None:
    for text in (b"{}", b'{"00080005":{"vr":"CS"}}'):
        one = StoredHeader("1", "1", "1.2", text, None, None)
        found = orjson.loads(header_text(one, HEADER_COORDINATES, URL))
        assert found == orjson.loads(text) | {"00083002": {"vr": "UI", "Value": ["1.2"]}}
