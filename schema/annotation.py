"""Annotations on images, and what is done with them. Ours, not FHIR's, in FHIR's datatypes."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from fhir.annotating import (
    CODE_SYSTEMS,
    MOST_CODE,
    MOST_POINTS,
    MOST_TEXT,
    MOST_UNIT,
    Code,
    Graphic,
    Measurement,
    Spot,
    annotate,
    edit,
    remove,
)
from schema.arguments import ID, REASON, STUDY, argument, relay_arguments
from schema.context import Change
from schema.coordinates import element, linked, part
from schema.datatypes import Annotation, CodeableConcept, Meta, Reference
from schema.paging import Connection
from schema.payload import changes
from schema.scalars import Instant

Json = Any


@strawberry.enum(description="What is drawn (DICOM PS3.3 C.18.6.1.1).")
class GraphicType(Enum):
    """Values are as stored."""

    POINT = strawberry.enum_value("POINT", description="One point.")
    MULTIPOINT = strawberry.enum_value("MULTIPOINT", description="Several points.")
    POLYLINE = strawberry.enum_value(
        "POLYLINE", description="Points joined by lines; closed if the last one is the first."
    )
    CIRCLE = strawberry.enum_value("CIRCLE", description="Its centre and a point on it.")
    ELLIPSE = strawberry.enum_value(
        "ELLIPSE", description="The ends of its long axis, then those of its short axis."
    )


_POINTS = (
    "Column, row, column, row, …: (0, 0) is the top left corner of the top left pixel, "
    "(0.5, 0.5) its centre."
)


@strawberry.input(description="Something to be drawn on a frame.")
class GraphicInput:
    """Points lie within the image."""

    type: GraphicType = strawberry.field(description="Which shape.")
    points: list[float] = strawberry.field(description=f"{_POINTS} At most {MOST_POINTS:,} points.")


@strawberry.input(description="What was measured.")
class MeasurementInput:
    """A number with its unit."""

    value: float = strawberry.field(description="The number.")
    unit: str = strawberry.field(
        description=f"UCUM code, at most {MOST_UNIT} characters: mm, cm2, [hnsf'U], 1."
    )


@strawberry.input(description="What was found, or what was measured.")
class FindingInput:
    """A code of a code system that DICOM knows too."""

    system: str = strawberry.field(description=f"One of {', '.join(CODE_SYSTEMS)}.")
    code: str = strawberry.field(description=f"At most {MOST_CODE} characters.")
    display: str = strawberry.field(
        description=f"What the code system calls it, at most {MOST_CODE} characters."
    )


@strawberry.type(description="Something drawn on a frame.")
class Drawing:
    """As SCOORD of DICOM SR has it."""

    type: str | None = part("POINT, MULTIPOINT, POLYLINE, CIRCLE or ELLIPSE.")
    points: list[float] | None = part(_POINTS)


@strawberry.type(description="FHIR Quantity: a number with its unit.")
class Quantity:
    """https://hl7.org/fhir/R4/datatypes.html#Quantity."""

    value: float | None = part("The number.")
    unit: str | None = part("The unit as it is shown.")
    system: str | None = part("URI of the system of units: UCUM's.")
    code: str | None = part("The unit in that system.")


@strawberry.type(description="That an annotation was taken back.")
class Removal:
    """When, by whom and why."""

    at: Instant | None = part("When.")
    by: str | None = part("Who, as issuer#subject.")
    reason: str | None = part("Why.")


@strawberry.type(description="A note on an image, or about a study: in words, drawn, measured.")
class ImageAnnotation:
    """It is there for whoever may find its study too, and as long as that is there."""

    id: strawberry.ID = element("ImageAnnotation.id", "Logical id.")
    meta: Meta | None = element(
        "ImageAnnotation.meta", "Version, to be given back when it is edited."
    )
    study: strawberry.ID | None = element("ImageAnnotation.study", "Study Instance UID.")
    series: strawberry.ID | None = element("ImageAnnotation.series", "Series Instance UID.")
    image: strawberry.ID | None = element(
        "ImageAnnotation.image", "SOP Instance UID; null where it is about the study."
    )
    frame: int | None = element(
        "ImageAnnotation.frame", "Counts from 1; null where it is about all frames."
    )
    patient: Reference | None = element("ImageAnnotation.patient", "Whose image it is.")
    note: Annotation | None = element(
        "ImageAnnotation.note", "What it says, by whom, and since when it says so."
    )
    author: str | None = element("ImageAnnotation.author", "Who wrote it, as issuer#subject.")
    code: CodeableConcept | None = element(
        "ImageAnnotation.code", "What was found; of a measurement, what was measured."
    )
    graphic: Drawing | None = element("ImageAnnotation.graphic", "What is drawn.")
    measurement: Quantity | None = element("ImageAnnotation.measurement", "What was measured.")
    status: str | None = element("ImageAnnotation.status", "active or entered-in-error.")
    recorded: Instant | None = element("ImageAnnotation.recorded", "When it was written first.")
    removed: Removal | None = element(
        "ImageAnnotation.removed", "That it was taken back; null while it is active."
    )


@strawberry.type
class AnnotationRoots:
    """What can be read of annotations."""

    annotations = linked(
        "ImageAnnotation.id",
        Connection[ImageAnnotation] | None,
        "Annotations of images and studies, page by page; those that were taken back too.",
        fetch="page",
        arguments=relay_arguments("ImageAnnotation"),
    )


async def _annotate(change: Change) -> str:
    given = change.arguments
    return await annotate(
        change.guarded,
        Spot(given["study"], given.get("image"), given.get("frame")),
        given["text"],
        code=_code(given.get("code")),
        graphic=_graphic(given.get("graphic")),
        measurement=_measurement(given.get("measurement")),
    )


async def _edit(change: Change) -> str:
    given = change.arguments
    read = {"graphic": _graphic, "measurement": _measurement}
    said = {name: made(given[name]) for name, made in read.items() if name in given}
    if given.get("text") is not None:
        said["text"] = given["text"]
    return await edit(change.guarded, given["id"], given["expectedVersion"], said)


async def _remove(change: Change) -> str:
    return await remove(change.guarded, change.arguments["id"], change.arguments["reason"])


def _graphic(given: Mapping[str, Json] | None) -> Graphic | None:
    return Graphic(given["type"].value, tuple(given["points"])) if given else None


def _measurement(given: Mapping[str, Json] | None) -> Measurement | None:
    return Measurement(given["value"], given["unit"]) if given else None


def _code(given: Mapping[str, Json] | None) -> Code | None:
    return Code(given["system"], given["code"], given["display"]) if given else None


_GRAPHIC = argument("graphic", GraphicInput | None, "What is drawn; needs an image.")
_MEASUREMENT = argument(
    "measurement", MeasurementInput | None, "What was measured; needs a `code` that says what."
)


@strawberry.type
class AnnotationMutations:
    """What can be done with annotations."""

    annotate = changes(
        "ImageAnnotation.id",
        "create",
        ImageAnnotation | None,
        "Writes on an image, or about a study, whose pixels you may see; you are the author.",
        arguments=[
            STUDY,
            argument(
                "image", strawberry.ID | None, "SOP Instance UID, of that study; absent: the study."
            ),
            argument(
                "frame",
                int | None,
                "Counts from 1; absent: all frames, unless something is drawn on one of several.",
            ),
            argument("text", str, f"1 to {MOST_TEXT:,} characters."),
            argument("code", FindingInput | None, "What was found, or what was measured."),
            _GRAPHIC,
            _MEASUREMENT,
        ],
        tells=["ImagingStudy.id", "Image.id", "Image.pixels"],
        perform=_annotate,
    )
    editAnnotation = changes(
        "ImageAnnotation.id",
        "update",
        ImageAnnotation | None,
        "Writes an annotation anew, as long as nobody did so first (CONFLICT). What is absent "
        "stays as it is; a graphic or measurement that is null is taken away.",
        arguments=[
            ID,
            argument("text", str | None, f"1 to {MOST_TEXT:,} characters."),
            _GRAPHIC,
            _MEASUREMENT,
            argument("expectedVersion", str, "`meta.versionId` of what you looked at."),
        ],
        tells=["ImagingStudy.id", "Image.id", "Image.pixels"],
        perform=_edit,
    )
    removeAnnotation = changes(
        "ImageAnnotation.id",
        "delete",
        ImageAnnotation | None,
        "Takes an annotation back: it stays where it is, as entered in error.",
        arguments=[ID, REASON],
        tells=["ImagingStudy.id"],
        perform=_remove,
    )
