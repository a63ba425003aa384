"""Every element that the profile knows, at every depth, and every file there is."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicomanonymizer.simpledicomanonymizer import initialize_actions
from pydicom import uid as uids
from pydicom.data import get_testdata_files
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from app.imaging.confidentiality import EDITION
from app.imaging.part10 import Part10Parser, Refused
from app.store.ports import ObjectStore
from fhir.errors import Withheld
from tests.build import dicom, uid
from tests.deidentified.objects import PATIENT, described, pseudonyms, released

RULES = initialize_actions(f"dicomfields_{EDITION}")
TABLE = {
    tag[0] << 16 | tag[1]: rule.__name__
    for tag, rule in RULES.items()
    if len(tag) == 2 and tag[0] > 0x0007
}
REMOVED = {tag for tag, rule in TABLE.items() if rule == "delete"}
# What no table can plant, for the object would be another one, or none.
STRUCTURE = {0x00080018, 0x0020000D, 0x0020000E}
TEXT, UID, DATE, TIME, NUMBER = "PLANTED", "1.2.999.4242", "20210317", "102938.7", "424242"
WORDS = [word.encode() for word in (TEXT, UID, DATE, TIME, NUMBER)]
PLANTED: dict[str, Any] = {
    "AS": "042Y",
    "DA": DATE,
    "DS": NUMBER,
    "DT": f"{DATE}{TIME}",
    "IS": NUMBER,
    "TM": TIME,
    "UI": UID,
    "US": 42,
    "OB": f"{TEXT}!".encode(),
    "UN": f"{TEXT}!".encode(),
    "UR": f"urn:{TEXT}",
}


@pytest.fixture(params=["file"])
def object_settings(request: pytest.FixtureRequest) -> Any:
    """Objects in files: what leaves does not depend on where it lies."""
    return request.getfixturevalue("file_settings")


def planted(vr: str) -> tuple[str, Any]:
    if vr == "SQ":
        return vr, [pydicom.Dataset()]
    return vr, PLANTED.get(vr, TEXT)


def everything() -> dict[int, tuple[str, Any]]:
    known = {tag for tag in TABLE if dictionary_has_tag(tag)} - STRUCTURE
    elements = {tag: planted(dictionary_VR(tag)) for tag in known}
    for vr, value in elements.values():
        if vr == "SQ":
            value[0].PatientName = TEXT
            value[0].ReferencedSOPInstanceUID = UID
            value[0].TextValue = TEXT
    return elements


def nested(elements: dict[int, tuple[str, Any]], depth: int) -> pydicom.Dataset:
    inner = pydicom.Dataset()
    for tag, (vr, value) in elements.items():
        inner.add_new(tag, vr, value)
    for _ in range(depth):
        outer = pydicom.Dataset()
        outer.add_new(0x00289110, "SQ", [inner])  # PixelMeasuresSequence, which stays
        inner = outer
    return inner


PRIVATE: dict[int, tuple[str, Any]] = {
    0x00090010: ("LO", TEXT),
    0x00091001: ("LO", TEXT),
    0x00091002: ("DA", DATE),
    0x00091003: ("SQ", []),
    0x00091004: ("UI", UID),
    0x00091005: ("US", 42),
}
# Graphics, an element of a later edition, the retired and what has no place in a data set.
OTHERS: dict[int, tuple[str, Any]] = {
    0x60003000: ("OW", TEXT.encode() + b"!"),
    0x60000010: ("US", 1),
    0x60001500: ("LO", TEXT),
    0x60124000: ("LT", TEXT),
    0x50003000: ("OW", TEXT.encode() + b"!"),
    0x0008FFF0: ("LO", TEXT),
    0x00104000: ("LT", TEXT),
    0x00284000: ("LT", TEXT),
    0x00181030: ("LO", TEXT),
    0xFFFCFFFC: ("OB", TEXT.encode() + b"!"),
}


@pytest.mark.parametrize(
    "transfer_syntax",
    [
        uids.ExplicitVRLittleEndian,
        uids.ImplicitVRLittleEndian,
        uids.ExplicitVRBigEndian,
        uids.DeflatedExplicitVRLittleEndian,
        uids.RLELossless,
    ],
)
@pytest.mark.parametrize("days", [None, 30])
async def test_no_planted_word_is_left_whatever_element_held_it(
    objects: ObjectStore, transfer_syntax: str, days: int | None
) -> None:
    elements = everything() | PRIVATE | OTHERS
    within = everything() | PRIVATE
    deep = nested(within, depth=3)
    data = dicom(
        transfer_syntax=transfer_syntax,
        preamble=(TEXT * 20).encode()[:128],
        meta={"SourceApplicationEntityTitle": TEXT, "PrivateInformationCreatorUID": UID},
        elements=elements
        | {
            0x52009229: ("SQ", [deep]),
            0x00081140: ("SQ", [nested(within, depth=0)]),
            0x00091003: ("SQ", [nested(within, depth=0)]),
        },
        SOPInstanceUID=f"{UID}.1",
        StudyInstanceUID=f"{UID}.2",
        SeriesInstanceUID=f"{UID}.3",
    )
    out = await released(objects, data, days)
    found = pydicom.dcmread(BytesIO(out))
    plain = BytesIO()
    found.save_as(plain, enforce_file_format=False)
    # what is moved keeps the time of day
    words = [word for word in WORDS if days is None or word != TIME.encode()]
    assert [word for word in words if word in out or word in plain.getvalue()] == []
    for dataset in levels(found):
        removed = {int(one) for one in dataset.keys()} & REMOVED  # noqa: SIM118 -- a Dataset
        moved = {one for one in removed if days and dataset[one].VR in {"DA", "DT", "TM"}}
        assert removed == moved
        assert [one for one in dataset if one.tag.is_private] == []
        assert [one for one in dataset if one.tag.group in (*range(0x5000, 0x5100), 0x6000)] == []


def levels(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from levels(item)


def test_the_table_is_all_there() -> None:
    # pydicom's dictionary is older than the table
    assert len(TABLE) > 640
    assert len([tag for tag in TABLE if dictionary_has_tag(tag)]) > 620


@pytest.mark.parametrize(
    ("transfer_syntax", "table", "frames"),
    [
        (uids.ExplicitVRLittleEndian, "basic", 1),
        (uids.ImplicitVRLittleEndian, "basic", 3),
        (uids.ExplicitVRBigEndian, "basic", 2),
        (uids.RLELossless, "basic", 3),
        (uids.RLELossless, "none", 1),
        (uids.JPEG2000Lossless, "extended", 3),
        (uids.DeflatedExplicitVRLittleEndian, "basic", 2),
    ],
)
async def test_pixel_data_leaves_byte_for_byte(
    objects: ObjectStore, transfer_syntax: str, table: Any, frames: int
) -> None:
    data = dicom(transfer_syntax=transfer_syntax, table=table, frames=frames, fragments=1)
    before, after = (pydicom.dcmread(BytesIO(one)) for one in (data, await released(objects, data)))
    assert after.PixelData == before.PixelData
    assert after["PixelData"].VR == before["PixelData"].VR
    assert after.file_meta.TransferSyntaxUID == transfer_syntax
    assert after.PixelRepresentation == before.PixelRepresentation
    assert (after.pixel_array == before.pixel_array).all()


async def test_the_object_says_what_was_done_to_it(objects: ObjectStore) -> None:
    found = pydicom.dcmread(BytesIO(await released(objects, dicom())))
    assert found.PatientIdentityRemoved == "YES"
    assert found.DeidentificationMethod.startswith("DICOM PS3.15")
    assert [one.CodeValue for one in found.DeidentificationMethodCodeSequence] == ["113100"]
    assert found.LongitudinalTemporalInformationModified == "REMOVED"
    assert "PatientBirthDate" not in found or found.PatientBirthDate == ""
    assert (found.StudyDate, found.PatientName) == ("", "")


async def test_dates_move_by_the_days_of_the_patient_and_the_birth_date_goes(
    objects: ObjectStore,
) -> None:
    data = dicom(
        AcquisitionDateTime="20240301101500.5+0100",
        ContentDate="20240229",
        AcquisitionDate="2024.02.29",
        PatientBirthTime="101500",
        TimezoneOffsetFromUTC="+0100",
        elements={0x00080012: ("DA", "nodate")},
    )
    days = pseudonyms(days=30).days(PATIENT)
    assert days is not None
    found = pydicom.dcmread(BytesIO(await released(objects, data, 30)))
    moved = pydicom.valuerep.DA("20240229")
    assert moved is not None
    for said in (found.StudyDate, found.SeriesDate, found.ContentDate, found.AcquisitionDate):
        assert (pydicom.valuerep.DA(said) - moved).days == days
    assert found.AcquisitionDateTime[8:] == "101500.5+0100"
    assert (found.StudyTime, found.PatientBirthDate) == ("101500", "")
    assert "PatientBirthTime" not in found
    assert found.InstanceCreationDate == "19000101"  # a dummy: no day can be told
    assert found.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [one.CodeValue for one in found.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107"]


async def test_uids_are_the_pseudonyms_that_records_have_everywhere(objects: ObjectStore) -> None:
    study, series, image, other = (uid(word) for word in ("study", "series", "image", "other"))
    reference = {"ReferencedSOPClassUID": uids.CTImageStorage, "ReferencedSOPInstanceUID": other}
    data = dicom(
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        SOPInstanceUID=image,
        ReferencedImageSequence=[reference],
        SourceImageSequence=[reference],
        FrameOfReferenceUID=study,
        IrradiationEventUID=[series, other],
    )
    found = pydicom.dcmread(BytesIO(await released(objects, data)))
    made = pseudonyms()
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID) == (made.uid(study),) * 2
    assert found.SeriesInstanceUID == made.uid(series)
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID == made.uid(image)
    assert list(found.IrradiationEventUID) == [made.uid(series), made.uid(other)]
    for item in (*found.ReferencedImageSequence, *found.SourceImageSequence):
        assert item.ReferencedSOPInstanceUID == made.uid(other)
        assert item.ReferencedSOPClassUID == uids.CTImageStorage
    assert found.PatientID == made.number(PATIENT)
    assert found.AccessionNumber == made.accession("ACC1")


async def test_the_same_object_leaves_as_the_same_bytes(objects: ObjectStore) -> None:
    data = dicom()
    assert await released(objects, data) == await released(objects, data)


async def test_an_object_that_cannot_be_read_again_does_not_leave(objects: ObjectStore) -> None:
    data = dicom(transfer_syntax=uids.DeflatedExplicitVRLittleEndian)
    image = described(data)
    broken = data[:400] + bytes(len(data) - 400)

    async def pieces() -> Any:
        yield broken

    await objects.put(image.object_key, pieces())
    with pytest.raises(Withheld, match="cannot be read"):
        await released(objects, data)


@pytest.mark.filterwarnings("ignore")  # pydicom's remarks on its own odd files
@pytest.mark.parametrize("days", [None, 30])
async def test_every_file_leaves_whole_and_without_what_the_profile_removes(
    objects: ObjectStore, days: int | None
) -> None:
    count = 0
    for path in sorted({Path(one) for one in get_testdata_files()}):
        if path.is_dir():
            continue
        data = path.read_bytes()
        try:
            before = described(data)
        except Refused:
            continue
        out = await released(objects, data, days)
        parser = Part10Parser()
        parser.feed(out)
        after = parser.close()
        assert after.frames is None or after.frames.to_record()["count"] == before.frames["count"]  # type: ignore[index]
        assert (after.frames is None) == (before.frames is None)
        left = {int(tag, 16) for tag in names(after.attributes)}
        moved = {tag for tag in left if days and dictionary_VR(tag) in {"DA", "DT", "TM"}}
        assert left & REMOVED <= moved, path.name
        assert [tag for tag in left if tag >> 16 & 1] == [], path.name
        assert pseudonyms().uid(before.id) == after.sop_instance_uid
        # pydicom reads no pixels of a file that ends before their delimiter
        assert pixels(data) in {pixels(out), b""}, path.name
        count += 1
    assert count > 80


def names(attributes: dict[str, Any]) -> Iterator[str]:
    for tag, element in attributes.items():
        yield tag
        if element["vr"] == "SQ":
            for item in element.get("Value", ()):
                yield from names(item)


def pixels(data: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data), force=True)
    found = [dataset[one].value for one in ("PixelData", "FloatPixelData") if one in dataset]
    return bytes(found[0]) if found else b""
