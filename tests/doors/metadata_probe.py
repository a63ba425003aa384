"""What metadata and bulk data show of what is planted: attribute by attribute, and the bytes."""

from collections.abc import Iterator
from typing import Final

from app.imaging.confidentiality import action, is_movable
from app.imaging.writing import implied_vr
from fhir.dicom_elements import coordinate_of
from tests.doors.sight import Json, Visit

ROWS: Final = ("ImagingStudy.id", "Image.id")
STUDY: Final = "ImagingStudy"
JSON: Final = "application/dicom+json"
XML: Final = 'multipart/related; type="application/dicom+xml"'
# What the de-identified view says of itself (PS3.15 E.1-1), and what it puts in place of others.
_OF_ITSELF: Final = frozenset({"00120062", "00120063", "00120064", "00280303"})
_IN_PLACE: Final = frozenset({"00100020", "00080050", "00083002", "7FE00010"})


async def through_metadata(visit: Visit) -> None:
    target = visit.target
    study = f"/dicomweb/studies/{target.study}"
    series = f"{study}/series/{target.series}"
    instance = f"{series}/instances/{target.instance}"
    for place, where in ((study, "study"), (series, "series"), (instance, "instance")):
        answer = await visit.get(f"{place}/metadata", JSON)
        if answer.status_code == 200:
            visit.sight.saw(f"metadata {where} total", *ROWS, on=STUDY)
            for header in answer.json():
                for label, coordinates in told(header):
                    visit.sight.saw(f"metadata {where} {label}", *coordinates, *ROWS, on=STUDY)
        await visit.get(f"{place}/metadata", XML)
        for resource in ("bulkdata", "pixeldata"):
            answer = await visit.get(f"{place}/{resource}")
            if answer.status_code == 200:
                assert answer.content
                visit.sight.saw(f"{resource} {where}", "Image.pixels", *ROWS, on=STUDY)


def told(attributes: Json, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """List the attributes that say something, with the elements that each of them tells."""
    for key, element in attributes.items():
        values = [
            element[name] for name in ("Value", "InlineBinary", "BulkDataURI") if name in element
        ]
        if not any(values) or (not path and key in _OF_ITSELF):
            continue
        own = {coordinate_of(int(key, 16))}
        yield f"{path}{key}", own
        if element["vr"] == "SQ":
            for item in element["Value"]:
                for label, inner in told(item, f"{path}{key}."):
                    yield label, own | inner


def is_kept_in_metadata(label: str) -> bool:
    """Say whether the de-identified view has what a label stands for, whatever the rules say."""
    if not label.startswith("metadata"):
        return True
    name = label.rsplit(" ", maxsplit=1)[-1]
    return name in {"total", *_IN_PLACE} or all(map(_stays, name.split(".")))


def _stays(key: str) -> bool:
    tag = int(key, 16)
    vr = implied_vr(tag)
    return is_movable(tag, vr) or (
        action(tag, vr) not in {"remove", "empty"} and vr not in {"DA", "DT", "TM"}
    )
