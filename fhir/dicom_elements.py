"""Which element of the policy a DICOM attribute tells: one table for whatever is served of headers.

Every attribute has an element. A public one that says nothing FHIR has a place for is
`Image.attributes`, a private one `Image.private`, wherever it stands.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from pydicom.datadict import dictionary_has_tag, keyword_dict, tag_for_keyword

OTHER = "Image.attributes"
PRIVATE = "Image.private"
PIXELS = "Image.pixels"

_PATIENT_GROUP = 0x0010
_ADMISSION_GROUP = 0x0038
_REQUEST_GROUP = 0x0032
_CURVES = range(0x5000, 0x5100)
_OVERLAYS = range(0x6000, 0x6100)
_PIXEL_GROUP = 0x7FE0

_KEYWORDS: Mapping[str, str] = MappingProxyType(
    {
        "Patient.identifier": "PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence "
        "TypeOfPatientID OtherPatientIDs OtherPatientIDsSequence MedicalRecordLocator "
        "SourcePatientGroupIdentificationSequence GroupOfPatientsIdentificationSequence "
        "PatientInsurancePlanCodeSequence",
        "Patient.name": "PatientName OtherPatientNames PatientBirthName PatientMotherBirthName",
        "Patient.birthDate": "PatientBirthDate PatientBirthTime PatientAge "
        "PatientBirthDateInAlternativeCalendar PatientAlternativeCalendar",
        "Patient.gender": "PatientSex PatientSexNeutered",
        "Patient.address": "PatientAddress CountryOfResidence RegionOfResidence",
        "Patient.telecom": "PatientTelephoneNumbers PatientTelecomInformation",
        "Patient.communication": "PatientPrimaryLanguageCodeSequence",
        "Patient.contact": "ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization",
        "ImagingStudy.id": "StudyInstanceUID",
        "ImagingStudy.identifier": "AccessionNumber IssuerOfAccessionNumberSequence StudyID",
        "ImagingStudy.modality": "ModalitiesInStudy",
        "ImagingStudy.encounter": "AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID "
        "IssuerOfServiceEpisodeIDSequence",
        "ImagingStudy.started": "StudyDate StudyTime TimezoneOffsetFromUTC",
        "ImagingStudy.basedOn": "ReferencedRequestSequence RequestAttributesSequence "
        "PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest "
        "OrderPlacerIdentifierSequence OrderFillerIdentifierSequence "
        "RequestedProcedureID ScheduledProcedureStepID",
        "ImagingStudy.referrer": "ReferringPhysicianName ReferringPhysicianAddress "
        "ReferringPhysicianTelephoneNumbers ReferringPhysicianIdentificationSequence "
        "ConsultingPhysicianName ConsultingPhysicianIdentificationSequence "
        "RequestingPhysician RequestingPhysicianIdentificationSequence",
        "ImagingStudy.interpreter": "NameOfPhysiciansReadingStudy PhysiciansOfRecord "
        "PhysiciansReadingStudyIdentificationSequence PhysiciansOfRecordIdentificationSequence",
        "ImagingStudy.procedureReference": "ReferencedPerformedProcedureStepSequence "
        "PerformedProcedureStepID",
        "ImagingStudy.procedureCode": "ProcedureCodeSequence RequestedProcedureCodeSequence "
        "RequestedProcedureDescription PerformedProcedureStepDescription "
        "PerformedProtocolCodeSequence ScheduledProtocolCodeSequence",
        "ImagingStudy.location": "InstitutionName InstitutionAddress InstitutionCodeSequence "
        "InstitutionalDepartmentName InstitutionalDepartmentTypeCodeSequence StationName "
        "PerformedLocation PerformedStationName PerformedStationAETitle RequestingService",
        "ImagingStudy.reasonCode": "ReasonForTheRequestedProcedure "
        "ReasonForRequestedProcedureCodeSequence AdmittingDiagnosesDescription "
        "AdmittingDiagnosesCodeSequence ReasonForStudy ReasonForVisit "
        "ReasonForVisitCodeSequence ReasonForPerformedProcedureCodeSequence",
        "ImagingStudy.note": "StudyComments",
        "ImagingStudy.description": "StudyDescription",
        "ImagingStudy.numberOfSeries": "NumberOfStudyRelatedSeries",
        "ImagingStudy.numberOfInstances": "NumberOfStudyRelatedInstances",
        "ImagingStudy.series.uid": "SeriesInstanceUID",
        "ImagingStudy.series.number": "SeriesNumber",
        "ImagingStudy.series.modality": "Modality",
        "ImagingStudy.series.description": "SeriesDescription SeriesDescriptionCodeSequence",
        "ImagingStudy.series.numberOfInstances": "NumberOfSeriesRelatedInstances",
        "ImagingStudy.series.bodySite": "BodyPartExamined AnatomicRegionSequence "
        "AnatomicRegionModifierSequence PrimaryAnatomicStructureSequence",
        "ImagingStudy.series.laterality": "Laterality ImageLaterality FrameLaterality",
        "ImagingStudy.series.specimen": "SpecimenDescriptionSequence ContainerIdentifier "
        "IssuerOfTheContainerIdentifierSequence ContainerDescription",
        "ImagingStudy.series.started": "SeriesDate SeriesTime AcquisitionDate AcquisitionTime "
        "AcquisitionDateTime ContentDate ContentTime InstanceCreationDate InstanceCreationTime "
        "PerformedProcedureStepStartDate PerformedProcedureStepStartTime "
        "PerformedProcedureStepEndDate PerformedProcedureStepEndTime",
        "ImagingStudy.series.performer": "PerformingPhysicianName OperatorsName "
        "PerformingPhysicianIdentificationSequence OperatorIdentificationSequence",
        "ImagingStudy.series.instance.uid": "SOPInstanceUID",
        "ImagingStudy.series.instance.sopClass": "SOPClassUID",
        "ImagingStudy.series.instance.number": "InstanceNumber",
        "ImagingStudy.series.instance.title": "ImageType ContentLabel ContentDescription "
        "ConceptNameCodeSequence DocumentTitle",
        "Image.transferSyntax": "AvailableTransferSyntaxUID",
        "Image.rows": "Rows",
        "Image.columns": "Columns",
        "Image.numberOfFrames": "NumberOfFrames",
        "Image.bitsAllocated": "BitsAllocated",
        "Image.bitsStored": "BitsStored HighBit PixelRepresentation",
        "Image.photometricInterpretation": "PhotometricInterpretation SamplesPerPixel "
        "PlanarConfiguration",
        "Image.windowCenter": "WindowCenter WindowCenterWidthExplanation",
        "Image.windowWidth": "WindowWidth",
        "Image.rescaleIntercept": "RescaleIntercept RescaleType",
        "Image.rescaleSlope": "RescaleSlope",
        "Image.pixelSpacing": "PixelSpacing ImagerPixelSpacing",
        "Image.sliceThickness": "SliceThickness",
        "Image.imagePosition": "ImagePositionPatient",
        "Image.imageOrientation": "ImageOrientationPatient",
        PIXELS: "PixelData FloatPixelData DoubleFloatPixelData PixelDataProviderURL "
        "IconImageSequence EncapsulatedDocument",
    }
)
# Where no keyword is named: what stands in these groups is about the same.
_GROUPS: Mapping[int, str] = MappingProxyType(
    {
        _PATIENT_GROUP: "Patient.extension",
        _ADMISSION_GROUP: "ImagingStudy.encounter",
        _REQUEST_GROUP: "ImagingStudy.basedOn",
        _PIXEL_GROUP: PIXELS,
    }
)


@cache
def _named() -> Mapping[int, str]:
    return MappingProxyType(
        {
            tag_for_keyword(keyword) or 0: coordinate
            for coordinate, keywords in _KEYWORDS.items()
            for keyword in keywords.split()
        }
    )


def coordinate_of(tag: int) -> str:
    """Give the element that decides about an attribute.

    Args:
        tag: Group and element in one number. What stands inside a sequence has the element of its
            own tag as well as that of the sequence.
    """
    group = tag >> 16
    if group % 2:
        return PRIVATE
    if group in _CURVES or group in _OVERLAYS:
        return PIXELS
    return _named().get(tag) or _GROUPS.get(group, OTHER)


def coordinate_named(name: str) -> str | None:
    """Give the element of an attribute by keyword (`PatientName`) or tag (`00100010`), or None."""
    tag = tag_for_keyword(name)
    if tag is None:
        digits = name.strip("()").replace(",", "")
        try:
            tag = int(digits, 16) if len(digits) == 8 else None  # noqa: PLR2004 -- of a tag
        except ValueError:
            return None
    if tag is None:
        return None
    found = coordinate_of(tag)
    return found if found in (PRIVATE, PIXELS) or dictionary_has_tag(tag) else None


def public_tags() -> Iterator[int]:
    """List every attribute of the dictionary but those of groups that repeat."""
    return iter(keyword_dict.values())
