"""FHIR ImagingStudy with its series and instances, and the pages it comes in."""

import strawberry
from strawberry.types.lazy_type import LazyType

from schema.arguments import slice_arguments
from schema.coordinates import computed, element, linked, plumbing
from schema.datatypes import Annotation, CodeableConcept, Coding, Extension, Identifier, Meta
from schema.datatypes import Reference as FhirReference
from schema.image import Image
from schema.paging import PageInfo
from schema.scalars import DateTime

_INSTANCE = "ImagingStudy.series.instance"


@strawberry.type(description="Who or what made a series.")
class ImagingStudySeriesPerformer:
    """https://hl7.org/fhir/R4/imagingstudy-definitions.html#ImagingStudy.series.performer."""

    function: CodeableConcept | None = element(
        "ImagingStudy.series.performer", "In which role.", home=False
    )
    actor: FhirReference | None = element(
        "ImagingStudy.series.performer", "Person, organization or device.", home=False
    )


@strawberry.type(description="One SOP instance of a series: an image, a report, a presentation.")
class ImagingStudySeriesInstance:
    """https://hl7.org/fhir/R4/imagingstudy-definitions.html#ImagingStudy.series.instance."""

    uid: strawberry.ID | None = element(f"{_INSTANCE}.uid", "SOP Instance UID.")
    sopClass: Coding | None = element(f"{_INSTANCE}.sopClass", "SOP class, as urn:oid.")
    number: int | None = element(f"{_INSTANCE}.number", "InstanceNumber.")
    title: str | None = element(f"{_INSTANCE}.title", "Image type, or title of a document.")
    image: Image | None = element("Image.id", "The instance as a picture; not in FHIR.", home=False)


@strawberry.type(description="One series of a study.")
class ImagingStudySeries:
    """https://hl7.org/fhir/R4/imagingstudy-definitions.html#ImagingStudy.series."""

    uid: strawberry.ID | None = element("ImagingStudy.series.uid", "Series Instance UID.")
    number: int | None = element("ImagingStudy.series.number", "SeriesNumber.")
    modality: Coding | None = element("ImagingStudy.series.modality", "CT, MR, SR, …")
    description: str | None = element("ImagingStudy.series.description", "SeriesDescription.")
    numberOfInstances: int | None = element(
        "ImagingStudy.series.numberOfInstances", "Instances that are stored."
    )
    endpoint: list[FhirReference] | None = element(
        "ImagingStudy.series.endpoint", "Where it is, if not where the study is."
    )
    bodySite: Coding | None = element("ImagingStudy.series.bodySite", "Part of the body.")
    laterality: Coding | None = element("ImagingStudy.series.laterality", "Left, right or both.")
    specimen: list[FhirReference] | None = element(
        "ImagingStudy.series.specimen", "Specimens that were imaged."
    )
    started: DateTime | None = element("ImagingStudy.series.started", "When it began.")
    performer: list[ImagingStudySeriesPerformer] | None = element(
        "ImagingStudy.series.performer", "Who and what made it."
    )
    instance = computed(
        _INSTANCE,
        list[ImagingStudySeriesInstance] | None,
        "Instances by number, then UID; all of them, unless `first` says otherwise.",
        arguments=slice_arguments("instances"),
    )


@strawberry.type(description="FHIR R4 ImagingStudy: a DICOM study.")
class ImagingStudy:
    """https://hl7.org/fhir/R4/imagingstudy.html."""

    id: strawberry.ID = element("ImagingStudy.id", "Study Instance UID.")
    meta: Meta | None = element("ImagingStudy.meta", "Version, labels, release.")
    extension: list[Extension] | None = element("ImagingStudy.extension", "What FHIR has not.")
    identifier: list[Identifier] | None = element(
        "ImagingStudy.identifier", "Study UID, accession number, study ID."
    )
    status: str | None = element("ImagingStudy.status", "available, registered, …")
    modality: list[Coding] | None = element(
        "ImagingStudy.modality", "Modalities of the series that acquired images."
    )
    subject: FhirReference | None = element("ImagingStudy.subject", "Whom it is about.")
    encounter: FhirReference | None = element("ImagingStudy.encounter", "Visit it belongs to.")
    started: DateTime | None = element("ImagingStudy.started", "When it began.")
    basedOn: list[FhirReference] | None = element("ImagingStudy.basedOn", "Orders it fulfils.")
    referrer: FhirReference | None = element("ImagingStudy.referrer", "Who asked for it.")
    interpreter: list[FhirReference] | None = element("ImagingStudy.interpreter", "Who read it.")
    endpoint: list[FhirReference] | None = element("ImagingStudy.endpoint", "Where it is.")
    numberOfSeries: int | None = element("ImagingStudy.numberOfSeries", "Series stored.")
    numberOfInstances: int | None = element("ImagingStudy.numberOfInstances", "Instances stored.")
    procedureReference: FhirReference | None = element(
        "ImagingStudy.procedureReference", "Procedure it documents."
    )
    procedureCode: list[CodeableConcept] | None = element(
        "ImagingStudy.procedureCode", "What was done."
    )
    location: FhirReference | None = element("ImagingStudy.location", "Where it was made.")
    reasonCode: list[CodeableConcept] | None = element("ImagingStudy.reasonCode", "Why, coded.")
    reasonReference: list[FhirReference] | None = element(
        "ImagingStudy.reasonReference", "Why, as resources."
    )
    note: list[Annotation] | None = element("ImagingStudy.note", "Comments.")
    description: str | None = element("ImagingStudy.description", "StudyDescription.")
    series: list[ImagingStudySeries] | None = element(
        "ImagingStudy.series", "Series by number, then UID."
    )
    patient = linked(
        "Patient.id",
        LazyType("Patient", "schema.patient") | None,
        "The Patient that `subject` refers to; not in FHIR.",
        fetch="subject",
        needs=("ImagingStudy.subject",),
    )


@strawberry.type(description="A study in a page.")
class StudiesEdge:
    """Relay's edge."""

    cursor: str = plumbing("Where the row stands; `after` begins behind it.")
    node: ImagingStudy = plumbing("The study.")


@strawberry.type(description="A page of studies.")
class StudiesConnection:
    """Relay's connection."""

    totalCount: int | None = plumbing("Studies on all pages that you may see.")
    edges: list[StudiesEdge] = plumbing("The studies of this page.")
    pageInfo: PageInfo = plumbing("Where this page stands.")


@strawberry.type(description="A study in a page, in the shape of FHIR's GraphQL.")
class ImagingStudyEdge:
    """https://hl7.org/fhir/R4/graphql.html#searching."""

    mode: str | None = plumbing("match: it is what was searched for.")
    score: float | None = plumbing("Always null: matches are not ranked.")
    resource: ImagingStudy = plumbing("The study.")


@strawberry.type(description="A page of studies, in the shape of FHIR's GraphQL.")
class ImagingStudyConnection:
    """https://hl7.org/fhir/R4/graphql.html#searching."""

    count: int | None = plumbing("Studies on all pages that you may see.")
    offset: int | None = plumbing("0 on the first page; later ones do not count.")
    pagesize: int | None = plumbing("`_count`.")
    edges: list[ImagingStudyEdge] = plumbing("The studies of this page.")
    first: str | None = plumbing("`_cursor` of the first page.")
    previous: str | None = plumbing("Always null: pages are walked forwards.")
    next: str | None = plumbing("`_cursor` of the next page, if there is one.")
    last: str | None = plumbing("Always null: pages are walked forwards.")
