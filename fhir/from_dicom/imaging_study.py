"""The ImagingStudy that headers describe: what one says of the study, and the whole."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from fhir.attributes import Attributes, first, items
from fhir.from_dicom.codes import Schemes, concepts, schemes
from fhir.from_dicom.identifiers import issuer_of
from fhir.from_dicom.modalities import acquisition_modalities
from fhir.from_dicom.names import display, other_displays
from fhir.from_dicom.people import practitioner, practitioners
from fhir.from_dicom.shapes import Element, distinct, present, reference
from fhir.from_dicom.site import Site
from fhir.from_dicom.texts import line, lines, paragraph
from fhir.from_dicom.times import date_time
from fhir.from_dicom.uids import uid, uid_identifier
from fhir.parameters import REPRESENTATION

# FHIR JSON is read by people too: elements stand as R4 lists them.
_ORDER = (
    "identifier",
    "status",
    "modality",
    "subject",
    "encounter",
    "started",
    "basedOn",
    "referrer",
    "interpreter",
    "endpoint",
    "numberOfSeries",
    "numberOfInstances",
    "procedureCode",
    "location",
    "reasonCode",
    "note",
    "description",
    "series",
)
_ORDERS = (
    ("AccessionNumber", "IssuerOfAccessionNumberSequence", "ACSN"),
    ("PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence", "PLAC"),
    ("FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence", "FILL"),
)


def imaging_study(attributes: Attributes, site: Site) -> Element:
    """Map what a header says of its study; `assemble` adds the rest.

    Args:
        attributes: Header of the instance that stands for the study.
        site: How to read what the header leaves open.

    Returns:
        The elements of ImagingStudy that come from the study, patient and order; no `id`, `meta`,
        `status`, `subject`, `series`, nor what is counted.

    Raises:
        Invalid: StudyInstanceUID is no UID.
    """
    declared = schemes(attributes)
    requests = [
        attributes,
        *items(attributes, "ReferencedRequestSequence"),
        *items(attributes, "RequestAttributesSequence"),
    ]
    referring = items(attributes, "ReferringPhysicianIdentificationSequence")
    note = paragraph(attributes, "StudyComments")
    return present(
        identifier=_identifiers(attributes, site),
        encounter=_encounter(attributes, site),
        started=date_time(attributes, "StudyDate", "StudyTime", site),
        basedOn=_based_on(requests, site),
        referrer=practitioner(
            first(attributes, "ReferringPhysicianName"), next(iter(referring), None), declared
        ),
        interpreter=practitioners(
            attributes,
            "NameOfPhysiciansReadingStudy",
            "PhysiciansReadingStudyIdentificationSequence",
            declared,
        ),
        procedureCode=_procedures(attributes, requests, declared),
        location=reference("Location", display=_location(attributes)),
        reasonCode=_reasons(attributes, requests, declared),
        note=[{"text": note}] if note else [],
        description=line(attributes, "StudyDescription"),
    )


def subject(patient_id: str, attributes: Attributes) -> Element:
    """Refer to whom a study is about.

    A quality control phantom is a Device and a litter a Group; neither is a resource here, so
    they are only named.

    Args:
        patient_id: FHIR id of the Patient.
        attributes: Header of any instance of the study.
    """
    said = first(attributes, "PatientName")
    name = display(said)
    if line(attributes, "QualityControlSubject") == "YES":
        return {"type": "Device", "display": name or "Quality control phantom"}
    if items(attributes, "GroupOfPatientsIdentificationSequence"):
        return {"type": "Group", "display": name or "Group of subjects"}
    others = [{"url": REPRESENTATION, "valueString": text} for text in other_displays(said)]
    return present(
        reference=f"Patient/{patient_id}", display=name, _display=present(extension=others)
    )


def assemble(
    study: Element,
    *,
    id: str,  # noqa: A002 — FHIR's name of the element
    subject: Element,
    series: Iterable[Element],
    endpoint: str | None = None,
) -> Element:
    """Put an ImagingStudy together.

    Args:
        study: What `imaging_study` gave.
        id: FHIR id.
        subject: Whom the study is about.
        series: What `series` gave, each with its `numberOfInstances`, in any order.
        endpoint: Reference to the Endpoint that serves the study, `Endpoint/…`.

    Returns:
        The resource without `meta`: series in the order of their numbers (those without last, then
        by UID), acquisition modalities alone as the study's, counts.
    """
    ordered = sorted(series, key=lambda one: (one.get("number", inf), one["uid"]))
    elements = {
        **study,
        "status": "available",
        "modality": _modalities(ordered),
        "subject": subject,
        "endpoint": [{"reference": endpoint}] if endpoint else [],
        "numberOfSeries": len(ordered),
        "numberOfInstances": sum(one["numberOfInstances"] for one in ordered),
        "series": ordered,
    }
    return {
        "resourceType": "ImagingStudy",
        "id": id,
        **present(**{name: elements.get(name) for name in _ORDER}),
    }


def _modalities(series: Sequence[Element]) -> list[Element]:
    found = {one["modality"]["code"]: one["modality"] for one in series}
    return [found[code] for code in sorted(found) if code in acquisition_modalities()]


def _identifiers(attributes: Attributes, site: Site) -> list[Element]:
    study_uid = uid_identifier(uid(attributes, "StudyInstanceUID"))
    accession = issuer_of(attributes, "IssuerOfAccessionNumberSequence", site).signed(
        line(attributes, "AccessionNumber"), "usual", "ACSN"
    )
    study_id = line(attributes, "StudyID")
    secondary = {"use": "secondary", "value": study_id} if study_id else {}
    return distinct([{"use": "official", **study_uid}, accession, secondary])


def _encounter(attributes: Attributes, site: Site) -> Element:
    issuer = issuer_of(attributes, "IssuerOfAdmissionIDSequence", site)
    return reference("Encounter", issuer.signed(line(attributes, "AdmissionID"), kind="VN"))


def _based_on(requests: Iterable[Attributes], site: Site) -> list[Element]:
    found = [
        issuer_of(request, issuers, site).signed(line(request, number), kind=kind)
        for request in requests
        for number, issuers, kind in _ORDERS
    ]
    return [reference("ServiceRequest", identifier) for identifier in distinct(found)]


def _procedures(
    attributes: Attributes, requests: Iterable[Attributes], declared: Schemes
) -> list[Element]:
    coded = concepts(attributes, "ProcedureCodeSequence", declared)
    if coded:
        return coded
    described = [line(request, "RequestedProcedureDescription") for request in requests]
    performed = line(attributes, "PerformedProcedureStepDescription")
    text = next((text for text in (*described, performed) if text), None)
    return [{"text": text}] if text else []


def _location(attributes: Attributes) -> str | None:
    return line(attributes, "InstitutionalDepartmentName") or line(attributes, "PerformedLocation")


def _reasons(
    attributes: Attributes, requests: Sequence[Attributes], declared: Schemes
) -> list[Element]:
    coded: list[Element] = []
    texts: list[str] = []
    for request in requests:
        coded += concepts(request, "ReasonForRequestedProcedureCodeSequence", declared)
        texts += lines(request, "ReasonForTheRequestedProcedure")
    coded += concepts(attributes, "AdmittingDiagnosesCodeSequence", declared)
    texts += lines(attributes, "AdmittingDiagnosesDescription")
    said: set[Any] = {concept["text"] for concept in coded}
    return distinct([*coded, *({"text": text} for text in texts if text not in said)])
