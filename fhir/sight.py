"""What is open to a caller on some rows at least: what a schema or a statement may show them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_

from fhir.access import INTERACTIONS, Access, Action, Interaction
from fhir.asked import searchable
from fhir.elements import COORDINATES, ELEMENTS
from fhir.errors import AccessDenied
from fhir.parameters import PARAMETERS
from fhir.search import NOTHING, coordinates_of, parameter
from policies.grants import Decision, decision
from policies.rules import ACTIONS
from policies.scopes import ANY, ROWS


@dataclass(frozen=True, slots=True)
class Sight:
    """Equal for all who are shown the same, whoever they are; it holds no row and no caller.

    Attributes:
        opened: Coordinates with what may be done to them.
        interactions: What the token's SMART scopes leave, by type; of a token without any: all.
        searched: Search parameters by type that may be searched by.
        sorted: Search parameters by type that may be sorted by.
    """

    opened: frozenset[tuple[str, Action]]
    interactions: frozenset[tuple[str, Interaction]]
    searched: frozenset[tuple[str, str]]
    sorted: frozenset[tuple[str, str]]

    def sees(self, resource: str, interaction: Interaction) -> bool:
        """Say whether rows of a type may be had in one way: `r` by id, `s` by search."""
        return self.opens(f"{resource}.id") and (resource, interaction) in self.interactions

    def opens(self, coordinate: str, action: Action = "read") -> bool:
        """Say whether an action on an element is open on some rows."""
        return (coordinate, action) in self.opened


def sight(access: Access) -> Sight:
    """Say what is open to whoever makes a request."""
    return Sight(
        frozenset(
            (coordinate, action)
            for coordinate in COORDINATES
            for action in ACTIONS
            if _opens(access, coordinate, action)
        ),
        frozenset(
            (resource, letter)
            for resource in ELEMENTS
            for letter in INTERACTIONS.values()
            if access.smart.rows(resource, letter) != NOTHING
        ),
        frozenset(
            (resource, name)
            for resource, name in _parameters(access)
            if _searches(access, resource, name)
        ),
        frozenset(
            (resource, name)
            for resource, name in _parameters(access)
            if PARAMETERS[resource][name].sortable and _everywhere(access, resource, name)
        ),
    )


def always(access: Access, coordinate: str, action: Action = "read") -> bool:
    """Say whether an action is open whatever the row: what has no rows is open so, or closed."""
    return all(one.always for one in access.decisions(coordinate, action))


def _parameters(access: Access) -> Iterator[tuple[str, str]]:
    for resource, table in PARAMETERS.items():
        yield from ((resource, name) for name in table if _in_view(access, resource, name))


def _searches(access: Access, resource: str, name: str) -> bool:
    row = parameter(resource, name)
    enough = any if row.by_element else all
    return enough(
        not _joined(access, one, "read", resource).never for one in coordinates_of(resource, row)
    )


def _in_view(access: Access, resource: str, name: str) -> bool:
    if access.view == "identified":
        return True
    try:
        searchable(resource, name)
    except AccessDenied:
        return False
    return True


def _opens(access: Access, coordinate: str, action: Action) -> bool:
    if coordinate.partition(".")[0] not in PARAMETERS:
        return always(access, coordinate, action)
    return not _joined(access, coordinate, action).never


def _joined(access: Access, coordinate: str, action: Action, on: str | None = None) -> Decision:
    """Decide about an element on the rows that are there for the caller."""
    resource = on or coordinate.partition(".")[0]
    decisions = access.decisions(coordinate, action, on)
    if action != "create":  # nobody has seen what is not there yet
        rows = {resource, ROWS.get(resource, resource)}
        decisions += tuple(access.grant.decision(f"{one}.id") for one in rows)
    return _held(access, reduce(and_, decisions), resource)


def _held(access: Access, decided: Decision, resource: str) -> Decision:
    """Leave out scopes that hold on no row of a type in the caller's view."""
    scopes = access.policy.scopes
    held = {
        one
        for one in decided.scopes
        if access.in_view(one, resource) and scopes[one].reaches(resource)
    } | {ANY}
    return decision((one & held for one in decided.allow), decided.deny & held)


def _everywhere(access: Access, resource: str, name: str) -> bool:
    # an order tells something of each row
    anchor = access.grant.decision(f"{resource}.id")
    return not anchor.never and all(
        one & anchor == anchor
        for coordinate in coordinates_of(resource, parameter(resource, name))
        for one in access.decisions(coordinate, on=resource)
    )
