"""The roots: what a query may begin with, under our names and under FHIR's."""

import strawberry
from strawberry.types.arguments import StrawberryArgument

from schema.arguments import argument, fhir_arguments, relay_arguments
from schema.coordinates import linked
from schema.endpoint import Endpoint as EndpointType
from schema.image import Image, ImagesConnection
from schema.imaging_study import ImagingStudy as ImagingStudyType
from schema.imaging_study import ImagingStudyConnection as ConnectionType
from schema.imaging_study import ImagingStudySeries, StudiesConnection
from schema.patient import Patient as PatientType
from schema.patient import PatientsConnection

_ID = [argument("id", strawberry.ID, "Logical id.")]


def _uid(of: str) -> list[StrawberryArgument]:
    return [argument("uid", strawberry.ID, f"{of} Instance UID.")]


@strawberry.type(description="What can be read.")
class Query:
    """Every root is null, with a coded error, where nothing is found or nothing may be seen."""

    patient = linked("Patient.id", PatientType | None, "One patient.", fetch="one", arguments=_ID)
    patients = linked(
        "Patient.id",
        PatientsConnection | None,
        "Patients, page by page.",
        fetch="page",
        arguments=relay_arguments("Patient"),
    )
    study = linked(
        "ImagingStudy.id",
        ImagingStudyType | None,
        "One study.",
        fetch="one",
        arguments=_uid("Study"),
    )
    studies = linked(
        "ImagingStudy.id",
        StudiesConnection | None,
        "Studies, page by page.",
        fetch="page",
        arguments=relay_arguments("ImagingStudy"),
    )
    series = linked(
        "ImagingStudy.series",
        ImagingStudySeries | None,
        "One series.",
        fetch="series",
        arguments=_uid("Series"),
    )
    image = linked("Image.id", Image | None, "One image.", fetch="image", arguments=_uid("SOP"))
    images = linked(
        "Image.id",
        ImagesConnection | None,
        "Images by UID, page by page.",
        fetch="page",
        arguments=relay_arguments("Image"),
    )
    endpoint = linked(
        "Endpoint.id", EndpointType | None, "One endpoint.", fetch="one", arguments=_ID
    )
    Patient = linked(
        "Patient.id", PatientType | None, "`patient`, as FHIR names it.", fetch="one", arguments=_ID
    )
    PatientList = linked(
        "Patient.id",
        list[PatientType] | None,
        "Patients, as FHIR names them.",
        fetch="list",
        arguments=fhir_arguments("Patient"),
    )
    ImagingStudy = linked(
        "ImagingStudy.id",
        ImagingStudyType | None,
        "`study`, as FHIR names it.",
        fetch="one",
        arguments=_ID,
    )
    ImagingStudyList = linked(
        "ImagingStudy.id",
        list[ImagingStudyType] | None,
        "Studies, as FHIR names them.",
        fetch="list",
        arguments=fhir_arguments("ImagingStudy"),
    )
    ImagingStudyConnection = linked(
        "ImagingStudy.id",
        ConnectionType | None,
        "Studies page by page, as FHIR names it.",
        fetch="connection",
        arguments=fhir_arguments("ImagingStudy"),
    )
