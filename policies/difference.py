"""Says what another policy changes: which role gains and loses what, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain, combinations
from typing import Any, Literal

from policies.explanation import VERBS, rows
from policies.grants import Decision, Grant, Policy, decision
from policies.rules import ACTIONS, ROLES, Action, compressed, parts
from policies.scopes import ANY, Scope

Kind = Literal["gains", "loses", "changes"]
# Beyond so many scopes their combinations are too many to be tried.
MOST_SCOPES = 12


@dataclass(frozen=True, slots=True)
class Change:
    """Elements on which a role's right changes alike.

    Attributes:
        role: A role that people have.
        kind: Whether more rows are open, fewer, or others.
        elements: Coordinates and globs, as few as say it.
        shared: Whether it shows only for callers who have another role, too.
        text: A sentence.
    """

    role: str
    kind: Kind
    actions: tuple[Action, ...]
    elements: tuple[str, ...]
    was: str
    now: str
    shared: bool
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between two policies.

    Attributes:
        changes: By role, in the order of the alphabet.
        scopes: Sentences on scopes that are new, gone, or find other rows.
    """

    changes: tuple[Change, ...]
    scopes: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether anything is different."""
        return bool(self.changes or self.scopes)

    def lines(self) -> Iterator[str]:
        """Say it in lines to print, roles that change alike together."""
        by_role: dict[str, list[Change]] = {}
        for change in self.changes:
            by_role.setdefault(change.role, []).append(change)
        alike: dict[tuple[Change, ...], list[str]] = {}
        for role, changes in by_role.items():
            nameless = tuple(replace(one, role="", text="") for one in changes)
            alike.setdefault(nameless, []).append(role)
        for roles in alike.values():
            yield f"{', '.join(roles)}:"
            yield from (f"  {one.text}" for one in by_role[roles[0]])
            if len(roles) > 1:
                yield f"  (the same for {', '.join(roles[1:])})"
        if self.scopes:
            yield "scopes:"
            yield from (f"  {text}" for text in self.scopes)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {"changes": [asdict(one) for one in self.changes], "scopes": list(self.scopes)}


def difference(old: Policy, new: Policy, vocabulary: frozenset[str]) -> Difference:
    """Compare what two policies decide.

    There is no change exactly if callers with any roles may do the same as before. Rights of a
    role that show only beside another role's are compared too: a deny line closes nothing to a
    role that may nothing there, but to callers who also have one that may.

    Args:
        old: The policy before.
        new: The policy after.
        vocabulary: Every coordinate that exists.
    """
    worlds = _Worlds(old, new)
    changes: list[Change] = []
    for role in sorted(ROLES):
        before, after = worlds.alone(role)
        groups: dict[tuple[Decision, Decision, bool], dict[str, set[Action]]] = {}
        for element in sorted(vocabulary):
            for action in ACTIONS:
                was, now = before.decision(element, action), after.decision(element, action)
                beside = worlds.beside_others(role, element, action) if was == now else None
                if was != now or beside is not None:
                    group = (was, now, False) if beside is None else (*beside, True)
                    groups.setdefault(group, {}).setdefault(element, set()).add(action)
        for (was, now, shared), elements in groups.items():
            changes += _changes(role, was, now, elements, vocabulary, shared=shared)
    changes.sort(key=lambda one: (one.role, one.shared, one.kind, one.elements))
    return Difference(tuple(changes), tuple(_scopes(old.scopes, new.scopes)))


# What the lines of one role say of one element: scopes allowed and scopes denied.
_Said = tuple[frozenset[str], frozenset[str]]
# For each role, for each element on the way to one, outermost first.
_World = tuple[tuple[_Said, ...], ...]
# For each role on one row: whether it denies, and which places on the way it allows.
_OnRow = list[tuple[bool, frozenset[int]]]
_ALL = frozenset({ANY})


class _Worlds:
    """Two policies, asked about roles alone and together."""

    def __init__(self, old: Policy, new: Policy) -> None:
        self._grants = {
            role: (old.grant(frozenset({role})), new.grant(frozenset({role})))
            for role in sorted(ROLES)
        }
        self._known: dict[tuple[_World, _World], bool] = {}

    def alone(self, role: str) -> tuple[Grant, Grant]:
        return self._grants[role]

    def beside_others(
        self, role: str, element: str, action: Action
    ) -> tuple[Decision, Decision] | None:
        """Say what a role's lines decide where another role opens all it can, if that changed."""
        old, new = (grant.said(element, action) for grant in self._grants[role])
        if _shortest(*old) == _shortest(*new):
            return None
        worlds = self._world(0, element, action), self._world(1, element, action)
        if worlds not in self._known:
            self._known[worlds] = _differ(*worlds)
        if not self._known[worlds]:
            return None
        if old[1] == new[1]:
            return decision((old[0],), old[1]), decision((new[0],), new[1])
        return decision((_ALL,), old[1]), decision((_ALL,), new[1])

    def _world(self, number: int, element: str, action: Action) -> _World:
        return tuple(
            tuple(_shortest(*grants[number].said(part, action)) for part in parts(element))
            for grants in self._grants.values()
        )


def _shortest(allow: frozenset[str], deny: frozenset[str]) -> _Said:
    if ANY in deny:
        return frozenset(), _ALL
    return (_ALL if ANY in allow else allow - deny), deny


def _differ(old: _World, new: _World) -> bool:
    """Say whether some roles together are decided otherwise on some row."""
    said = [one for world in (old, new) for role in world for one in role]
    named = frozenset().union(*(scopes for one in said for scopes in one)) - _ALL
    if len(named) > MOST_SCOPES:
        return True
    sizes = range(len(named) + 1)
    subsets = chain.from_iterable(combinations(sorted(named), size) for size in sizes)
    for some in subsets:
        held = _ALL.union(some)
        before, after = _on_row(old, held), _on_row(new, held)
        if _loses(before, after, len(old[0])) or _loses(after, before, len(old[0])):
            return True
    return False


def _on_row(world: _World, held: frozenset[str]) -> _OnRow:
    return [
        (
            any(not deny.isdisjoint(held) for _, deny in said),
            frozenset(place for place, (allow, _) in enumerate(said) if not allow.isdisjoint(held)),
        )
        for said in world
    ]


def _loses(before: _OnRow, after: _OnRow, places: int) -> bool:
    """Say whether a row was open to some roles together and is not any more.

    What roles allow adds up, so it is enough to try the most roles of each kind: all that do not
    deny the row, and of them, for each place on the way, all that do not allow it afterwards.
    """
    silent = [number for number, (denies, _) in enumerate(before) if not denies]

    def were_let_in(chosen: list[int]) -> bool:
        return len(frozenset().union(*(before[one][1] for one in chosen))) == places

    if were_let_in(silent) and any(after[one][0] for one in silent):
        return True
    return any(
        were_let_in([one for one in silent if place not in after[one][1]])
        for place in range(places)
    )


def _changes(
    role: str,
    was: Decision,
    now: Decision,
    elements: Mapping[str, set[Action]],
    vocabulary: frozenset[str],
    *,
    shared: bool,
) -> Iterator[Change]:
    """Put elements that change alike together, first those with the same actions."""
    by_actions: dict[tuple[Action, ...], list[str]] = {}
    for element, found in elements.items():
        ordered = tuple(action for action in ACTIONS if action in found)
        by_actions.setdefault(ordered, []).append(element)
    both = was & now
    kind: Kind = "gains" if both == was else "loses" if both == now else "changes"
    for actions, some in by_actions.items():
        said = compressed(some, vocabulary)
        yield Change(
            role, kind, actions, said, rows(was), rows(now), shared,
            _sentence(role, actions, said, was, now, shared=shared),
        )  # fmt: skip


def _sentence(
    role: str,
    actions: tuple[Action, ...],
    elements: tuple[str, ...],
    was: Decision,
    now: Decision,
    *,
    shared: bool,
) -> str:
    what = ", ".join(elements)
    verbs = " and ".join(VERBS[action] for action in actions)
    before = rows(was).removeprefix("on ").removeprefix("only ").replace("no row", "nothing")
    if shared:
        return (
            f"beside another role, {role} leaves {what} open {rows(now)}"
            f" to {' and '.join(actions)} (was: {before})"
        )
    if now.never:
        return f"{role} no longer {verbs} {what} (was: {before})"
    if was.never:
        return f"{role} now {verbs} {what} {rows(now)} (was: {before})"
    return f"{role} {verbs} {what} {rows(now)} (was: {before})"


def _scopes(old: Mapping[str, Scope], new: Mapping[str, Scope]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was is None:
            yield f"{name} is new"
        elif now is None:
            yield f"{name} is gone"
        else:
            yield from _texts(name, was, now)


def _texts(name: str, was: Scope, now: Scope) -> Iterator[str]:
    for resource in sorted(was.texts.keys() | now.texts.keys()):
        before, after = was.texts.get(resource), now.texts.get(resource)
        if before != after:
            found = f"those of '{after}'" if after else "none"
            yield f"{name} holds on other rows of {resource}: {found} (was: {before or 'none'})"
    if was.view != now.view:
        yield f"{name} holds in the {now.view} view (was: {was.view})"
