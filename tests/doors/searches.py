"""Values that find what is planted, and values of the same form that find nothing."""

from collections.abc import Mapping
from types import MappingProxyType

from app.imaging.ingest import ENDPOINT_ID
from fhir.search import coordinates_of, parameter
from tests.doors.planted import AUTHOR, BY, DELETED, END, LINK_IDS, SOMEBODY, START, STUDY

_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_NOBODY = "https://elsewhere.example#nobody"
_LATER = "2035-01-01"

# By type and search parameter: one that finds it, one that does not.
FHIR: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "Patient": {
            "_id": ("{patient}", "00000000-0000-4000-8000-000000000000"),
            "_lastUpdated": (f"lt{_LATER}", f"gt{_LATER}"),
            "_tag": ("", "none"),
            "_security": ("", "none"),
            "identifier": ("PLANTEDMRN", "ABSENTMRN"),
            "name": ("Zzplantedname", "Zzabsentname"),
            "family": ("Zzplantedname", "Zzabsentname"),
            "given": ("Given", "Absent"),
            "birthdate": ("1961-04-12", "1871-04-12"),
            "gender": ("female", "unknown"),
            "text": ("given zzplantedname", "zzplantedname zzabsent"),
        },
        "ImagingStudy": {
            "_id": ("{study}", "2.25.1"),
            "_lastUpdated": (f"lt{_LATER}", f"gt{_LATER}"),
            "_tag": ("https://radiograph.dev/fhir/release|released", "none"),
            "_security": (f"{_CONFIDENTIALITY}|N", f"{_CONFIDENTIALITY}|V"),
            "identifier": ("PLANTEDACC", "ABSENTACC"),
            "accession": ("PLANTEDACC", "ABSENTACC"),
            "patient": ("Patient/{patient}", "Patient/00000000-0000-4000-8000-000000000000"),
            "subject": ("Patient/{patient}", "Patient/00000000-0000-4000-8000-000000000000"),
            "status": ("available", "cancelled"),
            "modality": ("CT", "US"),
            "bodysite": ("816094009", "1"),
            "started": ("2023-06-07", "1923-06-07"),
            "series": ("{series}", "2.25.1"),
            "endpoint": (f"Endpoint/{ENDPOINT_ID}", "Endpoint/absent"),
            "description": ("Zzplanteddescription", "Zzabsent"),
            "patient-name": ("Zzplantedname", "Zzabsentname"),
            "text": ("zzplanteddesc", "zzplanteddescription zzabsent"),
        },
        "Endpoint": {
            "_id": (ENDPOINT_ID, "absent"),
            "_lastUpdated": (f"lt{_LATER}", f"gt{_LATER}"),
            "_tag": ("", "none"),
            "_security": ("", "none"),
            "identifier": ("", "none"),
            "status": ("active", "off"),
            "connection-type": ("dicom-wado-rs", "dicom-qido-rs"),
            "name": ("", "none"),
        },
    }
)

# Where the words stand that `text` finds it by; it looks at whatever is open.
_TEXT = {"Patient": {"Patient.name"}, "ImagingStudy": {"ImagingStudy.description"}}


def stands_in(resource: str, name: str) -> set[str]:
    """List the elements that have to be open for a value to find it."""
    if name == "text":
        return _TEXT[resource]
    return coordinates_of(resource, parameter(resource, name))


_LINK = {
    "agent": (f'["{SOMEBODY}"]', f'["{_NOBODY}"]'),
    "patient": ('["{patient}"]', '["absent"]'),
    "study": (f'["{STUDY}"]', '["2.25.1"]'),
    "started": (f'{{from: "{START[:10]}", to: "{START[:10]}"}}', '{to: "1923-01-01"}'),
}
# The same by type and argument of GraphQL's own roots.
GRAPHQL: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "Patient": {
            "identifier": ('["PLANTEDMRN"]', '["ABSENTMRN"]'),
            "name": ('"Zzplantedname"', '"Zzabsentname"'),
            "family": ('"Zzplantedname"', '"Zzabsentname"'),
            "given": ('"Given"', '"Absent"'),
            "birthDate": ('{from: "1961-04-12", to: "1961-04-12"}', '{to: "1871-04-12"}'),
            "gender": ('["female"]', '["unknown"]'),
            "text": ('"given zzplantedname"', '"zzplantedname zzabsent"'),
        },
        "ImagingStudy": {
            "patient": ('["{patient}"]', '["absent"]'),
            "identifier": ('["PLANTEDACC"]', '["ABSENTACC"]'),
            "accession": ('["PLANTEDACC"]', '["ABSENTACC"]'),
            "modality": ('["CT"]', '["US"]'),
            "bodySite": ('["CHEST"]', '["1"]'),
            "started": ('{from: "2023-06-07", to: "2023-06-07"}', '{to: "1923-06-07"}'),
            "status": ('["available"]', '["cancelled"]'),
            "description": ('"Zzplanteddescription"', '"Zzabsent"'),
            "text": ('"zzplanteddesc"', '"zzplanteddescription zzabsent"'),
        },
        "Image": {"study": ('"{study}"', '"2.25.1"'), "series": ('"{series}"', '"2.25.1"')},
        **dict.fromkeys(LINK_IDS, _LINK | {"active": ("false", "true")}),
        "ReleaseRequest": {
            "patient": ('["{patient}"]', '["absent"]'),
            "study": (f'["{STUDY}"]', '["2.25.1"]'),
            "requester": (f'["{SOMEBODY}"]', f'["{_NOBODY}"]'),
            "status": ('["declined"]', '["accepted"]'),
            "urgency": ('["routine"]', '["emergency"]'),
            "recorded": (f'{{from: "{START[:10]}", to: "{START[:10]}"}}', '{to: "1923-01-01"}'),
        },
        "ImageAnnotation": {
            "study": ('["{study}"]', '["2.25.1"]'),
            "series": ('["{series}"]', '["2.25.1"]'),
            "image": ('["{instance}"]', '["2.25.1"]'),
            "author": (f'["{AUTHOR}"]', f'["{_NOBODY}"]'),
            "patient": ('["{patient}"]', '["absent"]'),
            "status": ('["entered-in-error"]', '["unknown"]'),
            "recorded": ('{from: "2020-11-12", to: "2020-11-12"}', '{to: "1923-01-01"}'),
        },
        "Job": {
            "agent": (f'["{SOMEBODY}"]', f'["{_NOBODY}"]'),
            "patient": ('["{patient}"]', '["absent"]'),
            "status": ('["failed"]', '["completed"]'),
            "recorded": (f'{{from: "{START[:10]}", to: "{START[:10]}"}}', '{to: "1923-01-01"}'),
        },
        "SavedView": {"kind": ('["studies"]', '["patients"]')},
        "DeletedStudy": {
            "study": (f'["{DELETED}"]', '["2.25.1"]'),
            "patient": ('["{patient}"]', '["absent"]'),
            "recorder": (f'["{BY}"]', f'["{_NOBODY}"]'),
            "recorded": (f'{{from: "{START[:10]}", to: "{START[:10]}"}}', '{to: "1923-01-01"}'),
            "until": (f'{{from: "{END[:10]}", to: "{END[:10]}"}}', '{to: "1923-01-01"}'),
        },
        "Hold": {
            "study": ('["{study}"]', '["2.25.1"]'),
            "patient": ('["{patient}"]', '["absent"]'),
            "recorder": (f'["{BY}"]', f'["{_NOBODY}"]'),
            "started": (f'{{from: "{START[:10]}", to: "{START[:10]}"}}', '{to: "1923-01-01"}'),
            "lifted": ("true", "false"),
        },
        "Session": {
            "agent": (f'["{SOMEBODY}"]', f'["{_NOBODY}"]'),
            "started": ('{from: "2021-01-01", to: "2021-12-31"}', '{to: "1923-01-01"}'),
            "ended": ("true", "false"),
        },
    }
)
