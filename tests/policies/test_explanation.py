"""An explanation names the lines that decide, and says what the grant decides."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.explanation import Explanation, explain, rows
from policies.grants import ALWAYS, NEVER, Decision, decision
from policies.judge import enforcer
from policies.rules import ACTIONS, Action, parts
from tests.policies.drawn import ELEMENTS, held_scopes, role_sets, texts
from tests.policies.samples import MODEL, policy

RULES = """\
g, nurse, clinician
g, clinician, cataloguer
p, cataloguer, ImagingStudy.*, read, own, allow
p, clinician, ImagingStudy.series, read, any, allow
p, nurse, ImagingStudy.series.number, read, open, deny
p, billing, ImagingStudy.series.number, *, any, deny
p, fellow, Patient.name, read, own, allow
p, fellow, Patient.name, read, any, allow
"""
NUMBER = "ImagingStudy.series.number"


def explained(*roles: str, element: str = NUMBER, action: Action = "read") -> Explanation:
    return explain(policy(RULES), frozenset(roles), element, action)


def lines(found: Explanation) -> list[list[tuple[str, bool]]]:
    return [[(line.place, line.counts) for line in part.lines] for part in found.parts]


def test_every_element_on_the_way_comes_with_its_lines_and_those_that_decide() -> None:
    found = explained("nurse")
    assert [part.element for part in found.parts] == ["ImagingStudy.series", NUMBER]
    assert lines(found) == [
        [("rules.csv:3", False), ("rules.csv:4", True)],
        [("rules.csv:3", True), ("rules.csv:5", True)],
    ]
    assert [part.verdict for part in found.parts] == [
        "on every row",
        "only where own, but not where open",
    ]
    assert found.verdict == f"nurse reads {NUMBER} only where own, but not where open"


def test_a_line_comes_with_its_text_and_the_way_it_is_inherited() -> None:
    (inherited, _), _ = (part.lines for part in explained("nurse").parts)
    assert inherited.text == "p, cataloguer, ImagingStudy.*, read, own, allow"
    assert inherited.path == ("nurse", "clinician", "cataloguer")
    assert inherited.links == ("rules.csv:1", "rules.csv:2")


def test_a_deny_of_another_role_outdoes_and_is_named() -> None:
    found = explained("nurse", "billing")
    assert found.verdict == (
        f"billing with nurse reads {NUMBER} on no row: rules.csv:6 denies {NUMBER},"
        " and deny outdoes allow"
    )
    assert lines(found)[1] == [
        ("rules.csv:3", False),
        ("rules.csv:5", False),
        ("rules.csv:6", True),
    ]


def test_what_no_line_allows_is_said_to_be_so_for_the_outermost_element() -> None:
    assert explained("fellow").verdict == (
        f"fellow reads {NUMBER} on no row: no line allows ImagingStudy.series"
    )
    assert explained("nurse", action="delete").verdict == (
        f"nurse deletes {NUMBER} on no row: no line allows ImagingStudy.series"
    )


def test_a_role_that_the_policy_does_not_know_is_named() -> None:
    found = explained("nurse", "auditor")
    assert (found.roles, found.unknown) == (("nurse",), ("auditor",))


def test_the_scopes_in_question_come_with_their_texts() -> None:
    assert [(one.name, one.texts["Patient"]) for one in explained("nurse").scopes] == [
        ("open", "active=true"),
        ("own", "_id={patient}"),
    ]


def test_an_explanation_is_plain_json() -> None:
    found = explained("nurse").to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["decision"] == {"allow": [["own"]], "deny": ["open"]}
    assert (found["always"], found["never"]) == (False, False)
    assert found["parts"][0]["lines"][0]["path"] == ["nurse", "clinician", "cataloguer"]


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (ALWAYS, "on every row"),
        (NEVER, "on no row"),
        (decision([some("any")], some("a", "b")), "on every row, but not where a or b"),
        (decision([some("a", "b")], some()), "only where a or b"),
        (decision([some("a", "b"), some("c")], some()), "only where (a or b) and c"),
        (decision([some("a", "b")], some("c")), "only where (a or b), but not where c"),
    ],
)
def test_a_decision_is_said_in_words(made: Decision, said: str) -> None:
    assert rows(made) == said


def understood(words: str, held: frozenset[str]) -> bool:
    """Read the words of `rows` again."""
    if words == "on no row":
        return False
    where, _, but = words.partition(", but not where ")
    if but and any(scope in held for scope in but.split(" or ")):
        return False
    if where == "on every row":
        return True
    groups = where.removeprefix("only where ").split(" and ")
    return all(any(scope in held for scope in re.findall(r"\w+(?<!or)", one)) for one in groups)


@settings(max_examples=100, deadline=None)
@given(texts, role_sets, st.sampled_from(ELEMENTS), st.sampled_from(ACTIONS), held_scopes)
def test_lines_that_count_verdict_grant_and_casbin_all_say_the_same(
    text: str, roles: frozenset[str], element: str, action: Action, held: frozenset[str]
) -> None:
    made = policy(text)
    found = explain(made, roles, element, action)
    assert found.decision == made.grant(roles).decision(element, action)
    opened = found.decision.holds(held)
    judge = enforcer(MODEL, text)
    assert opened == all(judge.enforce(roles, part, action, held) for part in parts(element))
    words = found.verdict.partition(f"{element} ")[2].partition(": ")[0]
    assert understood(words, held) == opened
    by_lines = [
        decision(
            (some(*(one.scope for one in part.lines if one.counts and one.effect == "allow")),),
            some(*(one.scope for one in part.lines if one.counts and one.effect == "deny")),
        ).holds(held)
        for part in found.parts
    ]
    assert all(by_lines) == opened
