"""FHIR Endpoint: where the images of a study can be fetched."""

import strawberry

from schema.coordinates import element
from schema.datatypes import (
    CodeableConcept,
    Coding,
    ContactPoint,
    Extension,
    Identifier,
    Meta,
    Period,
    Reference,
)


@strawberry.type(description="FHIR R4 Endpoint: the address of a service.")
class Endpoint:
    """https://hl7.org/fhir/R4/endpoint.html."""

    id: strawberry.ID = element("Endpoint.id", "Logical id.")
    meta: Meta | None = element("Endpoint.meta", "Version and labels.")
    extension: list[Extension] | None = element("Endpoint.extension", "What FHIR does not have.")
    identifier: list[Identifier] | None = element("Endpoint.identifier", "Known by others as.")
    status: str | None = element("Endpoint.status", "active, suspended, error, off, …")
    connectionType: Coding | None = element("Endpoint.connectionType", "Protocol: dicom-wado-rs.")
    name: str | None = element("Endpoint.name", "What people call it.")
    managingOrganization: Reference | None = element(
        "Endpoint.managingOrganization", "Who runs it."
    )
    contact: list[ContactPoint] | None = element("Endpoint.contact", "Whom to call.")
    period: Period | None = element("Endpoint.period", "When it is meant to be up.")
    payloadType: list[CodeableConcept] | None = element("Endpoint.payloadType", "What it gives.")
    payloadMimeType: list[str] | None = element("Endpoint.payloadMimeType", "In which encodings.")
    address: str | None = element("Endpoint.address", "Base URL.")
    header: list[str] | None = element("Endpoint.header", "Headers to send along.")
