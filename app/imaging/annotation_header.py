"""What DICOM objects that are made of annotations have in common: whose, by whom, when, which.

The same annotations, as they are, always make the same object.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from pydicom.dataset import Dataset

from fhir.annotation_files import Annotated
from fhir.attributes import text

Json = Any
MANUFACTURER: Final = "Radiograph"
# Changes whenever the same annotations are written in another way.
_EDITION: Final = "1"
_MOST_NAME: Final = 63  # characters of a component group of a PN, without a caret

# Of the modules Patient, General Study, Patient Study and Clinical Trial: what an object of the
# same study says in the same words. Those before the bar are there even if they are empty.
_REQUIRED: Final = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
]
_COPIED: Final = [
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthTime",
    "QualityControlSubject",
    "EthnicGroup",
    "PatientComments",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID",
    "StudyDescription",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "IssuerOfAccessionNumberSequence",
    "ProcedureCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "TimezoneOffsetFromUTC",
]
_OFFSET: Final = re.compile(r"([+-])(\d{2})(\d{2})")


@dataclass(frozen=True, slots=True)
class Identity:
    """By what an object is known.

    Attributes:
        number: Instance Number: it grows as annotations are added and written anew.
        written: When the last annotation was, where the images were made.
    """

    instance: str
    series: str
    number: int
    written: datetime

    @property
    def date(self) -> str:
        """The day, as VR DA has it."""
        return self.written.strftime("%Y%m%d")

    @property
    def time(self) -> str:
        """The time of that day, as VR TM has it."""
        return self.written.strftime("%H%M%S.%f")


def identity(export: Annotated, kind: str, zone: tzinfo) -> Identity:
    """Derive how an object is known from what is in it.

    Args:
        export: What is in it.
        kind: Which object is made of it.
        zone: Where the images were made, if they do not say.
    """
    versions = sorted(f"{one['id']}/{one['meta']['versionId']}" for one in export.annotations)
    written = export.latest.astimezone(_zone(export) or zone)
    return Identity(
        uid(kind, _EDITION, export.study, written.isoformat(), *versions),
        uid(kind, _EDITION, export.study),
        sum(int(one["meta"]["versionId"]) for one in export.annotations),
        written,
    )


def uid(*words: str) -> str:
    """Give a UID below 2.25, always the same one for the same words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def header(export: Annotated) -> Dataset:
    """Give what the object says of patient and study: what the images say."""
    attributes = {name: value for name, value in export.host.attributes.items() if _is_plain(value)}
    source = Dataset.from_json(attributes)
    found = Dataset()
    for keyword in (*_REQUIRED, *_COPIED):
        if keyword in source:
            found.add(source[keyword])
        elif keyword in _REQUIRED:
            setattr(found, keyword, "")
    found.SpecificCharacterSet = "ISO_IR 192"
    return found


def author_name(annotation: Mapping[str, Json]) -> str:
    """Give what people call an author, without what means something in VR PN."""
    name = annotation["note"].get("authorString") or annotation["author"].partition("#")[2]
    return " ".join(re.sub(r"[\\^=]", " ", name).split())[:_MOST_NAME]


def person_name(annotation: Mapping[str, Json]) -> str:
    """Write an author as VR PN; which part of it is the family name nobody said."""
    # the caret says that there is no other component, on purpose
    return f"{author_name(annotation)}^"


def sop_class(export: Annotated, image: str) -> str:
    """Give the SOP Class UID of an image."""
    return text(export.images[image].attributes, "SOPClassUID") or ""


def with_frame(annotation: Mapping[str, Json], frames: int) -> list[int] | None:
    """Give the frames that a reference names; None where it is to the whole image."""
    return [annotation["frame"]] if frames > 1 and "frame" in annotation else None


def pairs(points: Iterable[float]) -> list[tuple[float, float]]:
    """Give column and row of each point."""
    each = iter(points)
    return list(zip(each, each, strict=True))


def _zone(export: Annotated) -> tzinfo | None:
    said = _OFFSET.fullmatch(text(export.host.attributes, "TimezoneOffsetFromUTC") or "")
    if said is None:
        return None
    length = timedelta(hours=int(said[2]), minutes=int(said[3]))
    if length >= timedelta(days=1):
        return None
    return timezone(-length if said[1] == "-" else length) if length else UTC


def _is_plain(element: Mapping[str, Json]) -> bool:
    # bulk data lies with the image
    return "BulkDataURI" not in element and "InlineBinary" not in element
