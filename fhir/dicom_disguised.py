"""DICOM searches without anybody's identity: what may be asked and shown, attribute by attribute.

What is not listed is neither. Values are those of `fhir.disguised` and of de-identified files.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from fhir.asked import Ask
from fhir.dicom_keys import (
    INSTANCE_UID,
    PATIENT_ID,
    SERIES_UID,
    STUDY_UID,
    Path,
    coordinates_of_path,
    path_named,
)
from fhir.dicom_matching import Criterion, Equal, Test
from fhir.dicom_terms import Term
from fhir.disguised import Given, moved
from fhir.errors import AccessDenied
from fhir.from_dicom.body_parts import BODY_PARTS
from fhir.from_dicom.modalities import is_modality
from fhir.from_dicom.uids import is_registered
from fhir.pseudonyms import Kind

Json = Any
Write = Callable[[Given, Json], Json]
"""Writes one value; None leaves it out."""

_DAY: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_CLOCK: Final = re.compile(r"[\d:.]{2,16}")


def _number(_given: Given, value: Json) -> Json:
    return value if isinstance(value, int | float) else None


def _modality(_given: Given, value: Json) -> Json:
    return value if is_modality(str(value)) else "OT"


def _sex(_given: Given, value: Json) -> Json:
    return value if value in {"M", "F", "O"} else None


def _side(_given: Given, value: Json) -> Json:
    return value if value in {"L", "R", "B", "U"} else None


def _place(_given: Given, value: Json) -> Json:
    return value if str(value) in BODY_PARTS else None


def _registered(given: Given, value: Json) -> Json:
    return value if is_registered(str(value)) else given.pseudonyms.uid(str(value))


def _day(given: Given, value: Json) -> Json:
    found = _DAY.fullmatch(str(value).strip())
    if not found:
        return None
    shifted = moved("-".join(found.groups()), given.pseudonyms.days(given.patient))
    return shifted and shifted.replace("-", "")


def _clock(given: Given, value: Json) -> Json:
    shown = given.pseudonyms.days(given.patient) is not None
    return value if shown and _CLOCK.fullmatch(str(value).strip()) else None


_NUMBERS: Final = (
    "SeriesNumber InstanceNumber AcquisitionNumber Rows Columns BitsAllocated NumberOfFrames "
    "NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances NumberOfSeriesRelatedInstances"
)
_WRITTEN: Final[Mapping[str, Write]] = MappingProxyType(
    {
        "StudyInstanceUID": lambda given, value: given.uid(str(value)),
        "SeriesInstanceUID": lambda given, value: given.uid(str(value)),
        "SOPInstanceUID": lambda given, value: given.uid(str(value)),
        "FrameOfReferenceUID": lambda given, value: given.uid(str(value)),
        "PatientID": lambda given, _value: given.number(given.patient),
        "AccessionNumber": lambda given, value: given.accession(str(value)),
        "PatientSex": _sex,
        "Modality": _modality,
        "ModalitiesInStudy": _modality,
        "BodyPartExamined": _place,
        "Laterality": _side,
        "ImageLaterality": _side,
        "SOPClassUID": _registered,
        "AvailableTransferSyntaxUID": _registered,
        **dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), _day),
        **dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), _clock),
        **dict.fromkeys(_NUMBERS.split(), _number),
    }
)
SHOWN_KEYS: Final[Mapping[str, Write]] = MappingProxyType(
    {f"{path_named(name)[0]:08X}": write for name, write in _WRITTEN.items()}
)
"""What is shown, by key of DICOM JSON; what we say of our own answer is made anew."""

# Pseudonyms that are asked by; everything else is asked by as it is, where it says nothing.
_ASKED: Final[Mapping[Path, Kind]] = MappingProxyType(
    {
        STUDY_UID: "uid",
        SERIES_UID: "uid",
        INSTANCE_UID: "uid",
        PATIENT_ID: "number",
        path_named("AccessionNumber"): "accession",
    }
)
_PLAIN: Final[Mapping[Path, Callable[[Term], bool]]] = MappingProxyType(
    {
        path_named("Modality"): lambda term: is_modality(str(term)),
        path_named("ModalitiesInStudy"): lambda term: is_modality(str(term)),
        path_named("PatientSex"): lambda term: term in {"M", "F", "O"},
        path_named("SOPClassUID"): lambda term: is_registered(str(term)),
        **{path_named(name): lambda term: True for name in _NUMBERS.split()},
    }
)


def dicom_disguised(text: bytes, given: Given) -> bytes:
    """Copy what may stay of a text of DICOM JSON.

    Args:
        text: Of a study, a series or an instance.
        given: Whom it is about; takes the pseudonyms.
    """
    found = {}
    for key, element in orjson.loads(text).items():
        write = SHOWN_KEYS.get(key)
        if write is not None:
            kept = [write(given, one) for one in element.get("Value", ()) if one is not None]
            values = list(dict.fromkeys(one for one in kept if one is not None))
            found[key] = {"vr": element["vr"]} | ({"Value": values} if values else {})
    return orjson.dumps(found)


def dicom_asks(criterion: Criterion) -> Iterator[Ask]:
    """List the pseudonyms that a criterion names.

    Raises:
        AccessDenied: It looks at something that is not in this view, or not in this way.
    """
    kind = _ASKED.get(criterion.path)
    for term in _terms(criterion):
        if kind is not None:
            yield kind, str(term)


def dicom_meaning(criterion: Criterion, real: Mapping[str, str]) -> Criterion:
    """Write a criterion in real values; one that names what is not known matches nothing.

    Args:
        criterion: By pseudonym. That of a PatientID stands for the id of a Patient.
        real: Pseudonym to real value.
    """
    terms = frozenset(_terms(criterion))
    if criterion.path in _ASKED:
        terms = frozenset(real[str(one)] for one in terms if str(one) in real)
    tests: tuple[Test, ...] = (Equal(terms),) if terms else ()
    return Criterion(criterion.path, criterion.field, tests)


def _terms(criterion: Criterion) -> Iterator[Term]:
    plain = _PLAIN.get(criterion.path)
    for test in criterion.tests:
        if not isinstance(test, Equal) or (plain is None and criterion.path not in _ASKED):
            raise AccessDenied(
                "In the de-identified view DICOM is searched by whole UIDs, PatientID, "
                "AccessionNumber, modalities, PatientSex, SOPClassUID and numbers only; anything "
                "else, and wildcards, could tell who somebody is.",
                coordinates_of_path(criterion.path),
            )
        if plain is None:
            yield from test.values
        else:
            yield from (one for one in test.values if plain(one))
