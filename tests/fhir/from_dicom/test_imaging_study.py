"""What a header says of its study, and the whole ImagingStudy."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir.errors import Invalid
from fhir.from_dicom.imaging_study import assemble, imaging_study, subject
from fhir.from_dicom.series import series
from fhir.from_dicom.site import Site
from tests.fhir.from_dicom.header import SERIES, STUDY, code, header
from tests.validators import assert_valid

SITE = Site()
OFFICIAL = {"use": "official", "system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}
DCM = "http://dicom.nema.org/resources/ontology/DCM"
HL7_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ACSN = {
    "coding": [
        {"system": HL7_0203, "code": "ACSN", "display": "Accession ID"},
        {"system": DCM, "code": "121022", "display": "Accession Number"},
    ]
}


def mapped(site: Site = SITE, **keywords: Any) -> dict[str, Any]:
    """Map a header to the elements of a study that is known to be valid."""
    attributes = header(**keywords)
    found = imaging_study(attributes, site)
    assert_valid(whole(found))
    return found


def whole(study: dict[str, Any], *given: dict[str, Any], **more: Any) -> dict[str, Any]:
    one = {**series(header(Modality="CT"), SITE), "numberOfInstances": 1}
    keywords = {"id": STUDY, "subject": {"reference": "Patient/p"}, "series": given or [one]}
    return assemble(study, **(keywords | more))


def typed(kind: str, name: str) -> dict[str, Any]:
    return {"coding": [{"system": HL7_0203, "code": kind, "display": name}]}


def test_a_study_of_which_only_the_uid_is_known_has_its_identifier() -> None:
    assert mapped() == {"identifier": [OFFICIAL]}


def test_a_study_uid_with_leading_zeros_is_no_urn() -> None:
    assert mapped(StudyInstanceUID="1.2.03.4\0") == {
        "identifier": [{"use": "official", "system": "urn:dicom:uid", "value": "1.2.03.4"}]
    }


@pytest.mark.parametrize("found", [None, "", "1.2.x", "../1", "1..2", ".1", "1." + "2" * 63])
def test_a_study_without_a_uid_is_refused(found: str | None) -> None:
    with pytest.raises(Invalid, match=r"^StudyInstanceUID is not a UID: digits and dots, 64 ch"):
        imaging_study(header(StudyInstanceUID=found), SITE)


def test_accession_number_and_study_id_are_identifiers() -> None:
    assert mapped(AccessionNumber="A1 ", StudyID="S1")["identifier"] == [
        OFFICIAL,
        {"use": "usual", "type": ACSN, "value": "A1"},
        {"use": "secondary", "value": "S1"},
    ]


def test_an_accession_number_has_the_system_of_its_issuer() -> None:
    universal = {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}
    local = {"LocalNamespaceEntityID": "RIS"}
    site = Site(issuer_systems={"RIS": "urn:ris"})
    for issuer, signed in (
        (universal, {"system": "urn:oid:1.2.3", "assigner": {"display": "1.2.3"}}),
        (universal | local, {"system": "urn:oid:1.2.3", "assigner": {"display": "RIS"}}),
        (local, {"system": "urn:ris", "assigner": {"display": "RIS"}}),
        ({"LocalNamespaceEntityID": "X"}, {"assigner": {"display": "X"}}),
    ):
        found = mapped(site, AccessionNumber="A1", IssuerOfAccessionNumberSequence=[issuer])
        assert found["identifier"][1] == {"use": "usual", "type": ACSN, "value": "A1", **signed}


def test_a_study_is_based_on_the_orders_that_it_names() -> None:
    found = mapped(
        AccessionNumber="A1",
        ReferencedRequestSequence=[
            {
                "AccessionNumber": "A1",
                "PlacerOrderNumberImagingServiceRequest": "P1",
                "OrderPlacerIdentifierSequence": [
                    {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}
                ],
                "FillerOrderNumberImagingServiceRequest": "F1",
                "OrderFillerIdentifierSequence": [{"LocalNamespaceEntityID": "RIS"}],
            }
        ],
        RequestAttributesSequence=[{"AccessionNumber": "A2"}],
    )
    assert found["basedOn"] == [
        {"type": "ServiceRequest", "identifier": {"type": ACSN, "value": "A1"}},
        {
            "type": "ServiceRequest",
            "identifier": {
                "type": typed("PLAC", "Placer Identifier"),
                "system": "urn:oid:1.2.3",
                "value": "P1",
                "assigner": {"display": "1.2.3"},
            },
        },
        {
            "type": "ServiceRequest",
            "identifier": {
                "type": typed("FILL", "Filler Identifier"),
                "value": "F1",
                "assigner": {"display": "RIS"},
            },
        },
        {"type": "ServiceRequest", "identifier": {"type": ACSN, "value": "A2"}},
    ]


def test_an_admission_is_the_encounter() -> None:
    found = mapped(
        AdmissionID="V1",
        IssuerOfAdmissionIDSequence=[
            {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}
        ],
    )
    assert found["encounter"] == {
        "type": "Encounter",
        "identifier": {
            "type": typed("VN", "Visit number"),
            "system": "urn:oid:1.2.3",
            "value": "V1",
            "assigner": {"display": "1.2.3"},
        },
    }


def test_a_study_started_at_its_date_and_time() -> None:
    found = mapped(StudyDate="20240229", StudyTime="130405.5", TimezoneOffsetFromUTC="+0530")
    assert found["started"] == "2024-02-29T13:04:05.5+05:30"


def test_a_referrer_is_the_first_name_and_the_code_that_goes_with_it() -> None:
    found = mapped(
        ReferringPhysicianName=["Ref^Anna^^Dr.", "Second^One"],
        ReferringPhysicianIdentificationSequence=[
            {
                "PersonIdentificationCodeSequence": [
                    code("77", "99HOSP", "Anna Ref", CodingSchemeUID="1.2.3")
                ],
                "InstitutionName": "St. Nowhere",
            }
        ],
    )
    assert found["referrer"] == {
        "type": "Practitioner",
        "identifier": {
            "system": "urn:oid:1.2.3",
            "value": "77",
            "assigner": {"display": "St. Nowhere"},
        },
        "display": "Dr. Anna Ref",
    }


def test_an_empty_referrer_is_none() -> None:
    assert mapped(ReferringPhysicianName="^^^^") == {"identifier": [OFFICIAL]}


def test_each_interpreter_has_the_code_at_the_same_place() -> None:
    identification = [
        {"PersonIdentificationCodeSequence": [code("1", "99X")]},
        {"PersonIdentificationCodeSequence": [code("2", "99X")]},
    ]
    assert mapped(
        NameOfPhysiciansReadingStudy=["A^B", "C^D"],
        PhysiciansReadingStudyIdentificationSequence=identification,
    )["interpreter"] == [
        {"type": "Practitioner", "identifier": {"value": "1"}, "display": "B A"},
        {"type": "Practitioner", "identifier": {"value": "2"}, "display": "D C"},
    ]
    assert mapped(PhysiciansReadingStudyIdentificationSequence=identification)["interpreter"] == [
        {"type": "Practitioner", "identifier": {"value": "1"}},
        {"type": "Practitioner", "identifier": {"value": "2"}},
    ]


def test_codes_that_cannot_be_told_apart_are_not_given_to_anybody() -> None:
    found = mapped(
        NameOfPhysiciansReadingStudy=["A^B", "C^D"],
        PhysiciansReadingStudyIdentificationSequence=[
            {"PersonIdentificationCodeSequence": [code("2", "99X")]}
        ],
    )
    assert found["interpreter"] == [
        {"type": "Practitioner", "display": "B A"},
        {"type": "Practitioner", "display": "D C"},
    ]


def test_procedure_codes_have_a_text() -> None:
    found = mapped(
        ProcedureCodeSequence=[code("24627-2", "LN", "Chest CT"), code("X1", "99HOSP")],
        RequestedProcedureDescription="not used",
    )
    assert found["procedureCode"] == [
        {
            "coding": [
                {"system": "http://loinc.org", "code": "24627-2", "display": "Chest CT"},
            ],
            "text": "Chest CT",
        },
        {"coding": [{"code": "X1"}], "text": "X1"},
    ]


@pytest.mark.parametrize(
    "keywords",
    [
        {"RequestedProcedureDescription": "CT chest", "PerformedProcedureStepDescription": "x"},
        {"RequestAttributesSequence": [{"RequestedProcedureDescription": "CT chest"}]},
        {"PerformedProcedureStepDescription": "CT chest"},
    ],
)
def test_a_procedure_without_code_is_described(keywords: dict[str, Any]) -> None:
    assert mapped(**keywords)["procedureCode"] == [{"text": "CT chest"}]


def test_the_location_is_the_department_or_where_it_was_performed() -> None:
    assert mapped(InstitutionalDepartmentName="Radiology", PerformedLocation="Room 1")[
        "location"
    ] == {"type": "Location", "display": "Radiology"}
    assert mapped(PerformedLocation="Room 1")["location"] == {
        "type": "Location",
        "display": "Room 1",
    }


def test_reasons_are_codes_and_texts_wherever_they_stand() -> None:
    pain = code("29857009", "SCT", "Chest pain")
    coded = {
        "coding": [
            {"system": "http://snomed.info/sct", "code": "29857009", "display": "Chest pain"}
        ],
        "text": "Chest pain",
    }
    found = mapped(
        ReasonForTheRequestedProcedure="Chest pain",
        RequestAttributesSequence=[
            {
                "ReasonForTheRequestedProcedure": "Fall",
                "ReasonForRequestedProcedureCodeSequence": [pain],
            }
        ],
        ReferencedRequestSequence=[{"ReasonForTheRequestedProcedure": "Fall"}],
        AdmittingDiagnosesDescription=["Fracture", "Fever"],
        AdmittingDiagnosesCodeSequence=[code("S72", "I10", "Fracture")],
    )
    assert found["reasonCode"] == [
        coded,
        {
            "coding": [
                {
                    "system": "http://hl7.org/fhir/sid/icd-10",
                    "code": "S72",
                    "display": "Fracture",
                }
            ],
            "text": "Fracture",
        },
        {"text": "Fall"},
        {"text": "Fever"},
    ]


@pytest.mark.parametrize("place", ["RequestAttributesSequence", "ReferencedRequestSequence"])
def test_a_reason_in_words_alone_is_enough(place: str) -> None:
    keywords: dict[str, Any] = {place: [{"ReasonForTheRequestedProcedure": "Fall"}]}
    found = mapped(**keywords)
    assert found["reasonCode"] == [{"text": "Fall"}]


def test_comments_are_the_note_and_the_description_is_not() -> None:
    found = mapped(StudyComments="first\r\nsecond\x0c ", StudyDescription=" CT\x1b chest ")
    assert found["note"] == [{"text": "first\r\nsecond"}]
    assert found["description"] == "CT  chest"


@pytest.mark.parametrize("padding", ["", "  ", "\0\0", "\u3000", "\r\n"])
def test_padding_alone_is_no_description(padding: str) -> None:
    assert mapped(StudyDescription=padding) == {"identifier": [OFFICIAL]}


def test_a_subject_is_a_patient_shown_by_name() -> None:
    assert subject("p1", header(PatientName="Doe^Jane")) == {
        "reference": "Patient/p1",
        "display": "Jane Doe",
    }
    assert subject("p1", header()) == {"reference": "Patient/p1"}


def test_a_phantom_is_a_device_and_a_litter_is_a_group() -> None:
    phantom = header(QualityControlSubject="YES", PatientName="Water^Phantom")
    assert subject("p1", phantom) == {"type": "Device", "display": "Phantom Water"}
    assert subject("p1", header(QualityControlSubject="YES")) == {
        "type": "Device",
        "display": "Quality control phantom",
    }
    litter = header(GroupOfPatientsIdentificationSequence=[{"PatientID": "G1"}])
    assert subject("p1", litter) == {"type": "Group", "display": "Group of subjects"}
    for attributes in (phantom, litter):
        assert_valid(whole({}, subject=subject("p1", attributes)))


def one(uid: str, modality: str, instances: int, number: int | None = None) -> dict[str, Any]:
    attributes = header(SeriesInstanceUID=uid, Modality=modality, SeriesNumber=number)
    return {**series(attributes, SITE), "numberOfInstances": instances}


def test_a_whole_study_counts_sorts_and_names_its_acquisition_modalities() -> None:
    site = Site(time_zone=ZoneInfo("Europe/Berlin"))
    attributes = header(StudyDate="20240229", StudyTime="130405", StudyDescription="PET/CT")
    found = assemble(
        imaging_study(attributes, site),
        id=STUDY,
        subject={"reference": "Patient/p"},
        series=[
            one("1.9", "SR", 1),
            one("1.3", "PT", 2, 10),
            one("1.2", "CT", 3, 10),
            one("1.4", "CT", 4, 2),
            one("1.5", "SEG", 5, 0),
            one("1.10", "ZZ", 6),
        ],
        endpoint="Endpoint/dicomweb",
    )
    assert [one["uid"] for one in found["series"]] == ["1.5", "1.4", "1.2", "1.3", "1.10", "1.9"]
    del found["series"]
    assert found == {
        "resourceType": "ImagingStudy",
        "id": STUDY,
        "identifier": [OFFICIAL],
        "status": "available",
        "modality": [
            {"system": DCM, "code": "CT", "display": "Computed Tomography"},
            {"system": DCM, "code": "PT", "display": "Positron emission tomography"},
        ],
        "subject": {"reference": "Patient/p"},
        "started": "2024-02-29T13:04:05+01:00",
        "endpoint": [{"reference": "Endpoint/dicomweb"}],
        "numberOfSeries": 6,
        "numberOfInstances": 21,
        "description": "PET/CT",
    }


def test_a_study_of_reports_alone_has_no_modality_of_its_own() -> None:
    found = whole(imaging_study(header(), SITE), one(SERIES, "SR", 1))
    assert "modality" not in found
    assert found["series"][0]["modality"]["code"] == "SR"
    assert_valid(found)


def test_the_order_in_which_series_arrive_does_not_matter() -> None:
    several = [one("1.1", "CT", 1), one("1.2", "MR", 1, 3), one("1.3", "SR", 1, 3)]
    study = imaging_study(header(), SITE)
    assert whole(study, *several) == whole(study, *reversed(several))
