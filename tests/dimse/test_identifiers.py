"""Identifiers: what is written is read again, and answers fit their character set."""

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid
from pydicom.filereader import read_dataset
from pynetdicom.dsutils import encode

from app.dimse.identifiers import read, write
from fhir.errors import Invalid
from tests.dimse.peers import dataset

EXPLICIT = str(uid.ExplicitVRLittleEndian)
IMPLICIT = str(uid.ImplicitVRLittleEndian)
SYNTAXES = (EXPLICIT, IMPLICIT)
ANSWER: dict[str, Any] = {
    "00080018": {"vr": "UI", "Value": ["1.2.3", "1.2.4"]},
    "00080020": {"vr": "DA", "Value": ["20240229"]},
    "00081030": {"vr": "LO"},
    "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["a"]}}, {}]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Phonetic": "c"}]},
    "00181000": {"vr": "LO", "Value": ["x", None, "y"]},
    "00200013": {"vr": "IS", "Value": [7]},
    "00200032": {"vr": "DS", "Value": [1, -2.5, 0.1]},
    "00280010": {"vr": "US", "Value": [512]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_answer_is_read_as_it_was_written(syntax: str) -> None:
    found = read(write(ANSWER, syntax), syntax)
    assert found.pop("00080005") == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert found == dict(sorted(ANSWER.items()))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_the_same(syntax: str) -> None:
    stream = BytesIO(write(ANSWER, syntax))
    found = read_dataset(stream, is_implicit_VR=syntax == IMPLICIT, is_little_endian=True)
    assert found.SOPInstanceUID == ["1.2.3", "1.2.4"]
    assert str(found.PatientName) == "A^B==c"
    assert found.ImagePositionPatient == [1, -2.5, 0.1]
    assert found.FrameIncrementPointer == 0x00181063
    assert (found.Rows, found.InstanceNumber, found.StudyDescription) == (512, 7, "")
    assert [one.get("CodeValue") for one in found.ProcedureCodeSequence] == ["a", None]


@given(st.text(st.characters(blacklist_characters="\\^=", blacklist_categories=["Cs", "Cc", "Z"])))
def test_any_name_comes_through(name: str) -> None:
    said = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}} if name else {}
    for wanted in (None, "ISO_IR 100", "ISO_IR 144", "ISO_IR 13", "ISO 2022 IR 87"):
        found = read(write(said, EXPLICIT, wanted), EXPLICIT)
        assert {key: one for key, one in found.items() if key != "00080005"} == said


@given(st.floats(-1e300, 1e300))
def test_a_number_fits_a_decimal_string(number: float) -> None:
    data = write({"00180050": {"vr": "DS", "Value": [number]}}, IMPLICIT)
    text = data[data.index(b"\x18\x00\x50\x00") + 8 :].decode().strip()
    assert len(text) <= 16
    assert float(text) == pytest.approx(number, rel=1e-7)


def test_a_query_is_read_in_the_character_set_it_names() -> None:
    query = dataset(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Mül*",
        StudyDate="20200101-",
        StudyInstanceUID=["1.2", "1.3"],
    )
    for implicit in (True, False):
        data = encode(query, implicit, True)
        assert data is not None
        assert read(data, IMPLICIT if implicit else EXPLICIT) == {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
            "00080020": {"vr": "DA", "Value": ["20200101-"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Mül*"}]},
            "0020000D": {"vr": "UI", "Value": ["1.2", "1.3"]},
        }


def test_no_identifier_asks_for_nothing() -> None:
    assert read(b"", IMPLICIT) == {}


def test_what_cannot_be_read_is_refused_without_its_values() -> None:
    nested = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5_000
    for data in (b"\x10\x00\x10\x00PN\xff\x7fDoe^Jane", nested, b"\x10\x00\x10\x00PN"):
        with pytest.raises(Invalid, match=r"^The identifier cannot be read\.$"):
            read(data, EXPLICIT)
