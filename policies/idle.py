"""Finds the lines of `rules.csv` that mean something and decide nothing."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from policies.errors import Problem
from policies.files import RULES
from policies.grants import Decision, Grant, Policy, decision
from policies.rules import ROLES, Action, Rule, Rules, patterns
from policies.scopes import ANY, ROWS

MOST_WARNINGS = 50
MOST_NAMED = 4

Cell = tuple[str, Action]


def idle_lines(rules: Rules, vocabulary: frozenset[str]) -> Iterator[Problem]:
    """Warn of lines whose absence nobody would notice.

    An allow line is one if no role that has it gets anything from it, a deny line if nothing of
    what it denies is allowed to anybody whom another line does not deny it already; callers may
    have several roles, so the allow line can be another role's. All lines that are told of can
    be deleted together: of two that say the same only one is told.

    Args:
        rules: A whole file without errors.
        vocabulary: Every coordinate that exists.

    Yields:
        Warnings in the order of the lines, at most about fifty.
    """
    search = _Search(rules, vocabulary)
    found: list[Problem] = []
    # What says least goes first, so that many narrow lines yield to the one that covers them.
    for rule in sorted(rules.lines, key=search.order):
        said = search.why_idle(rule)
        if said is not None:
            found.append(Problem(RULES, rule.line, None, said, "warning"))
        if len(found) == MOST_WARNINGS:
            break
    yield from sorted(found, key=lambda one: one.line)


def scoped_storing(rules: Rules) -> Iterator[Problem]:
    """Warn of lines that let somebody store what is in a scope: what arrives is in none yet."""
    for rule in rules.lines:
        stores = rule.action == "create" and rule.element.partition(".")[0] in ROWS
        if stores and rule.effect == "allow" and rule.scope != ANY:
            said = f"what is stored is in no scope yet; write {ANY} instead of {rule.scope}"
            yield Problem(RULES, rule.line, None, said, "warning")


@dataclass(slots=True)
class _Said:
    """The lines that speak of one cell: an element and an action."""

    allow: list[Rule] = field(default_factory=list)
    deny: list[Rule] = field(default_factory=list)

    def decision(self, without: Rule | None = None) -> Decision:
        allow = frozenset(one.scope for one in self.allow if one is not without)
        return decision((allow,), frozenset(one.scope for one in self.deny if one is not without))


class _Search:
    def __init__(self, rules: Rules, vocabulary: frozenset[str]) -> None:
        self._rules = rules
        self._vocabulary = vocabulary
        self._policy = Policy("", rules, {})
        self._gone: set[int] = set()
        self._lines: dict[tuple[str, str, Action], list[Rule]] = {}
        for rule in rules.lines:
            for action in rule.actions:
                self._lines.setdefault((rule.role, rule.element, action), []).append(rule)
        self._covered: dict[str, list[str]] = {}
        for element in sorted(vocabulary):
            for pattern in patterns(element):
                self._covered.setdefault(pattern, []).append(element)
        # somebody's roles together against the deny lines of one
        self._against: dict[tuple[str, Cell], Decision] = {}

    def order(self, rule: Rule) -> tuple[int, bool, int]:
        inherited = rule.role not in ROLES
        return len(self._covered[rule.element]) * len(rule.actions), inherited, -rule.line

    def why_idle(self, rule: Rule) -> str | None:
        """Say why a line decides nothing, and take it out of what is looked at; else None."""
        if rule.effect == "deny":
            said = self._denies_nothing(rule)
        else:
            holders = sorted(self._holders[rule.role], key=lambda one: (one != rule.role, one))
            if any(self._opens_something(rule, role) for role in holders):
                return self._sees_no_row(rule, holders)
            said = self._why_allows_nothing(rule, holders[0])
        if said is not None:
            self._gone.add(rule.line)
        return said

    def _cells(self, rule: Rule) -> Iterator[Cell]:
        return (
            (element, action) for element in self._covered[rule.element] for action in rule.actions
        )

    def _said(self, roles: Iterable[str], cell: Cell, *, with_idle: bool = False) -> _Said:
        element, action = cell
        said = _Said()
        for pattern in patterns(element):
            for role in roles:
                for rule in self._lines.get((role, pattern, action), ()):
                    if with_idle or rule.line not in self._gone:
                        (said.deny if rule.effect == "deny" else said.allow).append(rule)
        return said

    @cached_property
    def _holders(self) -> Mapping[str, list[str]]:
        """Roles that people have, by each role that they are."""
        holders: dict[str, list[str]] = {}
        for role in sorted(ROLES & self._rules.roles):
            for one in self._policy.rules.with_parents([role]):
                holders.setdefault(one, []).append(role)
        return holders

    def _opens_something(self, rule: Rule, role: str) -> bool:
        grant = self._policy.grant(frozenset({role}))
        roles = self._rules.with_parents([role])
        for cell in self._cells(rule):
            here = self._said(roles, cell)
            around = _around(grant, cell)
            if here.decision() & around != here.decision(without=rule) & around:
                return True
        return False

    def _sees_no_row(self, rule: Rule, holders: list[str]) -> str | None:
        key = f"{rule.element.partition('.')[0]}.id"
        if key not in self._vocabulary or rule.action not in ("read", "*"):
            return None
        if any(self._policy.grant(frozenset({role})).allows(key) for role in holders):
            return None
        return f"'{rule.role}' sees no row, because {key} is closed to it; allow {key} too"

    def _why_allows_nothing(self, rule: Rule, role: str) -> str:
        grant = self._policy.grant(frozenset({role}))
        roles = self._rules.with_parents([role])
        denied: list[Rule | None] = []
        covered: list[Rule | None] = []
        closed: list[str | None] = []
        for cell in self._cells(rule):
            here = self._said(roles, cell)
            scopes = (rule.scope, ANY)
            alike = (one for one in here.allow if one is not rule and one.scope in scopes)
            denied.append(next((one for one in here.deny if one.scope in scopes), None))
            covered.append(next(alike, None))
            closed.append(_outermost_closed(grant, cell))
        if all(denied):
            lines = _named(denied)
            return f"{lines} denies this to '{role}', and deny outdoes allow; delete one of them"
        if all(covered):
            return f"{_named(covered)} allows this to '{role}' already; delete this line"
        if all(closed):
            around = " and ".join(sorted({one for one in closed if one}))
            said = f"never opens, because {around} around it is closed to '{role}'"
            return f"{said}; allow {around} to it, too"
        others = _named([*denied, *covered])
        beside = f"beside {others}" if others else "beyond what the elements around it let through"
        return f"changes nothing for '{role}' {beside}; delete this line"

    def _denies_nothing(self, rule: Rule) -> str | None:
        roles = self._rules.with_parents([rule.role])
        denying: list[Rule | None] = []
        allowed = False
        for cell in self._cells(rule):
            here = self._against_all(roles, cell)
            around = self._around_against(rule.role, roles, cell)
            if here.decision() & around != here.decision(without=rule) & around:
                return None
            allowed = allowed or bool(here.allow)
            denying += self._also_denying(rule, roles, cell)
        if not allowed:
            return "no line allows this to any role, so there is nothing to deny; delete this line"
        others = _named(denying)
        if others:
            return f"{others} denies this to '{rule.role}' already; delete this line"
        return "nothing of this is open to any role on these rows; delete this line"

    def _against_all(self, roles: frozenset[str], cell: Cell) -> _Said:
        # an allow line that is idle may be so for the very deny line in question
        everybody = self._said(self._rules.roles, cell, with_idle=True)
        return _Said(everybody.allow, self._said(roles, cell).deny)

    def _around_against(self, role: str, roles: frozenset[str], cell: Cell) -> Decision:
        element, action = cell
        outer = element.rpartition(".")[0]
        if "." not in outer:
            return decision((frozenset({ANY}),), frozenset())
        key = (role, (outer, action))
        if key not in self._against:
            here = self._against_all(roles, (outer, action)).decision()
            self._against[key] = here & self._around_against(role, roles, (outer, action))
        return self._against[key]

    def _also_denying(self, rule: Rule, roles: frozenset[str], cell: Cell) -> Iterator[Rule | None]:
        element, action = cell
        while "." in element:
            for one in self._said(roles, (element, action)).deny:
                if one is not rule and one.scope in (rule.scope, ANY):
                    yield one
            element = element.rpartition(".")[0]


def _around(grant: Grant, cell: Cell) -> Decision:
    element, action = cell
    outer = element.rpartition(".")[0]
    return grant.decision(outer, action) if "." in outer else decision((_EVERY,), frozenset())


_EVERY = frozenset({ANY})


def _outermost_closed(grant: Grant, cell: Cell) -> str | None:
    element, action = cell
    closed = None
    outer = element.rpartition(".")[0]
    while "." in outer:
        if grant.decision(outer, action).never:
            closed = outer
        outer = outer.rpartition(".")[0]
    return closed


def _named(rules: Iterable[Rule | None]) -> str:
    """Name lines: `line 3`, or `line 3, 7 or 9` where each of them does part of it."""
    lines = sorted({rule.line for rule in rules if rule is not None})
    if not lines:
        return ""
    *first, last = lines[:MOST_NAMED]
    more = " and others" if len(lines) > MOST_NAMED else ""
    listed = f"{', '.join(map(str, first))} or {last}" if first else str(last)
    return f"line {listed}{more}"
