"""Lines that mean something and decide nothing are warned of, and no others."""

import pytest
from hypothesis import given, settings

from policies.errors import Problem
from policies.grants import Policy
from policies.idle import MOST_WARNINGS, idle_lines
from policies.rules import ACTIONS, Rules
from policies.rules import ROLES as CANONICAL
from tests.policies.drawn import texts
from tests.policies.samples import SCOPES, VOCABULARY, read

IDS = "p, nurse, Patient.id, read, any, allow\np, nurse, ImagingStudy.id, read, any, allow\n"


def warned(rules: str) -> list[tuple[int, str]]:
    found = list(idle_lines(read(IDS + rules), VOCABULARY))
    assert {(one.file, one.column, one.severity) for one in found} <= {
        ("rules.csv", None, "warning")
    }
    return [(one.line - 2, one.message) for one in found]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        # unreachable: another line of the role, or of what it inherits from, says it already
        (
            "p, nurse, Patient.*, read, any, allow\np, nurse, Patient.name, read, own, allow\n",
            [
                (-1, "line 3 allows this to 'nurse' already; delete this line"),
                (2, "line 3 allows this to 'nurse' already; delete this line"),
            ],
        ),
        (
            "g, nurse, clinician\np, clinician, Patient.name, read, any, allow\n"
            "p, nurse, Patient.name, read, any, allow\n",
            [(3, "line 4 allows this to 'nurse' already; delete this line")],
        ),
        # unreachable: denied whatever the scope
        (
            "p, nurse, Patient.name, read, own, allow\np, nurse, Patient.*, *, any, deny\n",
            [
                (-1, "line 4 denies this to 'nurse', and deny outdoes allow; delete one of them"),
                (1, "line 4 denies this to 'nurse', and deny outdoes allow; delete one of them"),
            ],
        ),
        # unreachable: denied in the same scope
        (
            "p, nurse, Patient.name, read, own, allow\np, nurse, Patient.name, read, own, deny\n"
            "p, fellow, Patient.*, read, any, allow\n",
            [(1, "line 4 denies this to 'nurse', and deny outdoes allow; delete one of them")],
        ),
        # unreachable: the element around it is closed
        (
            "p, nurse, ImagingStudy.series.number, read, any, allow\n",
            [
                (
                    1,
                    "never opens, because ImagingStudy.series around it is closed to 'nurse';"
                    " allow ImagingStudy.series to it, too",
                )
            ],
        ),
        # unreachable: the element around it lets nothing more through
        (
            "p, nurse, ImagingStudy.series, read, own, allow\n"
            "p, nurse, ImagingStudy.series.number, read, own, allow\n"
            "p, nurse, ImagingStudy.series.*, read, any, allow\n",
            [(2, "line 5 allows this to 'nurse' already; delete this line")],
        ),
        # unreachable: the row itself is closed
        (
            "p, fellow, Patient.name, read, any, allow\n",
            [(1, "'fellow' sees no row, because Patient.id is closed to it; allow Patient.id too")],
        ),
        # shadowed: nobody may do it
        (
            "p, nurse, Patient.name, delete, any, deny\n",
            [
                (
                    1,
                    "no line allows this to any role, so there is nothing to deny;"
                    " delete this line",
                )
            ],
        ),
        # shadowed: another line denies it
        (
            "p, fellow, Patient.*, read, any, allow\np, nurse, Patient.*, read, any, deny\n"
            "p, nurse, Patient.name, read, own, deny\n",
            [
                (-1, "line 4 denies this to 'nurse', and deny outdoes allow; delete one of them"),
                (3, "line 4 denies this to 'nurse' already; delete this line"),
            ],
        ),
        # shadowed: the element around it is denied
        (
            "p, nurse, ImagingStudy.*, read, any, allow\n"
            "p, fellow, ImagingStudy.*, read, any, allow\n"
            "p, fellow, ImagingStudy.series, read, any, deny\n"
            "p, fellow, ImagingStudy.series.number, read, any, deny\n",
            [
                (0, "line 3 allows this to 'nurse' already; delete this line"),
                (4, "line 5 denies this to 'fellow' already; delete this line"),
            ],
        ),
    ],
)
def test_a_line_that_decides_nothing_is_warned_of_with_the_reason(
    rules: str, told: list[tuple[int, str]]
) -> None:
    assert warned(rules) == told


@pytest.mark.parametrize(
    "rules",
    [
        # a parent's line that only a child can use
        "g, nurse, clinician\np, clinician, ImagingStudy.series.number, read, any, allow\n"
        "p, nurse, ImagingStudy.series, read, any, allow\n",
        # a deny that closes nothing to its own role but to who has another role, too
        "p, billing, Patient.name, read, any, deny\np, nurse, Patient.name, read, any, allow\n",
        # a scope beside a narrower one
        "p, nurse, Patient.name, read, own, allow\np, nurse, Patient.name, read, open, allow\n",
        # a deny in a scope, of what is open on every row
        "p, nurse, Patient.name, read, any, allow\np, nurse, Patient.name, read, own, deny\n",
        # rights other than to read need no row to be seen
        "p, fellow, Image.pixels, create, any, allow\n",
    ],
)
def test_a_line_that_decides_something_for_somebody_is_not_warned_of(rules: str) -> None:
    assert warned(rules) == []


def test_of_many_narrow_lines_beside_a_wide_one_the_narrow_ones_are_told() -> None:
    narrow = "".join(f"p, fellow, {one}, read, any, allow\n" for one in sorted(VOCABULARY))
    found = warned(narrow + "p, fellow, *, read, any, allow\n")
    wide = len(VOCABULARY) + 3
    assert found == [
        (line, f"line {wide} allows this to 'fellow' already; delete this line")
        for line in range(1, len(VOCABULARY) + 1)
    ]


def test_warnings_are_bounded() -> None:
    lines = "".join(
        f"g, nurse, r{one}\np, r{one}, Patient.id, read, any, allow\n" for one in range(80)
    )
    assert len(list(idle_lines(read(lines), VOCABULARY))) == MOST_WARNINGS


def decided(rules: Rules) -> list[object]:
    made = Policy("", rules, SCOPES)
    grants = [made.grant(frozenset({role})) for role in sorted(CANONICAL)]
    return [
        grant.decision(one, action) for grant in grants for one in VOCABULARY for action in ACTIONS
    ]


def removed(rules: Rules, warnings: list[Problem]) -> Rules:
    gone = {one.line for one in warnings if "sees no row" not in one.message}
    kept = tuple(one for one in rules.lines if one.line not in gone)
    return Rules(kept, rules.parents, rules.links)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_all_lines_that_are_warned_of_can_be_deleted_together_and_no_other_allow_line(
    text: str,
) -> None:
    rules = read(text)
    left = removed(rules, list(idle_lines(rules, VOCABULARY)))
    before = decided(rules)
    assert decided(left) == before
    for rule in left.lines:
        if rule.effect == "allow":
            fewer = tuple(one for one in left.lines if one is not rule)
            assert decided(Rules(fewer, rules.parents, rules.links)) != before, rule
