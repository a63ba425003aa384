"""README.md tells the truth: settings, scopes, rules, and calls of GraphQL."""

import json
import re
from collections.abc import Iterator

import pytest
from graphql import build_schema, parse, validate

from app.archive import scope_problem
from app.settings import Settings
from fhir.elements import COORDINATES
from policies.book import Book
from policies.rules import ROLES
from policies.scopes import VARIABLES
from schema.build import sdl
from tests.policy import SHIPPED
from tests.readme import PLACE, README, with_tables

TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
RULE = re.compile(r"^(?:# \* rules\.csv:\d+: )?([pg], .*)$", re.MULTILINE)
SCOPE_TABLE = re.compile(r"<!-- scopes -->\n(.*?)<!-- /scopes -->", re.DOTALL)
SCOPE_ROW = re.compile(r"^\| `([\w-]+)` \|.*\|([^|]*)\|$", re.MULTILINE)
IN_BRACES = re.compile(r"`\{([\w-]+)\}`")
# What the shell makes of the two kinds of quotes; variables of the shell stand within strings.
CALL = re.compile(r"""gql \$\S+(?: \S+)*? (?:'([^']*)'|"((?:[^"\\]|\\.)*)")""")
IN_JSON = re.compile(r"""^(?:(?:  -d |ask )')?(\{"query": .*\})'?""", re.MULTILINE)


def calls() -> Iterator[str]:
    for language, block in BLOCKS:
        if language != "sh":
            continue
        for single, double in CALL.findall(block):
            yield single or re.sub(r"\\(.)", r"\1", double)
        for body in IN_JSON.findall(block):
            yield json.loads(body)["query"]


CALLS = list(calls())


def test_the_tables_are_those_of_what_they_describe() -> None:
    assert {name for _, name, _ in PLACE.findall(TEXT)} == {"settings", "cost", "codes"}
    assert with_tables(TEXT) == TEXT, "run `python -m tests.readme`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert Settings.model_fields[name].description


def test_every_setting_that_is_named_is_there() -> None:
    named = set(re.findall(r"RADIOGRAPH_([A-Z_]+)", TEXT)) - {""}
    assert named <= {name.upper() for name in Settings.model_fields}


def test_every_call_of_graphql_is_found() -> None:
    said = sum(block.count("gql $") + block.count('"query": "') for _, block in BLOCKS)
    assert len(CALLS) == said


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_graphql_is_valid(call: str) -> None:
    assert not validate(build_schema(sdl()), parse(call))


def test_the_scope_table_is_that_of_the_shipped_scopes() -> None:
    [table] = SCOPE_TABLE.findall(TEXT)
    told = {name: set(IN_BRACES.findall(cell)) for name, cell in SCOPE_ROW.findall(table)}
    scopes = Book(SHIPPED, COORDINATES, scope_problem).current.scopes
    assert told == {"any": set()} | {name: set(one.variables) for name, one in scopes.items()}


def test_every_variable_of_scopes_is_named_and_no_other() -> None:
    assert set(IN_BRACES.findall(TEXT)) == VARIABLES


def test_every_role_that_a_token_is_asked_for_is_one() -> None:
    named = set(re.findall(r"(?:--role|\$\(token) (\w+)", TEXT))
    assert named
    assert named <= ROLES


def test_every_rule_that_is_quoted_is_in_the_shipped_rules() -> None:
    shipped = {_words(line) for line in (SHIPPED / "rules.csv").read_text().splitlines()}
    quoted = {_words(line) for _, block in BLOCKS for line in RULE.findall(block)}
    assert quoted
    assert quoted <= shipped


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.split(","))
