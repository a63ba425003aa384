"""The policy's own tests, `tests.toml`: who must see what, and who must not."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies import toml
from policies.errors import PolicyError, Problem, instead
from policies.files import TESTS
from policies.grants import Policy
from policies.rules import ACTIONS, EFFECTS, ROLES, Action, Effect, covers, patterns
from policies.scopes import ANY

REQUIRED = ("name", "roles", "element", "expect")
OPTIONAL = ("action", "scopes")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One `[[test]]`.

    Attributes:
        elements: Coordinates, with what a glob stands for written out; all are to be alike.
        scopes: Those that hold on the row in question; `any` always does.
        line: Of the header in the file, counted from 1.
    """

    name: str
    roles: frozenset[str]
    elements: tuple[str, ...]
    action: Action
    scopes: frozenset[str]
    expect: Effect
    line: int


def read_expectations(
    text: str, vocabulary: frozenset[str], scopes: Iterable[str] | None
) -> tuple[Expectation, ...]:
    """Read `tests.toml`.

    Args:
        text: The file.
        vocabulary: Every coordinate that exists.
        scopes: Every scope that exists besides `any`; None if that is not known.

    Raises:
        PolicyError: With every problem of the file.
    """
    tables = toml.parse(TESTS, text)
    problems = [
        Problem(TESTS, section.line, None, f"unknown table '{section.name}'; write [[test]]")
        for section in toml.sections(text)
        if section.name != "test"
    ]
    headers = [section for section in toml.sections(text) if section.name == "test"]
    tests = tables.get("test", [])
    if tables.keys() - {"test"} or not isinstance(tests, list) or len(tests) != len(headers):
        problems = problems or [Problem(TESTS, 1, None, "write every test below a [[test]] line")]
        raise PolicyError(problems)
    checks = _checks(vocabulary, None if scopes is None else frozenset(scopes))
    found = []
    for section, table in zip(headers, tests, strict=True):
        wrong = list(_problems(table, checks))
        problems += [Problem(TESTS, section.line_of(key), None, said) for key, said in wrong]
        if not wrong:
            found.append(_expectation(table, vocabulary, section.line))
    if problems:
        raise PolicyError(problems)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a policy does in one test.

    Attributes:
        wrong: The elements on which it decides otherwise than expected.
    """

    test: Expectation
    wrong: tuple[str, ...]


def outcomes(policy: Policy, expectations: Iterable[Expectation]) -> Iterator[Outcome]:
    """Run every test."""
    for test in expectations:
        grant = policy.grant(test.roles)
        yield Outcome(
            test,
            tuple(
                element
                for element in test.elements
                if grant.decision(element, test.action).holds(test.scopes)
                != (test.expect == "allow")
            ),
        )


def failures(policy: Policy, expectations: Iterable[Expectation]) -> Iterator[Problem]:
    """Yield what a policy decides otherwise than expected, one problem per test."""
    for outcome in outcomes(policy, expectations):
        test, wrong = outcome.test, outcome.wrong
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            got = "denied" if test.expect == "allow" else "allowed"
            said = f"the test '{test.name}' fails: {test.action} of {wrong[0]}{more} is {got};"
            yield Problem(TESTS, test.line, None, f"{said} correct rules.csv or this test")


Check = Callable[[Any], str | None]


def _checks(vocabulary: frozenset[str], scopes: frozenset[str] | None) -> Mapping[str, Check]:
    known = None if scopes is None else scopes | {ANY}
    elements = frozenset(one for element in vocabulary for one in patterns(element))
    return {
        "name": lambda value: None if isinstance(value, str) else "name is a text in quotes",
        "roles": lambda value: _words("role", value, ROLES),
        "element": lambda value: _words(
            "element", [value] if isinstance(value, str) else value, elements
        ),
        "action": lambda value: _words("action", [value], frozenset(ACTIONS)),
        "scopes": lambda value: _words("scope", value, known, empty=True),
        "expect": lambda value: _words("expectation", [value], frozenset(EFFECTS)),
    }


def _words(
    kind: str, values: Any, known: frozenset[str] | None, *, empty: bool = False
) -> str | None:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return f'this is a list of {kind}s; write ["…", "…"]'
    if not values and not empty:
        return f"the list is empty; name at least one {kind}"
    for value in values:
        if known is not None and value not in known:
            return f"unknown {kind} '{value}'; {instead(value, known)}"
    return None


def _problems(table: Mapping[str, Any], checks: Mapping[str, Check]) -> Iterator[tuple[str, str]]:
    """Yield the key a problem stands at and what is wrong there."""
    for key in REQUIRED:
        if key not in table:
            yield key, f"the test has no {key}; it needs {', '.join(REQUIRED)}"
    for key, value in table.items():
        check = checks.get(key)
        said = f"unknown key '{key}'; {instead(key, checks)}" if check is None else check(value)
        if said is not None:
            yield key, said


def _expectation(table: Mapping[str, Any], vocabulary: frozenset[str], line: int) -> Expectation:
    written = table["element"]
    globs = [written] if isinstance(written, str) else written
    return Expectation(
        table["name"],
        frozenset(table["roles"]),
        tuple(sorted(one for one in vocabulary if any(covers(glob, one) for glob in globs))),
        table.get("action", "read"),
        frozenset(table.get("scopes", ())),
        table["expect"],
        line,
    )
