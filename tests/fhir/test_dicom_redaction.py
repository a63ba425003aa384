"""What is closed to a caller has no value in the DICOM JSON that reaches them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from fhir.dicom_elements import OTHER, PRIVATE, coordinate_of
from fhir.dicom_redaction import HEADER_COORDINATES, element_of, redacted
from fhir.elements import COORDINATES

_NAME = {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
_HEADER: dict[str, Any] = {
    "00100010": _NAME,
    "00100020": {"vr": "LO", "Value": ["4711"]},
    "00104000": {"vr": "LT"},
    "00290010": {"vr": "LO", "Value": ["SIEMENS CSA HEADER"]},
    "00291010": {"vr": "OB", "BulkDataURI": "?offset=400&length=2000"},
    "00400275": {
        "vr": "SQ",
        "Value": [{"00321060": {"vr": "LO", "Value": ["Head"]}, "00100010": _NAME}],
    },
    "60003000": {"vr": "OW", "InlineBinary": "AAAA"},
}


def test_closed_attributes_stay_without_a_value() -> None:
    found = redacted(_HEADER, HEADER_COORDINATES - {"Patient.name", "Image.pixels"})
    assert found == _HEADER | {
        "00100010": {"vr": "PN"},
        "00400275": {
            "vr": "SQ",
            "Value": [{"00321060": {"vr": "LO", "Value": ["Head"]}, "00100010": {"vr": "PN"}}],
        },
        "60003000": {"vr": "OW"},
    }


def test_what_stands_in_a_closed_sequence_is_gone_with_it() -> None:
    found = redacted(_HEADER, HEADER_COORDINATES - {"ImagingStudy.basedOn"})
    assert found == _HEADER | {"00400275": {"vr": "SQ"}}


def test_closed_private_attributes_vanish_with_their_creators() -> None:
    found = redacted(_HEADER, HEADER_COORDINATES - {PRIVATE})
    assert list(found) == ["00100010", "00100020", "00104000", "00400275", "60003000"]


def test_private_attributes_vanish_inside_a_sequence_too() -> None:
    item = {"00091001": {"vr": "LO", "Value": ["x"]}, "00080104": {"vr": "LO", "Value": ["y"]}}
    header = {"00081032": {"vr": "SQ", "Value": [item]}}
    assert redacted(header, HEADER_COORDINATES - {PRIVATE}) == {
        "00081032": {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": ["y"]}}]}
    }


def test_an_open_private_sequence_does_not_open_what_stands_in_it() -> None:
    header = {"00091001": {"vr": "SQ", "Value": [{"00100010": _NAME}]}}
    assert redacted(header, frozenset({PRIVATE})) == {
        "00091001": {"vr": "SQ", "Value": [{"00100010": {"vr": "PN"}}]}
    }


def test_what_is_wholly_open_is_the_same() -> None:
    assert redacted(_HEADER, COORDINATES) == _HEADER


def test_empty_sequences_and_empty_items_stay_as_they_are() -> None:
    header = {"00400275": {"vr": "SQ"}, "00081032": {"vr": "SQ", "Value": [{}]}}
    assert redacted(header, HEADER_COORDINATES - {OTHER}) == header


def test_what_is_given_is_not_changed() -> None:
    before = orjson.dumps(_HEADER)
    redacted(_HEADER, frozenset({"ImagingStudy.basedOn"}))
    assert orjson.dumps(_HEADER) == before


@given(st.integers(0, 0xFFFFFFFF))
def test_no_attribute_is_of_an_element_that_headers_are_not_known_to_tell(tag: int) -> None:
    assert coordinate_of(tag) in HEADER_COORDINATES
    assert element_of(f"{tag:08X}") == coordinate_of(tag)


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtplan.dcm", "reportsi.dcm", "liver.dcm"])
@given(opened=st.frozensets(st.sampled_from(sorted(HEADER_COORDINATES))))
def test_whatever_has_a_value_is_open_with_all_around_it(name: str, opened: frozenset[str]) -> None:
    header = dcmread(str(get_testdata_file(name)), stop_before_pixels=True).to_json_dict()
    assert _told(redacted(header, opened)) == {
        path: value
        for path, value in _told(header).items()
        if {coordinate_of(int(tag, 16)) for tag in path if isinstance(tag, str)} <= opened
    }


def _told(attributes: dict[str, Any], around: tuple[str | int, ...] = ()) -> dict[Any, Any]:
    """List every value by where it stands: tags, and numbers of items."""
    found: dict[Any, Any] = {}
    for key, element in attributes.items():
        path = (*around, key)
        if element["vr"] == "SQ":
            for at, item in enumerate(element.get("Value", ())):
                found |= _told(item, (*path, at))
        else:
            values = {name: value for name, value in element.items() if name != "vr"}
            found |= {path: values} if values else {}
    return found
