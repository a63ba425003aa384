"""A header that leaves as DICOM JSON says what the object without identity says, and no more."""

import struct
from typing import Any

import pytest
from pydicom import Dataset

from app.imaging.cleaned_json import cleaned_json
from app.imaging.part10 import Part10, Part10Parser, Refused
from app.samples.archive import pydicom_files
from app.store.ports import ObjectStore
from fhir.errors import Withheld
from fhir.pseudonyms import Disguise, Pseudonyms
from tests.build import dicom
from tests.deidentified.objects import PATIENT, described, released

Json = Any
# Sequences that say nothing of being some: of objects they are left out, in JSON they are cleaned.
OF_UNKNOWN_KIND = {"rtdose_rle.dcm", "rtdose_rle_1frame.dcm"}
WORD, UID, DATE = "PLANTED", "1.2.999.4242", "20210317"


@pytest.fixture(params=["file"])
def object_settings(request: pytest.FixtureRequest) -> Any:
    """Objects in files: what leaves does not depend on where it lies."""
    return request.getfixturevalue("file_settings")


def parsed(data: bytes) -> Part10:
    parser = Part10Parser()
    parser.feed(data)
    return parser.close()


def told(attributes: dict[str, Json]) -> dict[str, Json]:
    """Leave out what has no value, and bulk data, at every depth."""
    found = {}
    for key, element in attributes.items():
        if element["vr"] == "SQ":
            found[key] = {"vr": "SQ", "Value": [told(one) for one in element.get("Value", ())]}
        elif len(element) > 1 and "BulkDataURI" not in element:
            found[key] = element
    return found


@pytest.mark.parametrize("days", [None, 365])
async def test_every_header_is_cleaned_as_its_object_is(
    objects: ObjectStore, days: int | None
) -> None:
    compared, others = 0, set()
    for path in pydicom_files():
        data = path.read_bytes()
        try:
            before = parsed(data)
        except Refused:
            continue
        image = described(data, days)
        assert image.disguise is not None
        try:
            cleaned = parsed(await released(objects, data, days))
        except (Refused, Withheld, struct.error):
            continue  # no such object leaves
        found, expected = (
            told(cleaned_json(before.attributes, image.disguise)),
            told(cleaned.attributes),
        )
        if found != expected:
            others.add(path.name)
            assert {key: found[key] for key in expected} == expected
            assert {found[key]["vr"] for key in found.keys() - expected.keys()} == {"SQ"}
        compared += 1
    assert compared > 100
    assert others == OF_UNKNOWN_KIND


def disguise(days: int | None = None) -> Disguise:
    return Disguise(Pseudonyms(bytes(32), "trial", days), PATIENT)


def test_nothing_of_a_person_is_left_at_any_depth() -> None:
    item = Dataset()
    item.PatientName = WORD
    item.ReferencedSOPInstanceUID = UID
    item.ContentDate = DATE
    header = parsed(
        dicom(
            PatientName=f"{WORD}^Jane",
            PatientID=WORD,
            PatientBirthDate=DATE,
            StudyInstanceUID=UID,
            AccessionNumber=WORD,
            ImageComments=WORD,
            elements={
                0x00091010: ("LO", WORD),
                0x00289110: ("SQ", [item]),
                0x00420011: ("OB", WORD.encode() * 200),
            },
        )
    ).attributes
    found = cleaned_json(header, disguise())
    text = repr(found)
    assert [word for word in (WORD, UID, DATE, "BulkDataURI") if word in text] == []
    pseudonyms = disguise().pseudonyms
    assert found["00100020"] == {"vr": "LO", "Value": [pseudonyms.number(PATIENT)]}
    assert found["0020000D"] == {"vr": "UI", "Value": [pseudonyms.uid(UID)]}
    assert found["00080050"] == {"vr": "SH", "Value": [pseudonyms.accession(WORD)]}
    assert found["00120062"] == {"vr": "CS", "Value": ["YES"]}
    assert list(found) == sorted(found)


def test_dates_are_moved_where_they_may_be() -> None:
    header = parsed(dicom(StudyDate="20240229")).attributes
    moved = cleaned_json(header, disguise(365))["00080020"]["Value"]
    assert moved != ["20240229"]
    assert cleaned_json(header, disguise()).get("00080020") in ({"vr": "DA"}, None)
    assert cleaned_json(header, disguise())["00280303"]["Value"] == ["REMOVED"]


def test_what_was_never_stored_as_text_is_cleaned_by_what_it_means() -> None:
    header = parsed(dicom(elements={0x00081155: ("UN", UID.encode())})).attributes
    assert UID not in repr(cleaned_json(header, disguise()))
