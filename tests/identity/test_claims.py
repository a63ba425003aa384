"""What claims say about a caller, claim by claim."""

from typing import Any

import pytest

from app.identity.claims import caller
from fhir.errors import AccessDenied
from tests.identity.build import issuer_of

ISSUER = issuer_of("https://issuer.example")
LONG_ID = "x" * 64


def claims(**others: Any) -> dict[str, Any]:
    return {"sub": "u1", "roles": ["nurse"], **others}


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        ({"realm_access": {"roles": ["healthcare-provider", "uma"]}}, {"provider"}),
        ({"roles": ["admin", "auditor"]}, {"admin", "auditor"}),
        ({"roles": "admin"}, {"admin"}),
        ({"permissions": ["researcher"]}, {"researcher"}),
        ({"groups": ["billing"]}, {"billing"}),
        (
            {"roles": ["nurse"], "groups": ["fellow"], "permissions": "resident"},
            {"nurse", "fellow", "resident"},
        ),
        ({"roles": ["nurse", 7, None, ["admin"], {"admin": True}]}, {"nurse"}),
        ({"realm_access.roles": ["nurse"]}, {"nurse"}),
        ({"roles": "provider", "specialty": "radiology"}, {"radiologist"}),
        ({"roles": "provider", "specialties": ["ENT", "Radiology"]}, {"radiologist"}),
    ],
)
def test_roles_are_read_from_every_claim_that_holds_them(
    given: dict[str, Any], roles: set[str]
) -> None:
    assert caller(ISSUER, {"sub": "u1", **given}).roles == roles


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"roles": []},
        {"roles": ["pharmacist", "lab-technician"]},
        {"roles": {"admin": True}},
        {"roles": True},
        {"roles": [["admin"]]},
        {"roles": "admin nurse"},
        {"realm_access": ["admin"]},
        {"realm_access": "admin"},
        {"realm_access": {"roles": {"roles": ["admin"]}}},
        {"resource_access": {"radiograph": {"roles": ["admin"]}}},
        {"role": "admin"},
        {"scope": "admin"},
    ],
)
def test_without_a_known_role_there_is_no_access(given: dict[str, Any]) -> None:
    with pytest.raises(AccessDenied, match="no role that is known here"):
        caller(ISSUER, {"sub": "u1", **given})


def test_an_issuer_may_keep_roles_wherever_it_likes() -> None:
    issuer = issuer_of(
        "https://issuer.example",
        role_claims=("resource_access.radiograph.roles", "https://issuer.example/roles"),
        role_map={"doc": "attending", "it": "admin"},
    )
    given = {
        "sub": "u1",
        "roles": ["auditor"],
        "resource_access": {"radiograph": {"roles": ["doc"]}},
        "https://issuer.example/roles": ["it"],
    }

    assert caller(issuer, given).roles == {"attending", "admin"}


@pytest.mark.parametrize(
    ("given", "patients"),
    [
        ({}, None),
        ({"patient_id": "p-1"}, ("p-1",)),
        ({"patient": "p.2"}, ("p.2",)),
        ({"patient_id": LONG_ID}, (LONG_ID,)),
        ({"fhirUser": "Patient/p3"}, ("p3",)),
        ({"fhirUser": "https://ehr.example/fhir/Patient/p3"}, ("p3",)),
        ({"patient_id": ["a", "b", 7], "patient": "b"}, ("a", "b")),
        ({"patient_id": "Patient/p4"}, ("p4",)),
        ({"fhirUser": "RelatedPerson/r", "patient": "child"}, ("child",)),
        ({"fhirUser": "Practitioner/d"}, None),
        ({"fhirUser": "https://ehr.example/Practitioner/d", "patient": "opened"}, None),
        ({"fhirUser": "Practitioner/d", "patient_id": "herself"}, ("herself",)),
        ({"fhirUser": "p3"}, None),
        ({"fhirUser": "NotPatient/p3"}, None),
        ({"fhirUser": "https://ehr.example/NotPatient/p3"}, None),
        ({"fhirUser": "Patient/p3/_history/1"}, None),
        ({"fhirUser": "https://ehr.example/Patient/p3?x=1"}, None),
        ({"fhirUser": "ftp://ehr.example/Patient/p3"}, None),
        ({"patient_id": ""}, None),
        ({"patient_id": "x" * 65}, None),
        ({"patient_id": "p 1"}, None),
        ({"patient_id": "p1\n"}, None),
        ({"patient_id": "p*"}, None),
        ({"patient_id": "p1,p2"}, None),
        ({"patient_id": "{patient}"}, None),
        ({"patient_id": "ä"}, None),
        ({"patient_id": 7}, None),
        ({"patient_id": {"$ne": ""}}, None),
        ({"sub": "p5"}, None),
    ],
)
def test_a_patient_is_linked_by_well_formed_ids_only_and_never_by_sub(
    given: dict[str, Any], patients: tuple[str, ...] | None
) -> None:
    assert caller(ISSUER, claims(**given)).variables.get("patient") == patients


@pytest.mark.parametrize(
    ("given", "specialties"),
    [
        ({}, None),
        ({"specialty": "nuclear medicine"}, ("NUCLEAR_MEDICINE",)),
        ({"specialty": "ENT", "specialties": ["urology", "ent"]}, ("ENT", "UROLOGY")),
        ({"specialties": ["alchemy", "OBGYN", 7]}, ("OBGYN",)),
        ({"specialty": "alchemy"}, None),
        ({"specialty": {"code": "ENT"}}, None),
    ],
)
def test_specialties_are_canonical_codes(
    given: dict[str, Any], specialties: tuple[str, ...] | None
) -> None:
    assert caller(ISSUER, claims(**given)).variables.get("specialty") == specialties


@pytest.mark.parametrize(
    ("given", "scopes"),
    [
        ({}, set()),
        (
            {"scope": "openid  patient/ImagingStudy.rs?modality=CT"},
            {"openid", "patient/ImagingStudy.rs?modality=CT"},
        ),
        ({"scp": ["user/*.rs", "openid"]}, {"user/*.rs", "openid"}),
        ({"scp": "user/*.rs", "scope": "openid"}, {"user/*.rs", "openid"}),
        (
            {"scope": 'patient/Quo"te back\\slash ü\ud800 good'},
            {'patient/Quo"te', "back\\slash", "\\xfc\\ud800", "good"},
        ),
        ({"scope": 7, "scp": {"openid": True}}, set()),
    ],
)
def test_scopes_are_kept_even_those_that_cannot_be_read(
    given: dict[str, Any], scopes: set[str]
) -> None:
    assert caller(ISSUER, claims(**given)).scopes == scopes


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, None),
        ({"name": "Ada 李", "preferred_username": "ada", "client_id": "app"}, "Ada 李"),
        ({"preferred_username": "ada", "client_id": "app"}, "ada"),
        ({"client_id": "app"}, "app"),
        ({"name": ["Ada"], "client_id": "app"}, "app"),
        ({"name": "forged\nline", "client_id": "app"}, "app"),
        ({"name": "\ud800", "client_id": "app"}, "app"),
        ({"name": "x" * 256}, None),
        ({"name": ""}, None),
    ],
)
def test_the_name_is_the_first_one_line_text(given: dict[str, Any], name: str | None) -> None:
    assert caller(ISSUER, claims(**given)).name == name


def test_the_subject_tells_the_same_sub_of_two_issuers_apart() -> None:
    issuers = (ISSUER, issuer_of("https://other.example"))

    assert [caller(issuer, claims()).subject for issuer in issuers] == [
        "https://issuer.example#u1",
        "https://other.example#u1",
    ]


@pytest.mark.parametrize(
    ("given", "context"),
    [
        ({}, None),
        ({"patient": "p.2"}, "p.2"),
        ({"patient": "Patient/p2"}, "p2"),
        ({"patient": "https://ehr.example/fhir/Patient/p2"}, "p2"),
        ({"patient": ["p2"]}, "p2"),
        ({"patient": ["p2", "p2"]}, "p2"),
        ({"patient": "opened", "fhirUser": "Practitioner/d"}, "opened"),
        ({"patient": ["p2", "p3"]}, None),
        ({"patient": "p 2"}, None),
        ({"patient": "Group/g"}, None),
        ({"patient": {"id": "p2"}}, None),
        ({"patient_id": "p2", "fhirUser": "Patient/p2"}, None),
    ],
)
def test_the_context_is_the_one_patient_of_the_launch(
    given: dict[str, Any], context: str | None
) -> None:
    assert caller(ISSUER, claims(**given)).context == context


def test_a_practitioner_does_not_become_the_patient_of_the_launch() -> None:
    found = caller(ISSUER, claims(patient="opened", fhirUser="Practitioner/d"))

    assert (found.context, found.variables) == ("opened", {})


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({}, None),
        ({"clearance": "U"}, ("U",)),
        ({"clearance": "n"}, ("U", "N")),
        ({"clearance": "R"}, ("U", "N", "R")),
        ({"clearance": "V"}, ("U", "N", "R", "V")),
        ({"clearance": "public"}, ("U",)),
        ({"clearance": "restricted"}, ("U", "N")),
        ({"clearance": "Confidential"}, ("U", "N", "R")),
        ({"clearance": "top secret"}, ("U", "N", "R", "V")),
        ({"clearance": ["U", "R", "nonsense", 7]}, ("U", "N", "R")),
        ({"clearance": "cosmic"}, None),
        ({"clearance": "U N R V"}, None),
        ({"clearance": True}, None),
    ],
)
def test_a_clearance_covers_what_is_less_confidential(
    given: dict[str, Any], codes: tuple[str, ...] | None
) -> None:
    assert caller(ISSUER, claims(**given)).variables.get("clearance") == codes


@pytest.mark.parametrize(
    ("given", "project", "sites"),
    [
        ({}, None, None),
        ({"project": "lung-1", "site": "north"}, ("lung-1",), ("north",)),
        ({"projects": ["a_b.c"], "sites": ["n", "s", "n"]}, ("a_b.c",), ("n", "s")),
        ({"project": "a", "projects": ["a"]}, ("a",), None),
        ({"project": "a", "projects": ["b"]}, None, None),
        ({"projects": ["a", "not one", "", "x" * 65]}, ("a",), None),
        ({"project": "a|b", "site": "n,s"}, None, None),
        ({"project": "{patient}", "site": "n\n"}, None, None),
        ({"project": 7, "site": {"name": "n"}}, None, None),
    ],
)
def test_a_project_is_one_and_sites_are_many_of_plain_letters(
    given: dict[str, Any], project: tuple[str] | None, sites: tuple[str, ...] | None
) -> None:
    variables = caller(ISSUER, claims(**given)).variables
    assert (variables.get("project"), variables.get("site")) == (project, sites)


def test_an_issuer_may_keep_launch_clearance_site_and_project_wherever_it_likes() -> None:
    issuer = issuer_of(
        "https://issuer.example",
        context_claims=("launch.patient",),
        clearance_claims=("level",),
        site_claims=("realm_access.site",),
        project_claims=("study",),
    )
    found = caller(
        issuer,
        claims(
            launch={"patient": "p2"},
            level="R",
            realm_access={"site": "north"},
            study="lung",
            patient="p3",
            clearance="V",
        ),
    )

    assert found.context == "p2"
    assert found.variables == {
        "patient": ("p3",),
        "clearance": ("U", "N", "R"),
        "site": ("north",),
        "project": ("lung",),
    }


@pytest.mark.parametrize(
    ("specialties", "modalities"),
    [
        ("nuclear medicine", ("NM", "PT")),
        (["nuclear medicine", "neurology"], ("NM", "PT", "CT", "MR")),
        (
            "oncology",
            ("CT", "MR", "PT", "NM", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT"),
        ),
        ("dermatology", None),
        (None, None),
    ],
)
def test_modalities_follow_from_specialties(
    specialties: object, modalities: tuple[str, ...] | None
) -> None:
    found = caller(ISSUER, claims(specialty=specialties))

    assert found.variables.get("modality") == modalities
