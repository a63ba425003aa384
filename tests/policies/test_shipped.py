"""The policy that ships is what the roles of the service need, and every line of it counts."""

from collections.abc import Iterator

import pytest

from fhir.elements import COORDINATES
from policies.book import Book
from policies.expectations import read_expectations
from policies.grants import Policy
from policies.rules import ACTIONS, ROLES, Action, Rule, Rules, covers
from policies.scopes import VARIABLES
from tests.policies.samples import SHIPPED, fine

CLINICAL = {one for one in COORDINATES if not one.startswith("AuditEvent.")}
CLINICIANS = {"provider", "radiologist", "technologist", "nurse", "resident", "fellow", "attending"}


@pytest.fixture(scope="module")
def shipped() -> Policy:
    book = Book(SHIPPED, COORDINATES, fine)
    assert book.status.problems == ()
    return book.current


def opened(policy: Policy, role: str, *scopes: str, action: Action = "read") -> set[str]:
    grant = policy.grant(frozenset({role}))
    held = frozenset(scopes)
    return {one for one in COORDINATES if grant.decision(one, action).holds(held)}


def who(policy: Policy, element: str, action: Action = "read", *scopes: str) -> set[str]:
    return {role for role in ROLES if element in opened(policy, role, *scopes, action=action)}


def test_every_role_of_the_service_sees_something(shipped: Policy) -> None:
    silent = {role for role in ROLES if not opened(shipped, role, *shipped.scopes)}
    assert silent == set()


def test_pictures_are_seen_by_clinicians_and_by_patients_in_their_own(shipped: Policy) -> None:
    assert who(shipped, "Image.pixels") == CLINICIANS
    assert who(shipped, "Image.pixels", "read", *shipped.scopes) == CLINICIANS | {
        "patient",
        "proxy",
    }


def test_files_are_downloaded_by_fewer(shipped: Policy) -> None:
    downloaders = {"provider", "attending", "fellow", "radiologist"}
    assert who(shipped, "Image.file") == downloaders
    assert who(shipped, "Image.file", "read", *shipped.scopes) == downloaders | {"patient", "proxy"}


def test_names_are_read_by_clinicians_and_by_patients_of_themselves(shipped: Policy) -> None:
    for element in ("Patient.name", "ImagingStudy.subject.display"):
        assert who(shipped, element) == CLINICIANS
        assert who(shipped, element, "read", *shipped.scopes) == CLINICIANS | {"patient", "proxy"}


def test_storing_and_deleting_are_for_those_who_must(shipped: Policy) -> None:
    assert who(shipped, "Image.file", "create") == {"technologist", "radiologist", "admin"}
    assert who(shipped, "ImagingStudy.id", "delete") == {"admin"}
    changed = {role for role in ROLES if opened(shipped, role, *shipped.scopes, action="update")}
    assert changed == set()


def test_those_who_treat_read_everything_clinical_but_perhaps_the_file(shipped: Policy) -> None:
    for role in ("provider", "attending", "fellow", "radiologist"):
        assert opened(shipped, role) == CLINICAL
    for role in ("nurse", "resident", "technologist"):
        assert opened(shipped, role) == CLINICAL - {"Image.file"}


def test_patients_read_everything_clinical_of_theirs_and_only_endpoints_besides(
    shipped: Policy,
) -> None:
    endpoints = {one for one in COORDINATES if one.startswith("Endpoint.")}
    for role, scope in (("patient", "own"), ("proxy", "proxied")):
        others = [name for name in shipped.scopes if name != scope]
        assert opened(shipped, role, scope) == CLINICAL
        assert opened(shipped, role, *others) == endpoints


def test_an_auditor_reads_the_record_only(shipped: Policy) -> None:
    assert opened(shipped, "auditor", *shipped.scopes) == COORDINATES - CLINICAL


def test_a_caller_without_roles_sees_nothing(shipped: Policy) -> None:
    grant = shipped.grant(frozenset())
    assert not any(grant.allows(one, action) for one in COORDINATES for action in ACTIONS)


def test_scopes_use_the_caller_only_where_they_should(shipped: Policy) -> None:
    assert set(shipped.scopes) == {"own", "proxied", "unrestricted"}
    values = {"patient": ("p1",), "specialty": ()}
    assert set(values) == VARIABLES
    assert shipped.scopes["own"].searches("Patient", values) == ("_id=p1",)
    (studies,) = shipped.scopes["own"].searches("ImagingStudy", values)
    assert studies.startswith("patient=Patient/p1&_tag=")
    assert shipped.scopes["own"].searches("ImagingStudy", {}) == ()
    assert len(shipped.scopes["unrestricted"].searches("ImagingStudy", {})) == 1


def test_every_role_has_tests_of_what_it_may_and_may_not() -> None:
    text = (SHIPPED / "tests.toml").read_text(encoding="utf-8")
    tests = read_expectations(text, COORDINATES, ["own", "proxied", "unrestricted"])
    for expect in ("allow", "deny"):
        assert {role for one in tests if one.expect == expect for role in one.roles} == ROLES


def changes(rule: Rule, with_it: Policy, without: Policy) -> bool:
    """Say whether a rule makes a difference to some canonical role."""
    return any(
        with_it.grant(roles).decision(element, action)
        != without.grant(roles).decision(element, action)
        for roles in (frozenset({role}) for role in ROLES)
        for element in COORDINATES
        for action in rule.actions
        if rule.role in with_it.rules.with_parents(roles)
    )


def rules_without(policy: Policy) -> Iterator[tuple[Rule, tuple[Rule, ...]]]:
    for rule in policy.rules.lines:
        yield rule, tuple(one for one in policy.rules.lines if one is not rule)


def test_every_shipped_rule_is_real(shipped: Policy) -> None:
    idle = []
    for rule, others in rules_without(shipped):
        # A deny line waits for the day when its role is allowed more.
        more = (Rule(rule.role, "*", "*", "any", "allow", 0),) if rule.effect == "deny" else ()
        parents, scopes = shipped.rules.parents, shipped.scopes
        with_it = Policy("with", Rules((*others, *more, rule), parents), scopes)
        without = Policy("without", Rules((*others, *more), parents), scopes)
        if not changes(rule, with_it, without):
            idle.append(rule)
    assert idle == []


def test_every_shipped_rule_names_elements_that_exist(shipped: Policy) -> None:
    named = {rule.element for rule in shipped.rules.lines}
    assert all(any(covers(one, element) for element in COORDINATES) for one in named)
