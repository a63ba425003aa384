"""The policy that ships is what the roles of the service need, and every line of it counts."""

from collections.abc import Iterator

import pytest

from fhir.elements import COORDINATES
from policies.book import Book
from policies.checking import check
from policies.expectations import read_expectations
from policies.files import read_folder
from policies.grants import Policy
from policies.rules import ACTIONS, ROLES, Action, Rule, Rules, covers
from tests.policies.samples import SHIPPED, fine

CLINICAL = {
    one
    for one in COORDINATES
    if one.partition(".")[0] in ("Patient", "ImagingStudy", "Image", "Endpoint")
}
FILES = {"Image.file", "Image.attributes", "Image.private"}
ENDPOINTS = {one for one in COORDINATES if one.startswith("Endpoint.")}
# Who reads everything of everybody, and who of those they look after.
EVERYBODY = {"radiologist", "technologist"}
TREATING = {"provider", "nurse", "resident", "fellow", "attending"}
LOOKED_AFTER = ("care-team", "assigned", "break-glass")


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


@pytest.mark.parametrize("element", ["Image.pixels", "Patient.name", "ImagingStudy.note"])
def test_what_is_clinical_is_read_of_those_one_looks_after_and_by_imaging_of_everybody(
    shipped: Policy, element: str
) -> None:
    assert who(shipped, element) == EVERYBODY
    for scope in LOOKED_AFTER:
        assert who(shipped, element, "read", scope) == EVERYBODY | TREATING
    assert who(shipped, element, "read", "own", "proxied") == EVERYBODY | {"patient", "proxy"}


def test_files_are_downloaded_by_fewer(shipped: Policy) -> None:
    assert who(shipped, "Image.file") == {"radiologist"}
    for scope in LOOKED_AFTER:
        downloaders = {"radiologist", "provider", "attending", "fellow"}
        assert who(shipped, "Image.file", "read", scope) == downloaders


def test_storing_and_deleting_are_for_those_who_must(shipped: Policy) -> None:
    assert who(shipped, "Image.file", "create") == {"technologist", "radiologist", "admin"}
    assert who(shipped, "ImagingStudy.id", "delete") == {"admin"}
    assert who(shipped, "Policy.text", "update", *shipped.scopes) == {"admin"}


def test_those_who_treat_read_everything_clinical_of_theirs_but_perhaps_the_file(
    shipped: Policy,
) -> None:
    assert opened(shipped, "radiologist") & CLINICAL == CLINICAL
    assert opened(shipped, "technologist") & CLINICAL == CLINICAL - FILES
    for scope in LOOKED_AFTER:
        for role in ("provider", "attending", "fellow"):
            assert opened(shipped, role, scope) & CLINICAL == CLINICAL
        for role in ("nurse", "resident"):
            assert opened(shipped, role, scope) & CLINICAL == CLINICAL - FILES


def test_patients_read_everything_clinical_of_theirs_and_only_endpoints_besides(
    shipped: Policy,
) -> None:
    for role, scope in (("patient", "own"), ("proxy", "proxied")):
        assert opened(shipped, role, scope) & CLINICAL == CLINICAL
        others = (*LOOKED_AFTER, "unrestricted", "released")
        assert opened(shipped, role, *others) & CLINICAL == ENDPOINTS


def test_an_auditor_reads_no_record_of_a_patient(shipped: Policy) -> None:
    read = opened(shipped, "auditor", *shipped.scopes)
    assert read & CLINICAL == set()
    assert {one for one in COORDINATES if one.startswith("AuditEvent.")} <= read


def test_a_caller_without_roles_sees_nothing(shipped: Policy) -> None:
    grant = shipped.grant(frozenset())
    assert not any(grant.allows(one, action) for one in COORDINATES for action in ACTIONS)


def test_every_scope_holds_nowhere_for_a_caller_of_whom_nothing_is_known(shipped: Policy) -> None:
    of_everybody = {"released", "unrestricted", "deidentified"}
    for name, scope in shipped.scopes.items():
        found = [scope.searches(resource, {}) for resource in scope.texts]
        assert all(found) if name in of_everybody else not any(found), name


def test_the_shipped_files_give_no_warning() -> None:
    assert check(read_folder(SHIPPED), COORDINATES, fine).problems == ()


def test_every_role_has_tests_of_what_it_may_and_may_not() -> None:
    text = (SHIPPED / "tests.toml").read_text(encoding="utf-8")
    tests = read_expectations(text, COORDINATES, None)
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
