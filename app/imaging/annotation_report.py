"""Annotations as a Comprehensive SR: a measurement report (PS3.16 TID 1500) with coordinates."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

import numpy as np
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    CoordinatesForMeasurement,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    PixelOriginInterpretationValues,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes

from app.imaging.annotation_header import (
    MANUFACTURER,
    header,
    identity,
    pairs,
    person_name,
    sop_class,
    uid,
    with_frame,
)
from fhir.annotation_files import Annotated
from fhir.attributes import integer
from fhir.from_dicom.coding_schemes import SYSTEMS

Json = Any
SERIES_NUMBER: Final = 9001
_DESIGNATORS: Final = {system: designator for designator, system in SYSTEMS.items()}
_IMAGING: Final = CodedConcept("363679005", "SCT", "Imaging procedure")
_UNDETERMINED: Final = CodedConcept("und", "RFC5646", "Undetermined")
_COMMENT: Final = CodedConcept("121106", "DCM", "Comment")
_WHOLE_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_AREAS: Final = frozenset({"POINT", "CIRCLE", "ELLIPSE"})

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


class _Report(ComprehensiveSR):
    """A report about images of any SOP class, also of those that highdicom does not know."""

    def copy_patient_and_study_information(self, dataset: Dataset) -> None:
        """Leave it to `header`."""


def measurement_report(export: Annotated, zone: tzinfo) -> Dataset:
    """Write annotations as one SR document, one measurement group for each.

    Args:
        export: What to write.
        zone: Where the images were made, if they do not say.
    """
    known, said = identity(export, "sr", zone), header(export)
    report = _Report(
        evidence=[_evidence(export, image) for image in export.images],
        content=_content(export, known.written.tzinfo or zone)[0],
        series_instance_uid=known.series,
        series_number=SERIES_NUMBER,
        sop_instance_uid=known.instance,
        instance_number=known.number,
        manufacturer=MANUFACTURER,
        series_description="Annotations",
        specific_character_set="ISO_IR 192",
        content_date=known.date,
        content_time=known.time,
    )
    report.update(said)
    report.AuthorObserverSequence = [_author(one) for one in export.authors]
    # when it was asked for, and by which version of what it was put together, are not part of it
    del report.InstanceCreationDate, report.InstanceCreationTime
    del report.ContributingEquipmentSequence
    return report


def _evidence(export: Annotated, image: str) -> Dataset:
    """Give what highdicom reads of an image; whose it is comes from elsewhere."""
    found = Dataset()
    found.SOPClassUID = sop_class(export, image)
    found.SOPInstanceUID = image
    found.SeriesInstanceUID = export.images[image].series
    found.StudyInstanceUID = export.study
    for keyword in [
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
        "StudyDate",
        "StudyTime",
    ]:
        setattr(found, keyword, "")
    return found


def _author(annotation: Mapping[str, Json]) -> Dataset:
    found = Dataset()
    found.ObserverType = "PSN"
    found.PersonName = person_name(annotation)
    found.PersonIdentificationCodeSequence = []
    found.InstitutionName = ""
    found.InstitutionCodeSequence = []
    return found


def _content(export: Annotated, zone: tzinfo) -> MeasurementReport:
    first, *others = (_observer(one) for one in export.authors)
    context = ObservationContext(observer_person_context=first)
    for one in others:
        context.extend(one)
    return MeasurementReport(
        observation_context=context,
        procedure_reported=_IMAGING,
        imaging_measurements=[_group(export, one, zone) for one in export.annotations],
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(_UNDETERMINED),
    )


def _observer(annotation: Mapping[str, Json]) -> ObserverContext:
    return ObserverContext(
        codes.DCM.Person,
        PersonObserverIdentifyingAttributes(
            person_name(annotation), login_name=annotation["author"]
        ),
    )


def _group(export: Annotated, annotation: Mapping[str, Json], zone: tzinfo) -> Group:
    """Write one annotation: an area as a region of interest, what else is drawn as coordinates."""
    code = _concept(annotation["code"]) if "code" in annotation else None
    area = _area(export, annotation)
    drawn = [] if area else _coordinates(export, annotation)
    measured = _measurement(annotation, code, drawn)
    tracked = TrackingIdentifier(uid("annotation", annotation["id"]), annotation["id"])
    finding = None if measured else code
    group: Group
    if area is not None:
        group = PlanarROIMeasurementsAndQualitativeEvaluations(
            tracked, referenced_region=area, finding_type=finding, measurements=measured
        )
    else:
        group = MeasurementsAndQualitativeEvaluations(
            tracked,
            finding_type=finding,
            measurements=measured,
            source_images=_sources(export, annotation),
        )
    content = group[0].ContentSequence
    content.extend(_observer(annotation))
    content.append(_comment(annotation, [] if measured else drawn))
    group[0].ObservationDateTime = _moment(annotation, zone)
    return group


def _comment(
    annotation: Mapping[str, Json], drawn: Sequence[CoordinatesForMeasurement]
) -> TextContentItem:
    said = TextContentItem(_COMMENT, annotation["note"]["text"], RelationshipTypeValues.CONTAINS)
    if drawn:
        said.ContentSequence = DicomSequence(drawn)
    return said


def _measurement(
    annotation: Mapping[str, Json],
    code: CodedConcept | None,
    drawn: Sequence[CoordinatesForMeasurement],
) -> list[Measurement]:
    if code is None or "measurement" not in annotation:
        return []
    said = annotation["measurement"]
    unit = CodedConcept(said["code"], "UCUM", said["unit"])
    return [Measurement(code, said["value"], unit, referenced_coordinates=drawn or None)]


def _area(export: Annotated, annotation: Mapping[str, Json]) -> ImageRegion | None:
    """Write what is drawn as a region of interest, where it is one."""
    graphic = annotation.get("graphic")
    if graphic is None or not _closed(graphic):
        return None
    source = _source(export, annotation)
    whole_slide = sop_class(export, annotation["image"]) == _WHOLE_SLIDE
    frames = "ReferencedFrameNumber" in source.ReferencedSOPSequence[0]
    origin = PixelOriginInterpretationValues.FRAME if whole_slide and frames else None
    try:
        return ImageRegion(graphic["type"], _points(graphic), source, origin)
    except KeyError:
        return None  # an SOP class that highdicom does not know


def _closed(graphic: Mapping[str, Json]) -> bool:
    points = pairs(graphic["points"])
    return graphic["type"] in _AREAS or (graphic["type"] == "POLYLINE" and points[0] == points[-1])


def _coordinates(
    export: Annotated, annotation: Mapping[str, Json]
) -> list[CoordinatesForMeasurement]:
    graphic = annotation.get("graphic")
    if graphic is None:
        return []
    source = _source(export, annotation)
    return [
        CoordinatesForMeasurement(
            graphic["type"], _points(graphic), source, purpose=codes.DCM.ImageRegion
        )
    ]


def _source(export: Annotated, annotation: Mapping[str, Json]) -> SourceImageForRegion:
    image = annotation["image"]
    return SourceImageForRegion(sop_class(export, image), image, _frames(export, annotation))


def _sources(
    export: Annotated, annotation: Mapping[str, Json]
) -> list[SourceImageForMeasurementGroup] | None:
    image = annotation.get("image")
    if image is None:
        return None
    frames = _frames(export, annotation)
    return [SourceImageForMeasurementGroup(sop_class(export, image), image, frames)]


def _frames(export: Annotated, annotation: Mapping[str, Json]) -> list[int] | None:
    attributes = export.images[annotation["image"]].attributes
    return with_frame(annotation, integer(attributes, "NumberOfFrames") or 1)


def _points(graphic: Mapping[str, Json]) -> NDArray[np.float64]:
    """Give columns and rows, of shape (points, 2)."""
    return np.array(pairs(graphic["points"]), np.float64)


def _concept(said: Mapping[str, Json]) -> CodedConcept:
    [coding] = said["coding"]
    return CodedConcept(coding["code"], _DESIGNATORS[coding["system"]], coding["display"])


def _moment(annotation: Mapping[str, Json], zone: tzinfo) -> str:
    when = datetime.fromisoformat(annotation["note"]["time"]).astimezone(zone)
    return when.strftime("%Y%m%d%H%M%S.%f%z")
