"""A patient who says something in every element, in words that are found nowhere else.

Two studies of theirs differ in how sensitive they are, a third one may have text in its pixels;
and of every other type of record there is one about them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from fhir.access import Entry
from policies.caller import Caller
from tests.build import dicom, uid

Json = Any

SOMEBODY = "https://elsewhere.example#Zzplantedagent"
BY = "https://elsewhere.example#Zzplantedrecorder"
STUDY = uid("planted", "study")
SPECIMEN = uid("planted", "specimen")
SERIES_NUMBER = 3
START, END = "2021-02-03T04:05:06.000Z", "2021-03-04T05:06:07.000Z"
LINK_IDS = {
    "CareTeam": "c1c1c1c1-0000-4000-8000-000000000001",
    "Proxy": "c1c1c1c1-0000-4000-8000-000000000002",
    "Assignment": "c1c1c1c1-0000-4000-8000-000000000003",
    "BreakGlass": "c1c1c1c1-0000-4000-8000-000000000004",
}
REQUEST_ID = "c1c1c1c1-0000-4000-8000-000000000005"
SESSION_ID = "zzplantedsession00000000000000001"
# The same still in force, to be ended and answered.
OPEN_IDS = {kind: one.replace("0000-4000", "1111-4000") for kind, one in LINK_IDS.items()}
OPEN_REQUEST_ID = REQUEST_ID.replace("0000-4000", "1111-4000")
OPEN_SESSION_ID = f"{SESSION_ID[:-1]}2"

# What may be read off an answer only by whoever may read one of the coordinates beside it.
WORDS: dict[str, tuple[str, ...]] = {
    "PLANTEDMRN": ("Patient.identifier",),
    "Zzplantedname": ("Patient.name",),
    "+15550199": ("Patient.telecom",),
    "Zzplantedstreet": ("Patient.address",),
    "1961-04-12": ("Patient.birthDate",),
    "19610412": ("Image.file", "Patient.birthDate"),
    "PLANTEDACC": ("ImagingStudy.identifier", "ImagingStudy.basedOn"),
    "PLANTEDADM": ("ImagingStudy.encounter",),
    "Zzplantedreferrer": ("ImagingStudy.referrer",),
    "Zzplantedreader": ("ImagingStudy.interpreter",),
    "Zzplantedprocedure": ("ImagingStudy.procedureCode",),
    "Zzplantedreason": ("ImagingStudy.reasonCode",),
    "Zzplanteddescription": ("ImagingStudy.description",),
    "Zzplantednote": ("ImagingStudy.note",),
    "Zzplantedseries": ("ImagingStudy.series.description",),
    "Zzplantedoperator": ("ImagingStudy.series.performer",),
    "PLANTEDSPECIMEN": ("ImagingStudy.series.specimen",),
    "Zzplantedplace": ("ImagingStudy.location",),
    "2023-06-07": ("ImagingStudy.started", "ImagingStudy.series.started"),
    "20230607": ("Image.file", "ImagingStudy.started", "ImagingStudy.series.started"),
    "Zzplantedprivate": ("Image.file", "Image.private"),
    "Zzplantedagent": (
        *(f"{kind}.agent" for kind in LINK_IDS),
        "ReleaseRequest.requester",
        "Session.agent",
        "AuditEvent.agent",
    ),
    "Zzplantedrecorder": (*(f"{kind}.recorder" for kind in LINK_IDS), "ReleaseRequest.decision"),
    "Zzplantedrevoker": tuple(f"{kind}.revoked" for kind in LINK_IDS),
    **{f"Zzplanted{kind.lower()}why": (f"{kind}.reason",) for kind in LINK_IDS},
    "2021-02-03T04:05:06": (
        *(f"{kind}.period" for kind in LINK_IDS),
        "ReleaseRequest.recorded",
        "Session.started",
    ),
    "Zzplantedrequestwhy": ("ReleaseRequest.reason",),
    "Zzplanteddecision": ("ReleaseRequest.decision",),
    "Zzplantedsessionname": ("Session.name",),
    "203.0.113.77": ("Session.address",),
    "Zzplantedquery": ("AuditEvent.entity",),
}


def planted(study: str = "planted", *, everywhere: bool = True, **keywords: object) -> bytes:
    """Write one instance of the planted patient.

    Args:
        study: Names the UIDs.
        everywhere: Whether it says something in every element of a study too.
        keywords: As `tests.build.dicom` takes them.
    """
    said = _STUDY if everywhere else {}
    elements = {0x00324000: ("LT", "Zzplantednote"), 0x00090010: ("LO", "ZZ PLANTED")}
    return dicom(
        **{
            "StudyInstanceUID": uid(study, "study"),
            "SeriesInstanceUID": uid(study, "series"),
            "SOPInstanceUID": uid(study, "instance"),
            **_PATIENT,
            **said,
            "elements": elements | {0x00091001: ("LO", "Zzplantedprivate")} if said else {},
            **keywords,
        }
    )


_PATIENT: dict[str, Any] = {
    "PatientID": "PLANTEDMRN",
    "PatientName": "Zzplantedname^Given",
    "PatientTelephoneNumbers": "+15550199",
    "PatientAddress": "1 Zzplantedstreet",
    "PatientBirthDate": "19610412",
    "PatientSex": "F",
}
_STUDY: dict[str, Any] = {
    "AccessionNumber": "PLANTEDACC",
    "StudyID": "7",
    "AdmissionID": "PLANTEDADM",
    "ReferringPhysicianName": "Zzplantedreferrer^A",
    "NameOfPhysiciansReadingStudy": "Zzplantedreader^B",
    "ProcedureCodeSequence": [
        {
            "CodeValue": "24627-2",
            "CodingSchemeDesignator": "LN",
            "CodeMeaning": "Zzplantedprocedure",
        }
    ],
    "RequestAttributesSequence": [{"ReasonForTheRequestedProcedure": "Zzplantedreason"}],
    "StudyDescription": "Zzplanteddescription",
    "SeriesDescription": "Zzplantedseries",
    "SeriesNumber": SERIES_NUMBER,
    "InstanceNumber": 5,
    "BodyPartExamined": "CHEST",
    "Laterality": "L",
    "OperatorsName": "Zzplantedoperator^C",
    "SpecimenDescriptionSequence": [
        {"SpecimenIdentifier": "PLANTEDSPECIMEN", "SpecimenUID": SPECIMEN}
    ],
    "InstitutionalDepartmentName": "Zzplantedplace",
    "StudyDate": "20230607",
    "StudyTime": "101112",
    "SeriesDate": "20230607",
    "SeriesTime": "101512",
    "TimezoneOffsetFromUTC": "+0200",
    "WindowCenter": 40,
    "WindowWidth": 400,
    "RescaleIntercept": -1024,
    "RescaleSlope": 1,
    "PixelSpacing": [0.5, 0.5],
    "SliceThickness": 1.25,
    "ImagePositionPatient": [0, 0, 0],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
}


def records(patient: str, study: str) -> list[dict[str, Json]]:
    """Write one link of each type and a release request, each with every element."""
    links = [
        {
            "resourceType": kind,
            "id": identifier,
            "agent": SOMEBODY,
            "patient": {"reference": f"Patient/{patient}"},
            "study": study,
            "reason": f"Zzplanted{kind.lower()}why",
            "period": {"start": START, "end": END},
            "recorder": BY,
            "revoked": {"at": END, "by": "https://elsewhere.example#Zzplantedrevoker"},
        }
        for kind, identifier in LINK_IDS.items()
    ]
    request = {
        "resourceType": "ReleaseRequest",
        "id": REQUEST_ID,
        "patient": {"reference": f"Patient/{patient}"},
        "study": study,
        "reason": "Zzplantedrequestwhy",
        "urgency": "routine",
        "requester": SOMEBODY,
        "recorded": START,
        "status": "declined",
        "decision": {"at": END, "by": BY, "reason": "Zzplanteddecision"},
    }
    return [*links, request]


def open_records(patient: str, study: str) -> list[dict[str, Json]]:
    """Write the links again, in force now, and a request for a study that is not answered yet."""
    found = []
    for one in records(patient, study):
        kept = {name: value for name, value in one.items() if name not in {"revoked", "decision"}}
        if "period" in one:
            kept |= {"id": OPEN_IDS[one["resourceType"]], "period": {"start": START}}
        else:
            kept |= {"id": OPEN_REQUEST_ID, "status": "pending"}
        found.append(kept)
    return found


def session(identifier: str = SESSION_ID, *, ended: bool = True) -> dict[str, Json]:
    """Write somebody's session."""
    now = datetime.now(UTC)
    said = {
        "resourceType": "Session",
        "id": identifier,
        "agent": SOMEBODY,
        "name": "Zzplantedsessionname",
        "roles": ["provider"],
        "address": "203.0.113.77",
        "started": START,
        "seen": _instant(now),
        "expires": _instant(now + timedelta(hours=9)),
    }
    return said | ({"ended": {"at": _instant(now), "why": "idle"}} if ended else {})


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Of somebody who is nobody here, for the audit to show.
WATCHED = Caller(SOMEBODY, frozenset({"nurse"}), name="Zzplantedagent")
SEEN = Entry(
    "search",
    "Patient",
    "refused",
    ids=("planted",),
    patients=("planted",),
    total=3,
    query="name=Zzplantedquery",
    refused=("Patient.name",),
)
