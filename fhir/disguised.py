"""FHIR resources without anybody's identity: element by element, what is not listed is left out."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final

from fhir.from_dicom.coding_schemes import DCM, SNOMED_CT
from fhir.from_dicom.modalities import is_modality
from fhir.from_dicom.shapes import identifier_type, present
from fhir.from_dicom.uids import is_registered
from fhir.labels import CONFIDENTIALITY
from fhir.pseudonyms import SYSTEM, Kind, Pseudonyms

Json = Any
Element = Callable[["Given", Json], Json]
"""Writes one element; None leaves it out."""

_PSEUDONYMISED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PSEUDED",
    "display": "pseudonymized",
}
_TIME = r"T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_DATE = re.compile(rf"(\d{{4}}-\d\d-\d\d)({_TIME})?")
_OTHER: Final = {"system": DCM, "code": "OT"}


@dataclass(slots=True)
class Given:
    """The pseudonyms that one answer gives out, and whom the record at hand is about.

    Attributes:
        patient: Id of the Patient as it is stored; another name where nobody is.
        given: Pseudonym to its kind and what it stands for.
    """

    pseudonyms: Pseudonyms
    patient: str = ""
    given: dict[str, tuple[Kind, str]] = field(default_factory=dict)

    def uid(self, real: str) -> str:
        """Give the pseudonym of a DICOM UID."""
        return self._give(self.pseudonyms.uid(real), "uid", real)

    def patient_id(self, real: str) -> str:
        """Give the pseudonym of a Patient's id."""
        return self._give(self.pseudonyms.patient(real), "patient", real)

    def number(self, patient: str) -> str:
        """Give the pseudonymous record number of a Patient."""
        return self._give(self.pseudonyms.number(patient), "number", patient)

    def accession(self, real: str) -> str:
        """Give the pseudonym of an accession number."""
        return self._give(self.pseudonyms.accession(real), "accession", real)

    def reference(self, real: str) -> str:
        """Give the pseudonym of a reference to a Patient."""
        return f"Patient/{self.patient_id(real.removeprefix('Patient/'))}"

    def _give(self, pseudonym: str, kind: Kind, real: str) -> str:
        self.given[pseudonym] = (kind, real)
        return pseudonym


def disguised(resource: Mapping[str, Json], given: Given) -> dict[str, Json]:
    """Copy what may stay of a resource, as far as it was read.

    Args:
        resource: Patient, ImagingStudy or Image.
        given: Takes the pseudonyms.
    """
    kind = resource["resourceType"]
    return {"resourceType": kind, **_written(_RESOURCES[kind], resource, given)}


def marked(meta: Mapping[str, Json]) -> dict[str, Json]:
    """Say in `meta` that a resource is pseudonymised; of it stays how confidential it is."""
    kept = (_coding({CONFIDENTIALITY}, one) for one in meta.get("security", ()))
    return {"security": [*filter(None, kept), _PSEUDONYMISED]}


def moved(moment: str, days: int | None) -> str | None:
    """Move a FHIR date or dateTime by whole days; None where there are no dates, or no whole one.

    Args:
        moment: As FHIR writes it.
        days: How many, forwards; None leaves it out.
    """
    found = _DATE.fullmatch(moment)
    if days is None or found is None:
        return None
    try:
        day = date.fromisoformat(found[1]) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    return f"{day.isoformat()}{found[2] or ''}"


def is_shown(parameter: str, token: str) -> bool:
    """Say whether a study that is disguised may still have this value of a search parameter."""
    match parameter:
        case "modality":
            return is_modality(token.removeprefix(f"{DCM}|"))
        case "bodysite":
            return token.startswith(f"{SNOMED_CT}|")
    return True


def _written(
    table: Mapping[str, Element], source: Mapping[str, Json], given: Given
) -> dict[str, Json]:
    return present(
        **{name: write(given, source[name]) for name, write in table.items() if name in source}
    )


def _each(table: Mapping[str, Element]) -> Element:
    def write(given: Given, found: Json) -> Json:
        return [_written(table, one, given) for one in found]

    return write


def _as_is(_given: Given, value: Json) -> Json:
    return value


def _uid(given: Given, value: Json) -> Json:
    return given.uid(value)


def _meta(_given: Given, value: Json) -> Json:
    return marked(value)


def _moved(given: Given, value: Json) -> Json:
    return moved(value, given.pseudonyms.days(given.patient))


def _endpoints(_given: Given, value: Json) -> Json:
    return [present(reference=one.get("reference")) for one in value]


def _subject(given: Given, value: Json) -> Json:
    if "reference" in value:
        return {"reference": given.reference(value["reference"])}
    return present(type=value.get("type"))


def _patient_numbers(given: Given, _value: Json) -> Json:
    return [_identifier("usual", "MR", given.number(given.patient))]


def _study_numbers(given: Given, value: Json) -> Json:
    found = []
    for one in value:
        codes = {coding.get("code") for coding in one.get("type", {}).get("coding", ())}
        if one.get("system") == "urn:dicom:uid":
            study = given.uid(one["value"].removeprefix("urn:oid:"))
            found.append({"use": "official", "system": one["system"], "value": f"urn:oid:{study}"})
        elif "ACSN" in codes:
            found.append(_identifier("usual", "ACSN", given.accession(one["value"])))
    return found


def _identifier(use: str, kind: str, value: str) -> dict[str, Json]:
    return {"use": use, "type": identifier_type(kind), "system": SYSTEM, "value": value}


def _coding(systems: Collection[str], value: Mapping[str, Json]) -> dict[str, Json] | None:
    """Keep system and code; a code of somebody's own may say anything, and so may its meaning."""
    if value.get("system") not in systems or "code" not in value:
        return None
    return {"system": value["system"], "code": value["code"]}


def _modality(_given: Given, value: Json) -> Json:
    return {"system": DCM, "code": value["code"]} if is_modality(value["code"]) else _OTHER


def _modalities(given: Given, value: Json) -> Json:
    return [_modality(given, one) for one in value]


def _place(_given: Given, value: Json) -> Json:
    return _coding({SNOMED_CT}, value)


def _sop_class(given: Given, value: Json) -> Json:
    found = value["code"].removeprefix("urn:oid:")
    known = found if is_registered(found) else given.pseudonyms.uid(found)
    return {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{known}"}


_INSTANCE = MappingProxyType({"uid": _uid, "sopClass": _sop_class, "number": _as_is})
_SERIES = MappingProxyType(
    {
        "uid": _uid,
        "number": _as_is,
        "modality": _modality,
        "numberOfInstances": _as_is,
        "endpoint": _endpoints,
        "bodySite": _place,
        "laterality": _place,
        "started": _moved,
        "instance": _each(_INSTANCE),
    }
)
_RESOURCES: Mapping[str, Mapping[str, Element]] = MappingProxyType(
    {
        "Patient": {
            "id": lambda given, value: given.patient_id(value),
            "meta": _meta,
            "identifier": _patient_numbers,
            "active": _as_is,
            "gender": _as_is,
        },
        "ImagingStudy": {
            "id": _uid,
            "meta": _meta,
            "identifier": _study_numbers,
            "status": _as_is,
            "modality": _modalities,
            "subject": _subject,
            "started": _moved,
            "endpoint": _endpoints,
            "numberOfSeries": _as_is,
            "numberOfInstances": _as_is,
            "series": _each(_SERIES),
        },
        "Image": {
            "id": _uid,
            "study": _uid,
            "series": _uid,
            "sopClass": _sop_class,
        }
        | dict.fromkeys(
            (
                "number",
                "transferSyntax",
                "rows",
                "columns",
                "numberOfFrames",
                "bitsAllocated",
                "bitsStored",
                "photometricInterpretation",
                "windowCenter",
                "windowWidth",
                "rescaleIntercept",
                "rescaleSlope",
                "pixelSpacing",
                "sliceThickness",
                "imagePosition",
                "imageOrientation",
            ),
            _as_is,
        ),
    }
)
