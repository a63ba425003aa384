"""What one set of roles may do: the rules compiled to look-ups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from policies.rules import Action, Rules, patterns
from policies.scopes import ANY, Scope

MOST_DECISIONS = 8_192  # remembered per grant; the vocabulary needs a tenth
MOST_GRANTS = 256  # remembered per policy


@dataclass(frozen=True, slots=True)
class Decision:
    """On which rows something is open.

    A row on which the scopes S hold is open if S meets *every* set in `allow` and does not meet
    `deny`. An element inside others is open where all of them are, each of which can be
    allowed by scopes of its own; therefore a set of sets. Mostly there is one.

    Always in its shortest form, made by `decision`, so that equal means the same rows: `any` is
    alone in its set and never denied, no set holds what is denied, and no set is a part of
    another.
    """

    allow: frozenset[frozenset[str]]
    deny: frozenset[str]

    @property
    def always(self) -> bool:
        """Open on every row."""
        return not self.deny and _ANY in self.allow

    @property
    def never(self) -> bool:
        """Closed on every row."""
        return _NONE in self.allow

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that must be known of a row to decide; without `any`."""
        return frozenset().union(self.deny, *self.allow) - _ANY

    def holds(self, scopes: frozenset[str]) -> bool:
        """Say whether a row is open on which these scopes hold; `any` need not be named."""
        if not self.deny.isdisjoint(scopes):
            return False
        return all(one == _ANY or not one.isdisjoint(scopes) for one in self.allow)

    def __and__(self, other: "Decision") -> "Decision":
        if self == other:
            return self
        return decision(self.allow | other.allow, self.deny | other.deny)


_ANY = frozenset({ANY})
_NONE: frozenset[str] = frozenset()
ALWAYS = Decision(frozenset({_ANY}), _NONE)
NEVER = Decision(frozenset({_NONE}), _NONE)


def decision(allow: Iterable[frozenset[str]], deny: frozenset[str]) -> Decision:
    """Make the shortest decision of an `allow` (sets that all must be met) and a `deny`."""
    if ANY in deny:
        return NEVER
    # `any` outdoes the scopes beside it; a denied scope cannot help to open a row.
    sets = {_ANY if ANY in one else one - deny for one in allow}
    if _NONE in sets:
        return NEVER
    if len(sets) > 1:
        sets = {one for one in sets if one != _ANY and not any(other < one for other in sets)}
    return Decision(frozenset(sets or {_ANY}), deny)


@dataclass(frozen=True, slots=True)
class Grant:
    """Everything one set of roles may do; what is not granted is closed.

    Attributes:
        version: Of the policy; with `roles` it names the grant in cache keys.
        roles: Those of the caller's roles that the policy knows.
        scopes: Those that any line names; without `any`.
    """

    version: str
    roles: frozenset[str]
    scopes: frozenset[str] = field(init=False, repr=False, compare=False)
    _lines: Mapping[tuple[str, Action], tuple[set[str], set[str]]] = field(
        repr=False, compare=False
    )
    _known: dict[tuple[str, Action], Decision] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        named = frozenset(one for line in self._lines.values() for two in line for one in two)
        object.__setattr__(self, "scopes", named - _ANY)

    def decision(self, element: str, action: Action = "read") -> Decision:
        """Say on which rows an action on an element is open.

        Args:
            element: A coordinate like `ImagingStudy.series.number`; it needs the same right on
                every element around it, here `ImagingStudy.series`.
            action: What is to be done.
        """
        key = (element, action)
        known = self._known.get(key)
        if known is None:
            known = self._decide(element, action)
            if len(self._known) < MOST_DECISIONS:
                self._known[key] = known
        return known

    def allows(self, element: str, action: Action = "read") -> bool:
        """Say whether an action on an element is open on at least some rows."""
        return not self.decision(element, action).never

    def said(self, element: str, action: Action = "read") -> tuple[frozenset[str], frozenset[str]]:
        """Give the scopes that lines about an element allow, and those that they deny."""
        allow: set[str] = set()
        deny: set[str] = set()
        for pattern in patterns(element):
            line = self._lines.get((pattern, action))
            if line is not None:
                allow |= line[0]
                deny |= line[1]
        return frozenset(allow), frozenset(deny)

    def here(self, element: str, action: Action = "read") -> Decision:
        """Say what the lines about an element decide, whatever is around it."""
        allow, deny = self.said(element, action)
        return decision((allow,), deny)

    def _decide(self, element: str, action: Action) -> Decision:
        here = self.here(element, action)
        around = element.rpartition(".")[0]
        return here & self.decision(around, action) if "." in around else here


@dataclass(frozen=True, slots=True)
class Policy:
    """One approved version of the policy folder; never changes.

    Attributes:
        version: 16 hexadecimal digits, of the content of the files that decide.
        scopes: The scopes of `scopes.toml`; `any` is not among them.
    """

    version: str
    rules: Rules
    scopes: Mapping[str, Scope]
    _roles: frozenset[str] = field(init=False, repr=False, compare=False)
    _grants: dict[frozenset[str], Grant] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_roles", self.rules.roles)

    def grant(self, roles: frozenset[str]) -> Grant:
        """Compile what some roles may do together; a role that no rule names adds nothing."""
        known = roles & self._roles
        grant = self._grants.get(known)
        if grant is None:
            grant = self._compile(known)
            if len(self._grants) >= MOST_GRANTS:
                self._grants.clear()
            self._grants[known] = grant
        return grant

    def _compile(self, roles: frozenset[str]) -> Grant:
        lines: dict[tuple[str, Action], tuple[set[str], set[str]]] = {}
        for role in self.rules.with_parents(roles):
            for rule in self.rules.by_role.get(role, ()):
                for action in rule.actions:
                    line = lines.setdefault((rule.element, action), (set(), set()))
                    line[rule.effect == "deny"].add(rule.scope)
        return Grant(self.version, roles, lines)
