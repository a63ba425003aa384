"""One series of an ImagingStudy."""

from typing import Any

import pytest

from fhir.errors import Invalid
from fhir.from_dicom.imaging_study import assemble
from fhir.from_dicom.modalities import acquisition_modalities, modality
from fhir.from_dicom.series import image_laterality, series
from fhir.from_dicom.site import Site
from tests.fhir.from_dicom.header import SERIES, STUDY, code, header
from tests.validators import assert_valid

SITE = Site()
SCT = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
OTHER = {"system": DCM, "code": "OT", "display": "Other"}
LEFT = {"system": SCT, "code": "7771000", "display": "Left"}
CHEST = {"system": SCT, "code": "816094009", "display": "Chest"}


def mapped(uniform_laterality: str | None = None, **keywords: Any) -> dict[str, Any]:
    """Map a header to a series that is known to be valid in its study."""
    found = series(header(**keywords), SITE, uniform_laterality)
    subject = {"reference": "Patient/p"}
    counted = {**found, "numberOfInstances": 1}
    assert_valid(assemble({}, id=STUDY, subject=subject, series=[counted]))
    return found


def anatomy(**keywords: Any) -> dict[str, Any]:
    return {"FrameAnatomySequence": [keywords]}


def test_a_series_has_a_bare_uid_and_a_modality() -> None:
    assert mapped(SeriesInstanceUID=f"{SERIES}\0") == {"uid": SERIES, "modality": OTHER}


@pytest.mark.parametrize("found", [None, "", "1.2.x", "1" * 65])
def test_a_series_without_a_uid_is_refused(found: str | None) -> None:
    with pytest.raises(Invalid, match=r"^SeriesInstanceUID is not a UID"):
        series(header(SeriesInstanceUID=found), SITE)


@pytest.mark.parametrize(
    ("written", "number"), [(0, 0), ("7", 7), ("1.0", 1), (2147483647, 2147483647)]
)
def test_a_number_that_fhir_can_hold_is_kept(written: Any, number: int) -> None:
    assert mapped(SeriesNumber=written)["number"] == number


@pytest.mark.parametrize("written", [-1, 2147483648, "9" * 30, "1.5", "x", "", None, "NaN"])
def test_a_number_that_fhir_cannot_hold_is_left_out(written: Any) -> None:
    assert "number" not in mapped(SeriesNumber=written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("CT", {"system": DCM, "code": "CT", "display": "Computed Tomography"}),
        ("ct ", {"system": DCM, "code": "CT", "display": "Computed Tomography"}),
        (["MR", "CT"], {"system": DCM, "code": "MR", "display": "Magnetic Resonance"}),
        ("SR\0", {"system": DCM, "code": "SR", "display": "Structured Report Document"}),
        ("DS", {"code": "DS"}),
        ("Vendor 1", {"code": "Vendor 1"}),
        ("", OTHER),
        ([None, ""], OTHER),
        (None, OTHER),
    ],
)
def test_a_modality_is_a_dicom_code_only_if_dicom_has_it(
    written: Any, expected: dict[str, str]
) -> None:
    assert mapped(Modality=written)["modality"] == expected


def test_modalities_in_study_are_not_read_from_instances() -> None:
    assert mapped(ModalitiesInStudy=["CT", "MR"]) == {"uid": SERIES, "modality": OTHER}


def test_acquisition_modalities_are_those_of_context_group_29() -> None:
    reports = {"ASMT", "AU", "CTPROTOCOL", "DOC", "IOL", "KO", "PLAN", "SR"}
    derived = {"FID", "HC", "M3D", "OT", "PR", "REG", "RWV", "SEG", "SMR", "STAIN", "TEXTUREMAP"}
    treatment = {"RTDOSE", "RTPLAN", "RTRECORD", "RTSTRUCT"}
    not_acquiring = reports | derived | treatment
    assert not acquisition_modalities() & not_acquiring
    assert {"CT", "MR", "US", "PT", "NM", "MG", "SM", "RTIMAGE"} <= acquisition_modalities()
    assert all(modality(header(Modality=one))["system"] == DCM for one in not_acquiring)


def test_a_description_is_trimmed() -> None:
    assert mapped(SeriesDescription=" Lung 1.0 \0")["description"] == "Lung 1.0"


@pytest.mark.parametrize("written", ["CHEST", "chest ", "THORAX"])
def test_a_body_part_becomes_a_snomed_ct_code(written: str) -> None:
    assert mapped(BodyPartExamined=written)["bodySite"] == CHEST


@pytest.mark.parametrize(
    ("written", "sct", "meaning"),
    [
        ("ABDOMEN", "818981001", "Abdomen"),
        ("HEAD", "69536005", "Head"),
        ("C_SPINE", "122494005", "Cervical spine"),
        ("HEAD NECK", "774007", "Head and Neck"),
    ],
)
def test_separators_in_a_body_part_do_not_matter(written: str, sct: str, meaning: str) -> None:
    assert mapped(BodyPartExamined=written)["bodySite"] == {
        "system": SCT,
        "code": sct,
        "display": meaning,
    }


def test_a_body_part_that_dicom_does_not_define_is_only_shown() -> None:
    assert mapped(BodyPartExamined="LEFT BIG TOE")["bodySite"] == {"display": "LEFT BIG TOE"}


@pytest.mark.parametrize(
    "place",
    [
        {"AnatomicRegionSequence": [code("816094009", "SCT", "Chest")]},
        {
            "SharedFunctionalGroupsSequence": [
                anatomy(AnatomicRegionSequence=[code("816094009", "SCT", "Chest")])
            ]
        },
        {
            "PerFrameFunctionalGroupsSequence": [
                anatomy(AnatomicRegionSequence=[code("816094009", "SCT", "Chest")])
            ]
            * 2
        },
    ],
)
def test_a_coded_region_comes_before_the_body_part(place: dict[str, Any]) -> None:
    assert mapped(BodyPartExamined="HEAD", **place)["bodySite"] == CHEST


def test_frames_of_several_regions_leave_it_to_the_body_part() -> None:
    frames = [
        anatomy(AnatomicRegionSequence=[code("816094009", "SCT", "Chest")]),
        anatomy(AnatomicRegionSequence=[code("818981001", "SCT", "Abdomen")]),
    ]
    found = mapped(BodyPartExamined="WHOLEBODY", PerFrameFunctionalGroupsSequence=frames)
    assert found["bodySite"] == {"system": SCT, "code": "38266002", "display": "Entire body"}


def test_a_region_in_retired_codes_is_translated_or_only_shown() -> None:
    assert mapped(AnatomicRegionSequence=[code("T-D1100", "SRT", "Head")])["bodySite"] == {
        "system": SCT,
        "code": "69536005",
        "display": "Head",
    }
    assert mapped(AnatomicRegionSequence=[code("T-00", "SRT", "Somewhere")])["bodySite"] == {
        "display": "Somewhere"
    }


def test_an_empty_region_leaves_it_to_the_body_part() -> None:
    assert mapped(BodyPartExamined="CHEST", AnatomicRegionSequence=[{}])["bodySite"] == CHEST


@pytest.mark.parametrize(
    ("side", "sct", "meaning"),
    [("L", "7771000", "Left"), ("R", "24028007", "Right"), ("B", "51440002", "Bilateral")],
)
def test_a_laterality_becomes_a_snomed_ct_code(side: str, sct: str, meaning: str) -> None:
    expected = {"system": SCT, "code": sct, "display": meaning}
    assert mapped(Laterality=side)["laterality"] == expected
    assert mapped(uniform_laterality=side)["laterality"] == expected


@pytest.mark.parametrize("side", ["U", "", "X", None])
def test_an_unpaired_part_has_no_laterality(side: str | None) -> None:
    assert "laterality" not in mapped(Laterality=side)
    assert "laterality" not in mapped(uniform_laterality=side)


def test_the_series_own_laterality_comes_before_that_of_its_images() -> None:
    assert mapped(uniform_laterality="R", Laterality="L")["laterality"] == LEFT


def test_the_laterality_of_one_image_is_not_that_of_its_series() -> None:
    assert "laterality" not in mapped(ImageLaterality="L")


@pytest.mark.parametrize(
    ("keywords", "side"),
    [
        ({"ImageLaterality": "L"}, "L"),
        ({"SharedFunctionalGroupsSequence": [anatomy(FrameLaterality="R")]}, "R"),
        ({"PerFrameFunctionalGroupsSequence": [anatomy(FrameLaterality="B")] * 3}, "B"),
        (
            {
                "PerFrameFunctionalGroupsSequence": [
                    anatomy(FrameLaterality="L"),
                    anatomy(FrameLaterality="R"),
                ]
            },
            None,
        ),
        ({"PerFrameFunctionalGroupsSequence": [anatomy(FrameLaterality="L"), anatomy()]}, None),
        ({}, None),
    ],
)
def test_an_image_has_the_side_that_all_its_frames_have(
    keywords: dict[str, Any], side: str | None
) -> None:
    assert image_laterality(header(**keywords)) == side


def test_specimens_are_referred_to_by_identifier() -> None:
    found = mapped(
        SpecimenDescriptionSequence=[
            {
                "SpecimenIdentifier": "S1",
                "IssuerOfTheSpecimenIdentifierSequence": [
                    {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}
                ],
                "SpecimenShortDescription": "Block A",
            },
            {"SpecimenIdentifier": "S2"},
            {},
        ]
    )
    assert found["specimen"] == [
        {
            "type": "Specimen",
            "identifier": {
                "system": "urn:oid:1.2.3",
                "value": "S1",
                "assigner": {"display": "1.2.3"},
            },
            "display": "Block A",
        },
        {"type": "Specimen", "identifier": {"value": "S2"}},
    ]


def test_a_series_starts_at_its_own_date_and_not_at_that_of_the_acquisition() -> None:
    assert mapped(SeriesDate="20240229", SeriesTime="130405", TimezoneOffsetFromUTC="-0330")[
        "started"
    ] == ("2024-02-29T13:04:05-03:30")
    assert "started" not in mapped(AcquisitionDate="20240229", AcquisitionTime="130405")


def function(kind: str, name: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    return {"coding": [{"system": system, "code": kind, "display": name}]}


def test_performers_are_physicians_operators_institution_and_machine() -> None:
    found = mapped(
        PerformingPhysicianName=["Perf^Paula"],
        PerformingPhysicianIdentificationSequence=[
            {"PersonIdentificationCodeSequence": [code("7", "99H", CodingSchemeUID="1.2.3")]}
        ],
        OperatorsName=["Op^Otto", "^"],
        InstitutionName="St. Nowhere",
        InstitutionCodeSequence=[code("42", "99H", "Nowhere", CodingSchemeUID="1.2.4")],
        Manufacturer="ACME",
        ManufacturerModelName="Scan 3000",
        DeviceSerialNumber="SN1",
        StationName="CT01",
    )
    assert found["performer"] == [
        {
            "function": function("PRF", "performer"),
            "actor": {
                "type": "Practitioner",
                "identifier": {"system": "urn:oid:1.2.3", "value": "7"},
                "display": "Paula Perf",
            },
        },
        {
            "function": function("SPRF", "secondary performer"),
            "actor": {"type": "Practitioner", "display": "Otto Op"},
        },
        {
            "actor": {
                "type": "Organization",
                "identifier": {"system": "urn:oid:1.2.4", "value": "42"},
                "display": "St. Nowhere",
            }
        },
        {
            "actor": {
                "type": "Device",
                "identifier": {
                    "type": {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
                                "code": "SNO",
                                "display": "Serial Number",
                            }
                        ]
                    },
                    "value": "SN1",
                },
                "display": "ACME Scan 3000",
            }
        },
    ]


def test_operators_known_by_code_alone_are_performers() -> None:
    found = mapped(
        OperatorIdentificationSequence=[
            {"PersonIdentificationCodeSequence": [code("9", "99H", "Otto")]},
            {},
        ]
    )
    assert found["performer"] == [
        {
            "function": function("SPRF", "secondary performer"),
            "actor": {"type": "Practitioner", "identifier": {"value": "9"}},
        }
    ]


def test_a_machine_without_maker_is_shown_by_its_station() -> None:
    assert mapped(StationName="CT01")["performer"] == [
        {"actor": {"type": "Device", "display": "CT01"}}
    ]
