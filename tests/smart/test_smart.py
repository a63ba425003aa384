"""What SMART scopes leave open, scope by scope, without a server."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.elements import ELEMENTS, LINKS
from fhir.parameters import index
from fhir.search import (
    EVERYTHING,
    NOTHING,
    AnyOf,
    Filter,
    Has,
    all_of,
    any_of,
    criteria,
    matches,
    negated,
)
from fhir.smart import Interaction, Smart

INTERACTIONS: tuple[Interaction, ...] = ("c", "r", "u", "d", "s")
OWN_STUDIES = Has("patient", "Patient/p1")
CT = Has("modality", r"http://dicom.nema.org/resources/ontology/DCM|CT")
GRANULAR = "ImagingStudy.rs?modality=http://dicom.nema.org/resources/ontology/DCM|CT"


def smart(*scopes: str, context: str | None = "p1") -> Smart:
    return Smart.of(frozenset(scopes), context)


def letters(left: Smart, resource: str = "ImagingStudy") -> str:
    """List the interactions that are left for any row at all."""
    return "".join(one for one in INTERACTIONS if left.rows(resource, one) != NOTHING)


@pytest.mark.parametrize("scopes", [(), ("openid", "fhirUser", "offline_access", "profile")])
@pytest.mark.parametrize("resource", ELEMENTS)
def test_a_token_without_smart_scopes_is_not_restricted(
    scopes: tuple[str, ...], resource: str
) -> None:
    left = smart(*scopes)
    assert not left.restricted
    assert {left.rows(resource, one) for one in INTERACTIONS} == {EVERYTHING}
    assert not left.blind(resource)
    assert left.confined(resource) is None
    assert not left.mismatch(resource, Has("_id", "p2"))


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("read", "rs"),
        ("write", "cud"),
        ("*", "cruds"),
        *[
            ("".join(some), "".join(some))
            for size in range(1, 6)
            for some in combinations("cruds", size)
        ],
    ],
)
@pytest.mark.parametrize("level", ["patient", "user", "system"])
@pytest.mark.parametrize("resource", ["ImagingStudy", "*"])
def test_a_scope_leaves_the_interactions_it_names(
    level: str, resource: str, written: str, given: str
) -> None:
    left = smart(f"{level}/{resource}.{written}")
    assert left.restricted
    assert letters(left) == given
    assert letters(left, "Image") == given
    expected = OWN_STUDIES if level == "patient" else EVERYTHING
    for one in INTERACTIONS:
        assert left.rows("ImagingStudy", one) == (expected if one in given else NOTHING)
        assert left.rows("Image", one) == left.rows("ImagingStudy", one)


@pytest.mark.parametrize(
    "scope",
    [
        "patient/ImagingStudy.dus",
        "patient/ImagingStudy.sr",
        "patient/ImagingStudy.rr",
        "patient/ImagingStudy.rx",
        "patient/ImagingStudy.",
        "patient/ImagingStudy",
        "patient/ImagingStudy.READ",
        "patient/ImagingStudy.reads",
        "patient/ImagingStudy.**",
        "patient/ImagingStudy.*?modality=CT",
        "patient/ImagingStudy.read?modality=CT",
        "patient/ImagingStudy.rs?",
        "patient/ImagingStudy.rs?modality",
        "patient/ImagingStudy.rs?modality=",
        "patient/ImagingStudy.rs?modality=%FF",
        "patient/ImagingStudy.rs?modality=CT&",
        'patient/ImagingStudy.rs?modality="CT"',
        "patient/ImagingStudy.rs?modality=\\xfc",
        "patient/imagingstudy.rs",
        "patient/Observation.rs",
        "patient/Image.rs",
        "patient/.rs",
        "patient/*",
        "patient/",
        "Patient/ImagingStudy.rs",
        "PATIENT/*.cruds",
        "patient%2FImagingStudy.rs",
        "user/ImagingStudy.rs ",
        "user//ImagingStudy.rs",
        "user/ImagingStudy.rs\n",
        "system/Imaging*.rs",
        "launch",
        "launch/patient",
    ],
)
def test_what_cannot_be_read_opens_nothing_and_yet_makes_a_smart_token(scope: str) -> None:
    left = smart(scope)
    assert left.restricted
    assert [one for one in ELEMENTS if letters(left, one)] == []


@pytest.mark.parametrize("scope", ["launcher", "patients/ImagingStudy.rs", "xpatient/*.rs", "user"])
def test_scopes_of_others_are_not_smart(scope: str) -> None:
    assert not smart(scope).restricted


def test_other_types_than_those_named_stay_closed() -> None:
    left = smart("user/Patient.rs")
    assert letters(left, "Patient") == "rs"
    assert [one for one in ELEMENTS if letters(left, one)] == ["Patient"]


@pytest.mark.parametrize("level", ["patient", "user"])
@pytest.mark.parametrize(
    "scope",
    [
        GRANULAR,
        "ImagingStudy.rs?modality=http%3A%2F%2Fdicom.nema.org%2Fresources%2Fontology%2FDCM%7CCT",
        "ImagingStudy.rs?modality=http://dicom.nema.org/resources/ontology/DCM%7CCT",
    ],
)
def test_a_query_narrows_every_interaction_of_its_scope(level: str, scope: str) -> None:
    left = smart(f"{level}/{scope}")
    expected = all_of((OWN_STUDIES, CT)) if level == "patient" else CT
    assert left.rows("ImagingStudy", "r") == left.rows("ImagingStudy", "s") == expected
    assert letters(left) == "rs"


def test_criteria_of_a_scope_are_all_asked_and_scopes_are_alternatives() -> None:
    left = smart(
        "user/ImagingStudy.rs?modality=CT&status=available",
        "user/ImagingStudy.s?modality=MR,US",
        "patient/ImagingStudy.r",
    )
    first = all_of((Has("modality", "CT"), Has("status", "available")))
    second = AnyOf((Has("modality", "MR"), Has("modality", "US")))
    assert sorted(map(str, parts(left.rows("ImagingStudy", "r")))) == sorted(
        map(str, (first, OWN_STUDIES))
    )
    assert sorted(map(str, parts(left.rows("ImagingStudy", "s")))) == sorted(
        map(str, (first, *second.parts))
    )


def parts(tree: Filter) -> tuple[Filter, ...]:
    return tree.parts if isinstance(tree, AnyOf) else (tree,)


@pytest.mark.parametrize(
    "query",
    [
        "modality:not=CT",
        "modality:missing=false",
        "modality:in=x",
        "description:contains=ct",
        "subject:Patient=p1",
        "patient.identifier=x",
        "subject:Patient.name=x",
        "_has:Observation:subject:code=x",
        "category=imaging",
        "modality=CT&category=imaging",
        "started=yesterday",
        "patient=a b",
        "patient=Device/1",
        "_filter=modality%20eq%20CT",
    ],
)
def test_a_query_that_is_not_of_plain_parameters_opens_nothing(query: str) -> None:
    left = smart(f"user/ImagingStudy.cruds?{query}")
    assert left.restricted
    assert letters(left) == ""


def test_a_query_on_every_type_opens_the_types_that_know_it() -> None:
    left = smart("user/*.rs?modality=CT")
    assert left.rows("ImagingStudy", "s") == Has("modality", "CT")
    opened = {one for one in ELEMENTS if letters(left, one)}
    assert opened == {"ImagingStudy", "Image", "Endpoint"}
    assert letters(left, "Endpoint") == "r"


def test_a_query_can_name_dates_references_and_labels() -> None:
    left = smart("system/ImagingStudy.rs?started=ge2024&patient=Patient/p9&_security=N")
    wanted = criteria(
        "ImagingStudy", [("started", "ge2024"), ("patient", "Patient/p9"), ("_security", "N")]
    )
    assert left.rows("ImagingStudy", "r") == wanted.tree


PATIENT_ROWS = {
    "Patient": Has("_id", "p1"),
    "ImagingStudy": OWN_STUDIES,
    "Image": OWN_STUDIES,
    "Endpoint": EVERYTHING,
    "AuditEvent": OWN_STUDIES,
    **dict.fromkeys((*LINKS, "ReleaseRequest"), OWN_STUDIES),
    **dict.fromkeys(("Job", "DeletedStudy", "Hold"), OWN_STUDIES),
    "ImageAnnotation": OWN_STUDIES,
    "Session": NOTHING,
    "Policy": NOTHING,
    "Cache": NOTHING,
    "SavedView": NOTHING,
}


@pytest.mark.parametrize("resource", ELEMENTS)
def test_patient_scopes_reach_the_compartment_of_the_launch_and_no_further(resource: str) -> None:
    every, named = smart("patient/*.cruds"), smart(f"patient/{resource}.cruds")
    for one in INTERACTIONS:
        assert every.rows(resource, one) == PATIENT_ROWS[resource]
        if resource != "Image":
            assert named.rows(resource, one) == PATIENT_ROWS[resource]


@pytest.mark.parametrize("resource", ELEMENTS)
@pytest.mark.parametrize("context", [None, ""])
def test_patient_scopes_without_launch_open_nothing(resource: str, context: str | None) -> None:
    left = smart("patient/*.cruds", "launch/patient", context=context)
    assert left.restricted
    assert letters(left, resource) == ""


@pytest.mark.parametrize("resource", ELEMENTS)
@pytest.mark.parametrize("level", ["user", "system"])
def test_scopes_of_users_and_systems_leave_what_the_roles_open(level: str, resource: str) -> None:
    assert {smart(f"{level}/*.cruds").rows(resource, one) for one in INTERACTIONS} == {EVERYTHING}


def test_whoever_may_see_studies_may_read_where_their_images_are() -> None:
    for scope in ("patient/ImagingStudy.rs", "user/ImagingStudy.s", f"system/{GRANULAR}"):
        assert letters(smart(scope), "Endpoint") == "r"
        assert smart(scope).rows("Endpoint", "r") == EVERYTHING
    for scope in ("user/ImagingStudy.cud", "user/Patient.rs", "patient/ImagingStudy.dus"):
        assert letters(smart(scope), "Endpoint") == ""


@pytest.mark.parametrize(
    ("scopes", "confined"),
    [
        (("patient/ImagingStudy.rs",), "p1"),
        (("patient/*.read", "user/Patient.rs"), "p1"),
        (("patient/ImagingStudy.rs", "user/ImagingStudy.r"), None),
        (("patient/ImagingStudy.rs", "user/*.r"), None),
        (("patient/ImagingStudy.rs", "user/*.r?nonsense=1"), "p1"),
        (("patient/ImagingStudy.rs", "system/ImagingStudy.sr"), "p1"),
        (("user/ImagingStudy.rs",), None),
        (("patient/Patient.rs",), None),
        (("openid",), None),
    ],
)
def test_a_type_is_confined_to_the_launch_if_nothing_reaches_further(
    scopes: tuple[str, ...], confined: str | None
) -> None:
    assert smart(*scopes).confined("ImagingStudy") == confined
    assert smart(*scopes).confined("Image") == confined
    assert smart(*scopes, context=None).confined("ImagingStudy") is None


@pytest.mark.parametrize(
    ("scopes", "blind"),
    [
        (("openid",), False),
        (("user/*.rs",), False),
        (("user/ImagingStudy.rs", "user/Patient.r"), False),
        (("patient/ImagingStudy.rs", "patient/Patient.r"), False),
        (("patient/*.rs",), False),
        (("user/ImagingStudy.rs",), True),
        (("patient/ImagingStudy.rs",), True),
        (("user/ImagingStudy.rs", "patient/Patient.r"), True),
        (("user/ImagingStudy.rs", "patient/*.rs"), True),
        (("patient/ImagingStudy.rs", "patient/Patient.r?gender=female"), True),
        (("user/ImagingStudy.rs", "user/Patient.rs?gender=female"), True),
        (("user/ImagingStudy.rs", "user/Patient.cud"), True),
    ],
)
def test_what_studies_repeat_of_patients_is_closed_where_the_patient_may_be(
    scopes: tuple[str, ...], *, blind: bool
) -> None:
    assert smart(*scopes).blind("Patient") is blind


def test_what_repeats_is_judged_by_the_rows_at_hand() -> None:
    left = smart("patient/ImagingStudy.rs", "patient/Patient.rs", "user/AuditEvent.rs")
    assert not left.blind("Patient", "ImagingStudy")
    assert not left.blind("Patient", "Image")
    assert left.blind("Patient", "AuditEvent")


@pytest.mark.parametrize(
    ("resource", "pairs", "mismatch"),
    [
        ("ImagingStudy", [("patient", "p1")], False),
        ("ImagingStudy", [("patient", "Patient/p1")], False),
        ("ImagingStudy", [("subject", "p1")], False),
        ("ImagingStudy", [("patient", "p2")], True),
        ("ImagingStudy", [("patient", "Patient/p2"), ("modality", "CT")], True),
        ("ImagingStudy", [("patient", "p1"), ("patient", "p2")], True),
        ("ImagingStudy", [("subject", "p2")], True),
        ("ImagingStudy", [("subject:Patient", "p2")], True),
        ("ImagingStudy", [("patient", "https://other.example/fhir/Patient/p1")], True),
        ("ImagingStudy", [("patient", "p2,p3")], True),
        ("ImagingStudy", [("patient", "p2,p1")], False),
        ("ImagingStudy", [("subject:Device", "d1")], False),
        ("ImagingStudy", [("modality", "CT,MR"), ("_id", "1.2")], False),
        ("ImagingStudy", [("patient:missing", "false")], False),
        ("ImagingStudy", [], False),
        ("Patient", [("_id", "p1")], False),
        ("Patient", [("_id", "|p1")], False),
        ("Patient", [("_id", "p2")], True),
        ("Patient", [("_id", "|p2")], True),
        ("Patient", [("_id", "p1"), ("_id", "p2")], True),
        ("Patient", [("_id", "p2,p1"), ("gender", "male")], False),
        ("Patient", [("identifier", "p2")], False),
        ("CareTeam", [("patient", "p2")], True),
        ("CareTeam", [("patient", "p1")], False),
        ("Endpoint", [("_id", "p2")], False),
    ],
)
def test_another_patient_than_that_of_the_launch_is_a_mismatch(
    resource: str, pairs: list[tuple[str, str]], *, mismatch: bool
) -> None:
    tree = criteria(resource, pairs).tree
    assert smart("patient/*.rs").mismatch(resource, tree) is mismatch
    assert not smart("user/*.rs").mismatch(resource, tree)
    assert not smart("patient/*.rs", "user/*.r").mismatch(resource, tree)


def test_alternatives_and_denials_are_left_to_the_rows() -> None:
    left = smart("patient/*.rs")
    other = Has("patient", "Patient/p2")
    assert not left.mismatch("ImagingStudy", any_of((other, Has("modality", "CT"))))
    assert not left.mismatch("ImagingStudy", negated(other))
    assert left.mismatch("ImagingStudy", all_of((other, Has("modality", "CT"))))


def test_the_same_scopes_are_read_once() -> None:
    first = smart("patient/ImagingStudy.rs", "openid")
    assert smart("openid", "patient/ImagingStudy.rs") is first
    assert smart("openid", "patient/ImagingStudy.rs", context="p2") is not first
    assert smart("openid", "patient/ImagingStudy.rs", context="p2").rows("Patient", "r") == NOTHING


SCOPES = st.lists(
    st.sampled_from(
        [
            "openid",
            "patient/ImagingStudy.rs",
            "patient/ImagingStudy.rs?modality=CT",
            "patient/*.read",
            "user/ImagingStudy.rs?modality=MR&status=available",
            "user/ImagingStudy.s?patient=p2",
            "system/ImagingStudy.dus",
            "user/*.cud",
        ]
    ),
    min_size=1,
)
STUDIES = st.builds(
    lambda patient, modality, status: {
        "resourceType": "ImagingStudy",
        "id": "1.2",
        "status": status,
        "subject": {"reference": f"Patient/{patient}"},
        "series": [{"modality": {"code": modality}}],
    },
    st.sampled_from(["p1", "p2"]),
    st.sampled_from(["CT", "MR"]),
    st.sampled_from(["available", "unknown"]),
)


@given(SCOPES, STUDIES)
def test_another_scope_never_takes_away_and_a_launch_never_reaches_other_patients(
    scopes: list[str], study: dict[str, Any]
) -> None:
    stored = index(study)
    read = [one for one in scopes if smart(one).restricted]
    each = [matches(smart(one).rows("ImagingStudy", "s"), stored) for one in read]
    together = smart(*scopes)
    expected = any(each) if read else True
    assert matches(together.rows("ImagingStudy", "s"), stored) is expected
    if together.confined("ImagingStudy") and study["subject"]["reference"] == "Patient/p2":
        assert not matches(together.rows("ImagingStudy", "s"), stored)


@given(st.sets(st.text(max_size=30)), st.none() | st.text(max_size=9))
def test_no_scope_breaks_anything(scopes: set[str], context: str | None) -> None:
    texts = scopes | {f"patient/{one}" for one in scopes} | {f"user/*.rs?{one}" for one in scopes}
    left = Smart.of(frozenset(texts), context)
    assert {letters(left, one) for one in ELEMENTS} <= {"", "r", "rs"} or not left.restricted
