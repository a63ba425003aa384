"""A study as this API writes it: each member with the policy coordinates that it shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from app.rest.envelope import Shape
from app.rest.vocabulary import AccessLevel, access_level
from fhir.guarded import Row
from fhir.labels import CONFIDENTIALITY

Json = Any
_COORDINATES = "x-coordinates"


def member(*coordinates: str, about: str, example: Json = None) -> Any:
    """Declare a member of an answer, which the policy can close by any of its coordinates."""
    return Field(
        description=about,
        examples=[] if example is None else [example],
        json_schema_extra={_COORDINATES: list(coordinates)},
    )


class Series(Shape):
    """One series of a study."""

    series_instance_uid: str | None = member(
        "ImagingStudy.series.uid", about="SeriesInstanceUID", example="2.25.7.1"
    )
    series_number: int | None = member(
        "ImagingStudy.series.number", about="SeriesNumber", example=1
    )
    modality: str | None = member("ImagingStudy.series.modality", about="DICOM code", example="CT")
    description: str | None = member(
        "ImagingStudy.series.description", about="SeriesDescription", example="Axial"
    )
    body_part: str | None = member(
        "ImagingStudy.series.bodySite", about="in words, or its code", example="Chest"
    )
    laterality: str | None = member(
        "ImagingStudy.series.laterality", about="in words, or its code", example="Left"
    )
    series_date: str | None = member(
        "ImagingStudy.series.started", about="YYYY-MM-DD", example="2024-02-29"
    )
    number_of_instances: int | None = member(
        "ImagingStudy.series.numberOfInstances", about="images and other objects", example=120
    )


class Study(Shape):
    """One study as lists show it."""

    study_instance_uid: str | None = member(
        "ImagingStudy.id", about="StudyInstanceUID", example="2.25.7"
    )
    patient_id: str | None = member(
        "ImagingStudy.subject",
        "Patient.id",
        "Patient.identifier",
        about="PatientID, the medical record number",
        example="MRN-1",
    )
    patient_name: str | None = member(
        "ImagingStudy.subject.display", about="as shown to people", example="Jane Doe"
    )
    study_date: str | None = member(
        "ImagingStudy.started", about="YYYY-MM-DD, where it was acquired", example="2024-02-29"
    )
    study_time: str | None = member(
        "ImagingStudy.started",
        about="with its offset; null if either is unknown",
        example="10:15:00+01:00",
    )
    status: str | None = member("ImagingStudy.status", about="FHIR code", example="available")
    modalities: list[str] | None = member(
        "ImagingStudy.modality", about="DICOM codes", example=["CT"]
    )
    description: str | None = member(
        "ImagingStudy.description", about="StudyDescription", example="CT chest"
    )
    accession_number: str | None = member(
        "ImagingStudy.identifier", about="AccessionNumber", example="ACC1"
    )
    referring_physician: str | None = member(
        "ImagingStudy.referrer", about="as shown to people", example="Rita Referrer"
    )
    body_parts: list[str] | None = member(
        "ImagingStudy.series.bodySite", about="of all series, in words", example=["Chest"]
    )
    number_of_series: int | None = member("ImagingStudy.numberOfSeries", about="counted", example=3)
    number_of_instances: int | None = member(
        "ImagingStudy.numberOfInstances", about="counted", example=300
    )
    access_level: AccessLevel | None = member(
        "ImagingStudy.meta", about="the confidentiality label U, N, R or V", example="restricted"
    )


class StudyDetail(Study):
    """One study with its series."""

    series: list[Series] | None = member("ImagingStudy.series", about="in their order")


def coordinates(*shapes: type[Shape]) -> frozenset[str]:
    """List the coordinates that the members of shapes show."""
    return frozenset(one for shape in shapes for said in _table(shape).values() for one in said)


def refused_members(
    shape: type[Shape], refused: Iterable[str], prefix: str = ""
) -> dict[str, list[str]]:
    """Name the members that refused coordinates close, as written, each with those of its own."""
    closed = frozenset(refused)
    found = {
        f"{prefix}{shape.model_fields[name].alias}": [one for one in needed if _covers(closed, one)]
        for name, needed in _table(shape).items()
    }
    return {name: needed for name, needed in found.items() if needed}


def study(row: Row, patient: Row | None) -> dict[str, Json]:
    """Write a study's members, by their names in Python; what is refused is null.

    Args:
        row: As the guard gave it.
        patient: Whom it is about, if the caller may see that record.
    """
    resource, refused = row.resource, row.refused
    date, time = _moment(resource.get("started"))
    parts = [_words(one.get("bodySite")) for one in resource.get("series", ())]
    hidden = _covers(refused, "ImagingStudy.series.bodySite")
    return {
        "study_instance_uid": row.id,
        "patient_id": _identifier(patient.resource if patient else {}, "MR"),
        "patient_name": resource.get("subject", {}).get("display"),
        "study_date": date,
        "study_time": time,
        "status": resource.get("status"),
        "modalities": None
        if _covers(refused, "ImagingStudy.modality")
        else [one["code"] for one in resource.get("modality", ())],
        "description": resource.get("description"),
        "accession_number": _identifier(resource, "ACSN"),
        "referring_physician": resource.get("referrer", {}).get("display"),
        "body_parts": None if hidden else list(dict.fromkeys(filter(None, parts))),
        "number_of_series": resource.get("numberOfSeries"),
        "number_of_instances": resource.get("numberOfInstances"),
        "access_level": _level(resource),
    }


def series(row: Row) -> list[Series] | None:
    """Write a study's series; None if they are refused."""
    if _covers(row.refused, "ImagingStudy.series"):
        return None
    return [_series(one) for one in row.resource.get("series", ())]


def _series(part: Mapping[str, Json]) -> Series:
    return Series(
        series_instance_uid=part.get("uid"),
        series_number=part.get("number"),
        modality=part.get("modality", {}).get("code"),
        description=part.get("description"),
        body_part=_words(part.get("bodySite")),
        laterality=_words(part.get("laterality")),
        series_date=_moment(part.get("started"))[0],
        number_of_instances=part.get("numberOfInstances"),
    )


def _table(shape: type[Shape]) -> dict[str, Sequence[str]]:
    table: dict[str, Sequence[str]] = {}
    for name, field in shape.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict):
            table[name] = [str(one) for one in _listed(extra.get(_COORDINATES))]
    return table


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _covers(refused: frozenset[str], coordinate: str) -> bool:
    """Say whether a coordinate, or an element around it, is refused."""
    return any(coordinate == one or coordinate.startswith(f"{one}.") for one in refused)


def _identifier(resource: Mapping[str, Json], kind: str) -> str | None:
    """Give the first identifier of a v2-0203 type."""
    for one in resource.get("identifier", ()):
        if any(coding.get("code") == kind for coding in one.get("type", {}).get("coding", ())):
            return str(one["value"])
    return None


def _moment(started: str | None) -> tuple[str | None, str | None]:
    """Part a FHIR dateTime into date and time as written, so that no day is shifted."""
    date, _, time = (started or "").partition("T")
    return date or None, time or None


def _words(coding: Mapping[str, Json] | None) -> str | None:
    if not coding:
        return None
    said = coding.get("display") or coding.get("code")
    return str(said) if said else None


def _level(resource: Mapping[str, Json]) -> AccessLevel | None:
    labels = [
        one.get("code")
        for one in resource.get("meta", {}).get("security", ())
        if one.get("system") == CONFIDENTIALITY
    ]
    return access_level(labels[0]) if labels else None
