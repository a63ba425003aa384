"""What the caller of a request may do: the answer of `/postdicom/permissions`."""

from collections.abc import Iterator

from pydantic import Field

from app.rest.envelope import Envelope, Shape
from fhir.access import INTERACTIONS, Access, Action
from fhir.elements import COORDINATES
from fhir.search import EVERYTHING, NOTHING, Filter, all_of, any_of
from policies.grants import Decision
from policies.scopes import ROWS

_CHANGES: tuple[Action, ...] = ("create", "update", "delete")


class Partly(Shape):
    """An element on some rows."""

    element: str = Field(description="policy coordinate", examples=["Patient.name"])
    scopes: list[list[str]] = Field(
        description="a row is open on which one scope of each list holds", examples=[[["own"]]]
    )
    closed_by: list[str] = Field(description="scopes that close a row all the same")


class Right(Partly):
    """An action on an element."""

    action: Action
    always: bool = Field(description="whether on every row")


class ScopeAbout(Shape):
    """A scope that some right of yours depends on."""

    name: str = Field(examples=["own"])
    description: str


class Readable(Shape):
    """What you may read."""

    always: list[str] = Field(description="policy coordinates open on every row")
    partly: list[Partly] = Field(description="those open on some rows")


class Permissions(Shape):
    """What the policy, and the scopes of your token, leave you. What is not here is closed."""

    user_id: str = Field(description="issuer#subject of your token")
    user_name: str | None = Field(description="as your token says")
    roles: list[str] = Field(description="canonical, as your token says")
    policy: str = Field(description="version in force")
    view: str = Field(description="identified or deidentified", examples=["identified"])
    scopes: list[ScopeAbout]
    read: Readable
    changes: list[Right] = Field(description="what you may do besides reading")


def permissions(access: Access) -> Envelope[Permissions]:
    """Tell a caller what they may do, and nothing about anybody else.

    A right is left out where no row can be open to this caller now: the token's SMART scopes do
    not cover it, or a scope asks for what neither token nor links give.
    """
    read = list(_rights(access, "read"))
    changes = [right for action in _CHANGES for right in _rights(access, action)]
    named = {
        scope
        for right in (*read, *changes)
        for scope in (*right.closed_by, *(one for each in right.scopes for one in each))
    }
    said = Permissions(
        user_id=access.caller.subject,
        user_name=access.caller.name,
        roles=sorted(access.caller.roles),
        policy=access.policy.version,
        view=access.view,
        scopes=[
            ScopeAbout(name=name, description=access.policy.scopes[name].description)
            for name in sorted(named)
        ],
        read=Readable(
            always=[right.element for right in read if right.always],
            partly=[
                Partly(element=right.element, scopes=right.scopes, closed_by=right.closed_by)
                for right in read
                if not right.always
            ],
        ),
        changes=changes,
    )
    return Envelope[Permissions](data=said)


def _rights(access: Access, action: Action) -> Iterator[Right]:
    for coordinate in sorted(COORDINATES):
        decisions = access.decisions(coordinate, action)
        rows = _open(access, coordinate, action, decisions)
        if rows == NOTHING:
            continue
        allow = {scopes for one in decisions for scopes in one.allow if not _any(scopes)}
        yield Right(
            element=coordinate,
            action=action,
            always=rows == EVERYTHING,
            scopes=sorted(sorted(scopes) for scopes in allow),
            closed_by=sorted(frozenset().union(*(one.deny for one in decisions))),
        )


def _any(scopes: frozenset[str]) -> bool:
    return scopes == frozenset({"any"})


def _open(
    access: Access, coordinate: str, action: Action, decisions: tuple[Decision, ...]
) -> Filter:
    """Give the rows on which a caller has a right, by policy and by the token's scopes."""
    if any(one.never for one in decisions):
        return NOTHING
    kind = coordinate.partition(".")[0]
    resource = ROWS.get(kind, kind)
    covered = ("read", "search") if action == "read" else (action,)
    within = any_of(access.smart.rows(kind, INTERACTIONS[one]) for one in covered)
    return all_of((within, *(access.rows(one, resource) for one in decisions)))
