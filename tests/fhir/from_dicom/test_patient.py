"""Patient, and what makes two headers speak of the same one."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir.errors import Invalid
from fhir.from_dicom.patient import patient, patient_key
from fhir.from_dicom.site import Site
from tests.fhir.from_dicom.header import STUDY, code, header
from tests.validators import assert_valid

SITE = Site()
MR = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
            "code": "MR",
            "display": "Medical record number",
        }
    ]
}


def mapped(site: Site = SITE, **keywords: Any) -> dict[str, Any]:
    """Map a header to a Patient that is known to be valid."""
    found = patient(header(**keywords), site)
    assert_valid(found)
    return found


def universal(entity: str, kind: str | None = "ISO", **more: str) -> dict[str, str]:
    typed = {"UniversalEntityIDType": kind} if kind else {}
    return {"UniversalEntityID": entity, **typed, **more}


def test_a_header_that_says_nothing_is_an_empty_patient() -> None:
    assert mapped() == {"resourceType": "Patient"}


def test_a_full_header_becomes_a_full_patient() -> None:
    site = Site(time_zone=ZoneInfo("Asia/Tokyo"), issuer_systems={"HOSP": "urn:oid:1.2.392.1"})
    found = mapped(
        site,
        PatientID="4711 ",
        IssuerOfPatientID="HOSP",
        PatientName="Yamada^Tarou",
        PatientSex="M",
        PatientBirthDate="19700102",
        PatientBirthTime="030405",
        PatientAddress="1-1 Chiyoda, Tokyo",
        PatientTelephoneNumbers=["+81 3 1111", "+81 3 2222"],
    )
    assert found == {
        "resourceType": "Patient",
        "identifier": [
            {
                "use": "usual",
                "type": MR,
                "system": "urn:oid:1.2.392.1",
                "value": "4711",
                "assigner": {"display": "HOSP"},
            }
        ],
        "name": [
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation",
                        "valueCode": "ABC",
                    }
                ],
                "text": "Tarou Yamada",
                "family": "Yamada",
                "given": ["Tarou"],
            }
        ],
        "telecom": [
            {"system": "phone", "value": "+81 3 1111"},
            {"system": "phone", "value": "+81 3 2222"},
        ],
        "gender": "male",
        "birthDate": "1970-01-02",
        "_birthDate": {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                    "valueDateTime": "1970-01-02T03:04:05+09:00",
                }
            ]
        },
        "address": [{"text": "1-1 Chiyoda, Tokyo"}],
    }


@pytest.mark.parametrize(
    ("entity", "kind", "system"),
    [
        ("1.2.276.0.1", "ISO", "urn:oid:1.2.276.0.1"),
        (
            "6F9619FF-8B86-D011-B42D-00C04FC964FF",
            "UUID",
            "urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff",
        ),
        ("https://hosp.example/mrn", "URI", "https://hosp.example/mrn"),
    ],
)
def test_a_universal_issuer_is_the_system_before_any_configured_one(
    entity: str, kind: str, system: str
) -> None:
    site = Site(patient_id_system="urn:site", issuer_systems={"HOSP": "urn:hosp"})
    found = mapped(
        site,
        PatientID="1",
        IssuerOfPatientID="HOSP",
        IssuerOfPatientIDQualifiersSequence=[universal(entity, kind)],
    )
    assert found["identifier"] == [
        {
            "use": "usual",
            "type": MR,
            "system": system,
            "value": "1",
            "assigner": {"display": "HOSP"},
        }
    ]


@pytest.mark.parametrize(
    ("entity", "kind"),
    [
        ("1.2.03", "ISO"),
        ("no uuid", "UUID"),
        ("no uri", "URI"),
        ("hosp.example", "DNS"),
        ("1.2", None),
    ],
)
def test_a_universal_issuer_that_is_no_uri_is_the_assigner_only(
    entity: str, kind: str | None
) -> None:
    found = mapped(PatientID="1", IssuerOfPatientIDQualifiersSequence=[universal(entity, kind)])
    assert found["identifier"] == [
        {"use": "usual", "type": MR, "value": "1", "assigner": {"display": entity}}
    ]


def test_an_issuer_that_the_site_does_not_know_is_the_assigner_only() -> None:
    site = Site(patient_id_system="urn:site", issuer_systems={"OTHER": "urn:other"})
    assert mapped(site, PatientID="1", IssuerOfPatientID="HOSP")["identifier"] == [
        {"use": "usual", "type": MR, "value": "1", "assigner": {"display": "HOSP"}}
    ]


def test_a_patient_id_without_issuer_has_the_site_s_system() -> None:
    assert mapped(Site(patient_id_system="urn:site"), PatientID="1")["identifier"] == [
        {"use": "usual", "type": MR, "system": "urn:site", "value": "1"}
    ]


def test_a_patient_id_without_issuer_and_site_has_no_system() -> None:
    assert mapped(PatientID="1")["identifier"] == [{"use": "usual", "type": MR, "value": "1"}]


def test_other_patient_ids_are_secondary_each_with_its_own_issuer() -> None:
    found = mapped(
        Site(patient_id_system="urn:site", issuer_systems={"B": "urn:b"}),
        PatientID="1",
        OtherPatientIDs=["9", "1", ""],
        OtherPatientIDsSequence=[
            {"PatientID": "2", "IssuerOfPatientID": "B", "TypeOfPatientID": "TEXT"},
            {"PatientID": "3", "TypeOfPatientID": "RFID"},
            {"PatientID": "4", "IssuerOfPatientIDQualifiersSequence": [universal("1.2.3")]},
            {"IssuerOfPatientID": "B"},
        ],
    )
    assert found["identifier"] == [
        {"use": "usual", "type": MR, "system": "urn:site", "value": "1"},
        {"use": "secondary", "system": "urn:b", "value": "2", "assigner": {"display": "B"}},
        {"use": "secondary", "type": {"text": "RFID"}, "value": "3"},
        {
            "use": "secondary",
            "system": "urn:oid:1.2.3",
            "value": "4",
            "assigner": {"display": "1.2.3"},
        },
        {"use": "secondary", "value": "9"},
        {"use": "secondary", "value": "1"},
    ]


def test_a_patient_id_listed_again_among_the_others_is_listed_once() -> None:
    found = mapped(
        PatientID="1",
        OtherPatientIDs=["1", "2"],
        OtherPatientIDsSequence=[{"PatientID": "1"}, {"PatientID": "2"}],
    )
    assert [one["value"] for one in found["identifier"]] == ["1", "2"]


def test_other_names_follow_and_the_birth_name_is_the_maiden_one() -> None:
    found = mapped(
        PatientName="Doe^Jane",
        OtherPatientNames=["Star^Jane", "Doe^Jane"],
        PatientBirthName="Roe^Jane",
    )
    assert [(name["text"], name.get("use")) for name in found["name"]] == [
        ("Jane Doe", None),
        ("Jane Star", None),
        ("Jane Roe", "maiden"),
    ]


def test_an_empty_name_is_no_name() -> None:
    assert "name" not in mapped(PatientID="1", PatientName="^^")
    assert "name" not in mapped(PatientID="1", PatientName=[{}])


@pytest.mark.parametrize(
    ("sex", "gender"), [("M", "male"), ("F", "female"), ("O", "other"), ("f ", "female")]
)
def test_a_sex_code_becomes_a_gender(sex: str, gender: str) -> None:
    assert mapped(PatientSex=sex) == {"resourceType": "Patient", "gender": gender}


@pytest.mark.parametrize("sex", ["", " ", None])
def test_no_sex_is_no_gender(sex: str | None) -> None:
    assert mapped(PatientSex=sex) == {"resourceType": "Patient"}


@pytest.mark.parametrize("sex", ["U", "MN", "männlich"])
def test_any_other_sex_is_unknown_and_keeps_what_was_said(sex: str) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/originalText"
    assert mapped(PatientSex=sex) == {
        "resourceType": "Patient",
        "gender": "unknown",
        "_gender": {"extension": [{"url": url, "valueString": sex}]},
    }


def test_a_birth_date_that_does_not_exist_is_left_out_with_its_time() -> None:
    site = Site(time_zone=ZoneInfo("UTC"))
    assert mapped(site, PatientBirthDate="19700230", PatientBirthTime="030405") == {
        "resourceType": "Patient"
    }


def test_a_birth_time_of_unknown_zone_is_left_out() -> None:
    assert mapped(PatientBirthDate="19700102", PatientBirthTime="030405") == {
        "resourceType": "Patient",
        "birthDate": "1970-01-02",
    }


def test_an_address_is_text_and_is_not_split_at_carets() -> None:
    assert mapped(PatientAddress="1 Main St^Springfield")["address"] == [
        {"text": "1 Main St^Springfield"}
    ]


def test_an_anonymized_patient_is_labelled() -> None:
    assert mapped(PatientIdentityRemoved="YES")["meta"] == {
        "security": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                "code": "ANONYED",
                "display": "anonymized",
            }
        ]
    }
    assert "meta" not in mapped(PatientIdentityRemoved="NO")


def test_a_patient_whose_identity_is_kept_encrypted_is_labelled_as_pseudonymized() -> None:
    found = mapped(PatientIdentityRemoved="YES", EncryptedAttributesSequence=[{}])
    assert found["meta"] == {
        "security": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                "code": "PSEUDED",
                "display": "pseudonymized",
            }
        ]
    }


def test_an_animal_has_species_and_breed_and_a_responsible_person() -> None:
    found = mapped(
        PatientSpeciesDescription="Canine",
        PatientSpeciesCodeSequence=[code("L-80700", "SRT", "Dog")],
        PatientBreedDescription="Poodle",
        ResponsiblePerson="Doe^Jane=山田",
        ResponsiblePersonRole="OWNER",
        ResponsibleOrganization="Pet Clinic",
    )
    assert found["extension"] == [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-animal",
            "extension": [
                {
                    "url": "species",
                    "valueCodeableConcept": {
                        "coding": [
                            {
                                "system": "http://snomed.info/sct",
                                "code": "69986009",
                                "display": "Dog",
                            }
                        ],
                        "text": "Canine",
                    },
                },
                {"url": "breed", "valueCodeableConcept": {"text": "Poodle"}},
            ],
        }
    ]
    [contact] = found["contact"]
    assert contact["relationship"] == [{"text": "OWNER"}]
    assert contact["name"]["text"] == "Jane Doe"
    assert contact["organization"] == {"display": "Pet Clinic"}


@pytest.mark.parametrize(
    "species",
    [
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesCodeSequence": [code("337915000", "SCT", "Homo sapiens")]},
        {"PatientSpeciesCodeSequence": [code("337915000", "SCT")]},
        {"PatientBreedDescription": "Poodle"},
    ],
)
def test_a_person_or_a_breed_alone_is_no_animal(species: dict[str, Any]) -> None:
    assert "extension" not in mapped(**species)


def test_a_role_without_anybody_in_it_is_no_contact() -> None:
    assert "contact" not in mapped(ResponsiblePersonRole="OWNER")


def test_equal_ids_of_two_issuers_are_two_patients() -> None:
    keys = {
        patient_key(header(PatientID="1", IssuerOfPatientID="A"), SITE),
        patient_key(header(PatientID="1", IssuerOfPatientID="B"), SITE),
        patient_key(header(PatientID="1"), SITE),
    }
    assert keys == {"issuer:A|1", "issuer:B|1", "issuer:|1"}


def test_padding_and_the_spelling_of_the_issuer_do_not_make_another_patient() -> None:
    site = Site(patient_id_system="urn:oid:1.2.3", issuer_systems={"A": "urn:oid:1.2.3"})
    qualified = [universal("1.2.3")]
    keys = {
        patient_key(header(PatientID="1"), site),
        patient_key(header(PatientID=" 1 \0"), site),
        patient_key(header(PatientID="1", IssuerOfPatientID="A "), site),
        patient_key(header(PatientID="1", IssuerOfPatientIDQualifiersSequence=qualified), site),
        patient_key(
            header(
                PatientID="1",
                IssuerOfPatientID="a name of its own",
                IssuerOfPatientIDQualifiersSequence=qualified,
            ),
            site,
        ),
    }
    assert keys == {"system:urn:oid:1.2.3|1"}


@pytest.mark.parametrize("patient_id", [None, "", "  ", "\0"])
def test_without_patient_id_nobody_is_known_outside_the_study(patient_id: str | None) -> None:
    assert (
        patient_key(header(PatientID=patient_id, IssuerOfPatientID="A"), SITE) == f"study:{STUDY}"
    )


def test_no_patient_id_can_pass_for_another_issuer_s() -> None:
    assert patient_key(header(PatientID="1|2", IssuerOfPatientID="A"), SITE) == "issuer:A|1%7C2"
    assert patient_key(header(PatientID="2", IssuerOfPatientID="A|1"), SITE) == "issuer:A%7C1|2"
    assert patient_key(header(PatientID="é\udc80"), SITE) == "issuer:|%C3%A9%ED%B2%80"


def test_a_header_without_patient_id_and_study_has_no_key() -> None:
    with pytest.raises(Invalid, match=r"^StudyInstanceUID is not a UID"):
        patient_key(header(StudyInstanceUID=None), SITE)
