"""What QIDO-RS shows of what is planted: each attribute tells the element that decides about it."""

from collections.abc import Iterator, Mapping
from typing import Final

from fhir.dicom_answers import OURS
from fhir.dicom_disguised import SHOWN_KEYS
from fhir.dicom_elements import coordinate_of
from tests.doors.sight import Json, Visit

# What has to be open for a row to be there.
ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "study": ("ImagingStudy.id",),
    "series": ("ImagingStudy.id", "ImagingStudy.series.uid"),
    "instance": (
        "ImagingStudy.id",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.instance.uid",
        "Image.id",
    ),
}
STUDY: Final = "ImagingStudy"
JSON: Final = "application/dicom+json"
XML: Final = 'multipart/related; type="application/dicom+xml"'


def is_kept_without_identity(label: str) -> bool:
    """Say whether the de-identified view has what a label stands for, whatever the rules say."""
    if not label.startswith("QIDO"):
        return not label.endswith("studyFacets.day")  # days are shifted for each patient
    name = label.rsplit(" ", maxsplit=1)[-1]
    return name == "total" or name in SHOWN_KEYS or name in OURS


async def through_qido(visit: Visit) -> None:
    target = visit.target
    study = f"/dicomweb/studies/{target.study}"
    for level, address in (
        ("study", f"/dicomweb/studies?StudyInstanceUID={target.study}"),
        ("series", f"/dicomweb/series?SeriesInstanceUID={target.series}"),
        ("series", f"{study}/series"),
        ("instance", f"/dicomweb/instances?SOPInstanceUID={target.instance}"),
        ("instance", f"{study}/instances"),
        ("instance", f"{study}/series/{target.series}/instances"),
    ):
        where = f"QIDO {address.replace(study, 'STUDY').partition('=')[0]}"
        where = where.replace(target.series, "SERIES")
        for more in ("", "includefield=all"):
            separator = "&" if "?" in address else "?"
            asked = f"{address}{separator}{more}" if more else address
            answer = await visit.get(asked, JSON)
            if answer.status_code == 200:
                visit.sight.saw(f"{where} total", *ROWS[level], on=STUDY)
                for row in answer.json():
                    for label, coordinates in told(row):
                        said = f"{where} {more} {label}"
                        visit.sight.saw(said, *coordinates, *ROWS[level], on=STUDY)
    await visit.get(f"/dicomweb/studies?StudyInstanceUID={target.study}", XML)


def told(attributes: Json, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """List the attributes that say something, with the elements that each of them tells."""
    for key, element in attributes.items():
        values = element.get("Value") or element.get("InlineBinary")
        if not values:
            continue
        own = set() if not path and key in OURS else {coordinate_of(int(key, 16))}
        yield f"{path}{key}", own
        if element["vr"] == "SQ":
            for item in values:
                for label, inner in told(item, f"{path}{key}."):
                    yield label, own | inner
