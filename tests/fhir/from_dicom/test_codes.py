"""Code sequence items as Coding and CodeableConcept."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydicom.sr._concepts_dict import concepts as pydicom_concepts

from fhir.from_dicom.body_parts import BODY_PARTS
from fhir.from_dicom.codes import coding, concept, concepts, schemes
from tests.fhir.from_dicom.header import code, header, item

SCT = "http://snomed.info/sct"


@pytest.mark.parametrize(
    ("designator", "value", "system"),
    [
        ("DCM", "121022", "http://dicom.nema.org/resources/ontology/DCM"),
        ("SCT", "51185008", SCT),
        ("LN", "24627-2", "http://loinc.org"),
        ("RADLEX", "RID10321", "http://radlex.org"),
        ("UCUM", "mm", "http://unitsofmeasure.org"),
        ("I10", "R07.4", "http://hl7.org/fhir/sid/icd-10"),
        ("I9C", "786.50", "http://hl7.org/fhir/sid/icd-9-cm"),
        ("C4", "71260", "http://www.ama-assn.org/go/cpt"),
    ],
)
def test_a_designator_becomes_the_uri_of_its_code_system(
    designator: str, value: str, system: str
) -> None:
    found = coding(item(**code(value, designator, "Said so")), {})
    assert found == {"system": system, "code": value, "display": "Said so"}


@pytest.mark.parametrize("designator", ["SRT", "SNM3", "99SDM", "SCT"])
def test_a_retired_snomed_code_is_translated_whatever_it_calls_itself(designator: str) -> None:
    found = coding(item(**code("T-D3000", designator, "Chest", CodingSchemeVersion="1998")), {})
    assert found == {"system": SCT, "code": "51185008", "display": "Chest"}


def test_a_retired_snomed_code_without_successor_keeps_its_display_only() -> None:
    assert coding(item(**code("T-99999", "SRT", "Chest")), {}) == {"display": "Chest"}
    assert coding(item(**code("T-99999", "SRT")), {}) == {"display": "T-99999"}
    assert coding(item(**code("T-99999", "SCT", "Chest")), {}) == {"display": "Chest"}


def test_a_private_code_keeps_code_and_display_without_system() -> None:
    found = coding(item(**code("CTCHEST", "99HOSP", "CT chest", CodingSchemeVersion="2")), {})
    assert found == {"code": "CTCHEST", "display": "CT chest"}


def test_a_scheme_that_the_header_identifies_is_named_by_its_uid() -> None:
    attributes = header(
        CodingSchemeIdentificationSequence=[
            {"CodingSchemeDesignator": "99HOSP", "CodingSchemeUID": "1.2.276.0.99"},
            {"CodingSchemeDesignator": "99LOINC", "CodingSchemeUID": "2.16.840.1.113883.6.1"},
            {"CodingSchemeDesignator": "99BAD", "CodingSchemeUID": "1.2.03"},
        ]
    )
    declared = schemes(attributes)
    assert coding(item(**code("1", "99HOSP")), declared) == {
        "system": "urn:oid:1.2.276.0.99",
        "code": "1",
    }
    assert coding(item(**code("1", "99LOINC")), declared) == {
        "system": "http://loinc.org",
        "code": "1",
    }
    assert coding(item(**code("1", "99BAD")), declared) == {"code": "1"}


def test_a_scheme_uid_in_the_item_names_the_scheme() -> None:
    found = coding(item(**code("1", "99X", CodingSchemeUID="1.2.276.0.98")), {})
    assert found == {"system": "urn:oid:1.2.276.0.98", "code": "1"}


def test_the_version_of_a_scheme_is_kept_and_is_not_the_display() -> None:
    found = coding(item(**code("121022", "DCM", "Accession", CodingSchemeVersion="01")), {})
    assert found == {
        "system": "http://dicom.nema.org/resources/ontology/DCM",
        "version": "01",
        "code": "121022",
        "display": "Accession",
    }


def test_long_codes_and_uris_are_codes_too() -> None:
    long = item(LongCodeValue="12345678901234567", CodingSchemeDesignator="LN")
    assert coding(long, {}) == {"system": "http://loinc.org", "code": "12345678901234567"}
    uri = item(URNCodeValue="urn:lex:us:x", CodeMeaning="X")
    assert coding(uri, {}) == {
        "system": "urn:ietf:rfc:3986",
        "code": "urn:lex:us:x",
        "display": "X",
    }


def test_white_space_inside_a_code_is_one_space() -> None:
    assert coding(item(**code(" CT  CHEST\0", "99X")), {}) == {"code": "CT CHEST"}


def test_a_concept_can_always_be_shown() -> None:
    assert concept(item(**code("1", "99X")), {}) == {"coding": [{"code": "1"}], "text": "1"}
    assert concept(item(CodeMeaning="Chest"), {}) == {
        "coding": [{"display": "Chest"}],
        "text": "Chest",
    }
    assert concept(item(), {}) == {}


def test_a_code_listed_twice_is_one_concept() -> None:
    one = code("1", "99X", "One")
    assert concepts(header(ProcedureCodeSequence=[one, one, {}]), "ProcedureCodeSequence", {}) == [
        {"coding": [{"code": "1", "display": "One"}], "text": "One"}
    ]


def snomed() -> list[tuple[str, str, Sequence[int]]]:
    """List what pydicom knows: code, one of its meanings, context groups."""
    named: Mapping[str, Any] = pydicom_concepts["SCT"]
    return [(sct, *known) for codes in named.values() for sct, known in codes.items()]


def test_every_body_part_has_a_code_that_dicom_uses() -> None:
    known = {sct for sct, _, _ in snomed()}
    assert {term: sct for term, (sct, _) in BODY_PARTS.items() if sct not in known} == {}
    assert len(BODY_PARTS) == 315


def test_body_parts_have_the_codes_of_the_current_edition() -> None:
    assert BODY_PARTS["CHEST"] == ("816094009", "Chest")
    assert BODY_PARTS["ABDOMEN"] == ("818981001", "Abdomen")
    assert BODY_PARTS["HEAD"] == ("69536005", "Head")
    assert BODY_PARTS["PELVIS"] == ("816092008", "Pelvis")


def test_body_parts_of_the_common_regions_agree_with_context_group_4031() -> None:
    common = {sct: meaning for sct, meaning, groups in snomed() if 4031 in groups}
    named = {sct: meaning for sct, meaning in BODY_PARTS.values() if sct in common}
    differing = {
        sct: (meaning, common[sct])
        for sct, meaning in named.items()
        if meaning.lower() != common[sct].lower()
    }
    assert differing == {}
    assert len(named) == 97
