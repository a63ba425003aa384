"""The shipped role map, row by row, and the specialties."""

import pytest

from app.identity.roles import (
    CLEARANCES,
    MODALITIES_OF_SPECIALTY,
    ROLES,
    SPECIALTIES,
    canonical_roles,
    canonical_specialty,
    clearances,
)
from app.rest.vocabulary import LABELS

KEYCLOAK = {
    "healthcare-provider": {"provider"},
    "primary-care-physician": {"provider"},
    "specialist-physician": {"provider"},
    "attending-physician": {"attending"},
    "radiology-technician": {"technologist"},
    "healthcare-admin": {"admin"},
    "billing-staff": {"billing"},
    "nurse": {"nurse"},
    "resident": {"resident"},
    "fellow": {"fellow"},
    "patient": {"patient"},
    "pharmacist": set(),
    "lab-technician": set(),
    "offline_access": set(),
    "uma_authorization": set(),
    "default-roles-webqx-healthcare": set(),
}
CANONICAL = [
    "patient",
    "proxy",
    "provider",
    "radiologist",
    "technologist",
    "nurse",
    "resident",
    "fellow",
    "attending",
    "admin",
    "auditor",
    "researcher",
    "billing",
]
CODES = [
    "PRIMARY_CARE",
    "RADIOLOGY",
    "CARDIOLOGY",
    "PEDIATRICS",
    "ONCOLOGY",
    "PSYCHIATRY",
    "ENDOCRINOLOGY",
    "ORTHOPEDICS",
    "NEUROLOGY",
    "GASTROENTEROLOGY",
    "PULMONOLOGY",
    "DERMATOLOGY",
    "OBGYN",
    "ANESTHESIOLOGY",
    "EMERGENCY_MEDICINE",
    "PATHOLOGY",
    "SURGERY",
    "UROLOGY",
    "OPHTHALMOLOGY",
    "ENT",
    "NUCLEAR_MEDICINE",
]


def test_there_are_thirteen_roles_and_twenty_one_specialties() -> None:
    assert (list(ROLES), sorted(SPECIALTIES)) == (CANONICAL, sorted(CODES))


@pytest.mark.parametrize(("name", "roles"), KEYCLOAK.items())
def test_a_keycloak_role_has_its_translation(name: str, roles: set[str]) -> None:
    assert canonical_roles([name], []) == roles


@pytest.mark.parametrize("role", CANONICAL)
def test_a_canonical_role_means_itself(role: str) -> None:
    assert canonical_roles([role], []) == {role}


@pytest.mark.parametrize(
    "name", ["", "Admin", "ADMIN", " admin", "admin ", "/admin", "admin,nurse", "admin nurse"]
)
def test_a_name_that_only_resembles_a_role_gives_none(name: str) -> None:
    assert canonical_roles([name], ["RADIOLOGY"]) == set()


@pytest.mark.parametrize(
    "name",
    ["healthcare-provider", "primary-care-physician", "specialist-physician", "provider"],
)
def test_a_provider_of_radiology_is_a_radiologist(name: str) -> None:
    assert canonical_roles([name], ["RADIOLOGY"]) == {"radiologist"}
    assert canonical_roles([name], ["CARDIOLOGY", "RADIOLOGY"]) == {"radiologist"}
    assert canonical_roles([name], ["CARDIOLOGY"]) == {"provider"}


@pytest.mark.parametrize("name", [role for role in CANONICAL if role != "provider"])
def test_radiology_changes_no_other_role(name: str) -> None:
    assert canonical_roles([name], ["RADIOLOGY"]) == {name}


def test_several_names_give_several_roles() -> None:
    names = ["nurse", "pharmacist", "billing-staff", "unknown", "nurse"]

    assert canonical_roles(names, []) == {"nurse", "billing"}


def test_a_configured_map_replaces_the_shipped_one_and_its_rule() -> None:
    names = ["doctor", "nurse", "healthcare-admin", "clerk"]

    roles = canonical_roles(names, ["RADIOLOGY"], {"doctor": "provider", "clerk": None})

    assert roles == {"provider"}


def test_an_empty_map_gives_nobody_a_role() -> None:
    assert canonical_roles(CANONICAL, [], {}) == set()


@pytest.mark.parametrize("code", CODES)
def test_a_specialty_is_read_in_every_spelling(code: str) -> None:
    spellings = [code, code.lower(), code.replace("_", "-").lower(), code.replace("_", " ").title()]

    assert [canonical_specialty(spelling) for spelling in spellings] == [code] * 4


@pytest.mark.parametrize("text", ["", "ALCHEMY", "RADIOLOGY,CARDIOLOGY", "RADIO", "RADIOLOGY2"])
def test_an_unknown_specialty_is_dropped(text: str) -> None:
    assert canonical_specialty(text) is None


def test_only_specialties_have_modalities() -> None:
    assert set(MODALITIES_OF_SPECIALTY) < SPECIALTIES


def test_an_access_level_clears_for_the_label_that_carries_it() -> None:
    assert {level: clearances([level])[-1] for level in LABELS} == dict(LABELS)


@pytest.mark.parametrize("name", CLEARANCES)
def test_a_clearance_is_read_in_every_spelling(name: str) -> None:
    spellings = [name, name.upper(), name.replace("-", "_"), name.replace("-", " ").title()]

    assert {clearances([one])[-1] for one in spellings} == {CLEARANCES[name]}


def test_the_highest_clearance_counts_and_unknown_ones_do_not() -> None:
    assert clearances(["N", "V", "U", "cosmic"]) == ("U", "N", "R", "V")
    assert clearances(["cosmic", ""]) == ()
