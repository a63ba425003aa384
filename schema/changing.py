"""Running mutations: all is decided before the first one is done, then one after the other."""

from collections.abc import Iterable, Sequence
from typing import Any

from fhir.access import INTERACTIONS, Access, Entry
from fhir.errors import ResourceError
from fhir.guarded import GuardedRepository
from fhir.search import NOTHING
from schema.arguments import relay_search
from schema.context import Change, Context
from schema.coordinates import Right
from schema.errors import NotRun, NotShown, Refusals, Refused
from schema.loading import Loader
from schema.paging import relay_page
from schema.pictures import check_slices
from schema.selection import Place

Json = Any


def decide(guarded: GuardedRepository, places: Sequence[Place]) -> None:
    """Let an operation pass only if all that it does, and all that it tells, is open somewhere.

    Whether a certain record is open shows when it is that record's turn.

    Raises:
        Refused: Something is closed on every row; the refusal is in the audit.
        ResourceError: An argument within an answer makes no sense.
    """
    refusals = Refusals()
    for place in places:
        closed = list(_closed(guarded, place))
        for coordinate, action, paths in closed:
            refusals.add(coordinate, paths, action)
        if closed:
            named = tuple(sorted({coordinate for coordinate, _, _ in closed}))
            guarded.access.note(
                Entry(place.policy.rights[0].action, place.resource, "refused", refused=named)
            )
    if refusals:
        raise Refused([*refusals.errors()])


async def carry_out(loader: Loader, places: Sequence[Place], context: Context) -> dict[str, Json]:
    """Do mutations in their order; after one that fails no further one is done.

    Returns:
        By path the answer, or the expected failure. What the caller is refused is None, and noted
        by the loader.
    """
    values: dict[str, Json] = {}
    failed = False
    for place in places:
        values[place.path] = NotRun()
        if failed:
            continue
        assert place.policy.perform is not None  # noqa: S101 -- `schema.coordinates.check`
        try:
            change = Change(loader.guarded, place.arguments, context, place.elements)
            done = await place.policy.perform(change)
        except ResourceError as error:
            values[place.path] = loader.noted(place, error)
            failed = True
            continue
        try:
            values[place.path] = await loader.answer(place, done)
        except ResourceError as error:
            values[place.path] = NotShown(error)
    return values


def _closed(guarded: GuardedRepository, place: Place) -> Iterable[tuple[str, str, list[str]]]:
    """List what is closed of a mutation: coordinate, action, response paths."""
    access = guarded.access
    for right in place.policy.rights:
        if _applies(right, place) and not permits(access, right.coordinate, right.action):
            yield right.coordinate, right.action, [place.path]
    for coordinate in sorted(place.policy.tells):
        if not permits(access, coordinate, "read"):
            yield coordinate, "read", [place.path]
    yield from ((coordinate, "read", paths) for coordinate, paths in _unreadable(guarded, place))


def _applies(right: Right, place: Place) -> bool:
    if right.given is None:
        return True
    name, value = right.given
    return bool(place.arguments.get(name) == value)


def permits(access: Access, coordinate: str, action: Any) -> bool:
    """Say whether roles and SMART scopes leave an action open on some rows at least."""
    resource = coordinate.partition(".")[0]
    rows = access.smart.rows(resource, INTERACTIONS[action])
    return rows != NOTHING and access.allows(coordinate, action)


def _unreadable(guarded: GuardedRepository, place: Place) -> Iterable[tuple[str, list[str]]]:
    """List what is closed of an answer, and of the criteria within it."""
    check_slices(place)
    plan = guarded.plan(place.resource, place.elements)
    searched = place.fetch == "studies"
    rows = guarded.access.smart.rows(place.resource, "s" if searched else "r")
    if plan.anchor.never or rows == NOTHING:
        yield f"{place.resource}.id", [place.path]
    for coordinate in sorted(plan.refused & place.elements):
        yield coordinate, place.asked[coordinate]
    if searched:
        search, _ = relay_search(place.resource, place.arguments, "")
        sorts = relay_page(place.arguments, counted=False).sort
        closed = {one for one in search.coordinates if not guarded.access.allows(one)}
        closed.update(*(guarded.closed_to_sort(place.resource, one.parameter) for one in sorts))
        yield from ((coordinate, [place.path]) for coordinate in sorted(closed))
    for inner in place.links:
        yield from _unreadable(guarded, inner)
