"""Taking elements out, and saying that they are missing."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir.elements import COORDINATES, ELEMENTS, MANDATORY, parents
from fhir.redaction import masked, outermost, projection, without
from tests.fhir_answers import told
from tests.validators import assert_valid

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
DCM = "http://dicom.nema.org/resources/ontology/DCM"
INSTANCE = {
    "uid": "1.2.3.1.1",
    "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
    "number": 1,
    "title": "AXIAL",
}
STUDY: dict[str, Any] = {
    "resourceType": "ImagingStudy",
    "id": "1.2.3",
    "meta": {
        "versionId": "2",
        "lastUpdated": "2024-03-01T10:00:00.000Z",
        "security": [{"system": "urn:c", "code": "N"}],
        "tag": [{"system": "urn:t", "code": "released"}],
    },
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
    "status": "available",
    "modality": [{"system": DCM, "code": "CT"}],
    "subject": {"reference": "Patient/p", "display": "Jane Doe"},
    "started": "2024-02-29",
    "description": "CT chest",
    "numberOfSeries": 2,
    "series": [
        {"uid": "1.2.3.1", "number": 1, "modality": {"system": DCM, "code": "CT"},
         "description": "Axial", "instance": [INSTANCE, {**INSTANCE, "uid": "1.2.3.1.2"}]},
        {"uid": "1.2.3.2", "modality": {"system": DCM, "code": "CT"}},
    ],
}  # fmt: skip
ENDPOINT: dict[str, Any] = {
    "resourceType": "Endpoint",
    "id": "e",
    "status": "active",
    "connectionType": {"system": "urn:t", "code": "dicom-wado-rs"},
    "payloadType": [{"text": "DICOM"}],
    "address": "https://radiograph.example/dicomweb",
}


def shown(resource: dict[str, Any], *refused: str) -> dict[str, Any]:
    named = outermost(refused)
    return masked(without(resource, named), named)


def test_nothing_refused_changes_nothing() -> None:
    assert shown(STUDY) == STUDY


def test_an_optional_element_is_left_out_and_the_rest_is_called_a_subset() -> None:
    found = shown(STUDY, "ImagingStudy.description")
    meta = {**STUDY["meta"], "security": [*STUDY["meta"]["security"], SUBSETTED]}
    assert found == {**{k: v for k, v in STUDY.items() if k != "description"}, "meta": meta}


def test_mandatory_elements_are_masked_in_place() -> None:
    found = shown(
        STUDY,
        "ImagingStudy.status",
        "ImagingStudy.subject",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.modality",
        "ImagingStudy.series.instance.uid",
        "ImagingStudy.series.instance.sopClass",
    )
    assert (found["_status"], found["subject"]) == (MASKED, MASKED)
    assert found["series"] == [
        {
            "_uid": MASKED,
            "number": 1,
            "modality": MASKED,
            "description": "Axial",
            "instance": [
                {"_uid": MASKED, "sopClass": MASKED, "number": 1, "title": "AXIAL"},
                {"_uid": MASKED, "sopClass": MASKED, "number": 1, "title": "AXIAL"},
            ],
        },
        {"_uid": MASKED, "modality": MASKED},
    ]
    assert_valid(found)


def test_an_endpoint_of_which_only_the_id_may_be_known_is_still_an_endpoint() -> None:
    found = shown(ENDPOINT, *(f"Endpoint.{one}" for one in ELEMENTS["Endpoint"] if one != "id"))
    assert found == {
        "resourceType": "Endpoint",
        "id": "e",
        "meta": {"security": [SUBSETTED]},
        "_status": MASKED,
        "connectionType": MASKED,
        "payloadType": [MASKED],
        "_address": MASKED,
    }
    assert_valid(found)


def test_what_is_refused_looks_the_same_whether_it_was_there_or_not() -> None:
    optional = frozenset(f"ImagingStudy.{one}" for one in ("started", "description", "meta"))
    bare = {k: v for k, v in STUDY.items() if k not in ("started", "description", "meta")}
    assert shown(STUDY, *optional) == shown(bare, *optional)
    unlabelled = {**STUDY, "meta": {}, "status": "cancelled"}
    refused = ("ImagingStudy.meta", "ImagingStudy.status")
    assert shown(STUDY, *refused) == shown(unlabelled, *refused)


def test_what_is_said_about_a_primitive_goes_with_it() -> None:
    noted = {**STUDY, "_description": {"extension": [{"url": "urn:x", "valueString": "Doe"}]}}
    assert "_description" not in without(noted, frozenset({"ImagingStudy.description"}))


def test_a_name_inside_a_reference_can_be_taken_out_alone() -> None:
    found = shown(STUDY, "ImagingStudy.subject.display")
    assert found["subject"] == {"reference": "Patient/p"}
    assert "Doe" not in str(found)


def test_the_original_is_never_changed() -> None:
    before = repr(STUDY)
    shown(STUDY, *(one for one in COORDINATES if one.startswith("ImagingStudy.")))
    assert repr(STUDY) == before


OF_STUDY = sorted(one for one in COORDINATES if one.startswith("ImagingStudy."))
REFUSALS = st.frozensets(st.sampled_from([one for one in OF_STUDY if one != "ImagingStudy.id"]))


@given(REFUSALS)
def test_what_remains_is_valid_and_holds_nothing_refused(refused: frozenset[str]) -> None:
    kept = without(STUDY, outermost(refused))
    closed = {one for one in OF_STUDY if one in refused or refused.intersection(parents(one))}
    assert told(kept) == told(STUDY) - closed
    marked = shown(STUDY, *refused)
    assert_valid(marked)
    assert told(marked) == told(kept)
    assert (SUBSETTED in marked.get("meta", {}).get("security", ())) == bool(refused)
    masks = {one for one in MANDATORY & closed if not closed.intersection(parents(one))}
    assert ("masked" in str(marked)) == any(one.startswith("ImagingStudy.") for one in masks)


@given(REFUSALS)
def test_a_projection_reads_all_that_is_granted_and_nothing_that_is_refused(
    refused: frozenset[str],
) -> None:
    closed = {one for one in OF_STUDY if one in refused or refused.intersection(parents(one))}
    granted = frozenset(OF_STUDY) - closed
    read = projection("ImagingStudy", granted)
    reached = {
        one
        for one in OF_STUDY
        if any(f"{one}.".startswith(f"ImagingStudy.{path}.") for path in read)
    }
    # a display comes with its reference, and is taken out of it afterwards
    assert reached - {"ImagingStudy.subject.display"} <= granted
    leaves = {one for one in granted if not any(other.startswith(f"{one}.") for other in OF_STUDY)}
    assert leaves <= reached
    # MongoDB takes no path that lies within another one
    assert [one for one in read for other in read if one.startswith(f"{other}.")] == []
