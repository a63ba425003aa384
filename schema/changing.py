"""Running mutations: all is decided before the first one is done, then one after the other."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from fhir.access import INTERACTIONS, Access, Entry
from fhir.errors import Invalid, NotSupported, ResourceError
from fhir.guarded import GuardedRepository
from fhir.search import NOTHING
from schema.arguments import relay_search
from schema.context import Attempt, Change, Context
from schema.coordinates import Right
from schema.errors import NotRun, NotShown, Refusals, Refused
from schema.loading import Loader
from schema.paging import relay_page
from schema.payload import IDEMPOTENCY_KEY, Done, failure
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


@dataclass(slots=True)
class Outcome:
    """What became of the roots of an operation.

    Attributes:
        values: What they give, by path; of mutations, payloads.
        failed: Expected failures that no payload tells of, by path.
    """

    values: dict[str, Json] = field(default_factory=dict)
    failed: dict[str, ResourceError] = field(default_factory=dict)

    def fail(self, loader: Loader, place: Place, error: ResourceError) -> None:
        """Note a failure; what is refused is noted by the loader, in any case."""
        if loader.noted(place, error) is not None and "errors" not in place.plumbing:
            self.failed[place.path] = error


async def carry_out(loader: Loader, places: Sequence[Place], context: Context) -> Outcome:
    """Do mutations in their order; after one that fails no further one is done."""
    outcome = Outcome()
    failed = False
    for place in places:
        told, error = {}, None
        try:
            _go_on(failed=failed)
            done = await _done(loader.guarded, place, context)
            told = dict(done.told)
            told["record"] = await _shown(loader, place, done.result)
        except ResourceError as caught:
            error = caught
            failed = failed or not isinstance(error, NotShown)
            outcome.fail(loader, place, error)
        outcome.values[place.path] = {
            "record": None,
            **told,
            "errors": [failure(error)] if error else [],
        }
    return outcome


def _go_on(*, failed: bool) -> None:
    if failed:
        raise NotRun


async def _shown(loader: Loader, place: Place, result: Json) -> Json:
    try:
        return await loader.answer(place, result)
    except ResourceError as error:
        raise NotShown(error) from error


async def _done(guarded: GuardedRepository, place: Place, context: Context) -> Done:
    """Do one mutation, or find that it was done before under the same key."""
    assert place.policy.perform is not None  # noqa: S101 -- `schema.coordinates.check`
    arguments = dict(place.arguments)
    key = arguments.pop(IDEMPOTENCY_KEY, None)
    change = Change(guarded, arguments, context, place.elements)
    if key is None:
        return _as_done(await place.policy.perform(change))
    attempt = _attempt(guarded, place, key, arguments)
    if context.once is None:
        raise NotSupported("idempotencyKey: nothing here remembers what was done")
    known, result = await context.once.begin(attempt)
    if known:
        return Done(result)
    try:
        done = _as_done(await place.policy.perform(change))
    except ResourceError:
        await context.once.failed(attempt)
        raise
    await context.once.done(attempt, done.result)
    return done


def _as_done(result: Json) -> Done:
    return result if isinstance(result, Done) else Done(result)


def _attempt(
    guarded: GuardedRepository, place: Place, key: str, arguments: dict[str, Json]
) -> Attempt:
    if not re.fullmatch(r"[A-Za-z0-9_-]{8,128}", key):
        raise Invalid(f"{IDEMPOTENCY_KEY}: 8 to 128 letters, digits, - or _")
    written = json.dumps(arguments, sort_keys=True, default=_plain)
    fingerprint = hashlib.sha256(written.encode()).hexdigest()
    return Attempt(guarded.access.caller.subject, place.name, key, fingerprint)


def _plain(value: Json) -> Json:
    """Write an enum or an input object as JSON has it."""
    return value.value if isinstance(value, Enum) else vars(value)


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
        if search.either and not any(map(guarded.access.allows, search.either)):
            closed |= search.either
        closed.update(*(guarded.closed_to_sort(place.resource, one.parameter) for one in sorts))
        yield from ((coordinate, [place.path]) for coordinate in sorted(closed))
    for inner in place.links:
        yield from _unreadable(guarded, inner)
