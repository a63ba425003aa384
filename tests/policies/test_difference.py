"""A difference says who gains and loses what, and is empty exactly if nobody does."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings

from policies.difference import difference
from policies.grants import Policy
from policies.rules import ACTIONS, compressed, covers
from tests.policies.drawn import ROLES, texts
from tests.policies.samples import SCOPES, VOCABULARY, policy

BASE = "p, nurse, *, read, any, allow\n"


def told(old: str, new: str) -> list[str]:
    found = difference(policy(old), policy(new), VOCABULARY)
    lines = list(found.lines())
    assert bool(found) == bool(lines)
    return lines


def test_nothing_changed_is_no_line_however_it_is_written() -> None:
    assert told(BASE, BASE) == []
    assert told(BASE, f"# a comment\n{BASE}p, nurse, Patient.name, read, own, allow\n") == []


def test_a_right_that_is_lost_is_told_with_what_it_was() -> None:
    billing = "p, billing, Patient.id, read, any, allow\np, billing, Patient.name, read, own, allow"
    assert told(BASE + billing, BASE + billing.partition("\n")[0]) == [
        "billing:",
        "  billing no longer reads Patient.name (was: where own)",
    ]


def test_a_right_that_is_won_or_narrowed_or_moved_is_told() -> None:
    old = "p, nurse, Patient.*, read, any, allow\np, fellow, Patient.name, read, own, allow\n"
    new = (
        "p, nurse, Patient.*, read, own, allow\np, nurse, Patient.*, read, open, allow\n"
        "p, fellow, Patient.name, read, open, allow\np, fellow, Image.*, *, any, allow\n"
    )
    assert told(old, new) == [
        "fellow:",
        "  fellow reads Patient.name only where open (was: where own)",
        "  fellow now reads and creates and updates and deletes Image.* on every row"
        " (was: nothing)",
        "nurse:",
        "  nurse reads Patient.* only where open or own (was: every row)",
    ]


def test_what_many_elements_share_is_one_line_with_a_glob() -> None:
    assert told("p, nurse, Patient.id, read, any, allow", BASE) == [
        "nurse:",
        "  nurse now reads Endpoint.id, Image.*, ImagingStudy.*, Patient.birthDate, Patient.name,"
        " Policy.text on every row (was: nothing)",
    ]


def test_roles_that_change_alike_are_told_together() -> None:
    links = (
        "g, nurse, clinician\ng, fellow, clinician\np, clinician, Patient.id, read, any, allow\n"
    )
    assert told(links, links + "p, clinician, Patient.name, read, any, allow\n") == [
        "fellow, nurse:",
        "  fellow now reads Patient.name on every row (was: nothing)",
        "  (the same for nurse)",
    ]


def test_a_deny_that_closes_only_what_another_role_opens_is_told() -> None:
    deny = "p, billing, Patient.name, read, any, deny\n"
    billing = f"{BASE}p, billing, Patient.id, read, any, allow\n"
    assert told(billing + deny, billing) == [
        "billing:",
        "  beside another role, billing leaves Patient.name open on every row to read"
        " (was: nothing)",
    ]
    nobody = "p, billing, Patient.id, read, any, allow\n"
    assert told(nobody + deny, nobody) == []


def test_a_scope_that_finds_other_rows_is_told() -> None:
    old = policy(BASE)
    changed = replace(SCOPES["own"], texts={"Patient": "_id={patient}&active=true"})
    fewer = {name: one for name, one in SCOPES.items() if name != "released"}
    new = Policy("new", old.rules, fewer | {"own": changed, "late": SCOPES["open"]})
    assert list(difference(old, new, VOCABULARY).lines()) == [
        "scopes:",
        "  late is new",
        "  own holds on other rows of ImagingStudy: none (was: patient={patient})",
        "  own holds on other rows of Patient: those of '_id={patient}&active=true'"
        " (was: _id={patient})",
        "  released is gone",
    ]


def test_a_difference_is_plain_json() -> None:
    found = difference(policy(BASE), policy(BASE + "p, fellow, Image.id, read, any, allow"),
                       VOCABULARY).to_dict()  # fmt: skip
    assert found["scopes"] == []
    (change,) = found["changes"]
    assert (change["role"], change["kind"], change["elements"]) == (
        "fellow",
        "gains",
        ("Image.id",),
    )


SETS = [frozenset(some) for size in range(1, 6) for some in combinations(ROLES, size)]


@settings(max_examples=80, deadline=None)
@given(texts, texts)
def test_a_difference_is_empty_exactly_if_any_roles_together_may_the_same(
    old: str, new: str
) -> None:
    one, other = policy(old), policy(new)
    same = all(
        one.grant(roles).decision(element, action) == other.grant(roles).decision(element, action)
        for roles in SETS
        for element in VOCABULARY
        for action in ACTIONS
    )
    assert (not difference(one, other, VOCABULARY)) == same


@settings(max_examples=60, deadline=None)
@given(texts)
def test_leaving_out_one_line_differs_exactly_if_somebody_notices(text: str) -> None:
    lines = [line for line in text.splitlines() if line.startswith("p, ")]
    one = policy(text)
    for line in lines[1:]:
        other = policy(text.replace(line, "", 1))
        same = all(
            one.grant(roles).decision(element, action)
            == other.grant(roles).decision(element, action)
            for roles in SETS
            for element in VOCABULARY
            for action in ACTIONS
        )
        assert (not difference(one, other, VOCABULARY)) == same


@settings(deadline=None)
@given(texts)
def test_a_change_names_exactly_the_elements_that_change(text: str) -> None:
    old, new = policy(BASE), policy(text)
    found = difference(old, new, VOCABULARY)
    for role in ROLES:
        before, after = old.grant(frozenset({role})), new.grant(frozenset({role}))
        for element in VOCABULARY:
            said = any(
                change.role == role and not change.shared and "read" in change.actions
                and any(covers(one, element) for one in change.elements)
                for change in found.changes
            )  # fmt: skip
            assert said == (before.decision(element) != after.decision(element))


def test_elements_are_written_as_globs_only_if_the_glob_says_no_more() -> None:
    series = {one for one in VOCABULARY if one.startswith("ImagingStudy.series.")}
    assert compressed(VOCABULARY, VOCABULARY) == ("*",)
    assert compressed(series, VOCABULARY) == ("ImagingStudy.series.*",)
    assert compressed(series - {"ImagingStudy.series.number"}, VOCABULARY) == (
        "ImagingStudy.series.instance",
        "ImagingStudy.series.instance.number",
    )
    assert compressed([], VOCABULARY) == ()
