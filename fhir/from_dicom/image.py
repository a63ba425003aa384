"""One SOP instance as an Image record: what viewers need to know before they ask for pixels."""

from collections.abc import Mapping
from typing import Any

from fhir.attributes import Attributes, decimals, integer, items, text
from fhir.from_dicom.instance import instance

Json = Any

_WHOLE = {
    "rows": "Rows",
    "columns": "Columns",
    "bitsAllocated": "BitsAllocated",
    "bitsStored": "BitsStored",
}
_DECIMALS = {
    "windowCenter": "WindowCenter",
    "windowWidth": "WindowWidth",
    "pixelSpacing": "PixelSpacing",
    "imagePosition": "ImagePositionPatient",
    "imageOrientation": "ImageOrientationPatient",
}
_DECIMAL = {
    "rescaleIntercept": "RescaleIntercept",
    "rescaleSlope": "RescaleSlope",
    "sliceThickness": "SliceThickness",
}
# Enhanced multi-frame objects say these once for all frames (PS3.3 C.7.6.16).
_SHARED = (
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
    "PixelMeasuresSequence",
    "PlaneOrientationSequence",
)


def image(
    attributes: Attributes, *, transfer_syntax: str, size: int, number_of_frames: int
) -> dict[str, Json]:
    """Give the Image record of an instance.

    Args:
        attributes: Its header.
        transfer_syntax: UID.
        size: Bytes of the stored object.
        number_of_frames: How many frames are really there; 0 without pixel data.

    Returns:
        Element name to value (`fhir.elements`), absent where the header says nothing. Spacings
        and positions are in mm, window values in units after the Modality LUT.
    """
    element = instance(attributes)
    record: dict[str, Json] = {
        "resourceType": "Image",
        "id": element["uid"],
        "study": text(attributes, "StudyInstanceUID"),
        "series": text(attributes, "SeriesInstanceUID"),
        **{name: element[name] for name in ("number", "sopClass", "title") if name in element},
        "transferSyntax": transfer_syntax,
        "size": size,
    }
    if number_of_frames:
        record["numberOfFrames"] = number_of_frames
        record["photometricInterpretation"] = text(attributes, "PhotometricInterpretation")
        record |= {name: integer(attributes, keyword) for name, keyword in _WHOLE.items()}
        for source in (*_shared(attributes), attributes):
            record |= _measured(source)
    return {name: value for name, value in record.items() if value is not None}


def _measured(source: Attributes) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, keyword in _DECIMALS.items():
        if values := decimals(source, keyword):
            found[name] = values
    for name, keyword in _DECIMAL.items():
        if values := decimals(source, keyword):
            found[name] = values[0]
    return found


def _shared(attributes: Attributes) -> list[Mapping[str, Json]]:
    groups = items(attributes, "SharedFunctionalGroupsSequence")[:1]
    return [item for group in groups for name in _SHARED for item in items(group, name)[:1]]
