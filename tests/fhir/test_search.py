"""Search text as a tree, and the tree asked of a resource."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.errors import Invalid, NotSupported
from fhir.parameters import index
from fhir.search import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    Filter,
    Has,
    Index,
    Not,
    Present,
    all_of,
    any_of,
    criteria,
    escape,
    matches,
    negated,
    parameters_of,
    split,
    unescape,
)

BASE = "https://radiograph.example/fhir"
DCM = "http://dicom.nema.org/resources/ontology/DCM"


def study(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "ImagingStudy", "id": "1.2.3", **elements}


def finds(resource: dict[str, Any], *pairs: tuple[str, str]) -> bool:
    search = criteria(resource["resourceType"], pairs, base_url=BASE)
    return matches(search.tree, index(resource))


CT_AND_PT = study(
    status="available",
    identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}, {"value": "a,b|c$d\\e"}],
    subject={"reference": "Patient/p1"},
    started="2024-03-01T10:15:30+01:00",
    description="CT Thorax/Abdomen, nüchtern",
    series=[
        {"uid": "1", "modality": {"system": DCM, "code": "CT"}},
        {"uid": "2", "modality": {"system": DCM, "code": "PT"}},
    ],
)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("modality", "CT", True),
        ("modality", "ct", False),
        ("modality", "MR,PT", True),
        ("modality", f"{DCM}|CT", True),
        ("modality", f"{DCM}|", True),
        ("modality", "|CT", False),
        ("modality", "other|CT", False),
        ("modality:not", "MR", True),
        ("modality:not", "CT", False),
        ("modality:not", "MR,CT", False),
        ("bodysite:not", "123", True),
        ("bodysite:missing", "true", True),
        ("modality:missing", "true", False),
        ("modality:missing", "false", True),
        ("status", "http://hl7.org/fhir/imagingstudy-status|available", True),
        ("identifier", "urn:dicom:uid|urn:oid:1.2.3", True),
        ("identifier", "urn:oid:1.2.3", True),
        ("identifier", r"a\,b\|c\$d\\e", True),
        ("identifier", r"|a\,b\|c\$d\\e", True),
        ("identifier", r"a\,b|c\$d\\e", False),
        ("_id", "1.2.3", True),
        ("_id", "1.2", False),
        ("patient", "p1", True),
        ("patient", "Patient/p1", True),
        ("patient", f"{BASE}/Patient/p1", True),
        ("patient", "https://other.example/fhir/Patient/p1", False),
        ("patient", "p2,p1", True),
        ("patient:Patient", "p1", True),
        ("subject", "p1", True),
        ("subject:Patient", "p1", True),
        ("subject:Device", "p1", False),
        ("subject", "Device/p1", False),
        ("description", "thorax", True),
        ("description", "NUCHTERN ct", True),
        ("description", "tho abd", True),
        ("description", "thorax skull", False),
    ],
)
def test_a_criterion_finds_what_r4_says(name: str, value: str, expected: bool) -> None:
    assert finds(CT_AND_PT, (name, value)) == expected


def test_repeated_criteria_must_all_hold_though_on_different_series() -> None:
    assert finds(CT_AND_PT, ("modality", "CT"), ("modality", "PT"))
    assert not finds(CT_AND_PT, ("modality", "CT"), ("modality", "MR"))


def test_a_name_is_found_by_its_beginning_or_anywhere_if_so_asked() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "name": [{"text": "山田 太郎"}, {"family": "Øster", "given": ["José María"]}],
    }
    assert finds(patient, ("name", "山"))
    assert finds(patient, ("name", "jose m"))
    assert finds(patient, ("family", "OST"))
    assert not finds(patient, ("name", "maria"))
    assert finds(patient, ("name:contains", "maria"))
    assert not finds(patient, ("given", "oster"))


# What a stored time is found by, from R4 search.html#prefix: the search value covers [low, high).
DAY, MONTH, YEAR, SECOND = "2024-03-01", "2024-03", "2024", "2024-03-01T10:15:30Z"


@pytest.mark.parametrize(
    ("stored", "asked", "found_by"),
    [
        (DAY, DAY, "eq ge le"),
        (SECOND, DAY, "eq ge le"),
        (MONTH, DAY, "ne gt ge"),
        (YEAR, DAY, "ne gt lt ge le"),
        (DAY, MONTH, "eq ge le"),
        (DAY, YEAR, "eq ge le"),
        (DAY, SECOND, "ne gt lt ge le"),
        ("2024-02", DAY, "ne lt le eb"),
        ("2024-02-29", DAY, "ne lt le eb"),
        ("2024-03-02", DAY, "ne gt ge sa"),
        ("2024-03-02", MONTH, "eq ge le"),
        ("2025", "2024", "ne gt ge sa"),
        ("2023", "2024", "ne lt le eb"),
        ("2024-03-01T23:59:59-05:00", DAY, "ne gt ge sa"),
        ("2024-03-01T00:00:00+05:00", DAY, "ne lt le eb"),
    ],
)
def test_each_date_prefix_compares_ranges(stored: str, asked: str, found_by: str) -> None:
    prefixes = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
    found = [one for one in prefixes if finds(study(started=stored), ("started", one + asked))]
    assert found == found_by.split()
    assert finds(study(started=stored), ("started", asked)) == ("eq" in found)


def test_no_prefix_finds_a_study_without_a_date() -> None:
    prefixes = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
    assert not any(finds(study(), ("started", f"{one}2024")) for one in prefixes)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("colour", "red", NotSupported),
        ("modality:text", "CT", NotSupported),
        ("started:exact", "2024", NotSupported),
        ("patient:Device", "1", NotSupported),
        ("patient.name", "Doe", NotSupported),
        ("patient:Patient.name", "Doe", NotSupported),
        ("started", "ap2024", NotSupported),
        ("started", "GE2024", NotSupported),
        ("started", "2024-02-30", Invalid),
        ("started", "ge", Invalid),
        ("modality", "a|b|c", Invalid),
        ("modality", "|", Invalid),
        ("modality", "CT,", Invalid),
        ("modality", "", Invalid),
        ("modality:missing", "yes", Invalid),
        ("patient", "Patient/a b", Invalid),
        ("patient", "Device/1", Invalid),
        ("description", "...", Invalid),
        ("identifier", "\ud800", Invalid),
        ("identifier", "x" * 4097, Invalid),
        ("modality", ",".join(["CT"] * 201), Invalid),
    ],
)
def test_a_criterion_that_makes_no_sense_is_refused_without_being_repeated(
    name: str, value: str, error: type[Invalid]
) -> None:
    with pytest.raises(error) as refusal:
        criteria("ImagingStudy", [(name, value)])
    assert type(refusal.value) is error
    assert len(value) < 5 or value not in refusal.value.message


def test_too_many_criteria_are_refused() -> None:
    with pytest.raises(Invalid, match="more than 100 criteria"):
        criteria("ImagingStudy", [("modality", "CT")] * 101)


def test_a_search_names_the_elements_that_it_looks_at() -> None:
    pairs = [("patient-name", "doe"), ("endpoint:missing", "true"), ("_tag", "x")]
    assert criteria("ImagingStudy", pairs).coordinates == {
        "ImagingStudy.subject.display",
        "ImagingStudy.endpoint",
        "ImagingStudy.series.endpoint",
        "ImagingStudy.meta",
    }


@given(st.text())
def test_unescaping_undoes_escaping_and_an_escaped_text_is_one_piece(text: str) -> None:
    assert unescape(escape(text)) == text
    assert split(escape(text), ",") == [escape(text)]


VALUES = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(",|$\\"), min_size=1)


@given(VALUES, VALUES)
def test_an_escaped_value_finds_exactly_that_value(value: str, other: str) -> None:
    pairs = [("identifier", escape(value))]
    assert finds(study(identifier=[{"value": value}]), *pairs)
    assert finds(study(identifier=[{"system": "s", "value": value}]), *pairs)
    assert finds(study(identifier=[{"value": other}]), *pairs) == (value == other)
    assert not finds(study(identifier=[{"system": value, "value": f"{value}x"}]), *pairs)


A, B = Has("status", "a"), Present("started")
TREES = st.recursive(
    st.sampled_from([A, B, Has("status", "b"), EVERYTHING, NOTHING]),
    lambda inner: st.one_of(
        inner.map(negated),
        st.lists(inner, max_size=3).map(all_of),
        st.lists(inner, max_size=3).map(any_of),
    ),
    max_leaves=8,
)
INDEXES: list[Index] = [
    {},
    {"status": ["a"]},
    {"status": ["a", "b"], "started": [1]},
    {"started": [1]},
]


@given(st.lists(TREES, max_size=4))
def test_joining_and_negating_mean_and_or_and_not(parts: list[Filter]) -> None:
    for one in INDEXES:
        held = [matches(part, one) for part in parts]
        assert matches(all_of(parts), one) == all(held)
        assert matches(any_of(parts), one) == any(held)
        assert [matches(negated(part), one) for part in parts] == [not each for each in held]


def test_what_changes_nothing_is_left_out_of_a_tree() -> None:
    assert all_of([A, EVERYTHING, AllOf((A, B))]) == AllOf((A, B))
    assert any_of([A, NOTHING, AnyOf((A, B))]) == AnyOf((A, B))
    assert all_of([A, NOTHING]) == NOTHING
    assert any_of([A, EVERYTHING]) == EVERYTHING
    assert all_of([A]) == any_of([A]) == negated(negated(A)) == A
    assert (all_of([]), any_of([])) == (EVERYTHING, NOTHING)


def test_a_tree_knows_the_parameters_it_looks_at() -> None:
    assert parameters_of(AllOf((A, AnyOf((Not(B), Has("_id", "1")))))) == {
        "status",
        "started",
        "_id",
    }
