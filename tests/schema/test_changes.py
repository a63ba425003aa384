"""What a newer schema breaks, and that the log of changes tells the truth about this one."""

import re
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from fhir.errors import Invalid
from schema.build import sdl
from schema.changes import changes

OLD = """
type Query { patient(id: ID!): Patient  study(uid: ID!): ID  hidden: ID }
type Patient { id: ID!  name: String  sex: Sex }
enum Sex { MALE FEMALE }
"""
NOW = build_schema(sdl())
LOG = (Path(__file__).parents[2] / "schema" / "CHANGES.md").read_text(encoding="utf-8")
ROOTS = re.compile(r"^- (Query|Mutation|Subscription): (.*(?:\n  .*)*)", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")


def said(newer: str) -> list[str]:
    return [str(one) for one in changes(OLD, newer)]


@pytest.mark.parametrize(
    ("written", "instead", "line"),
    [
        ("name: String", "", "breaking: Field Patient.name was removed."),
        (
            "name: String",
            "name: [String!]",
            "breaking: Field Patient.name changed type from String to [String!].",
        ),
        (
            "study(uid: ID!)",
            "study(uid: ID!, site: ID!)",
            "breaking: A required argument Query.study(site:) was added.",
        ),
        (
            "study(uid: ID!)",
            "study(uid: ID!, site: ID)",
            "dangerous: An optional argument Query.study(site:) was added.",
        ),
        ("MALE FEMALE", "MALE FEMALE OTHER", "dangerous: Enum value Sex.OTHER was added."),
        ("MALE FEMALE", "MALE", "breaking: Enum value Sex.FEMALE was removed."),
    ],
)
def test_what_clients_have_to_know_of_is_told(written: str, instead: str, line: str) -> None:
    assert said(OLD.replace(written, instead)) == [line]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("name: String", "name: String!"),  # an answer may be more certain than before
        ("name: String", "name: String born: String"),
        ("hidden: ID", "hidden: ID shown: ID"),
        ("uid: ID!", "uid: ID"),
        ("type Patient", '"""Somebody."""\ntype Patient'),
    ],
)
def test_what_no_client_notices_is_not_told(written: str, instead: str) -> None:
    assert said(OLD.replace(written, instead)) == []


def test_what_breaks_comes_first_and_each_in_order() -> None:
    newer = OLD.replace("hidden: ID", "").replace("name: String", "").replace("MALE F", "X MALE F")
    assert said(newer) == [
        "breaking: Field Patient.name was removed.",
        "breaking: Field Query.hidden was removed.",
        "dangerous: Enum value Sex.X was added.",
    ]


@pytest.mark.parametrize("text", ["", "nothing of the kind", "type Query { a: Missing }"])
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="the older schema cannot be read: "):
        changes(text, sdl())


def test_a_schema_breaks_nothing_of_itself() -> None:
    assert changes(sdl(), sdl()) == []


def test_every_root_that_the_log_names_as_new_is_there() -> None:
    told = {kind: NAME.findall(names) for kind, names in ROOTS.findall(LOG)}
    assert set(told) == {"Query", "Mutation", "Subscription"}
    for kind, names in told.items():
        assert names
        assert set(names) <= NOW.type_map[kind].fields.keys()  # type: ignore[attr-defined]


def test_every_name_in_the_log_is_one_of_the_schema() -> None:
    assert set(NAME.findall(LOG)) <= set(re.findall(r"\w+", sdl()))


def test_what_the_log_says_to_write_now_is_valid_and_what_was_written_before_is_not() -> None:
    before, now = re.findall(r"^```graphql\n(.*?)^```", LOG, re.DOTALL | re.MULTILINE)
    assert validate(NOW, parse(before))
    assert not validate(NOW, parse(now))
