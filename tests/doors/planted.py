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
    "Share": "c1c1c1c1-0000-4000-8000-000000000006",
}
JOB_ID = "c1c1c1c1-0000-4000-8000-000000000007"
ANNOTATION_ID = "c1c1c1c1-0000-4000-8000-000000000009"
AUTHOR = "https://elsewhere.example#Zzplantedwriter"
REQUEST_ID = "c1c1c1c1-0000-4000-8000-000000000005"
VIEW_ID = "c1c1c1c1-0000-4000-8000-0000000000aa"
HOLD_ID = "c1c1c1c1-0000-4000-8000-00000000000b"
OPEN_HOLD_ID = HOLD_ID.replace("0000-4000", "1111-4000")
DELETED = uid("planted", "deleted")
ERASED = uid("erased", "study")
"""A study that is deleted, and can be restored."""
SESSION_ID = "zzplantedsession00000000000000001"
# The same still in force, to be ended and answered.
OPEN_IDS = {kind: one.replace("0000-4000", "1111-4000") for kind, one in LINK_IDS.items()}
OPEN_REQUEST_ID = REQUEST_ID.replace("0000-4000", "1111-4000")
OPEN_SESSION_ID = f"{SESSION_ID[:-1]}2"
OPEN_ANNOTATION_ID = ANNOTATION_ID.replace("0000-4000", "1111-4000")
OPEN_JOB_ID = JOB_ID.replace("0000-4000", "1111-4000")
SHARE_TOKEN = "Zzplantedtoken"
"""Of the share that is in force."""

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
        "Job.agent",
        "AuditEvent.agent",
    ),
    "Zzplantedrecorder": (
        *(f"{kind}.recorder" for kind in LINK_IDS),
        "ReleaseRequest.decision",
        "DeletedStudy.recorder",
        "Hold.recorder",
    ),
    "Zzplantedrevoker": tuple(f"{kind}.revoked" for kind in LINK_IDS),
    **{f"Zzplanted{kind.lower()}why": (f"{kind}.reason",) for kind in LINK_IDS},
    "2021-02-03T04:05:06": (
        *(f"{kind}.period" for kind in LINK_IDS),
        "ReleaseRequest.recorded",
        "Session.started",
        "Job.recorded",
        "DeletedStudy.recorded",
        "Hold.period",
    ),
    "zzplanted-problem": ("Job.problems",),
    SHARE_TOKEN: (),
    "Zzplanteddeletedwhy": ("DeletedStudy.reason",),
    "Zzplantedholdwhy": ("Hold.reason",),
    "Zzplantedlifter": ("Hold.revoked",),
    "Zzplantedremark": ("ImageAnnotation.note",),
    "Zzplantedsigned": ("ImageAnnotation.note",),
    "Zzplantedwriter": ("ImageAnnotation.author",),
    "Zzplantedfinding": ("ImageAnnotation.code",),
    "Zzplantedtakenback": ("ImageAnnotation.removed",),
    "2020-11-12T13:14:15": ("ImageAnnotation.recorded",),
    "Zzplantedrequestwhy": ("ReleaseRequest.reason",),
    "Zzplanteddecision": ("ReleaseRequest.decision",),
    "Zzplantedsessionname": ("Session.name",),
    "Zzplantedview": ("SavedView.name",),
    "Zzplantedsought": ("SavedView.query",),
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
        | (_SHARED if kind == "Share" else {})
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


_SHARED: dict[str, Json] = {"agent": [SOMEBODY], "access": "VIEW", "maxUses": 100, "uses": 1}


def job(
    patient: str, study: str, identifier: str = JOB_ID, agent: str = SOMEBODY, **said: Json
) -> dict[str, Json]:
    """Write an upload that has failed, with every element; or another one."""
    return {
        "resourceType": "Job",
        "id": identifier,
        "kind": "upload",
        "agent": agent,
        "patient": {"reference": f"Patient/{patient}"},
        "study": study,
        "recorded": START,
        "expires": END,
        "status": "failed",
        "total": 3,
        "done": 1,
        "refused": 1,
        "bytes": 4711,
        "maxFiles": 3,
        "maxBytes": 4_711_000,
        "problems": [{"reason": "zzplanted-problem", "count": 1}],
    } | said


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


def deleted(patient: str) -> dict[str, Json]:
    """Write the record of a deletion, with every element."""
    return {
        "resourceType": "DeletedStudy",
        "id": DELETED,
        "patient": {"reference": f"Patient/{patient}"},
        "recorded": START,
        "recorder": BY,
        "reason": "Zzplanteddeletedwhy",
        "until": END,
        "numberOfInstances": 4712,
    }


def hold(patient: str, study: str) -> dict[str, Json]:
    """Write a legal hold that was lifted, with every element."""
    return {
        "resourceType": "Hold",
        "id": HOLD_ID,
        "study": study,
        "patient": {"reference": f"Patient/{patient}"},
        "reason": "Zzplantedholdwhy",
        "recorder": BY,
        "period": {"start": START},
        "revoked": {
            "at": END,
            "by": "https://elsewhere.example#Zzplantedlifter",
            "reason": "Zzplantedlifter",
        },
    }


def open_hold(patient: str, study: str) -> dict[str, Json]:
    """Write one that is in force."""
    found = hold(patient, study) | {"id": OPEN_HOLD_ID}
    del found["revoked"]
    return found


def annotation(patient: str, identifier: str = ANNOTATION_ID, **said: Json) -> dict[str, Json]:
    """Write what was drawn on the planted image, and taken back, with every element."""
    return {
        "resourceType": "ImageAnnotation",
        "id": identifier,
        "study": STUDY,
        "series": uid("planted", "series"),
        "image": uid("planted", "instance"),
        "frame": 1,
        "patient": {"reference": f"Patient/{patient}"},
        "note": {"authorString": "Zzplantedsigned", "time": END, "text": "Zzplantedremark"},
        "author": AUTHOR,
        "code": {
            "coding": [
                {
                    "system": "http://snomed.info/sct",
                    "code": "410668003",
                    "display": "Zzplantedfinding",
                }
            ]
        },
        "graphic": {"type": "POLYLINE", "points": [1.5, 2.5, 3.5, 4.5]},
        "measurement": {
            "value": 4.25,
            "unit": "mm",
            "system": "http://unitsofmeasure.org",
            "code": "mm",
        },
        "status": "entered-in-error",
        "recorded": "2020-11-12T13:14:15.000Z",
        "removed": {
            "at": END,
            "by": "https://elsewhere.example#Zzplantedtakenback",
            "reason": "Zzplantedtakenback",
        },
    } | said


def open_annotation(
    patient: str, identifier: str = OPEN_ANNOTATION_ID, author: str = AUTHOR
) -> dict[str, Json]:
    """Write one that was not taken back."""
    found = annotation(patient, identifier, author=author, status="active")
    del found["removed"]
    return found


def view(
    identifier: str = VIEW_ID, agent: str = SOMEBODY, word: str = "planted"
) -> dict[str, Json]:
    """Write a view that somebody keeps."""
    return {
        "resourceType": "SavedView",
        "id": identifier,
        "agent": agent,
        "name": f"Zz{word}view",
        "kind": "studies",
        "query": f'{{"text": "Zz{word}sought"}}',
        "sort": ["STARTED_DESC"],
        "recorded": "2022-01-02T03:04:05.000Z",
    }


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
