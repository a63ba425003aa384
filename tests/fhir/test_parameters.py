"""What is stored beside a resource so that it can be found."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir.elements import covering
from fhir.parameters import (
    ABSENT_DATE,
    MOST_WORDS,
    PARAMETERS,
    REPRESENTATION,
    index,
    sort_keys,
    spelled,
    spellings,
)

DCM = "http://dicom.nema.org/resources/ontology/DCM"


def study(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "ImagingStudy", "id": "1.2.3", **elements}


def test_tokens_are_found_by_code_system_or_both() -> None:
    found = index(
        study(
            status="available",
            identifier=[{"system": "urn:a", "value": "7"}, {"value": "x|y\\z"}],
            series=[{"uid": "1.2.3.1", "modality": {"system": DCM, "code": "CT"}}],
        )
    )
    assert found == {
        "_id": ["1.2.3"],
        "identifier": ["7", "urn:a|7", "urn:a|", "x\\|y\\\\z", "|x\\|y\\\\z"],
        "status": [
            "available",
            "http://hl7.org/fhir/imagingstudy-status|available",
            "http://hl7.org/fhir/imagingstudy-status|",
        ],
        "modality": ["CT", f"{DCM}|CT", f"{DCM}|"],
        "series": ["1.2.3.1"],
        "text": ["series.modality ct"],
    }


def test_each_value_is_indexed_once_however_many_series_have_it() -> None:
    one = {"uid": "1", "modality": {"code": "CT"}, "endpoint": [{"reference": "Endpoint/a"}]}
    found = index(study(series=[one, one], endpoint=[{"reference": "Endpoint/a"}]))
    assert found["modality"] == ["CT", "|CT"]
    assert found["endpoint"] == ["Endpoint/a"]


def test_only_an_accession_is_found_as_accession() -> None:
    typed = {"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"}
    assert index(study(identifier=[typed, {"value": "B2"}]))["accession"] == ["A1", "|A1"]


def test_a_subject_that_is_no_patient_is_found_as_subject_only() -> None:
    found = index(study(subject={"reference": "Device/1"}))
    assert (found["subject"], "patient" in found) == (["Device/1"], False)


def test_references_elsewhere_or_by_identifier_are_not_indexed() -> None:
    assert "patient" not in index(study(subject={"reference": "http://else/fhir/Patient/1"}))
    assert "patient" not in index(study(subject={"identifier": {"value": "1"}}))


def test_codings_of_a_concept_are_tokens_and_its_text_is_none() -> None:
    concept = {"coding": [{"system": "s", "code": "c"}, {"display": "only"}], "text": "words"}
    endpoint = {"resourceType": "Endpoint", "id": "e", "connectionType": concept}
    assert index(endpoint)["connection-type"] == ["c", "s|c", "s|"]


def test_names_are_found_by_any_part_and_not_by_how_they_are_used() -> None:
    name = {"use": "official", "text": "Dr Jane Doe", "family": "Doe", "given": ["Jane", "Ann"]}
    found = index({"resourceType": "Patient", "id": "p", "name": [name]})
    assert found["name"] == ["dr jane doe", "doe", "jane", "ann"]
    assert (found["family"], found["given"]) == (["doe"], ["jane", "ann"])


def test_dates_are_indexed_as_the_time_they_cover_and_broken_ones_not_at_all() -> None:
    low, high = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
    assert index(study(started="2024-02"))["started"] == [{"low": low, "high": high}]
    assert "started" not in index(study(started="yesterday"))


def test_each_sortable_parameter_has_one_key_also_where_nothing_is_said() -> None:
    assert sort_keys(study()) == {
        "_lastUpdated": ABSENT_DATE,
        "patient": "",
        "status": "",
        "modality": "",
        "started": ABSENT_DATE,
        "patient-name": "",
    }


def test_the_sort_key_of_several_codes_is_the_smallest_code() -> None:
    codes = [{"system": "a", "code": "pt"}, {"system": "a", "code": "ct"}]
    series = [{"uid": str(at), "modality": one} for at, one in enumerate(codes)]
    assert sort_keys(study(series=series))["modality"] == "ct"


def test_a_sort_key_is_short_enough_for_a_cursor() -> None:
    display = {"reference": "Patient/1", "display": "x" * 10_000}
    assert sort_keys(study(subject=display))["patient-name"] == "x" * 200


def test_words_are_indexed_after_the_element_that_says_them() -> None:
    found = index(
        study(
            identifier=[
                {"type": {"coding": [{"code": "ACSN"}]}, "value": "A-17"},
                {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"},
            ],
            subject={
                "display": "Tarou Yamada",
                "_display": {
                    "extension": [
                        {"url": REPRESENTATION, "valueString": "山田 太郎"},
                        {"url": "https://elsewhere.example", "valueString": "nobody"},
                    ]
                },
            },
            description="Thorax, nüchtern",
            series=[
                {
                    "uid": "1",
                    "modality": {"system": DCM, "code": "CT", "display": "Computed Tomography"},
                    "bodySite": {"display": "Chest"},
                    "description": "Axial",
                }
            ],
        )
    )
    assert found["text"] == [
        "subject.display tarou",
        "subject.display yamada",
        "subject.display 山田",
        "subject.display 田",
        "subject.display 太郎",
        "subject.display 郎",
        "identifier a",
        "identifier 17",
        "description thorax",
        "description nuchtern",
        "description nuechtern",
        "series.modality ct",
        "series.modality computed",
        "series.modality tomography",
        "series.bodySite chest",
        "series.description axial",
    ]


def test_of_a_record_with_very_many_words_the_first_thousand_are_indexed() -> None:
    series = [{"uid": str(at), "description": f"w{at}"} for at in range(MOST_WORDS + 1)]
    found = index(study(description="first", series=series))["text"]
    assert len(found) == MOST_WORDS == 1000
    assert (found[0], found[-1]) == ("description first", "series.description w998")


def test_a_patient_is_found_by_words_of_name_and_number_and_sorted_by_family() -> None:
    names = [{"text": "Dr Jane Doe", "family": "Doe", "given": ["Jane"]}, {"family": "Aa"}]
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "name": names,
        "identifier": [{"value": "MRN 7"}],
    }
    assert index(patient)["text"] == [
        "name dr",
        "name jane",
        "name doe",
        "name aa",
        "identifier mrn",
        "identifier 7",
    ]
    assert sort_keys(patient)["name"] == "doe jane"
    assert sort_keys({"resourceType": "Patient", "id": "p"})["name"] == ""
    only_text = {"resourceType": "Patient", "id": "p", "name": [{"text": "Ärzte"}]}
    assert sort_keys(only_text)["name"] == "arzte"


TRICKY = st.text("ab|\\", max_size=4)


@given(TRICKY, TRICKY.filter(bool), TRICKY, TRICKY.filter(bool))
def test_two_codes_are_spelled_alike_only_if_they_are_alike(
    system: str, code: str, other_system: str, other_code: str
) -> None:
    alike = (system, code) == (other_system, other_code)
    assert (spelled(system, code) == spelled(other_system, other_code)) == alike
    assert spelled(code) not in set(spellings(other_system, other_code)) - {spelled(other_code)}


def test_every_parameter_looks_at_elements_that_a_policy_can_name() -> None:
    named = [
        covering(resource, path)
        for resource, table in PARAMETERS.items()
        for row in table.values()
        for path in row.paths
    ]
    assert "ImagingStudy.series.modality" in named
    assert "Patient.name" in named


def test_every_parameter_has_the_name_it_is_listed_under() -> None:
    for table in PARAMETERS.values():
        assert [row.name for row in table.values()] == list(table)
