"""What one request may do: the caller, the policy it began with, and the record of its accesses."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NoReturn
from urllib.parse import parse_qsl

from fhir.elements import REPEATS
from fhir.errors import AccessDenied
from fhir.search import EVERYTHING, Filter, all_of, any_of, criteria, negated
from policies.caller import Caller
from policies.grants import NEVER, Decision, Grant, Policy
from policies.scopes import ANY, ROWS

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


@dataclass(slots=True)
class Access:
    """The guard's view of one request. The policy in it does not change while the request runs."""

    caller: Caller
    policy: Policy
    entries: list[Entry] = field(default_factory=list)
    _grant: Grant | None = None
    _filters: dict[tuple[str, str], Filter] = field(default_factory=dict)

    @property
    def grant(self) -> Grant:
        """What the caller's roles may do."""
        if self._grant is None:
            self._grant = self.policy.grant(self.caller.roles)
        return self._grant

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
        return tuple(self._on(rows, one, self.grant.decision(one, action)) for one in named)

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

        Raises:
            AccessDenied: It is not.
        """
        if not self.allows(coordinate, action):
            self.refuse(action, coordinate.partition(".")[0], {coordinate})

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
        self.entries.append(entry)

    def rows(self, decision: Decision, resource: str) -> Filter:
        """Give the rows on which a decision lets the caller through."""
        opened = [self._any(scopes, resource) for scopes in decision.allow]
        return all_of((*opened, negated(self._any(decision.deny, resource))))

    def _any(self, scopes: Iterable[str], resource: str) -> Filter:
        return any_of(self._rows_of(scope, resource) for scope in sorted(scopes))

    def looked_at(self, resource: str) -> frozenset[str]:
        """List the search parameters that scopes look at, to be read along with each row."""
        texts = (scope.texts.get(resource, "") for scope in self.policy.scopes.values())
        return frozenset(name.partition(":")[0] for text in texts for name, _ in _pairs(text))

    def held(self, scopes: Iterable[str], resource: str) -> dict[str, Filter]:
        """Give the filter that says whether a scope holds on a row, for each scope."""
        return {scope: self._rows_of(scope, resource) for scope in scopes}

    def _rows_of(self, scope: str, resource: str) -> Filter:
        key = (scope, resource)
        if key not in self._filters:
            self._filters[key] = self._compile(scope, resource)
        return self._filters[key]

    def _compile(self, scope: str, resource: str) -> Filter:
        if scope == ANY:
            return EVERYTHING
        texts = self.policy.scopes[scope].searches(resource, self.caller.variables)
        return any_of(criteria(resource, _pairs(text)).tree for text in texts)


def _pairs(text: str) -> list[tuple[str, str]]:
    # a criterion without value is an error, never one criterion less
    return parse_qsl(text, keep_blank_values=True)
