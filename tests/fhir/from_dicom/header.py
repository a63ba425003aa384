"""Headers as DICOM JSON, written by keyword."""

from collections.abc import Mapping
from typing import Any

from pydicom.datadict import dictionary_VR

from fhir.attributes import Attributes, tag

STUDY = "1.2.826.0.1.3680043.8.498.1"
SERIES = "1.2.826.0.1.3680043.8.498.1.1"
INSTANCE = "1.2.826.0.1.3680043.8.498.1.1.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def header(**keywords: Any) -> Attributes:
    """Write attributes: one value or a list of them, names as `A^B=C^D`, items as dicts.

    UIDs and SOP Class (a CT image) are there unless given otherwise; None leaves one out.
    """
    given = {
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "SOPInstanceUID": INSTANCE,
        "SOPClassUID": CT_IMAGE,
    } | keywords
    return item(**{name: value for name, value in given.items() if value is not None})


def item(**keywords: Any) -> Attributes:
    """Write an item of a sequence."""
    return {
        tag(name): _element(dictionary_VR(tag(name)), value) for name, value in keywords.items()
    }


def code(value: str, scheme: str, meaning: str | None = None, **more: Any) -> Mapping[str, Any]:
    """Write keywords of a code sequence item."""
    named = {"CodeMeaning": meaning} if meaning else {}
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, **named, **more}


def _element(vr: str, value: Any) -> Mapping[str, Any]:
    listed = value if isinstance(value, list) else [value]
    return {"vr": vr, "Value": [_value(vr, one) for one in listed]}


def _value(vr: str, value: Any) -> Any:
    if vr == "PN" and isinstance(value, str):
        groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False)
        return {group: text for group, text in groups if text}
    return item(**value) if vr == "SQ" else value
