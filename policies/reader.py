"""Reads `rules.csv` strictly: pycasbin drops in silence what it does not know."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from policies.errors import PolicyError, Problem, instead
from policies.files import RULES
from policies.rules import (
    ACTIONS,
    EFFECTS,
    EVERY,
    ROLES,
    Action,
    Effect,
    Rule,
    Rules,
    levels,
    patterns,
)
from policies.scopes import ANY, Scope

SHAPES = {"p": "p, role, element, action, scope, allow|deny", "g": "g, role, parent"}
# Casbin follows nine steps from a role to a parent and forgets the tenth.
MOST_STEPS = 9
MOST_PROBLEMS = 50
# What an editor shows as a new line and Casbin does not would hide a rule behind a comment.
HIDDEN_BREAK = re.compile(r"\r(?!$)|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Casbin evaluates brackets and quotes in a value; look-alikes of a comma hide a missing one.
STRANGE = re.compile(r"[^A-Za-z0-9_.,*\- \t\r]")


def read_rules(text: str, vocabulary: frozenset[str], scopes: Mapping[str, Scope]) -> Rules:
    """Read `rules.csv`.

    Args:
        text: The file.
        vocabulary: Every coordinate that exists.
        scopes: Every scope that exists besides `any`.

    Raises:
        PolicyError: With the first problems of the file, at most about fifty.
    """
    rules, problems = inspect_rules(text, vocabulary, scopes)
    if problems:
        raise PolicyError(problems)
    return rules


def inspect_rules(
    text: str, vocabulary: frozenset[str], scopes: Mapping[str, Scope] | None
) -> tuple[Rules, list[Problem]]:
    """Read `rules.csv` as far as it can be understood.

    Args:
        text: The file.
        vocabulary: Every coordinate that exists.
        scopes: Every scope that exists besides `any`; None if that is not known.

    Returns:
        The lines that are right in themselves, and the problems of all others in their order.
    """
    reader = _Reader(vocabulary, scopes)
    for number, line in enumerate(text.split("\n"), 1):
        reader.line(number, line)
        if len(reader.problems) >= MOST_PROBLEMS:
            reader.say(number, None, "there are too many problems; the rest was not looked at")
            return reader.rules(), reader.problems
    reader.check_whole()
    return reader.rules(), sorted(reader.problems, key=lambda one: (one.line, one.column or 0))


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    line: int
    column: int


def _words(number: int, line: str) -> list[_Word]:
    words = []
    start = 0
    for part in line.split(","):
        column = start + len(part) - len(part.lstrip()) + 1
        words.append(_Word(part.strip(), number, column))
        start += len(part) + 1
    return words


class _Reader:
    """Collects rules, links and problems line by line."""

    def __init__(self, vocabulary: frozenset[str], scopes: Mapping[str, Scope] | None) -> None:
        self.problems: list[Problem] = []
        self._scopes = scopes
        self._known = {pattern for element in vocabulary for pattern in patterns(element)}
        self._first: dict[tuple[str, ...], int] = {}
        self._rules: list[Rule] = []
        self._roles: list[_Word] = []
        self._links: list[tuple[_Word, _Word]] = []
        self._parents: dict[str, tuple[str, ...]] = {}

    def say(self, line: int, column: int | None, message: str) -> None:
        self.problems.append(Problem(RULES, line, column, message))

    def _unknown(self, kind: str, word: _Word, known: Iterable[str]) -> None:
        said = f"unknown {kind} '{word.text}'; {instead(word.text, known)}"
        self.say(word.line, word.column, said)

    def line(self, number: int, line: str) -> None:
        hidden = HIDDEN_BREAK.search(line)
        if hidden:
            said = "a line break of an unusual kind; end lines with a line feed (LF or CRLF)"
            self.say(number, hidden.start() + 1, said)
            return
        if not line.strip() or line.lstrip().startswith("#"):
            return
        strange = STRANGE.search(line)
        if strange:
            self.say(number, strange.start() + 1, _remedy(strange[0]))
            return
        words = _words(number, line)
        kind = words[0].text
        if kind not in SHAPES:
            said = f"a line begins with p or g, not '{kind}'; write '{SHAPES['p']}'"
            self.say(number, words[0].column, said)
            return
        wanted = SHAPES[kind].count(",")
        if len(words) != wanted + 1:
            at = words[-1] if len(words) <= wanted else words[wanted + 1]
            self._roles += words[1:2] if kind == "p" else []  # it was to give this role something
            said = f"a {kind} line has {wanted} values, not {len(words) - 1};"
            self.say(number, at.column, f"{said} write '{SHAPES[kind]}'")
            return
        if self._is_new(words):
            (self._rule if kind == "p" else self._link)(words[1:])

    def _is_new(self, words: list[_Word]) -> bool:
        line = words[0].line
        first = self._first.setdefault(tuple(word.text for word in words), line)
        if first != line:
            self.say(line, None, f"says again what line {first} says; delete one of them")
        return first == line

    def _rule(self, words: list[_Word]) -> None:
        role, element, action, scope, effect = words
        before = len(self.problems)
        self._roles.append(role)
        if element.text not in self._known:
            self._unknown("element", element, self._known)
        if action.text not in (*ACTIONS, EVERY):
            self._unknown("action", action, (*ACTIONS, EVERY))
        if self._scopes is not None and scope.text != ANY:
            self._check_scope(scope, element, self._scopes)
        if effect.text not in EFFECTS:
            self._unknown("effect", effect, EFFECTS)
        if len(self.problems) == before:
            self._rules.append(
                Rule(
                    role.text,
                    element.text,
                    cast(Action | Literal["*"], action.text),
                    scope.text,
                    cast(Effect, effect.text),
                    role.line,
                )
            )

    def _check_scope(self, scope: _Word, element: _Word, scopes: Mapping[str, Scope]) -> None:
        known = scopes.get(scope.text)
        resource = element.text.partition(".")[0]
        if known is None:
            self._unknown("scope", scope, (*scopes, ANY))
        elif element.text != EVERY and element.text in self._known and not known.reaches(resource):
            # Without this a deny line on a scope that has no such rows would close nothing.
            said = f"scope '{scope.text}' says nothing of {resource}, so this line does nothing;"
            self.say(scope.line, scope.column, f"{said} give it a search text in scopes.toml")

    def _link(self, words: list[_Word]) -> None:
        role, parent = words
        self._links.append((role, parent))

    def rules(self) -> Rules:
        links = {(role.text, parent.text): role.line for role, parent in self._links}
        return Rules(tuple(self._rules), self._parents, MappingProxyType(links))

    def check_whole(self) -> None:
        """Check what only the whole file shows."""
        if not self._rules and not self.problems:
            self.say(1, None, f"holds no rule, so nobody could do anything; write '{SHAPES['p']}'")
        self._check_roles()
        self._check_ways()

    def _check_roles(self) -> None:
        known = ROLES | {parent.text for _, parent in self._links}
        for role in (*self._roles, *(child for child, _ in self._links)):
            if role.text not in known:
                self._unknown("role", role, known)
        speaking = {role.text for role in self._roles} | {child.text for child, _ in self._links}
        for _, parent in self._links:
            if parent.text not in ROLES | speaking:
                said = f"no line gives '{parent.text}' anything;"
                self.say(parent.line, parent.column, f"{said} {instead(parent.text, speaking)}")

    def _check_ways(self) -> None:
        parents = self._parents
        for child, parent in self._links:
            if any(child.text in level for level in levels(parents, [parent.text])):
                said = f"'{parent.text}' is a '{child.text}' already, so this closes a circle;"
                self.say(parent.line, parent.column, f"{said} delete one of the g lines")
            else:
                parents[child.text] = (*parents.get(child.text, ()), parent.text)
        for child in {link[0].text: link[0] for link in self._links}.values():
            if sum(1 for _ in levels(parents, [child.text])) > MOST_STEPS + 1:
                said = f"'{child.text}' has a parent more than {MOST_STEPS} steps away;"
                self.say(child.line, child.column, f"{said} link it to that parent directly")


def _remedy(character: str) -> str:
    if character == "#":
        return "a comment takes a line of its own; move it above the rule"
    return f"the character {character!a} is not allowed; write names without it"
