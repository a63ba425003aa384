"""Part-10 files of the sample archive: header from data, pixels from arrays."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite

from app.samples.encoding import NATIVE, Frame, encode
from app.samples.people import ISSUER, Code, Study

Elements = Mapping[str, object]
"""Values by DICOM keyword; a list of mappings is a sequence, None removes the element."""


@dataclass(frozen=True, slots=True)
class Series:
    """What all instances of one series have in common.

    Attributes:
        elements: Beside or in place of what a study says.
        offset_table: Whether encapsulated frames get an extended offset table, not a basic one.
    """

    study: Study
    number: int
    modality: str
    sop_class: str
    description: str
    elements: Elements = field(default_factory=dict)
    transfer_syntax: str = uid.ExplicitVRLittleEndian
    extended_offset_table: bool = False

    def instance(
        self, number: int, frames: Sequence[Frame], elements: Elements | None = None
    ) -> tuple[str, bytes]:
        """Write one instance.

        Args:
            number: InstanceNumber.
            frames: Of shape (rows, columns) or (rows, columns, 3); none for an object without
                pixels.
            elements: Of this instance alone.

        Returns:
            Name with slashes, and the Part-10 file.
        """
        dataset = Dataset()
        fill(dataset, _study_elements(self.study))
        fill(dataset, self._elements(number))
        if frames:
            fill(dataset, _pixel_description(frames))
        fill(dataset, self.elements)
        fill(dataset, elements or {})
        if frames:
            self._add_frames(dataset, frames)
        name = f"{self.study.person.identifier}/{self.study.name}/{self.number:03d}"
        return f"{name}/{number:04d}.dcm", _part10(dataset, self.transfer_syntax)

    def uid(self, number: int) -> str:
        """Give the SOP Instance UID of one instance."""
        return stable_uid(self.study.name, self.number, number)

    def _elements(self, number: int) -> Elements:
        study = self.study
        time = f"{int(study.time) + 100 * (self.number % 10):06d}"
        return {
            "SOPClassUID": self.sop_class,
            "SOPInstanceUID": self.uid(number),
            "SeriesInstanceUID": stable_uid(study.name, self.number),
            "Modality": self.modality,
            "SeriesDescription": self.description,
            "SeriesNumber": self.number,
            "InstanceNumber": number,
            "SeriesDate": study.date,
            "SeriesTime": time,
            "ContentDate": study.date,
            "ContentTime": time,
        }

    def _add_frames(self, dataset: Dataset, frames: Sequence[Frame]) -> None:
        encoded = [encode(frame, self.transfer_syntax) for frame in frames]
        native = self.transfer_syntax in NATIVE
        if native:
            value = b"".join(encoded)
            value += bytes(len(value) % 2)
        elif self.extended_offset_table:
            value, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = (
                encapsulate_extended(encoded)
            )
        else:
            value = encapsulate(encoded)
        dataset.add_new("PixelData", "OW" if native and dataset.BitsAllocated > 8 else "OB", value)  # noqa: PLR2004 - bits of a byte


def stable_uid(*words: object) -> str:
    """Give the UID below 2.25 that always belongs to these words."""
    digest = hashlib.sha256("\0".join(map(str, ("radiograph", *words))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def code(concept: Code) -> Elements:
    """Give the item of a code sequence."""
    return {
        "CodeValue": concept.value,
        "CodingSchemeDesignator": concept.scheme,
        "CodeMeaning": concept.meaning,
    }


def fill(dataset: Dataset, elements: Mapping[str, Any]) -> None:
    """Set elements by keyword, sequences from lists of mappings; None removes."""
    for keyword, value in elements.items():
        if value is None:
            dataset.pop(keyword, None)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            items = [Dataset() for _ in value]
            for item, content in zip(items, value, strict=True):
                fill(item, content)
            setattr(dataset, keyword, items)
        else:
            setattr(dataset, keyword, value)


def _study_elements(study: Study) -> Elements:
    person = study.person
    return {
        "SpecificCharacterSet": person.character_set,
        "StudyInstanceUID": stable_uid(study.name),
        "StudyDate": study.date,
        "StudyTime": study.time,
        "TimezoneOffsetFromUTC": study.zone,
        "StudyID": study.accession[-3:],
        "StudyDescription": study.description,
        "AccessionNumber": study.accession,
        "IssuerOfAccessionNumberSequence": [
            {
                "LocalNamespaceEntityID": "RGH",
                "UniversalEntityID": "2.25.190",
                "UniversalEntityIDType": "ISO",
            }
        ],
        "ReferringPhysicianName": study.referrer,
        "InstitutionName": ISSUER,
        "Manufacturer": "Radiograph",
        "ManufacturerModelName": "Phantom",
        "PatientName": person.name,
        "PatientID": person.identifier,
        "IssuerOfPatientID": ISSUER,
        "PatientBirthDate": person.birth_date,
        "PatientSex": person.sex,
        "BodyPartExamined": study.body_part,
        "AnatomicRegionSequence": [code(study.region)],
        "ProcedureCodeSequence": [code(study.procedure)],
        "RequestAttributesSequence": [
            {
                "RequestedProcedureID": f"RP-{study.accession}",
                "RequestedProcedureDescription": study.procedure.meaning,
                "ScheduledProcedureStepID": f"SPS-{study.accession}",
                "ReasonForTheRequestedProcedure": study.reason,
                "ReasonForRequestedProcedureCodeSequence": [code(study.reason_code)],
            }
        ],
    }


def _pixel_description(frames: Sequence[Frame]) -> Elements:
    first = frames[0]
    bits = 8 * first.itemsize
    stored = 12 if first.dtype == np.uint16 else bits
    samples = first.shape[2] if first.ndim == 3 else 1  # noqa: PLR2004 - the axis of samples
    return {
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "MONOCHROME2" if samples == 1 else "RGB",
        "PlanarConfiguration": None if samples == 1 else 0,
        "NumberOfFrames": len(frames) if len(frames) > 1 else None,
        "Rows": first.shape[0],
        "Columns": first.shape[1],
        "BitsAllocated": bits,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": int(first.dtype.kind == "i"),
    }


def _part10(dataset: Dataset, transfer_syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.UID(transfer_syntax)
    meta.ImplementationClassUID = uid.UID(stable_uid("implementation"))
    meta.ImplementationVersionName = "RADIOGRAPH"
    dataset.file_meta = meta
    out = DicomBytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return bytes(out.getvalue())
