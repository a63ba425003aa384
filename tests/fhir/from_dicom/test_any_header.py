"""Headers of arbitrary content: whatever they say, what comes out is FHIR."""

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR

from fhir.attributes import Attributes, tag
from fhir.from_dicom.imaging_study import assemble, imaging_study, subject
from fhir.from_dicom.instance import instance
from fhir.from_dicom.patient import patient, patient_key
from fhir.from_dicom.series import image_laterality, series
from fhir.from_dicom.site import Site
from tests.fhir.from_dicom.header import STUDY, header
from tests.validators import assert_valid

VALUES = (
    "AccessionNumber",
    "AdmissionID",
    "AdmittingDiagnosesDescription",
    "BodyPartExamined",
    "ContentLabel",
    "DeviceSerialNumber",
    "DocumentTitle",
    "ImageLaterality",
    "ImageType",
    "InstanceNumber",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "IssuerOfPatientID",
    "Laterality",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientAddress",
    "PatientBirthDate",
    "PatientBirthName",
    "PatientBirthTime",
    "PatientBreedDescription",
    "PatientID",
    "PatientIdentityRemoved",
    "PatientName",
    "PatientSex",
    "PatientSpeciesDescription",
    "PatientTelephoneNumbers",
    "PerformedLocation",
    "PerformedProcedureStepDescription",
    "PerformingPhysicianName",
    "QualityControlSubject",
    "ReasonForTheRequestedProcedure",
    "ReferringPhysicianName",
    "RequestedProcedureDescription",
    "ResponsibleOrganization",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "SeriesDate",
    "SeriesDescription",
    "SeriesNumber",
    "SeriesTime",
    "StationName",
    "StudyComments",
    "StudyDate",
    "StudyDescription",
    "StudyID",
    "StudyTime",
    "TimezoneOffsetFromUTC",
)
CODES = (
    "AdmittingDiagnosesCodeSequence",
    "AnatomicRegionSequence",
    "CodingSchemeIdentificationSequence",
    "ConceptNameCodeSequence",
    "InstitutionCodeSequence",
    "PatientBreedCodeSequence",
    "PatientSpeciesCodeSequence",
    "ProcedureCodeSequence",
)
ISSUERS = (
    "IssuerOfAccessionNumberSequence",
    "IssuerOfAdmissionIDSequence",
    "IssuerOfPatientIDQualifiersSequence",
)
PEOPLE = (
    "OperatorIdentificationSequence",
    "PerformingPhysicianIdentificationSequence",
    "PhysiciansReadingStudyIdentificationSequence",
    "ReferringPhysicianIdentificationSequence",
)

texts = st.text(max_size=12) | st.text("\0\t\r\n\x1b \x85\u3000\ud800^=\\a", max_size=6)
days = st.dates().map(lambda day: f"{day:%Y%m%d}".zfill(8)) | st.from_regex(r"\A[0-9]{8}\Z")
clocks = st.from_regex(r"\A[0-2][0-9]([0-6][0-9]([0-6][0-9](\.[0-9]{1,6})?)?)?\Z")
offsets = st.from_regex(r"\A[+-][01][0-9][0-5][0-9]\Z")
uids = st.from_regex(r"\A[0-2](\.[0-9]{1,4}){1,6}\Z")
numbers = st.integers(-(2**63), 2**63) | st.floats()
names = st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), texts)
scalars = st.none() | texts | days | clocks | offsets | uids | numbers
codes = texts | st.sampled_from(["T-D3000", "816094009", "121022", "RID10321"])
designators = st.sampled_from(["SCT", "SRT", "DCM", "LN", "99X", ""]) | texts


def element(keyword: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    vr = dictionary_VR(tag(keyword))
    listed = st.lists(names if vr == "PN" else values, max_size=3)
    return st.fixed_dictionaries({"vr": st.just(vr)}, optional={"Value": listed})


def attributes(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    found = {tag(keyword): element(keyword, value) for keyword, value in values.items()}
    return st.fixed_dictionaries({}, optional=found)


code_items = attributes(
    CodeValue=codes,
    LongCodeValue=codes,
    URNCodeValue=texts,
    CodingSchemeDesignator=designators,
    CodingSchemeVersion=texts,
    CodingSchemeUID=uids,
    CodeMeaning=texts,
)
issuer_items = attributes(
    LocalNamespaceEntityID=texts | st.just("HOSP"),
    UniversalEntityID=texts | uids | st.just("http://x/y"),
    UniversalEntityIDType=st.sampled_from(["ISO", "UUID", "URI", "DNS", ""]),
)
person_items = attributes(PersonIdentificationCodeSequence=code_items, InstitutionName=texts)
patient_id_items = attributes(
    PatientID=texts,
    IssuerOfPatientID=texts,
    TypeOfPatientID=texts,
    IssuerOfPatientIDQualifiersSequence=issuer_items,
)
request_items = attributes(
    AccessionNumber=texts,
    PlacerOrderNumberImagingServiceRequest=texts,
    FillerOrderNumberImagingServiceRequest=texts,
    OrderPlacerIdentifierSequence=issuer_items,
    RequestedProcedureDescription=texts,
    ReasonForTheRequestedProcedure=texts,
    ReasonForRequestedProcedureCodeSequence=code_items,
)
specimen_items = attributes(
    SpecimenIdentifier=texts,
    IssuerOfTheSpecimenIdentifierSequence=issuer_items,
    SpecimenShortDescription=texts,
)
frame_items = attributes(
    FrameAnatomySequence=attributes(FrameLaterality=texts, AnatomicRegionSequence=code_items)
)
headers = attributes(
    **dict.fromkeys(VALUES, scalars),
    **dict.fromkeys(CODES, code_items),
    **dict.fromkeys(ISSUERS, issuer_items),
    **dict.fromkeys(PEOPLE, person_items),
    OtherPatientIDsSequence=patient_id_items,
    ReferencedRequestSequence=request_items,
    RequestAttributesSequence=request_items,
    SpecimenDescriptionSequence=specimen_items,
    SharedFunctionalGroupsSequence=frame_items,
    PerFrameFunctionalGroupsSequence=frame_items,
)
sites = st.builds(
    Site,
    time_zone=st.none() | st.sampled_from([ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")]),
    patient_id_system=st.none() | st.just("urn:site"),
    issuer_systems=st.just({"HOSP": "urn:hosp"}),
    pad_times=st.booleans(),
)
sop_classes = st.sampled_from(
    [
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.88.59",
        "1.2.840.10008.5.1.4.1.1.11.1",
        "1.2.840.10008.5.1.4.1.1.104.1",
        "1.2.03",
    ]
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(headers, sites, sop_classes)
def test_any_header_becomes_valid_resources(said: Attributes, site: Site, sop_class: str) -> None:
    found = {**header(SOPClassUID=sop_class), **said}
    one = {
        **series(found, site, image_laterality(found)),
        "numberOfInstances": 1,
        "instance": [instance(found)],
    }
    assert_valid(patient(found, site))
    assert patient_key(found, site).isascii()
    study = imaging_study(found, site)
    assert_valid(assemble(study, id=STUDY, subject=subject("p", found), series=[one]))
