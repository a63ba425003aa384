"""`rules.csv` is read strictly: each way to lose a rule in silence is refused with its place."""

from pathlib import Path

import pytest

from policies.errors import Problem
from policies.rules import ROLES, Rule, parts, patterns
from tests.policies.samples import book, problems, read, write

DENY = "p, billing, Patient.name, read, any, deny"


def refusals(text: str) -> list[tuple[int, int | None, str]]:
    return [(one.line, one.column, one.message) for one in problems(lambda: read(text))]


def test_lines_become_rules_and_links_with_comments_and_blanks_left_out() -> None:
    rules = read(
        '# who (may) "do" what\r\n'
        "\r\n"
        "  p, nurse ,Patient.* , read, own, allow\r\n"
        "   # an indented comment )\n"
        "g, fellow, provider\n"
        "p, provider, *, *, any, deny"
    )
    assert rules.lines == (
        Rule("nurse", "Patient.*", "read", "own", "allow", 3),
        Rule("provider", "*", "*", "any", "deny", 6),
    )
    assert [rule.line for rule in rules.lines] == [3, 6]
    assert rules.parents == {"fellow": ("provider",)}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        # Casbin: an effect it does not know decides nothing, so a misspelt deny lets in.
        (
            DENY.replace("deny", "Deny"),
            1,
            38,
            "unknown effect 'Deny'; write 'deny'",
        ),
        (
            DENY.replace("deny", "denny"),
            1,
            38,
            "unknown effect 'denny'; write 'deny'",
        ),
        # Casbin: a line of an unknown kind is dropped.
        (
            "P" + DENY[1:],
            1,
            1,
            "a line begins with p or g, not 'P';"
            " write 'p, role, element, action, scope, allow|deny'",
        ),
        (
            "\n\n p3" + DENY[1:],
            3,
            2,
            "a line begins with p or g, not 'p3';"
            " write 'p, role, element, action, scope, allow|deny'",
        ),
        # Casbin: one short line and every question fails.
        (
            "p, billing, Patient.name, read, deny",
            1,
            33,
            "a p line has 5 values, not 4; write 'p, role, element, action, scope, allow|deny'",
        ),
        (
            DENY + ", and more",
            1,
            44,
            "a p line has 5 values, not 6; write 'p, role, element, action, scope, allow|deny'",
        ),
        ("g, fellow", 1, 4, "a g line has 2 values, not 1; write 'g, role, parent'"),
        ("g, fellow, nurse, any", 1, 19, "a g line has 2 values, not 3; write 'g, role, parent'"),
        # Casbin: an unbalanced bracket breaks the load, and eval() in a value is evaluated.
        (
            "p, billing), Patient.name, read, any, deny",
            1,
            11,
            "the character ')' is not allowed; write names without it",
        ),
        (
            'p, eval("True"), Patient.name, read, any, allow',
            1,
            8,
            "the character '(' is not allowed; write names without it",
        ),
        (
            "p, billing, Patient.name[0], read, any, allow",
            1,
            25,
            "the character '[' is not allowed; write names without it",
        ),
        # A full-width comma looks like one and parts nothing.
        (
            "p, billing\uff0c Patient.name, read, any, deny",
            1,
            11,
            "the character '\\uff0c' is not allowed; write names without it",
        ),
        (
            DENY + "  # no names",
            1,
            44,
            "a comment takes a line of its own; move it above the rule",
        ),
        (DENY.replace("read", "raed"), 1, 27, "unknown action 'raed'; write 'read'"),
        (
            DENY.replace("read", "execute"),
            1,
            27,
            "unknown action 'execute'; write 'delete'",
        ),
        (DENY.replace("any", "onw"), 1, 33, "unknown scope 'onw'; write 'own'"),
        (
            DENY.replace("any", "xyz"),
            1,
            33,
            "unknown scope 'xyz'; write one of: any, open, own, released",
        ),
        (DENY.replace("billing", "biling"), 1, 4, "unknown role 'biling'; write 'billing'"),
        (DENY.replace("name", "nmae"), 1, 13,
            "unknown element 'Patient.nmae'; write 'Patient.name'"),
        (DENY.replace("Patient.name", "patient.Name"), 1, 13,
            "unknown element 'patient.Name'; write 'Patient.name'"),
        (DENY.replace("Patient.name", "Pateint.*"), 1, 13,
            "unknown element 'Pateint.*'; write 'Patient.*'"),
        (DENY.replace("Patient.name", "Patient.na*"), 1, 13,
            "unknown element 'Patient.na*'; write 'Patient.*'"),
        (DENY.replace("Patient.name", "Patient.name.*"), 1, 13,
            "unknown element 'Patient.name.*'; write 'Patient.name'"),
        (DENY.replace("Patient.name", "Patient"), 1, 13,
            "unknown element 'Patient'; write 'Patient.*'"),
        (
            DENY.replace("Patient.name", ""),
            1,
            13,
            "unknown element ''; nothing has a similar name",
        ),
        (
            f"{DENY}\n\n{DENY}",
            3,
            None,
            "says again what line 1 says; delete one of them",
        ),
        # A deny on rows that the scope does not have would close nothing.
        (
            DENY.replace("any", "released"),
            1,
            33,
            "scope 'released' says nothing of Patient, so this line does nothing;"
            " give it a search text in scopes.toml",
        ),
        (
            "",
            1,
            None,
            "holds no rule, so nobody could do anything;"
            " write 'p, role, element, action, scope, allow|deny'",
        ),
        (
            "# nothing yet\ng, fellow, provider\n",
            1,
            None,
            "holds no rule, so nobody could do anything;"
            " write 'p, role, element, action, scope, allow|deny'",
        ),
    ],
)  # fmt: skip
def test_a_line_that_casbin_would_lose_or_misread_is_refused_with_its_place_and_remedy(
    text: str, line: int, column: int | None, message: str
) -> None:
    assert refusals(text) == [(line, column, message)]


@pytest.mark.parametrize("unusual", ["\r", "\x0b", "\x85", "\u2028"])
def test_a_rule_hidden_behind_a_comment_by_an_unusual_line_break_is_refused(unusual: str) -> None:
    assert refusals(f"# no names{unusual}{DENY}\n{DENY.replace('deny', 'allow')}") == [
        (1, 11, "a line break of an unusual kind; end lines with a line feed (LF or CRLF)")
    ]


def test_every_problem_of_a_file_is_told_in_the_order_of_its_lines() -> None:
    told = refusals(
        "p, nurze, Patient.name, raed, any, allow\np, nurse, Patient.nam, read, any, alow\n"
    )
    assert told == [
        (1, 4, "unknown role 'nurze'; write 'nurse'"),
        (1, 25, "unknown action 'raed'; write 'read'"),
        (2, 11, "unknown element 'Patient.nam'; write 'Patient.name'"),
        (2, 35, "unknown effect 'alow'; write 'allow'"),
    ]


def test_a_file_that_is_wrong_throughout_is_not_looked_at_to_the_end() -> None:
    told = refusals("x\n" * 10_000)
    assert len(told) == 51
    assert told[-1] == (50, None, "there are too many problems; the rest was not looked at")


def test_a_problem_prints_as_file_line_column_and_message() -> None:
    assert str(Problem("rules.csv", 3, 7, "is odd")) == "rules.csv:3:7: is odd"
    assert str(Problem("rules.csv", 3, None, "is odd")) == "rules.csv:3: is odd"


def test_a_role_exists_if_it_is_canonical_or_a_parent() -> None:
    text = "p, clinician, *, read, any, allow\n"
    assert refusals(text)[0][2].startswith("unknown role 'clinician'; ")
    assert read(text + "g, nurse, clinician\n").parents == {"nurse": ("clinician",)}


def test_a_parent_that_no_line_gives_anything_is_refused() -> None:
    told = refusals("p, clinician, *, read, any, allow\ng, nurse, clinician\ng, fellow, clinican\n")
    assert told == [(3, 12, "no line gives 'clinican' anything; write 'clinician'")]


def test_a_role_cannot_be_its_own_ancestor() -> None:
    one = "p, nurse, *, read, any, allow\n"
    assert refusals(one + "g, nurse, nurse\n") == [
        (2, 11, "'nurse' is a 'nurse' already, so this closes a circle; delete one of the g lines")
    ]
    assert refusals(one + "g, nurse, fellow\ng, fellow, resident\ng, resident, nurse\n") == [
        (
            4,
            14,
            "'nurse' is a 'resident' already, so this closes a circle; delete one of the g lines",
        )
    ]


def chain(steps: int) -> str:
    links = "".join(f"g, step{one}, step{one + 1}\n" for one in range(1, steps))
    return f"g, nurse, step1\n{links}p, step{steps}, Patient.name, read, any, allow\n"


def test_nine_steps_to_a_parent_count_and_a_tenth_which_casbin_forgets_is_refused(
    tmp_path: Path,
) -> None:
    nine = book(write(tmp_path / "nine", rules=chain(9) + "p, nurse, Patient.id, read, any, allow"))
    assert nine.current.grant(frozenset({"nurse"})).allows("Patient.name")
    assert refusals(chain(10)) == [
        (
            1,
            4,
            "'nurse' has a parent more than 9 steps away; link it to that parent directly",
        )
    ]


def test_a_coordinate_is_spoken_of_by_itself_and_by_the_globs_around_it() -> None:
    assert list(patterns("ImagingStudy.series.number")) == [
        "ImagingStudy.series.number",
        "ImagingStudy.series.*",
        "ImagingStudy.*",
        "*",
    ]
    assert list(parts("ImagingStudy.series.instance.number")) == [
        "ImagingStudy.series",
        "ImagingStudy.series.instance",
        "ImagingStudy.series.instance.number",
    ]
    assert list(parts("Patient.id")) == ["Patient.id"]


def test_there_are_thirteen_canonical_roles() -> None:
    assert len(ROLES) == 13
