"""`tests.toml` holds a policy to what must stay true."""

import pytest

from policies.expectations import Expectation, failures, read_expectations
from tests.policies.samples import SCOPES, VOCABULARY, policy, problems

TEST = """
[[test]]
name = "a nurse reads series"
roles = ["nurse"]
element = ["ImagingStudy.series.*", "Patient.id"]
action = "delete"
scopes = ["own", "any"]
expect = "deny"
"""


def told(text: str) -> list[tuple[int, int | None, str]]:
    found = problems(lambda: read_expectations(text, VOCABULARY, SCOPES))
    assert {one.file for one in found} == {"tests.toml"}
    return [(one.line, one.column, one.message) for one in found]


def test_a_test_becomes_an_expectation_with_its_globs_written_out() -> None:
    assert read_expectations(TEST, VOCABULARY, SCOPES) == (
        Expectation(
            name="a nurse reads series",
            roles=frozenset({"nurse"}),
            elements=(
                "ImagingStudy.series.instance",
                "ImagingStudy.series.instance.number",
                "ImagingStudy.series.number",
                "Patient.id",
            ),
            action="delete",
            scopes=frozenset({"own", "any"}),
            expect="deny",
            line=2,
        ),
    )


def test_an_empty_file_expects_nothing() -> None:
    assert read_expectations("# none\n", VOCABULARY, SCOPES) == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('"nurse"', '"nurze"', 4, "unknown role 'nurze'; write 'nurse'"),
        ('["nurse"]', '"nurse"', 4, 'this is a list of roles; write ["…", "…"]'),
        ('["nurse"]', "[]", 4, "the list is empty; name at least one role"),
        ('"Patient.id"', '"Patient.di"', 5, "unknown element 'Patient.di'; write 'Patient.id'"),
        ('"delete"', '"remove"', 6, "unknown action 'remove'; write one of: create, delete, read,"
            " update"),
        ('"own"', '"onw"', 7, "unknown scope 'onw'; write 'own'"),
        ('"deny"', '"Deny"', 8, "unknown expectation 'Deny'; write 'deny'"),
        ("expect =", "expct =", 2, "the test has no expect; it needs name, roles, element, expect"),
        ("action =", "actoin =", 6, "unknown key 'actoin'; write 'action'"),
        ('"a nurse reads series"', "1", 3, "name is a text in quotes"),
        ("[[test]]", "[test]", 1, "write every test below a [[test]] line"),
        ("[[test]]", "[[tests]]", 2, "unknown table 'tests'; write [[test]]"),
        ("[[test]]", "", 1, "write every test below a [[test]] line"),
    ],
)  # fmt: skip
def test_a_test_that_says_nothing_is_refused_with_its_line_and_remedy(
    old: str, new: str, line: int, message: str
) -> None:
    assert told(TEST.replace(old, new))[0] == (line, None, message)


def test_a_text_that_is_not_toml_is_refused_with_line_and_column() -> None:
    assert told(TEST + "oops\n") == [
        (9, 5, "is not TOML: Expected '=' after a key in a key/value pair")
    ]


def test_a_policy_that_decides_otherwise_fails_the_test_with_what_it_did() -> None:
    text = """
[[test]]
name = "a nurse reads"
roles = ["nurse"]
element = ["Patient.*"]
expect = "allow"

[[test]]
name = "a nurse reads no names"
roles = ["nurse"]
element = "Patient.name"
scopes = ["own"]
expect = "deny"

[[test]]
name = "a nurse reads no series"
roles = ["nurse"]
element = "ImagingStudy.series"
expect = "deny"
"""
    made = policy("p, nurse, Patient.name, read, own, allow")
    found = failures(made, read_expectations(text, VOCABULARY, SCOPES))
    assert [str(one) for one in found] == [
        "tests.toml:2: the test 'a nurse reads' fails: read of Patient.birthDate and 2 more is"
        " denied; correct rules.csv or this test",
        "tests.toml:8: the test 'a nurse reads no names' fails: read of Patient.name is"
        " allowed; correct rules.csv or this test",
    ]
