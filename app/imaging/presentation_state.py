"""Annotations as a Grayscale Softcopy Presentation State (PS3.3 A.33.1).

Written element by element: highdicom's class wants the images' functional groups as enhanced
images have them, and shows every image in the area of the first one.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from itertools import groupby
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from app.imaging.annotation_header import (
    MANUFACTURER,
    author_name,
    header,
    identity,
    pairs,
    person_name,
    sop_class,
    uid,
    with_frame,
)
from app.imaging.windows import functional_group
from fhir.annotation_files import Annotated
from fhir.attributes import decimal, decimals, integer, items, text
from fhir.errors import Invalid
from fhir.repository import StoredImage

Json = Any
SERIES_NUMBER: Final = 9002
_MOST_TEXT: Final = 1_024  # characters of VR ST
_MONOCHROME: Final = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
_TAKE_SR: Final = "take format=sr instead, or name a series or an image"


def presentation_state(export: Annotated, zone: tzinfo) -> Dataset:
    """Write annotations of images as one presentation state, a graphic layer for each author.

    Args:
        export: What to write.
        zone: Where the images were made, if they do not say.

    Raises:
        Invalid: The images are coloured, or do not become grey in the same way.
    """
    known = identity(export, "gsps", zone)
    images = export.images.values()
    state = header(export)
    state.update(_grey(images))
    state.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    state.SOPInstanceUID = known.instance
    state.Modality = "PR"
    state.SeriesInstanceUID = known.series
    state.SeriesNumber = SERIES_NUMBER
    state.SeriesDescription = "Annotations"
    state.Manufacturer = MANUFACTURER
    state.InstanceNumber = known.number
    state.PresentationCreationDate = known.date
    state.PresentationCreationTime = known.time
    state.ContentLabel = "ANNOTATIONS"
    state.ContentDescription = "Annotations"
    # of several authors, each has a layer that says so
    state.ContentCreatorName = person_name(export.authors[-1])
    state.ReferencedSeriesSequence = list(_series(export))
    layers = {one["author"]: f"AUTHOR{at}" for at, one in enumerate(export.authors, 1)}
    state.GraphicLayerSequence = [_layer(at, one) for at, one in enumerate(export.authors, 1)]
    state.GraphicAnnotationSequence = [
        _annotation(export, one, layers[one["author"]]) for one in export.annotations
    ]
    state.DisplayedAreaSelectionSequence = list(_areas(export))
    windows = list(_windows(export))
    if windows:
        state.SoftcopyVOILUTSequence = windows
    return state


def _grey(images: Iterable[StoredImage]) -> Dataset:
    """Write how stored values become grey; one presentation state has one way for all images."""
    ways = {_way(image) for image in images}
    if len(ways) > 1:
        raise Invalid(f"format: the images do not become grey in the same way; {_TAKE_SR}")
    [(photometric, slope, intercept, kind)] = ways
    found = Dataset()
    found.PresentationLUTShape = _MONOCHROME[photometric]
    if slope is not None and intercept is not None:
        found.RescaleSlope, found.RescaleIntercept, found.RescaleType = slope, intercept, kind
    return found


def _way(image: StoredImage) -> tuple[str, float | None, float | None, str]:
    photometric = text(image.attributes, "PhotometricInterpretation") or ""
    if photometric not in _MONOCHROME:
        raise Invalid(f"format: a grayscale presentation state is of monochrome images; {_TAKE_SR}")
    if items(image.attributes, "ModalityLUTSequence"):
        raise Invalid(f"format: an image has a modality look-up table of its own; {_TAKE_SR}")
    source = functional_group(image.attributes, 1, "PixelValueTransformationSequence")
    return (
        photometric,
        decimal(source, "RescaleSlope"),
        decimal(source, "RescaleIntercept"),
        text(source, "RescaleType") or "US",
    )


def _series(export: Annotated) -> Iterator[Dataset]:
    for series, uids in _grouped(export, lambda image: image.series):
        found = Dataset()
        found.SeriesInstanceUID = series
        found.ReferencedImageSequence = [_reference(export, one) for one in uids]
        yield found


def _reference(export: Annotated, image: str, frames: list[int] | None = None) -> Dataset:
    found = Dataset()
    found.ReferencedSOPClassUID = sop_class(export, image)
    found.ReferencedSOPInstanceUID = image
    if frames:
        found.ReferencedFrameNumber = frames
    return found


def _layer(number: int, annotation: Mapping[str, Json]) -> Dataset:
    found = Dataset()
    found.GraphicLayer = f"AUTHOR{number}"
    found.GraphicLayerOrder = number
    found.GraphicLayerDescription = author_name(annotation)
    return found


def _annotation(export: Annotated, annotation: Mapping[str, Json], layer: str) -> Dataset:
    image = annotation["image"]
    frames = integer(export.images[image].attributes, "NumberOfFrames") or 1
    found = Dataset()
    found.ReferencedImageSequence = [_reference(export, image, with_frame(annotation, frames))]
    found.GraphicLayer = layer
    points = pairs(annotation.get("graphic", {}).get("points", ()))
    found.TextObjectSequence = list(_texts(annotation, points))
    if points:
        found.GraphicObjectSequence = list(_graphics(annotation, points))
    return found


def _texts(annotation: Mapping[str, Json], points: list[tuple[float, float]]) -> Iterator[Dataset]:
    """Write what an annotation says, at the first point of what is drawn or else on top."""
    said = _said(annotation)
    for start in range(0, len(said), _MOST_TEXT):
        found = _tracked(annotation)
        found.UnformattedTextValue = said[start : start + _MOST_TEXT]
        if points:
            found.AnchorPointAnnotationUnits = "PIXEL"
            found.AnchorPoint = list(points[0])
            found.AnchorPointVisibility = "Y"
        else:
            found.BoundingBoxAnnotationUnits = "DISPLAY"
            found.BoundingBoxTopLeftHandCorner = [0.0, 0.0]
            found.BoundingBoxBottomRightHandCorner = [1.0, 0.125]
            found.BoundingBoxTextHorizontalJustification = "LEFT"
        yield found


def _said(annotation: Mapping[str, Json]) -> str:
    measured = annotation.get("measurement")
    if measured is None:
        return str(annotation["note"]["text"])
    [coding] = annotation["code"]["coding"]
    value = f"{coding['display']}: {measured['value']:g} {measured['unit']}"
    return f"{annotation['note']['text']}\r\n{value}"


def _graphics(
    annotation: Mapping[str, Json], points: list[tuple[float, float]]
) -> Iterator[Dataset]:
    kind = annotation["graphic"]["type"]
    # PS3.3 C.10.5 has no type for several points
    shapes = [[one] for one in points] if kind == "MULTIPOINT" else [points]
    for shape in shapes:
        found = _tracked(annotation)
        found.GraphicAnnotationUnits = "PIXEL"
        found.GraphicDimensions = 2
        found.NumberOfGraphicPoints = len(shape)
        found.GraphicData = [value for point in shape for value in point]
        found.GraphicType = "POINT" if kind == "MULTIPOINT" else kind
        if kind in {"CIRCLE", "ELLIPSE"} or (kind == "POLYLINE" and shape[0] == shape[-1]):
            found.GraphicFilled = "N"
        yield found


def _tracked(annotation: Mapping[str, Json]) -> Dataset:
    found = Dataset()
    found.TrackingID = annotation["id"]
    found.TrackingUID = uid("annotation", annotation["id"])
    return found


def _areas(export: Annotated) -> Iterator[Dataset]:
    """Show each image as a whole."""

    def size(image: StoredImage) -> tuple[int, int]:
        attributes = image.attributes
        return integer(attributes, "Columns") or 1, integer(attributes, "Rows") or 1

    for (columns, rows), uids in _grouped(export, size):
        found = Dataset()
        found.ReferencedImageSequence = [_reference(export, one) for one in uids]
        found.DisplayedAreaTopLeftHandCorner = [1, 1]
        found.DisplayedAreaBottomRightHandCorner = [columns, rows]
        found.PresentationSizeMode = "SCALE TO FIT"
        found.PresentationPixelAspectRatio = [1, 1]
        yield found


def _windows(export: Annotated) -> Iterator[Dataset]:
    """Give the images the windows that they have anyway: without one a viewer shows all values."""

    def window(image: StoredImage) -> tuple[float, float, str]:
        source = functional_group(image.attributes, 1, "FrameVOILUTSequence")
        centers, widths = decimals(source, "WindowCenter"), decimals(source, "WindowWidth")
        function = text(source, "VOILUTFunction") or "LINEAR"
        return (centers[0], widths[0], function) if centers and widths else (0.0, 0.0, "")

    for (center, width, function), uids in _grouped(export, window):
        if function:
            found = Dataset()
            found.ReferencedImageSequence = [_reference(export, one) for one in uids]
            found.WindowCenter, found.WindowWidth = center, width
            found.VOILUTFunction = function
            yield found


def _grouped(export: Annotated, key: Any) -> Iterator[tuple[Any, list[str]]]:
    """Group images that have something in common; the order is always the same."""
    images = sorted(export.images.values(), key=lambda one: (key(one), one.id))
    for value, group in groupby(images, key):
        yield value, [one.id for one in group]
