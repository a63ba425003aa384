"""Checks the files of a policy, every one to its end, and makes a policy of them if it can."""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from policies import files, toml
from policies.errors import PolicyError, Problem
from policies.expectations import Expectation, failures, read_expectations
from policies.files import FILES, MODEL, RULES, SCOPES, TESTS
from policies.grants import Policy
from policies.idle import idle_lines, scoped_storing
from policies.judge import disagreement
from policies.reader import inspect_rules
from policies.rules import ROLES, Rules
from policies.scopes import CheckScope, Scope, read_scopes

ADMINISTRATION = "Policy.text"
# As far as a name can be made out, whatever else is wrong with the line.
HEADER = re.compile(r"^[ \t]*\[+[ \t]*[\"']?([\w-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        policy: The policy that the files are; None if anything keeps it from being used.
        problems: In the order of the files and their lines.
        unproven: The policy that rules and scopes are, whatever the tests expect of it; None if
            rules or scopes cannot be used.
        expectations: The tests that could be read.
    """

    policy: Policy | None
    problems: tuple[Problem, ...]
    unproven: Policy | None = None
    expectations: tuple[Expectation, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What keeps the policy from being used."""
        return tuple(one for one in self.problems if one.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Lines that decide nothing."""
        return tuple(one for one in self.problems if one.severity == "warning")


def load(
    content: Mapping[str, bytes], vocabulary: frozenset[str], check_scope: CheckScope
) -> Policy:
    """Make a policy of the files of a folder, if everything about them is right.

    Raises:
        PolicyError: With all errors of all files.
    """
    checked = check(content, vocabulary, check_scope, warn=False)
    if checked.policy is None:
        raise PolicyError(checked.problems)
    return checked.policy


def check(
    content: Mapping[str, bytes],
    vocabulary: frozenset[str],
    check_scope: CheckScope,
    *,
    warn: bool = True,
) -> Checked:
    """Look for everything that is wrong with the files of a folder.

    Args:
        content: Name to bytes of the files that are there.
        vocabulary: Every coordinate that exists.
        check_scope: Takes a resource type and a search text as written in `scopes.toml`,
            variables in place; says what is wrong with it, or None.
        warn: Whether to look for lines that decide nothing, too.
    """
    text, problems = files.decode(content)
    scopes, wrong = _scopes(text.get(SCOPES), vocabulary, check_scope)
    problems += wrong
    rules, wrong = inspect_rules(text.get(RULES, "#"), vocabulary, scopes)
    problems += wrong if RULES in text else []
    expectations, wrong = _expectations(text.get(TESTS), vocabulary, scopes)
    problems += wrong
    usable = not any(one.file != TESTS for one in problems)
    policy = Policy(files.version(content) if usable else "", rules, scopes or {})
    problems += _decided(policy, vocabulary, text, whole=usable)
    unproven = policy if usable and not any(one.file != TESTS for one in problems) else None
    if usable:
        problems += failures(policy, expectations)
    good = policy if not problems else None
    if warn and usable:
        problems += [*idle_lines(rules, vocabulary), *scoped_storing(rules)]
    return Checked(good, _in_order(problems), unproven, expectations)


def administrable(policy: Policy, roles: frozenset[str]) -> bool:
    """Say whether callers with some roles, all held at once, can save another policy."""
    return policy.grant(roles).decision(ADMINISTRATION, "update").always


def _scopes(
    text: str | None, vocabulary: frozenset[str], check: CheckScope
) -> tuple[Mapping[str, Scope] | None, list[Problem]]:
    """Read the scopes; those that are wrong come by their names, so that rules can be checked."""
    if text is None:
        return None, []
    resources = frozenset(element.partition(".")[0] for element in vocabulary)
    try:
        return read_scopes(text, resources, check), []
    except PolicyError as error:
        problems = list(error.problems)
    try:
        read_scopes(toml.readable(text), resources, check)
    except PolicyError as error:
        problems += [one for one in error.problems if one not in problems]
    return _named(text, resources, {one.line for one in problems}), problems


def _named(text: str, resources: frozenset[str], wrong: Set[int]) -> dict[str, Scope]:
    """Give the scopes by name; one with a wrong line in it may be about every resource."""
    headers = [(found, text.count("\n", 0, found.start()) + 1) for found in HEADER.finditer(text)]
    ends = [line for _, line in headers[1:]] + [text.count("\n") + 2]
    keys = {section.line: frozenset(section.keys) for section in toml.sections(text)}
    scopes = {}
    for (found, line), end in zip(headers, ends, strict=True):
        about = resources if wrong & frozenset(range(line, end)) else keys.get(line, frozenset())
        scopes[found[1]] = Scope(found[1], "", dict.fromkeys(about, ""))
    return scopes


def _expectations(
    text: str | None, vocabulary: frozenset[str], scopes: Mapping[str, Scope] | None
) -> tuple[tuple[Expectation, ...], list[Problem]]:
    if text is None:
        return (), []
    try:
        return read_expectations(text, vocabulary, scopes), []
    except PolicyError as error:
        problems = list(error.problems)
    try:
        read_expectations(toml.readable(text), vocabulary, scopes)
    except PolicyError as error:
        problems += [one for one in error.problems if one not in problems]
    return (), problems


def _decided(
    policy: Policy, vocabulary: frozenset[str], text: Mapping[str, str], *, whole: bool
) -> Iterator[Problem]:
    """Hold the policy, or the lines of it that are right, against Casbin and against lock-out."""
    if MODEL in text and policy.rules.lines:
        rules = text[RULES] if whole else _written(policy.rules)
        problem = disagreement(policy, vocabulary, text[MODEL], rules)
        if problem is not None:
            yield problem
    if whole:
        yield from _lock_out(policy, vocabulary)


def _written(rules: Rules) -> str:
    links = (f"g, {child}, {parent}" for child, all_ in rules.parents.items() for parent in all_)
    return "\n".join((*map(str, rules.lines), *links))


def _lock_out(policy: Policy, vocabulary: frozenset[str]) -> Iterator[Problem]:
    rows = [element for element in vocabulary if element.endswith(".id")]
    if not any(policy.grant(frozenset({role})).allows(row) for role in ROLES for row in rows):
        yield Problem(RULES, 1, None, "nobody could see anything; allow some role to read an id")
    if not any(administrable(policy, frozenset({role})) for role in ROLES):
        said = f"allow some role to update {ADMINISTRATION}"
        yield Problem(RULES, 1, None, f"nobody could administer the policy; {said} on every row")


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Sort by file and line; of the problems of one file the place decides."""
    return tuple(
        sorted(problems, key=lambda one: (FILES.index(one.file), one.line, one.column or 0))
    )
