"""FHIR Patient, and the pages it comes in."""

import strawberry

from schema.arguments import relay_arguments
from schema.coordinates import element, linked, plumbing
from schema.datatypes import (
    Address,
    CodeableConcept,
    ContactPoint,
    Extension,
    HumanName,
    Identifier,
    Meta,
    Period,
    Reference,
)
from schema.imaging_study import StudiesConnection
from schema.paging import PageInfo
from schema.scalars import Date


@strawberry.type(description="Somebody to call about a patient.")
class PatientContact:
    """https://hl7.org/fhir/R4/patient-definitions.html#Patient.contact."""

    relationship: list[CodeableConcept] | None = element(
        "Patient.contact", "What they are to the patient.", home=False
    )
    name: HumanName | None = element("Patient.contact", "Their name.", home=False)
    telecom: list[ContactPoint] | None = element("Patient.contact", "Their number.", home=False)
    address: Address | None = element("Patient.contact", "Their address.", home=False)
    gender: str | None = element("Patient.contact", "Their gender.", home=False)
    organization: Reference | None = element("Patient.contact", "For whom they act.", home=False)
    period: Period | None = element("Patient.contact", "When to call them.", home=False)


@strawberry.type(description="A language that a patient speaks.")
class PatientCommunication:
    """https://hl7.org/fhir/R4/patient-definitions.html#Patient.communication."""

    language: CodeableConcept | None = element(
        "Patient.communication", "Which language.", home=False
    )
    preferred: bool | None = element("Patient.communication", "Whether they prefer it.", home=False)


@strawberry.type(description="Another record of the same patient.")
class PatientLink:
    """https://hl7.org/fhir/R4/patient-definitions.html#Patient.link."""

    other: Reference | None = element("Patient.link", "The other record.", home=False)
    type: str | None = element(
        "Patient.link", "replaced-by, replaces, refer or seealso.", home=False
    )


@strawberry.type(description="FHIR R4 Patient.")
class Patient:
    """https://hl7.org/fhir/R4/patient.html."""

    id: strawberry.ID = element("Patient.id", "Logical id; says nothing about the person.")
    meta: Meta | None = element("Patient.meta", "Version and labels.")
    extension: list[Extension] | None = element("Patient.extension", "What FHIR does not have.")
    identifier: list[Identifier] | None = element("Patient.identifier", "Record numbers.")
    active: bool | None = element("Patient.active", "Whether the record is in use.")
    name: list[HumanName] | None = element("Patient.name", "Names, in each script.")
    telecom: list[ContactPoint] | None = element("Patient.telecom", "Telephone numbers.")
    gender: str | None = element("Patient.gender", "male, female, other or unknown.")
    birthDate: Date | None = element("Patient.birthDate", "Date of birth.")
    address: list[Address] | None = element("Patient.address", "Addresses.")
    maritalStatus: CodeableConcept | None = element("Patient.maritalStatus", "Marital status.")
    contact: list[PatientContact] | None = element("Patient.contact", "Whom to call.")
    communication: list[PatientCommunication] | None = element(
        "Patient.communication", "Languages."
    )
    generalPractitioner: list[Reference] | None = element(
        "Patient.generalPractitioner", "Their doctors."
    )
    managingOrganization: Reference | None = element(
        "Patient.managingOrganization", "Who keeps the record."
    )
    link: list[PatientLink] | None = element("Patient.link", "Other records of theirs.")
    studies = linked(
        "ImagingStudy.id",
        StudiesConnection | None,
        "The patient's studies; not in FHIR. `after` needs a single patient.",
        fetch="studies",
        arguments=[one for one in relay_arguments("ImagingStudy") if one.graphql_name != "patient"],
    )


@strawberry.type(description="A patient in a page.")
class PatientsEdge:
    """Relay's edge."""

    cursor: str = plumbing("Where the row stands; `after` begins behind it.")
    node: Patient = plumbing("The patient.")


@strawberry.type(description="A page of patients.")
class PatientsConnection:
    """Relay's connection."""

    totalCount: int | None = plumbing("Patients on all pages that you may see.")
    edges: list[PatientsEdge] = plumbing("The patients of this page.")
    pageInfo: PageInfo = plumbing("Where this page stands.")
