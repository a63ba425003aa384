"""A compiled grant says what Casbin says, at the price of a look-up."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.grants import ALWAYS, NEVER, Decision, Policy, decision
from policies.judge import enforcer
from policies.rules import ACTIONS, Action, parts
from tests.policies.drawn import ELEMENTS, held_scopes, role_sets, texts
from tests.policies.samples import MODEL, SCOPES, policy

NAMES = ("a", "b", "c")
SUBSETS = [frozenset(some) for size in range(4) for some in combinations(NAMES, size)]
scope_sets = st.frozensets(st.sampled_from([*NAMES, "any"]))


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


def open_on(allow: list[frozenset[str]], deny: frozenset[str], held: frozenset[str]) -> bool:
    held |= {"any"}
    return not deny & held and all(one & held for one in allow)


@given(st.lists(scope_sets, min_size=1, max_size=4), scope_sets)
def test_the_short_form_of_a_decision_opens_the_same_rows(
    allow: list[frozenset[str]], deny: frozenset[str]
) -> None:
    short = decision(allow, deny)
    opened = [open_on(allow, deny, held) for held in SUBSETS]
    assert [short.holds(held) for held in SUBSETS] == opened
    assert short.always == all(opened)
    assert short.never == (not any(opened))


@given(
    st.lists(scope_sets, min_size=1, max_size=3),
    scope_sets,
    st.lists(scope_sets, min_size=1, max_size=3),
    scope_sets,
)
def test_decisions_are_equal_exactly_if_they_open_the_same_rows(
    allow: list[frozenset[str]],
    deny: frozenset[str],
    other_allow: list[frozenset[str]],
    other_deny: frozenset[str],
) -> None:
    one, other = decision(allow, deny), decision(other_allow, other_deny)
    same = all(one.holds(held) == other.holds(held) for held in SUBSETS)
    assert (one == other) is same
    both = one & other
    assert all(both.holds(held) == (one.holds(held) and other.holds(held)) for held in SUBSETS)


def test_a_decision_names_the_scopes_that_it_depends_on() -> None:
    assert decision([some("a", "b"), some("c")], some("d")).scopes == {"a", "b", "c", "d"}
    assert decision([some("any", "a")], some("d")).scopes == {"d"}
    assert ALWAYS.scopes == NEVER.scopes == frozenset()


@settings(max_examples=150, deadline=None)
@given(
    texts,
    st.lists(
        st.tuples(
            role_sets,
            st.sampled_from(ELEMENTS),
            st.sampled_from(ACTIONS),
            held_scopes,
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_a_grant_is_equal_to_the_enforcer(
    text: str,
    questions: list[tuple[frozenset[str], str, Action, frozenset[str]]],
) -> None:
    compiled = policy(text)
    judge = enforcer(MODEL, text)
    for roles, element, action, held in questions:
        ours = compiled.grant(roles).decision(element, action)
        theirs = all(judge.enforce(roles, part, action, held) for part in parts(element))
        assert ours.holds(held) == theirs, (text, roles, element, action, held)


def test_a_glob_with_deny_closes_what_an_exact_line_allows() -> None:
    # Casbin's FastEnforcer looks exact lines up and never sees the glob.
    grant = policy(
        "p, nurse, Patient.name, read, any, allow\np, nurse, Patient.*, read, any, deny"
    ).grant(some("nurse"))
    assert grant.decision("Patient.name") == NEVER
    assert not grant.allows("Patient.name")


def test_all_roles_of_a_caller_are_judged_at_once_so_that_deny_outdoes_allow() -> None:
    rules = policy(
        "p, provider, Patient.*, read, any, allow\np, billing, Patient.name, read, any, deny"
    )
    assert rules.grant(some("provider")).decision("Patient.name") == ALWAYS
    assert rules.grant(some("provider", "billing")).decision("Patient.name") == NEVER
    assert rules.grant(some("provider", "billing")).decision("Patient.id") == ALWAYS


def test_what_no_line_allows_is_closed() -> None:
    rules = policy("p, provider, Patient.name, read, any, allow")
    grant = rules.grant(some("provider"))
    assert grant.decision("Patient.id") == NEVER
    assert grant.decision("Patient.name", "delete") == NEVER
    assert grant.decision("Patient.name.family") == NEVER
    assert rules.grant(frozenset()).decision("Patient.name") == NEVER
    assert rules.grant(some("pharmacist")).decision("Patient.name") == NEVER
    assert rules.grant(some("nurse", "pharmacist")).roles == frozenset()


def test_a_star_as_action_stands_for_all_four() -> None:
    grant = policy("p, admin, Image.id, *, any, allow").grant(some("admin"))
    assert [grant.decision("Image.id", action) for action in ACTIONS] == [ALWAYS] * 4


def test_an_inner_element_needs_the_elements_around_it() -> None:
    inner = "p, nurse, ImagingStudy.series.instance.number, read, any, allow\n"
    series = "p, nurse, ImagingStudy.series, read, any, allow\n"
    instance = "p, nurse, ImagingStudy.series.instance, read, any, allow\n"
    number = "ImagingStudy.series.instance.number"
    for text in (inner, inner + series, inner + instance, series + instance):
        assert policy(text).grant(some("nurse")).decision(number) == NEVER
    assert policy(inner + series + instance).grant(some("nurse")).decision(number) == ALWAYS
    below = "p, nurse, ImagingStudy.series.*, read, any, allow\n"
    assert policy(below).grant(some("nurse")).decision(number) == NEVER
    assert policy(below + series).grant(some("nurse")).decision(number) == ALWAYS


def test_levels_that_agree_collapse_to_one_and_others_must_all_be_met() -> None:
    grant = policy(
        "p, nurse, ImagingStudy.*, read, own, allow\n"
        "p, nurse, ImagingStudy.series.*, read, open, allow\n"
        "p, fellow, ImagingStudy.series, read, own, allow\n"
        "p, fellow, ImagingStudy.series.number, read, released, allow\n"
        "p, fellow, ImagingStudy.series, read, open, deny\n"
    ).grant
    number = "ImagingStudy.series.number"
    assert grant(some("nurse")).decision(number) == Decision(some_sets(("own",)), frozenset())
    mixed = grant(some("fellow")).decision(number)
    assert mixed == Decision(some_sets(("own",), ("released",)), some("open"))
    assert mixed.holds(some("own", "released"))
    assert not mixed.holds(some("own"))
    assert not mixed.holds(some("own", "released", "open"))


def some_sets(*names: tuple[str, ...]) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(one) for one in names)


@pytest.mark.parametrize(
    ("scopes", "always", "never"),
    [
        (("any", "allow"), True, False),
        (("own", "allow"), False, False),
        (("any", "deny"), False, True),
    ],
)
def test_a_decision_knows_whether_rows_matter(
    scopes: tuple[str, str], always: bool, never: bool
) -> None:
    scope, effect = scopes
    made = policy(f"p, nurse, Patient.id, read, {scope}, {effect}").grant(some("nurse"))
    assert made.decision("Patient.id").always is always
    assert made.decision("Patient.id").never is never
    assert made.allows("Patient.id") is not never


def test_an_allow_on_a_scope_that_is_denied_as_well_is_never_open() -> None:
    text = "p, nurse, Patient.id, read, own, allow\np, fellow, Patient.id, read, own, deny"
    assert policy(text).grant(some("nurse", "fellow")).decision("Patient.id") == NEVER


def test_a_role_set_is_compiled_once_and_the_number_kept_is_bounded() -> None:
    made = policy(
        "".join(
            f"g, nurse, r{one}\np, r{one}, Patient.id, read, any, allow\n" for one in range(300)
        )
    )
    assert made.grant(some("r1")) is made.grant(frozenset({"r1", "unknown"}))
    for one in range(300):
        assert made.grant(some(f"r{one}")).allows("Patient.id")
    assert len(made._grants) <= 256


def test_decisions_of_elements_that_do_not_exist_are_not_kept_without_end() -> None:
    grant = policy("p, nurse, Patient.*, read, any, allow").grant(some("nurse"))
    for one in range(9_000):
        assert grant.allows(f"Patient.x{one}")
    assert len(grant._known) == 8_192


def test_grants_of_equal_roles_and_versions_are_equal_keys() -> None:
    text = "p, nurse, Patient.*, read, any, allow"
    one, same = policy(text).grant(some("nurse")), policy(text).grant(some("nurse"))
    other = Policy("other", policy(text).rules, SCOPES).grant(some("nurse"))
    assert {one: 1}[same] == 1
    assert one != other
