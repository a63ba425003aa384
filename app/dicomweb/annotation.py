"""What is written over a picture: who it shows, and how it was made (PS3.18 8.3.5.1.1)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from fhir.attributes import Attributes, decimals, first, tag, text
from fhir.dicom_redaction import element_of
from fhir.errors import Invalid
from fhir.guarded import GuardedRepository
from fhir.images import opened_around
from fhir.repository import StoredImage

PATIENT: Final = "patient"
TECHNIQUE: Final = "technique"

_PATIENT: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate")
_TECHNIQUE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "Modality": ("", ""),
        "KVP": ("", " kV"),
        "XRayTubeCurrent": ("", " mA"),
        "ExposureTime": ("", " ms"),
        "RepetitionTime": ("TR ", " ms"),
        "EchoTime": ("TE ", " ms"),
        "FlipAngle": ("FA ", "°"),
        "SliceThickness": ("", " mm thick"),
    }
)
"""Numbers, and what stands before and behind each; the first is the one word among them."""


def kinds_of(annotation: str) -> tuple[str, ...]:
    """Read what is to be written.

    Raises:
        Invalid: It is neither of what can be.
    """
    kinds = tuple(dict.fromkeys(one.strip() for one in annotation.split(",")))
    if not set(kinds) <= {PATIENT, TECHNIQUE}:
        raise Invalid(f"annotation is {PATIENT}, {TECHNIQUE} or both with a comma between them")
    return kinds


async def lines_for(
    guarded: GuardedRepository, image: StoredImage, kinds: Sequence[str]
) -> tuple[str, ...]:
    """Give the lines that a caller may read; what is closed to them is left out.

    Nothing is said of anybody in the de-identified view.
    """
    deidentified = guarded.access.view == "deidentified"
    keywords = [] if deidentified or PATIENT not in kinds else list(_PATIENT)
    keywords += _TECHNIQUE if TECHNIQUE in kinds else ()
    needed = frozenset(element_of(tag(keyword)) for keyword in keywords)
    if not needed:
        return ()
    granted = await opened_around(guarded, image, needed, f"annotation={','.join(kinds)}")
    said = {
        keyword: word
        for keyword in keywords
        if element_of(tag(keyword)) in granted
        and (word := _word(image.attributes, keyword)) is not None
    }
    about = [said[keyword] for keyword in _PATIENT if keyword in said]
    made = [said[keyword] for keyword in _TECHNIQUE if keyword in said]
    return (*about, *([", ".join(made)] if made else []))


def _word(attributes: Attributes, keyword: str) -> str | None:
    if keyword == "PatientName":
        name = first(attributes, keyword) or {}
        parts = name.get("Alphabetic") or name.get("Ideographic") or ""
        return ", ".join(filter(None, parts.split("^"))) or None
    if keyword in _TECHNIQUE and keyword != "Modality":
        before, behind = _TECHNIQUE[keyword]
        return next(
            (f"{before}{number:g}{behind}" for number in decimals(attributes, keyword)), None
        )
    return text(attributes, keyword)
