"""Writing on images: what was found where, in whose words, and by how much.

An annotation is about an image or a study. Its author may change it, and nobody else; who takes it
back leaves it where it is, as entered in error.
"""

import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

from fhir.attributes import integer
from fhir.dates import instant
from fhir.errors import Conflict, Invalid
from fhir.from_dicom.coding_schemes import SYSTEMS
from fhir.granting import check_identified, check_reason
from fhir.guarded import GuardedRepository
from fhir.images import opened, refuse_closed, stored_image
from fhir.repository import Record, StoredImage
from fhir.texts import check_text

Json = Any
Shape = Literal["POINT", "MULTIPOINT", "POLYLINE", "CIRCLE", "ELLIPSE"]

MOST_TEXT = 4_000  # characters
MOST_POINTS = 1_000
MOST_CODE = 64  # characters of a code, and of its display: VR LO
MOST_UNIT = 16  # characters: VR SH
KIND = "ImageAnnotation"
UCUM = SYSTEMS["UCUM"]
CODE_SYSTEMS = tuple(sorted(set(SYSTEMS.values()) - {UCUM}))

# PS3.3 C.18.6.1.1: the least and the most points that a shape has.
_POINTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "POINT": (1, 1),
        "MULTIPOINT": (1, MOST_POINTS),
        "POLYLINE": (2, MOST_POINTS),
        "CIRCLE": (2, 2),
        "ELLIPSE": (4, 4),
    }
)
_UNIT = re.compile(r"[!-\[\]-~]{1,16}")  # no backslash: it would part two values
_CODE = re.compile(r"[!-\[\]-~]{1,64}")
_NO_FRAME = "graphic: the object is no picture; leave it out"


@dataclass(frozen=True, slots=True)
class Graphic:
    """Something drawn on one frame.

    Attributes:
        points: Column and row of each point, one after the other; (0, 0) is the top left corner
            of the top left pixel, whose centre is (0.5, 0.5).
    """

    type: Shape
    points: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured.

    Attributes:
        unit: UCUM code, case sensitive.
    """

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Code:
    """What was found, or measured, in a code system of `CODE_SYSTEMS`."""

    system: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Spot:
    """What an annotation is about.

    Attributes:
        image: SOP Instance UID; None: the study.
        frame: Counts from 1; None: all of them, or the only one.
    """

    study: str
    image: str | None = None
    frame: int | None = None


async def annotate(
    guarded: GuardedRepository,
    spot: Spot,
    text: str,
    *,
    code: Code | None = None,
    graphic: Graphic | None = None,
    measurement: Measurement | None = None,
) -> str:
    """Write on an image, or about a study, whose pixels the caller may see.

    Returns:
        Id of the annotation.

    Raises:
        AccessDenied: The caller may not write here, or may not see the pixels.
        NotFound: There is no such image in the study, or none the caller may know of.
        Invalid: Text, code, graphic or measurement will not do, or do not fit the image.
    """
    check_identified(guarded, KIND)
    words = check_text("text", text, 1, MOST_TEXT)
    _fits_together(spot, code, graphic, measurement)
    record, image = await _seen(guarded, spot)
    now = instant(datetime.now(UTC))
    caller = guarded.access.caller
    said = {
        "series": image.series if image else None,
        "image": spot.image,
        "frame": _frame(spot, image, graphic),
        "patient": _patient(record),
        "code": _concept(code) if code else None,
        "graphic": _drawn(graphic, image) if graphic else None,
        "measurement": _quantity(measurement) if measurement else None,
    }
    by = {"authorString": caller.name} if caller.name else {}
    identifier = str(uuid.uuid4())
    await guarded.create(
        {
            "resourceType": KIND,
            "id": identifier,
            "study": spot.study,
            **{name: value for name, value in said.items() if value is not None},
            "note": {**by, "time": now, "text": words},
            "author": caller.subject,
            "status": "active",
            "recorded": now,
        }
    )
    return identifier


async def edit(
    guarded: GuardedRepository, identifier: str, expected_version: str, changes: Mapping[str, Json]
) -> str:
    """Write an annotation anew; what is not among the changes stays.

    Args:
        guarded: Repository of the caller.
        identifier: Of the annotation.
        expected_version: `meta.versionId` of what the caller looked at.
        changes: `text`; `graphic` (`Graphic`, or None to take it away); `measurement` likewise.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not change this one, or may no longer see the pixels.
        NotFound: There is no such annotation, or none the caller may know of.
        Conflict: Somebody changed it first, or took it back.
        Invalid: Text, graphic or measurement will not do, or do not fit the image.
    """
    check_identified(guarded, KIND)
    found = await guarded.permitted(KIND, identifier, "update", whole=True)
    _current(found.resource, expected_version)
    before = found.resource
    spot = Spot(before["study"], before.get("image"), before.get("frame"))
    text, drawn, measured = changes.get("text"), changes.get("graphic"), changes.get("measurement")
    words = before["note"]["text"] if text is None else check_text("text", text, 1, MOST_TEXT)
    _fits_together(spot, before.get("code"), drawn, measured)
    _, image = await _seen(guarded, spot)
    _frame(spot, image, drawn)
    new = {
        "graphic": _drawn(drawn, image) if drawn else None,
        "measurement": _quantity(measured) if measured else None,
    }

    def edited(annotation: dict[str, Json]) -> dict[str, Json]:
        _current(annotation, expected_version)
        note = annotation["note"] | {"time": instant(datetime.now(UTC)), "text": words}
        said = annotation | {"note": note} | {one: new[one] for one in new if one in changes}
        return {name: value for name, value in said.items() if value is not None}

    await guarded.change(KIND, identifier, edited, action="update")
    return identifier


async def remove(guarded: GuardedRepository, identifier: str, reason: str) -> str:
    """Take an annotation back: it stays, as entered in error; once more changes nothing.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not take this one back, or none.
        NotFound: There is no such annotation, or none the caller may know of.
        Invalid: The reason will not do.
    """
    check_identified(guarded, KIND)
    check_reason(reason)
    removed = {
        "at": instant(datetime.now(UTC)),
        "by": guarded.access.caller.subject,
        "reason": reason.strip(),
    }

    def taken_back(annotation: dict[str, Json]) -> dict[str, Json]:
        if annotation["status"] != "active":
            return annotation
        return {**annotation, "status": "entered-in-error", "removed": removed}

    await guarded.change(KIND, identifier, taken_back, action="delete")
    return identifier


async def _seen(guarded: GuardedRepository, spot: Spot) -> tuple[Record, StoredImage | None]:
    """Give the study and the image, if the caller may see their pixels."""
    row = await guarded.read("ImagingStudy", spot.study, frozenset({"ImagingStudy.id"}))
    if spot.image is not None:
        return row.record, await stored_image(guarded, spot.image, "Image.pixels", spot.study)
    needed = frozenset({"Image.id", "Image.pixels"})
    refuse_closed(
        guarded, needed - opened(guarded, row.record, guarded.plan("ImagingStudy", needed))
    )
    return row.record, None


def _current(annotation: Mapping[str, Json], version: str) -> None:
    if annotation["status"] != "active":
        raise Conflict("this annotation was taken back; write a new one")
    if annotation["meta"]["versionId"] != version:
        raise Conflict("somebody changed this annotation first; read it again")


def _patient(study: Record) -> dict[str, Json] | None:
    patients = study.index.get("patient", ())
    return {"reference": patients[0]} if patients else None


def _fits_together(
    spot: Spot, code: Json, graphic: Graphic | None, measurement: Measurement | None
) -> None:
    if spot.image is None and (spot.frame is not None or graphic is not None):
        raise Invalid("image: say which image the frame or graphic is of")
    if measurement is not None and code is None:
        raise Invalid("measurement: say in `code` what was measured")


def _frame(spot: Spot, image: StoredImage | None, graphic: Graphic | None) -> int | None:
    if image is None:
        return None
    frames = integer(image.attributes, "NumberOfFrames") or 1
    if spot.frame is not None and not 1 <= spot.frame <= frames:
        raise Invalid(f"frame: 1 to {frames}")
    if spot.frame is None and frames > 1 and graphic is not None:
        raise Invalid(f"frame: the image has {frames}; say on which one the graphic is")
    return 1 if frames == 1 else spot.frame


def _drawn(graphic: Graphic, image: StoredImage | None) -> dict[str, Json]:
    rows = integer(image.attributes, "Rows") if image else None
    columns = integer(image.attributes, "Columns") if image else None
    if not rows or not columns:
        raise Invalid(_NO_FRAME)
    least, most = _POINTS[graphic.type]
    number, odd = divmod(len(graphic.points), 2)
    if odd or not least <= number <= most:
        wanted = f"{least}" if least == most else f"{least} to {most:,}"
        raise Invalid(f"graphic.points: {graphic.type} has {wanted} points, column and row of each")
    for at, value in enumerate(graphic.points):
        if not math.isfinite(value) or not 0 <= value <= (rows if at % 2 else columns):
            raise Invalid(
                f"graphic.points: within the image, columns 0 to {columns}, rows 0 to {rows}"
            )
    return {"type": graphic.type, "points": [float(one) for one in graphic.points]}


def _quantity(measurement: Measurement) -> dict[str, Json]:
    if not math.isfinite(measurement.value):
        raise Invalid("measurement.value: a finite number")
    if not _UNIT.fullmatch(measurement.unit):
        raise Invalid(f"measurement.unit: a UCUM code of at most {MOST_UNIT} characters")
    unit = measurement.unit
    return {"value": measurement.value, "unit": unit, "system": UCUM, "code": unit}


def _concept(code: Code) -> dict[str, Json]:
    if code.system not in CODE_SYSTEMS:
        raise Invalid(f"code.system: one of {', '.join(CODE_SYSTEMS)}")
    if not _CODE.fullmatch(code.code):
        raise Invalid(f"code.code: 1 to {MOST_CODE} characters, without white space")
    display = check_text("code.display", code.display, 1, MOST_CODE)
    if not display.isprintable() or "\\" in display:
        raise Invalid("code.display: one line, without a backslash")
    return {"coding": [{"system": code.system, "code": code.code, "display": display}]}
