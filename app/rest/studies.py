"""Finding studies: the query of `/postdicom/studies` as a search, its rows as data."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from app.rest.envelope import Described, Metadata, PageMetadata, Paging
from app.rest.study import Series, Study, StudyDetail, coordinates, refused_members, series, study
from app.rest.vocabulary import LABELS, modalities, modalities_of_specialty
from app.settings import Settings
from fhir.errors import Invalid, NotFound
from fhir.guarded import GuardedRepository, Page, Row
from fhir.labels import CONFIDENTIALITY
from fhir.repository import Sort
from fhir.search import Has, Search, all_of, any_of, coordinates_of, criteria, escape, parameter

MAX_PATIENTS = 200
_PATIENT = frozenset({"Patient.id", "Patient.identifier"})
_LISTED = coordinates(Study) - _PATIENT
_DETAILED = coordinates(StudyDetail, Series) - _PATIENT
_UID = re.compile(r"[0-9.]{1,64}")
_SORTS = {"studyDate": "started", "patientName": "patient-name", "modality": "modality"}


class StudyNotFound(NotFound):
    """There is no such study, or none that the caller may know of."""

    code = "STUDY_NOT_FOUND"


class StudyQuery(Paging):
    """What `/postdicom/studies` may be asked; criteria are joined by AND."""

    patient_id: str | None = Field(
        None, alias="patientID", min_length=1, max_length=64, description="PatientID (MRN), exact"
    )
    study_date: str | None = Field(
        None, alias="studyDate", description="YYYY-MM-DD or YYYYMMDD", examples=["2024-02-29"]
    )
    start_date: str | None = Field(None, alias="startDate", description="first day, included")
    end_date: str | None = Field(None, alias="endDate", description="last day, included")
    modality: str | None = Field(
        None,
        description="DICOM codes of which a series has one, separated by commas; MRI, XR, X-RAY, "
        "ECHO and PET are understood",
        examples=["CT,MR"],
    )
    specialty: str | None = Field(
        None, description="modalities relevant to it", examples=["CARDIOLOGY"]
    )
    access_level: str | None = Field(
        None,
        alias="accessLevel",
        description="public, restricted, confidential or top-secret; several by commas",
    )
    sort_by: Literal["studyDate", "patientName", "modality"] | None = Field(
        None,
        alias="sortBy",
        description="if nothing is said: studyDate, or the UID where you may not read the date",
    )
    sort_order: Literal["desc", "asc"] = Field("desc", alias="sortOrder")


async def list_studies(
    guarded: GuardedRepository, query: StudyQuery, settings: Settings, text: str
) -> Described[list[Study], PageMetadata]:
    """List a page of the studies that the caller may see.

    Args:
        guarded: Repository of the caller.
        query: What is asked.
        settings: Knows in which zone days begin here.
        text: The query as the client wrote it, for the audit.

    Raises:
        AccessDenied: Studies, or what they are searched or sorted by, are closed to the caller.
        Invalid: A criterion makes no sense.
    """
    zone = ZoneInfo(settings.time_zone) if settings.time_zone else UTC
    search = _criteria(query, zone)
    if query.patient_id is not None:
        search = search.and_also(await _of_patient(guarded, query.patient_id))
    page = Page(query.limit, sort=(_sort(guarded, query),), counted=True, skip=query.offset)
    found = await guarded.search(search, page, elements=_LISTED, query=text)
    patients = await _patients(guarded, found.rows)
    data = [Study(**study(row, patients.get(row.id))) for row in found.rows]
    refused = _refused(guarded, found.refused, found.rows, patients)
    metadata = query.metadata(found.total, more=found.more, refused=refused_members(Study, refused))
    return Described[list[Study], PageMetadata](data=data, metadata=metadata)


async def one_study(guarded: GuardedRepository, uid: str) -> Described[StudyDetail, Metadata]:
    """Give a study with its series.

    Raises:
        AccessDenied: Studies are closed to the caller.
        StudyNotFound: There is none of this UID, or none the caller may know of.
    """
    try:
        row = await guarded.read("ImagingStudy", checked_uid(uid), _DETAILED)
    except NotFound as error:
        raise not_found() from error
    patients = await _patients(guarded, [row])
    data = StudyDetail(**study(row, patients.get(row.id)), series=series(row))
    closed = _refused(guarded, row.refused, [row], patients)
    refused = refused_members(StudyDetail, closed) | refused_members(Series, closed, "series.")
    return Described[StudyDetail, Metadata](data=data, metadata=Metadata(refused=refused))


def checked_uid(uid: str) -> str:
    """Give back what can be a UID.

    Raises:
        StudyNotFound: It cannot, so nothing has it.
    """
    if not _UID.fullmatch(uid):
        raise not_found()
    return uid


def not_found() -> StudyNotFound:
    """Say that a study is not there, or not for the caller."""
    return StudyNotFound("no study of this UID is open to you")


def day(name: str, text: str) -> str:
    """Read a day as YYYY-MM-DD.

    Raises:
        Invalid: It is none of the two forms; the message names the parameter.
    """
    match = re.fullmatch(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})", text)
    if not match:
        raise Invalid(f"{name} takes YYYY-MM-DD or YYYYMMDD")
    return "-".join((match[1], match[3], match[4]))


def days(first: str | None, last: str | None) -> Iterable[str]:
    """Write a range of days, ends included, as values of a FHIR date parameter.

    Raises:
        Invalid: It ends before it begins.
    """
    low = day("startDate", first) if first is not None else None
    high = day("endDate", last) if last is not None else None
    if low and high and low > high:
        raise Invalid("endDate lies before startDate")
    return [f"{prefix}{one}" for prefix, one in (("ge", low), ("le", high)) if one]


def _criteria(query: StudyQuery, zone: tzinfo) -> Search:
    pairs: list[tuple[str, str]] = []
    if query.study_date is not None:
        pairs.append(("started", day("studyDate", query.study_date)))
    pairs += (("started", one) for one in days(query.start_date, query.end_date))
    if query.modality is not None:
        pairs.append(("modality", ",".join(modalities(query.modality))))
    if query.specialty is not None and (relevant := modalities_of_specialty(query.specialty)):
        pairs.append(("modality", ",".join(relevant)))
    if query.access_level is not None:
        levels = query.access_level.lower().split(",")
        if not LABELS.keys() >= set(levels):
            raise Invalid(f"accessLevel takes {', '.join(LABELS)}")
        labels = (f"{CONFIDENTIALITY}|{LABELS[level]}" for level in levels)
        pairs.append(("_security", ",".join(labels)))
    return criteria("ImagingStudy", pairs, zone=zone)


def _sort(guarded: GuardedRepository, query: StudyQuery) -> Sort:
    name = _SORTS[query.sort_by or "studyDate"]
    if query.sort_by is None and (
        guarded.access.view == "deidentified" or guarded.closed_to_sort("ImagingStudy", name)
    ):
        name = "_id"
    return Sort(name, descending=query.sort_order == "desc")


async def _of_patient(guarded: GuardedRepository, patient_id: str) -> Search:
    """Search the studies of whoever has this PatientID, with any issuer."""
    looked_at = coordinates_of("ImagingStudy", parameter("ImagingStudy", "patient"))
    closed = {one for one in {*_PATIENT, *looked_at} if not guarded.access.allows(one)}
    if closed:
        guarded.access.refuse("search by", "ImagingStudy", closed)
    search = criteria("Patient", [("identifier", escape(patient_id))])
    found = await guarded.search(
        search, Page(MAX_PATIENTS), elements=frozenset({"Patient.id"}), query="patientID"
    )
    if found.more:
        raise Invalid(f"more than {MAX_PATIENTS} patients have this patientID; search /fhir")
    tree = any_of(Has("patient", f"Patient/{row.id}") for row in found.rows)
    return Search("ImagingStudy", all_of((tree,)), frozenset(looked_at))


async def _patients(guarded: GuardedRepository, rows: Sequence[Row]) -> dict[str, Row]:
    """Fetch whom studies are about, as far as the caller may see; by study."""
    subjects = {row.id: _subject(row) for row in rows}
    wanted = sorted({one for one in subjects.values() if one})
    if not wanted or not guarded.access.allows("Patient.id"):
        return {}
    search = Search("Patient", any_of(Has("_id", one) for one in wanted))
    found = await guarded.search(search, Page(len(wanted)), elements=_PATIENT, query="studies")
    by_id = {row.id: row for row in found.rows}
    return {study: by_id[one] for study, one in subjects.items() if one and one in by_id}


def _refused(
    guarded: GuardedRepository,
    refused: frozenset[str],
    rows: Sequence[Row],
    patients: dict[str, Row],
) -> frozenset[str]:
    """Join what is closed of the studies and of their patients."""
    closed = refused | guarded.plan("Patient", _PATIENT).refused
    closed = closed.union(*(row.refused for row in rows))
    closed = closed.union(*(patient.refused for patient in patients.values()))
    if any(_subject(row) and row.id not in patients for row in rows):
        closed |= {"Patient.id"}
    return closed


def _subject(row: Row) -> str | None:
    kind, _, identifier = row.resource.get("subject", {}).get("reference", "").partition("/")
    return identifier if kind == "Patient" else None
