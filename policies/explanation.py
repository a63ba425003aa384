"""Explains a decision: which lines made it, through whom they are inherited, what it means."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from policies.files import RULES
from policies.grants import Decision, Policy
from policies.rules import Action, Effect, Rule, covers, parts
from policies.scopes import ANY, View

VERBS: Mapping[Action, str] = {
    "read": "reads",
    "create": "creates",
    "update": "updates",
    "delete": "deletes",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of `rules.csv` that speaks of an element.

    Attributes:
        place: File and line number, `rules.csv:12`.
        path: From a role in question to the role of the line: `provider`, `clinician`.
        links: Places of the `g` lines between them.
        counts: Whether the decision rests on it; an allow line does not count where `any` is
            allowed beside it or its scope is denied, a deny line not where `any` is denied.
    """

    place: str
    text: str
    effect: Effect
    scope: str
    path: tuple[str, ...]
    links: tuple[str, ...]
    counts: bool


@dataclass(frozen=True, slots=True)
class Part:
    """An element on the way to the one in question, with what its own lines decide.

    Attributes:
        verdict: On which rows it would be open if nothing were around it.
    """

    element: str
    lines: tuple[Line, ...]
    decision: Decision
    verdict: str


@dataclass(frozen=True, slots=True)
class ScopeText:
    """A scope that the decision depends on, as `scopes.toml` has it."""

    name: str
    description: str
    texts: Mapping[str, str]
    view: View


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why some roles may or may not do something.

    Attributes:
        roles: Those in question that the policy knows.
        unknown: Those that it does not; they add nothing.
        parts: Outermost first, the element itself last; it is open where all of them are.
        verdict: The decision in words.
    """

    version: str
    roles: tuple[str, ...]
    unknown: tuple[str, ...]
    element: str
    action: Action
    parts: tuple[Part, ...]
    scopes: tuple[ScopeText, ...]
    decision: Decision
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON has it: objects, lists, texts and booleans."""
        plain: dict[str, Any] = _plain(asdict(self))
        plain["always"], plain["never"] = self.decision.always, self.decision.never
        return plain


def explain(
    policy: Policy, roles: frozenset[str], element: str, action: Action = "read"
) -> Explanation:
    """Say which lines decide what some roles together may do with an element.

    Args:
        policy: Whose lines.
        roles: All roles of one caller.
        element: A coordinate.
        action: What is to be done to it.
    """
    grant = policy.grant(roles)
    decided = grant.decision(element, action)
    on_the_way = tuple(_part(policy, grant.roles, one, action) for one in parts(element))
    named = {line.scope for part in on_the_way for line in part.lines} - {ANY}
    return Explanation(
        version=policy.version,
        roles=tuple(sorted(grant.roles)),
        unknown=tuple(sorted(roles - grant.roles)),
        element=element,
        action=action,
        parts=on_the_way,
        scopes=tuple(_scope_text(policy, name) for name in sorted(named)),
        decision=decided,
        verdict=_verdict(roles, element, action, decided, on_the_way),
    )


def rows(decision: Decision) -> str:
    """Say on which rows something is open: `on every row`, `only where own or open`."""
    if decision.never:
        return "on no row"
    allowed = [sorted(one) for one in decision.allow if ANY not in one]
    several = len(allowed) > 1 or bool(decision.deny)
    groups = [f"({' or '.join(one)})" if several and len(one) > 1 else " or ".join(one)
              for one in sorted(allowed)]  # fmt: skip
    denied = f"not where {' or '.join(sorted(decision.deny))}" if decision.deny else ""
    if not groups:
        return f"on every row, but {denied}" if denied else "on every row"
    where = f"only where {' and '.join(groups)}"
    return f"{where}, but {denied}" if denied else where


def _scope_text(policy: Policy, name: str) -> ScopeText:
    scope = policy.scopes[name]
    return ScopeText(name, scope.description, dict(scope.texts), scope.view)


def _part(policy: Policy, roles: frozenset[str], element: str, action: Action) -> Part:
    speaking = [
        rule
        for rule in policy.rules.lines
        if covers(rule.element, element) and action in rule.actions
    ]
    ways = {rule.role: _way(policy, roles, rule.role) for rule in speaking}
    held = [rule for rule in speaking if ways[rule.role]]
    allow = frozenset(rule.scope for rule in held if rule.effect == "allow")
    deny = frozenset(rule.scope for rule in held if rule.effect == "deny")
    lines = tuple(_line(policy, rule, ways[rule.role], allow, deny) for rule in held)
    here = policy.grant(roles).here(element, action)
    return Part(element, lines, here, rows(here))


def _way(policy: Policy, roles: frozenset[str], parent: str) -> tuple[str, ...]:
    """Give the shortest way from any of the roles; empty if there is none."""
    ways = (policy.rules.path(role, parent) for role in sorted(roles))
    return min(filter(None, ways), key=len, default=())


def _line(
    policy: Policy, rule: Rule, path: tuple[str, ...], allow: frozenset[str], deny: frozenset[str]
) -> Line:
    if rule.effect == "deny":
        counts = ANY not in deny or rule.scope == ANY
    else:
        shut = ANY in deny or rule.scope in deny
        counts = not shut and (ANY not in allow or rule.scope == ANY)
    return Line(
        place=f"{RULES}:{rule.line}",
        text=str(rule),
        effect=rule.effect,
        scope=rule.scope,
        path=path,
        links=tuple(f"{RULES}:{policy.rules.links[link]}" for link in pairwise(path)),
        counts=counts,
    )


def _verdict(
    roles: frozenset[str],
    element: str,
    action: Action,
    decided: Decision,
    on_the_way: tuple[Part, ...],
) -> str:
    who = " with ".join(sorted(roles)) or "nobody"
    said = f"{who} {VERBS[action]} {element} {rows(decided)}"
    if not decided.never:
        return said
    return f"{said}: {_why_never(on_the_way)}"


def _why_never(on_the_way: tuple[Part, ...]) -> str:
    """Say what closes an element: the outermost part that is closed, or parts that exclude."""
    for part in on_the_way:
        if not part.decision.never:
            continue
        denying = [one.place for one in part.lines if one.effect == "deny" and one.counts]
        if denying:
            outdone = any(one.effect == "allow" for one in part.lines)
            more = ", and deny outdoes allow" if outdone else ""
            return f"{' and '.join(denying)} denies {part.element}{more}"
        return f"no line allows {part.element}"
    return "what is open of the elements around it is denied here, or the other way round"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted((_plain(inner) for inner in value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
