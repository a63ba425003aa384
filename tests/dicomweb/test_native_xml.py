"""The Native DICOM Model, as an XML parser reads it."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from app.dicomweb.native_xml import NAMESPACE, native_xml

SPACE = "{http://www.w3.org/XML/1998/namespace}space"


def parsed(attributes: dict[str, Any]) -> ElementTree.Element:
    """The root, after a look at it."""
    root = ElementTree.fromstring(native_xml(attributes))
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    assert root.attrib == {SPACE: "preserve"}
    return root


def plain(element: ElementTree.Element) -> Any:
    """An element as name, attributes, and text or children."""
    name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    return name, element.attrib, [plain(one) for one in element] or element.text


def written(attributes: dict[str, Any]) -> list[Any]:
    """What stands in the root."""
    return [plain(one) for one in parsed(attributes)]


def test_values_are_numbered_and_known_by_keyword() -> None:
    element = {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}
    assert written({"00080008": element}) == [
        (
            "DicomAttribute",
            {"tag": "00080008", "keyword": "ImageType", "vr": "CS"},
            [
                ("Value", {"number": "1"}, "ORIGINAL"),
                ("Value", {"number": "2"}, None),
                ("Value", {"number": "3"}, "AXIAL"),
            ],
        )
    ]


def test_a_name_is_split_into_groups_and_components() -> None:
    name = {"Alphabetic": "Yamada^Tarou^^Dr.", "Ideographic": "山田^太郎"}
    [(_, _, [(kind, number, groups)])] = written({"00100010": {"vr": "PN", "Value": [name]}})
    assert (kind, number) == ("PersonName", {"number": "1"})
    assert groups == [
        (
            "Alphabetic",
            {},
            [("FamilyName", {}, "Yamada"), ("GivenName", {}, "Tarou"), ("NamePrefix", {}, "Dr.")],
        ),
        ("Ideographic", {}, [("FamilyName", {}, "山田"), ("GivenName", {}, "太郎")]),
    ]


def test_a_name_of_too_many_components_loses_none() -> None:
    name = {"Alphabetic": "a^b^c^d^e^f"}
    [(_, _, [(_, _, [(_, _, components)])])] = written({"00100010": {"vr": "PN", "Value": [name]}})
    assert components[-1] == ("NameSuffix", {}, "e^f")


def test_items_of_a_sequence_hold_data_sets() -> None:
    item = {"00080050": {"vr": "SH", "Value": ["A1"]}}
    assert written({"00400275": {"vr": "SQ", "Value": [item, {}]}}) == [
        (
            "DicomAttribute",
            {"tag": "00400275", "keyword": "RequestAttributesSequence", "vr": "SQ"},
            [
                (
                    "Item",
                    {"number": "1"},
                    [
                        (
                            "DicomAttribute",
                            {"tag": "00080050", "keyword": "AccessionNumber", "vr": "SH"},
                            [("Value", {"number": "1"}, "A1")],
                        )
                    ],
                ),
                ("Item", {"number": "2"}, None),
            ],
        )
    ]


def test_bytes_are_inline_or_referred_to() -> None:
    bulk = {"vr": "OW", "BulkDataURI": 'http://host/bulk?offset=1&length="2"'}
    inline = {"vr": "OB", "InlineBinary": "AAE="}
    [(_, _, one), (_, _, other), (_, _, nothing)] = written(
        {"00281201": bulk, "00420011": inline, "00420012": {"vr": "LO"}}
    )
    assert one == [("BulkData", {"uri": 'http://host/bulk?offset=1&length="2"'}, None)]
    assert other == [("InlineBinary", {}, "AAE=")]
    assert nothing is None


def test_a_private_attribute_names_its_creator_instead_of_its_block() -> None:
    attributes = {
        "00091010": {"vr": "LO", "Value": ["not reserved"]},
        "00090011": {"vr": "LO", "Value": ['A & "B"']},
        "00091102": {"vr": "US", "Value": [7]},
    }
    assert [one for _, one, _ in written(attributes)] == [
        {"tag": "00091010", "vr": "LO"},
        {"tag": "00090011", "vr": "LO"},
        {"tag": "00090002", "privateCreator": 'A & "B"', "vr": "US"},
    ]


def test_numbers_are_written_out() -> None:
    attributes = {
        "00280010": {"vr": "US", "Value": [512]},
        "00280030": {"vr": "DS", "Value": [0.5, -1e-07]},
        "00189082": {"vr": "FD", "Value": ["NaN"]},
    }
    assert [[value[2] for value in one[2]] for one in written(attributes)] == [
        ["512"],
        ["0.5", "-1e-07"],
        ["NaN"],
    ]


TEXT = "Line\r\nnext\ttab <b>&amp;</b> ]]> \"quoted\" 'ä' 𝄞"


def test_text_comes_back_as_it_was() -> None:
    [(_, _, [(_, _, text)])] = written({"00104000": {"vr": "LT", "Value": [TEXT]}})
    assert text == TEXT
    [_, (_, names, _)] = written(
        {"00090010": {"vr": "LO", "Value": [TEXT]}, "00091001": {"vr": "LO"}}
    )
    assert names["privateCreator"] == TEXT


@pytest.mark.parametrize("character", ["\0", "\f", "\x1b", "\x7f", "\ud800", "￾", "￿"])
def test_what_xml_has_no_character_for_is_replaced(character: str) -> None:
    [(_, _, [(_, _, text)])] = written({"00104000": {"vr": "LT", "Value": [f"a{character}b"]}})
    assert text == ("a\x7fb" if character == "\x7f" else "a�b")


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_breaks_a_document(text: str) -> None:
    parsed(
        {
            "00090010": {"vr": "LO", "Value": [text]},
            "00091001": {"vr": "LO", "BulkDataURI": text},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": text}]},
            "00104000": {"vr": "LT", "Value": [text]},
        }
    )


def test_every_attribute_of_a_real_object_is_there() -> None:
    attributes = dcmread(str(get_testdata_file("CT_small.dcm"))).to_json_dict()
    root = parsed(attributes)
    assert len(root) == len(attributes)
    found = {one.attrib["tag"]: [value.text for value in one] for one in root}
    assert found["00280030"] == ["0.661468", "0.661468"]
    assert found["00100020"] == ["1CT1"]
