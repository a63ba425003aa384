"""What a rule is, what it speaks of, and who inherits it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

Action = Literal["read", "create", "update", "delete"]
Effect = Literal["allow", "deny"]
Role = Literal[
    "patient",
    "proxy",
    "provider",
    "radiologist",
    "technologist",
    "nurse",
    "resident",
    "fellow",
    "attending",
    "admin",
    "auditor",
    "researcher",
    "billing",
]

ROLES: frozenset[str] = frozenset(get_args(Role))
ACTIONS: tuple[Action, ...] = get_args(Action)
EFFECTS: tuple[Effect, ...] = get_args(Effect)
EVERY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One `p` line.

    Attributes:
        element: A coordinate, or `*`, `Resource.*`, `Resource.a.*` for everything below.
        action: `*` for every action.
        line: Counted from 1.
    """

    role: str
    element: str
    action: Action | Literal["*"]
    scope: str
    effect: Effect
    line: int = field(compare=False)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions that the line is about."""
        return ACTIONS if self.action == "*" else (self.action,)

    def __str__(self) -> str:
        return f"p, {self.role}, {self.element}, {self.action}, {self.scope}, {self.effect}"


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole `rules.csv`.

    Attributes:
        lines: The `p` lines in their order.
        parents: Role to the roles it also is, from the `g` lines; has no circle.
        links: Line of each `g` line, counted from 1, by role and parent.
        by_role: The `p` lines of each role, without what it inherits.
    """

    lines: tuple[Rule, ...]
    parents: Mapping[str, tuple[str, ...]]
    links: Mapping[tuple[str, str], int] = field(
        default_factory=lambda: MappingProxyType({}), compare=False
    )
    by_role: Mapping[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_role: dict[str, list[Rule]] = {}
        for rule in self.lines:
            by_role.setdefault(rule.role, []).append(rule)
        frozen = MappingProxyType({role: tuple(rules) for role, rules in by_role.items()})
        object.__setattr__(self, "by_role", frozen)

    @property
    def roles(self) -> frozenset[str]:
        """Every role that has lines or parents."""
        return frozenset(self.by_role.keys() | self.parents.keys())

    def with_parents(self, roles: Iterable[str]) -> frozenset[str]:
        """Give some roles with everything they inherit from."""
        return frozenset(role for level in levels(self.parents, roles) for role in level)

    def path(self, role: str, parent: str) -> tuple[str, ...]:
        """Give the shortest way from a role to one it inherits from, both included.

        Returns:
            Empty if there is no way.
        """
        ways: dict[str, tuple[str, ...]] = {role: (role,)}
        for level in levels(self.parents, [role]):
            for child in sorted(level):
                for one in self.parents.get(child, ()):
                    ways.setdefault(one, (*ways[child], one))
        return ways.get(parent, ())


def covers(pattern: str, element: str) -> bool:
    """Say whether a rule's element speaks of a coordinate; `A.*` does not speak of `A`."""
    if pattern.endswith(".*"):
        return element.startswith(pattern[:-1])
    return pattern in (EVERY, element)


def patterns(element: str) -> Iterator[str]:
    """List everything a rule can write to speak of a coordinate, narrowest first."""
    yield element
    end = element.rfind(".")
    while end > 0:
        yield f"{element[:end]}.*"
        end = element.rfind(".", 0, end)
    yield EVERY


def parts(element: str) -> Iterator[str]:
    """List the coordinates on the way to one, outermost first, itself last."""
    end = element.find(".", element.find(".") + 1)
    while end > 0:
        yield element[:end]
        end = element.find(".", end + 1)
    yield element


def compressed(elements: Iterable[str], vocabulary: Iterable[str]) -> tuple[str, ...]:
    """Write coordinates as the fewest things a rule can say, and nothing more than they are.

    Args:
        elements: Coordinates of the vocabulary.
        vocabulary: Every coordinate that exists.
    """
    wanted = frozenset(elements)
    below: dict[str, list[str]] = {}
    for element in sorted(vocabulary):
        for pattern in patterns(element):
            if pattern != element:
                below.setdefault(pattern, []).append(element)
    left = set(wanted)
    said = []
    # what covers most comes first, so that nothing is said twice
    for pattern, covered in sorted(below.items(), key=lambda one: (-len(one[1]), one[0])):
        if len(covered) > 1 and wanted.issuperset(covered) and not left.isdisjoint(covered):
            said.append(pattern)
            left.difference_update(covered)
    return tuple(sorted((*said, *left)))


def levels(parents: Mapping[str, tuple[str, ...]], roles: Iterable[str]) -> Iterator[set[str]]:
    """Yield roles, then their parents, then the parents of those, no role twice."""
    seen: set[str] = set()
    level = set(roles)
    while level:
        yield level
        seen |= level
        level = {parent for role in level for parent in parents.get(role, ())} - seen
