"""The roots: what a query may begin with, under our names and under FHIR's."""

import strawberry
from strawberry.types.arguments import StrawberryArgument

from schema.administration import check_policy, policy
from schema.annotation import AnnotationRoots
from schema.arguments import ID, argument, fhir_arguments, relay_arguments
from schema.coordinates import linked
from schema.deletion import DeletionRoots
from schema.endpoint import Endpoint as EndpointType
from schema.explaining import explain_access
from schema.facets import FacetRoots
from schema.image import Image, ImagesConnection
from schema.imaging_study import ImagingStudy as ImagingStudyType
from schema.imaging_study import ImagingStudyConnection as ConnectionType
from schema.imaging_study import ImagingStudySeries, StudiesConnection
from schema.jobs import JobRoots
from schema.links import Assignment, BreakGlass, CareTeam, Proxy
from schema.paging import Connection
from schema.patient import Patient as PatientType
from schema.patient import PatientsConnection
from schema.policy import (
    Explanation,
    Policy,
    PolicyCheck,
    PolicyFileInput,
    ScopeVariableInput,
)
from schema.release_request import ReleaseRequest
from schema.saved_view import SavedViewRoots
from schema.session import Session
from schema.sharing import ShareRoots


def _uid(of: str) -> list[StrawberryArgument]:
    return [argument("uid", strawberry.ID, f"{of} Instance UID.")]


_FILES = argument(
    "files", list[PolicyFileInput], "Those that are to be others; the rest stays as it is."
)


@strawberry.type(description="What can be read.")
class Query(AnnotationRoots, DeletionRoots, JobRoots, ShareRoots, FacetRoots, SavedViewRoots):
    """Every root is null, with a coded error, where nothing is found or nothing may be seen."""

    patient = linked("Patient.id", PatientType | None, "One patient.", fetch="one", arguments=[ID])
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
        "Endpoint.id", EndpointType | None, "One endpoint.", fetch="one", arguments=[ID]
    )
    careTeams = linked(
        "CareTeam.id",
        Connection[CareTeam] | None,
        "Who looks after whom, page by page; what has ended too.",
        fetch="page",
        arguments=relay_arguments("CareTeam"),
    )
    proxies = linked(
        "Proxy.id",
        Connection[Proxy] | None,
        "Who acts for whom, page by page; what has ended too.",
        fetch="page",
        arguments=relay_arguments("Proxy"),
    )
    assignments = linked(
        "Assignment.id",
        Connection[Assignment] | None,
        "Who was given which study, page by page; what has ended too.",
        fetch="page",
        arguments=relay_arguments("Assignment"),
    )
    breakGlasses = linked(
        "BreakGlass.id",
        Connection[BreakGlass] | None,
        "Who opened whose records in an emergency, page by page; what has ended too.",
        fetch="page",
        arguments=relay_arguments("BreakGlass"),
    )
    releaseRequests = linked(
        "ReleaseRequest.id",
        Connection[ReleaseRequest] | None,
        "Requests to show studies to their patients, page by page; answered ones too.",
        fetch="page",
        arguments=relay_arguments("ReleaseRequest"),
    )
    sessions = linked(
        "Session.id",
        Connection[Session] | None,
        "Sign-ins, page by page; those that were ended lately too.",
        fetch="page",
        arguments=relay_arguments("Session"),
    )
    Patient = linked(
        "Patient.id",
        PatientType | None,
        "`patient`, as FHIR names it.",
        fetch="one",
        arguments=[ID],
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
        arguments=[ID],
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
    policy = linked(
        "Policy.id",
        Policy | None,
        "The policy: who may see and do what.",
        fetch="given",
        perform=policy,
    )
    checkPolicy = linked(
        "Policy.text",
        PolicyCheck | None,
        "What these files would do in place of those of the policy; nothing is saved.",
        fetch="given",
        perform=check_policy,
        arguments=[_FILES],
    )
    explainAccess = linked(
        "Policy.text",
        Explanation | None,
        "Which lines of the policy decide what some roles, all held at once, may do.",
        fetch="given",
        perform=explain_access,
        arguments=[
            argument("roles", list[str], "Names of roles."),
            argument("element", str, "FHIR element path, like Patient.name."),
            argument("action", str, "read, create, update or delete.", "read"),
            argument(
                "study",
                strawberry.ID | None,
                "A study that you see, by its UID: says which scopes hold on it, or on the "
                "patient it is about.",
            ),
            argument(
                "variables",
                list[ScopeVariableInput] | None,
                "Whoever has the roles, described by the variables of scopes.toml.",
            ),
        ],
    )
