"""A small archive with ties, gaps and several patients, and what is in it."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

from app.archive import Archive
from tests.build import dicom, study

# PatientID: name, birth date, sex
PEOPLE: Mapping[str, tuple[str, str | None, str | None]] = MappingProxyType(
    {
        "P1": ("Adams^Ann", "19500101", "F"),
        "P2": ("Baker^Bob", "19600202", "M"),
        "P3": ("Baker^Bea", "19600202", "F"),
        "P4": ("Cole^Cid", "19600202", "M"),
        "P5": ("Dunn^Dee", None, "F"),
        "P6": ("Ender^Eve", None, None),
        "P7": ("Müller^Zoë", "20011231", "O"),
    }
)

# Study UID: PatientID and what its header says besides
STUDIES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "1.2.1": {
            "PatientID": "P1",
            "StudyDate": "20200105",
            "Modality": "CT",
            "AccessionNumber": "A1",
        },
        "1.2.2": {
            "PatientID": "P1",
            "StudyDate": "20210301",
            "Modality": "MR",
            "BodyPartExamined": "HEAD",
            "StudyDescription": "MR head with contrast",
            "AccessionNumber": "A2",
        },
        "1.2.3": {
            "PatientID": "P2",
            "StudyDate": "20210301",
            "Modality": "US",
            "BodyPartExamined": "HEART",
            "StudyDescription": "Echo",
            "AccessionNumber": "A3",
        },
        "1.2.4": {
            "PatientID": "P3",
            "StudyDate": "20210301",
            "Modality": "DX",
            "StudyDescription": "Chest two views",
            "AccessionNumber": "A4",
        },
        "1.2.5": {
            "PatientID": "P4",
            "StudyDate": None,
            "Modality": "CR",
            "StudyDescription": None,
            "AccessionNumber": "A,5",
        },
        "1.2.6": {
            "PatientID": "P5",
            "StudyDate": None,
            "Modality": "PT",
            "AccessionNumber": None,
            "BodyPartExamined": None,
        },
        "1.2.7": {
            "PatientID": "P6",
            "StudyDate": "20220615",
            "Modality": "CT",
            "AccessionNumber": "A7",
        },
        "1.2.8": {
            "PatientID": "P7",
            "StudyDate": "20220615",
            "Modality": "CT",
            "AccessionNumber": "A8",
        },
    }
)


async def fill(archive: Archive) -> None:
    """Take the library in."""
    for uid, said in STUDIES.items():
        name, born, sex = PEOPLE[said["PatientID"]]
        who = {"PatientName": name, "PatientBirthDate": born, "PatientSex": sex}
        objects = study(series=2, instances=2, StudyInstanceUID=uid, **who, **said)
        await store(archive, *objects)


async def store(archive: Archive, *objects: bytes) -> None:
    """Take objects in."""
    for data in objects:
        outcome = await archive.ingest.store(_once(data))
        assert outcome.status == "stored", outcome


def report(**said: Any) -> bytes:
    """Write an object without pixels."""
    return dicom(image=False, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", **said)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
