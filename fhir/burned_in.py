"""Whether the pixels of an instance may hold text about somebody, by what its header says."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydicom import uid

from fhir.attributes import Attributes, integer, text, values

# Made of measurements by the machine, so nobody writes into them; screen saves are told apart.
MEASURED = frozenset(
    {
        uid.CTImageStorage,
        uid.EnhancedCTImageStorage,
        uid.LegacyConvertedEnhancedCTImageStorage,
        uid.MRImageStorage,
        uid.EnhancedMRImageStorage,
        uid.LegacyConvertedEnhancedMRImageStorage,
        uid.PositronEmissionTomographyImageStorage,
        uid.EnhancedPETImageStorage,
        uid.LegacyConvertedEnhancedPETImageStorage,
        uid.NuclearMedicineImageStorage,
        uid.XRay3DAngiographicImageStorage,
        uid.XRay3DCraniofacialImageStorage,
        uid.BreastTomosynthesisImageStorage,
        uid.RTDoseStorage,
        uid.SegmentationStorage,
        uid.ParametricMapStorage,
    }
)

_PLATE = "projection images may show the plate or label that was exposed with them"
_SCREEN = "the machine may write names and dates into its pictures"
_CAMERA = "pictures of a camera may show labels, papers and faces"
_CAPTURE = "captures of screens and films show what was written there"

# These leave only if the header says that nothing is burned in.
DECLARING: Mapping[str, str] = MappingProxyType(
    {
        uid.ComputedRadiographyImageStorage: _PLATE,
        uid.DigitalXRayImageStorageForPresentation: _PLATE,
        uid.DigitalXRayImageStorageForProcessing: _PLATE,
        uid.DigitalMammographyXRayImageStorageForPresentation: _PLATE,
        uid.DigitalMammographyXRayImageStorageForProcessing: _PLATE,
        uid.DigitalIntraOralXRayImageStorageForPresentation: _PLATE,
        uid.DigitalIntraOralXRayImageStorageForProcessing: _PLATE,
        uid.BreastProjectionXRayImageStorageForPresentation: _PLATE,
        uid.BreastProjectionXRayImageStorageForProcessing: _PLATE,
        uid.RTImageStorage: _PLATE,
        uid.XRayAngiographicImageStorage: _SCREEN,
        uid.EnhancedXAImageStorage: _SCREEN,
        uid.XRayRadiofluoroscopicImageStorage: _SCREEN,
        uid.EnhancedXRFImageStorage: _SCREEN,
        uid.UltrasoundImageStorage: _SCREEN,
        uid.UltrasoundMultiFrameImageStorage: _SCREEN,
        uid.EnhancedUSVolumeStorage: _SCREEN,
        uid.EnhancedMRColorImageStorage: _SCREEN,
        uid.IntravascularOpticalCoherenceTomographyImageStorageForPresentation: _SCREEN,
        uid.IntravascularOpticalCoherenceTomographyImageStorageForProcessing: _SCREEN,
        uid.OphthalmicTomographyImageStorage: _SCREEN,
        uid.OphthalmicPhotography8BitImageStorage: _CAMERA,
        uid.OphthalmicPhotography16BitImageStorage: _CAMERA,
        uid.WideFieldOphthalmicPhotographyStereographicProjectionImageStorage: _CAMERA,
        uid.WideFieldOphthalmicPhotography3DCoordinatesImageStorage: _CAMERA,
        uid.VLEndoscopicImageStorage: _CAMERA,
        uid.VLMicroscopicImageStorage: _CAMERA,
        uid.VLSlideCoordinatesMicroscopicImageStorage: _CAMERA,
        uid.VLPhotographicImageStorage: _CAMERA,
        uid.VLWholeSlideMicroscopyImageStorage: _CAMERA,
        uid.DermoscopicPhotographyImageStorage: _CAMERA,
        uid.VideoEndoscopicImageStorage: _CAMERA,
        uid.VideoMicroscopicImageStorage: _CAMERA,
        uid.VideoPhotographicImageStorage: _CAMERA,
        uid.SecondaryCaptureImageStorage: _CAPTURE,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage: _CAPTURE,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage: _CAPTURE,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage: _CAPTURE,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage: _CAPTURE,
    }
)

# Modalities of measured images; another one with such a SOP class is a picture of something else.
_MEASURING = frozenset({"CT", "MR", "PT", "NM", "XA", "DX", "MG", "RTDOSE", "SEG"})
_SHOWN = re.compile(r"SCREEN|CAPTURE|REPORT|PROTOCOL|DOSE|LABEL|SUMMARY")
_OVERLAY = re.compile(r"60[01][02468ACE][0-9A-F]{4}")


def withheld(attributes: Attributes) -> str | None:
    """Say why an instance cannot be given out without identity, or None if it can.

    Args:
        attributes: Its header.
    """
    sop_class = text(attributes, "SOPClassUID") or ""
    if sop_class not in MEASURED and sop_class not in DECLARING:
        return "it is not of a kind of image that is known to be without text about somebody"
    if _overlaid(attributes):
        return "graphics lie in the bits of its pixel data"
    if _says(attributes, "RecognizableVisualFeatures") not in {"", "NO"}:
        return "its header says that somebody can be recognised in it"
    burned_in = _says(attributes, "BurnedInAnnotation")
    if burned_in == "NO":
        return None
    if burned_in:
        return "its header says that text is burned into its pixels"
    doubt = next(_doubts(attributes, sop_class), None)
    return doubt and f"its header does not say that nothing is burned in, and {doubt}"


def _doubts(attributes: Attributes, sop_class: str) -> Iterator[str]:
    if sop_class in DECLARING:
        yield DECLARING[sop_class]
    if _says(attributes, "ConversionType"):
        yield "it was converted from a film, a screen or a drawing"
    if _says(attributes, "Modality") not in _MEASURING:
        yield "its modality is not one that measures"
    kind = {str(value).strip().upper() for value in values(attributes, "ImageType")}
    if {"DERIVED", "SECONDARY"} <= kind or any(_SHOWN.search(word) for word in kind):
        yield "its type is that of screen saves"
    if (integer(attributes, "SamplesPerPixel") or 1) > 1:
        yield "it is in colour, as screen saves are"


def _says(attributes: Attributes, keyword: str) -> str:
    return (text(attributes, keyword) or "").strip().upper()


def _overlaid(attributes: Attributes) -> bool:
    """Say whether an overlay has no data of its own, so that it lies in unused bits of pixels."""
    groups = {tag[:4] for tag in attributes if _OVERLAY.fullmatch(tag)}
    return any(f"{group}3000" not in attributes for group in groups)
