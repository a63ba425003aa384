"""What one request may do: the caller, the policy it began with, and the record of its accesses."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NoReturn
from urllib.parse import parse_qsl

from fhir.elements import REPEATS
from fhir.errors import AccessDenied
from fhir.search import (
    EVERYTHING,
    ID,
    NOTHING,
    AllOf,
    Among,
    AnyOf,
    Filter,
    Has,
    Present,
    all_of,
    any_of,
    criteria,
    negated,
    stored,
)
from fhir.smart import Smart
from policies.caller import Caller
from policies.grants import NEVER, Decision, Grant, Policy
from policies.scopes import ANY, ROWS, Scope, View

Action = Literal["read", "create", "update", "delete"]
Outcome = Literal["allowed", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One access as the audit keeps it.

    Attributes:
        action: read, search, create, update, delete, or login for a refused token.
        ids: Records given out or changed, at most `MAX_IDS`; `total` says how many there were.
        patients: Ids of the Patients they are about.
        query: What was searched for, as the client wrote it.
        refused: Policy coordinates that were asked for and not given.
    """

    action: str
    resource: str
    outcome: Outcome
    ids: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    total: int | None = None
    query: str | None = None
    refused: tuple[str, ...] = ()
    recorded: datetime = field(default_factory=lambda: datetime.now(UTC))


MAX_IDS = 1000
# Which interaction of SMART an action is: create, read, update, delete, search.
Interaction = Literal["c", "r", "u", "d", "s"]
INTERACTIONS: Mapping[str, Interaction] = MappingProxyType(
    {"create": "c", "read": "r", "update": "u", "delete": "d", "search": "s"}
)
# Rows of these types say by their scopes in which view a caller is; of others there is one view.
VIEWED = frozenset({"Patient", "ImagingStudy", "Image"})


@dataclass(slots=True)
class Access:
    """The guard's view of one request. The policy in it does not change while the request runs.

    Attributes:
        linked: Values of the scope variables that are stored and not claimed by the token.
        grant: What the caller's roles may do.
        smart: What the token's SMART scopes leave of it.
        view: In which form the caller sees records: as they are, or without anybody's identity
            if their roles open rows through scopes of that view alone.
        noted: Takes each entry as it is noted, so that it can be on its way into the audit while
            the answer is made; absent: `entries` keeps it.
    """

    caller: Caller
    policy: Policy
    linked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    noted: Callable[[Entry], None] | None = None
    grant: Grant = field(init=False)
    smart: Smart = field(init=False)
    view: View = field(init=False)
    _filters: dict[tuple[str, str], Filter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.grant = self.policy.grant(self.caller.roles)
        self.smart = Smart.of(self.caller.scopes, self.caller.context)
        views = {
            self._view_of(scope)
            for resource in VIEWED
            for scopes in self.grant.decision(f"{resource}.id").allow
            for scope in scopes
        }
        self.view = "deidentified" if views == {"deidentified"} else "identified"

    def _view_of(self, scope: str) -> View:
        return "identified" if scope == ANY else self.policy.scopes[scope].view

    @property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """What the `{...}` of scopes stands for, claimed and stored."""
        claimed = self.caller.variables
        variables = {**claimed, **self.linked, "subject": (self.caller.subject,)}
        # whom a proxy acts for stands in the token, in a stored link, or in both
        acted_for = (*claimed.get("patient", ()), *self.linked.get("proxied", ()))
        return variables | {"proxied": tuple(dict.fromkeys(acted_for))}

    def decisions(
        self, coordinate: str, action: Action = "read", on: str | None = None
    ) -> tuple[Decision, ...]:
        """Give what has to hold for an element: its own decision and that of what it repeats.

        Args:
            coordinate: The element.
            action: What is to be done.
            on: Type of the rows at hand, where it is not the element's own.
        """
        rows = on or coordinate.partition(".")[0]
        named = (coordinate, REPEATS[coordinate]) if coordinate in REPEATS else (coordinate,)
        decided = tuple(self._on(rows, one, self.grant.decision(one, action)) for one in named)
        # a scope for studies covers their DICOM data, not what the record says of the patient
        if len(named) > 1 and self.smart.blind(named[1].partition(".")[0], rows):
            return (*decided, NEVER)
        return decided

    def _on(self, rows: str, coordinate: str, decided: Decision) -> Decision:
        resource = coordinate.partition(".")[0]
        if ROWS.get(resource, resource) == ROWS.get(rows, rows):
            return decided
        # a scope that says nothing about these rows cannot be seen to hold: its denial does
        blind = any(not self.policy.scopes[scope].reaches(rows) for scope in decided.deny)
        return NEVER if blind else decided

    def allows(self, coordinate: str, action: Action = "read") -> bool:
        """Say whether the action is open on some rows at least."""
        return not any(one.never for one in self.decisions(coordinate, action))

    def require(self, coordinate: str, action: Action) -> None:
        """Refuse, and record, unless the action is open on some rows at least.

        Creating images has to be open on all rows.

        Raises:
            AccessDenied: It is not.
        """
        resource = coordinate.partition(".")[0]
        if not self.allows(coordinate, action):
            self.refuse(action, resource, {coordinate})
        within = self.within_scopes(resource, action, coordinate)
        if resource in ROWS and action == "create":
            # what arrives belongs to no record yet that a scope could be held against
            whole = all(one.always for one in self.decisions(coordinate, action))
            if not whole or within != EVERYTHING:
                self.refuse(action, resource, {coordinate})

    def within_scopes(self, resource: str, action: str, coordinate: str) -> Filter:
        """Give the rows that the token's SMART scopes leave for an interaction.

        Args:
            resource: Type.
            action: A key of `INTERACTIONS`.
            coordinate: What is named in the refusal.

        Raises:
            AccessDenied: They leave none.
        """
        rows = self.smart.rows(resource, INTERACTIONS[action])
        if rows == NOTHING:
            self.note(Entry(action, resource, "refused", refused=(coordinate,)))
            raise AccessDenied(
                f"The token's SMART scopes do not cover {action} of {resource}. "
                "Ask for a token with a scope that does.",
                frozenset({coordinate}),
            )
        return stored(rows)

    def refuse(self, action: str, resource: str, coordinates: Iterable[str]) -> NoReturn:
        """Record a refusal and raise it.

        Args:
            action: What was tried; "search by" where it was about what the search looks at.
            resource: Type.
            coordinates: What is closed.

        Raises:
            AccessDenied: Always.
        """
        named = frozenset(coordinates)
        self.note(
            Entry(action.removesuffix(" by"), resource, "refused", refused=tuple(sorted(named)))
        )
        listed = ", ".join(sorted(named))
        raise AccessDenied(
            f"Your roles do not give the right to {action} {listed}. "
            "Ask the policy's administrator if you need it.",
            named,
        )

    def note(self, entry: Entry) -> None:
        """Record an access; the door writes it down before its answer leaves."""
        (self.noted or self.entries.append)(entry)

    def rows(self, decision: Decision, resource: str) -> Filter:
        """Give the rows on which a decision lets the caller through."""
        opened = [any_of(self.held(sorted(scopes), resource).values()) for scopes in decision.allow]
        closed = any_of(self.denied(sorted(decision.deny), resource).values())
        return stored(all_of((*opened, negated(closed))))

    def looked_at(self, resource: str) -> frozenset[str]:
        """List the search parameters that scopes look at, to be read along with each row."""
        scopes = self.policy.scopes.values()
        return frozenset().union(*(_named(scope.texts.get(resource, "")) for scope in scopes))

    def held(self, scopes: Iterable[str], resource: str) -> dict[str, Filter]:
        """Give the filter that says whether a scope opens a row, for each scope.

        A scope of the other view opens none.
        """
        return {
            scope: self._rows_of(scope, resource) if self.in_view(scope, resource) else NOTHING
            for scope in scopes
        }

    def in_view(self, scope: str, resource: str) -> bool:
        """Say whether a scope can open rows of a type in the caller's view."""
        return resource not in VIEWED or scope == ANY or self._view_of(scope) == self.view

    def denied(self, scopes: Iterable[str], resource: str) -> dict[str, Filter]:
        """Give the filter that says whether a scope closes a row, in whichever view."""
        return {scope: self._rows_of(scope, resource) for scope in scopes}

    def _rows_of(self, scope: str, resource: str) -> Filter:
        if scope == ANY:
            return EVERYTHING
        key = (scope, resource)
        if key not in self._filters:
            named = self.policy.scopes[scope]
            self._filters[key] = _compiled(named, resource, self.variables)
        return self._filters[key]


def _compiled(scope: Scope, resource: str, variables: Mapping[str, tuple[str, ...]]) -> Filter:
    """Write a scope as a tree; one variable with many values becomes one look-up."""
    named = scope.named(resource)
    if len(named) == 1 and len(variables.get(named[0], ())) > _FEW:
        [tree] = _trees(scope, resource, {named[0]: (_ANY_VALUE,)})
        wide = _widened(tree, variables[named[0]])
        if wide is not None:
            return wide
    return any_of(_trees(scope, resource, variables))


def _trees(
    scope: Scope, resource: str, variables: Mapping[str, tuple[str, ...]]
) -> Iterator[Filter]:
    for text in scope.searches(resource, variables):
        yield criteria(resource, _pairs(text)).tree


_FEW = 4
_KEPT_TEXTS = 1024
_ANY_VALUE = "0.any.value.0"  # what a text may hold where an id or a code may stand


def _widened(tree: Filter, values: tuple[str, ...]) -> Filter | None:
    """Put many values where one stood, or give None where that would mean something else."""
    match tree:
        case Has(parameter, value) if _ANY_VALUE in value:
            if not all(re.fullmatch(ID, one) for one in values):
                return None
            return Among(parameter, frozenset(value.replace(_ANY_VALUE, one) for one in values))
        case Has() | Present():
            return tree
        case AllOf(parts) | AnyOf(parts):
            inner = [_widened(part, values) for part in parts]
            if any(one is None for one in inner):
                return None
            widened = (one for one in inner if one is not None)
            return all_of(widened) if isinstance(tree, AllOf) else any_of(widened)
    return None


@lru_cache(_KEPT_TEXTS)
def _named(text: str) -> frozenset[str]:
    """List the parameters that a scope's text names."""
    return frozenset(name.partition(":")[0] for name, _ in _pairs(text))


def _pairs(text: str) -> list[tuple[str, str]]:
    # a criterion without value is an error, never one criterion less
    return parse_qsl(text, keep_blank_values=True)
