"""Running subscriptions: each change is an operation of its own, under the policy in force then."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLSchema, OperationType

from fhir.access import Entry
from fhir.changes import Change, known_to
from fhir.errors import AccessDenied, Invalid, ResourceError
from fhir.guarded import GuardedRepository
from fhir.search import NOTHING, coordinates_of, parameter
from schema.arguments import searched_by
from schema.changing import Outcome
from schema.context import Context
from schema.errors import Refusals, Refused, described
from schema.execution import Answer, Query, answered
from schema.limits import Budget, Limits
from schema.loading import Loader
from schema.plans import Planned, plans_of
from schema.selection import Place
from schema.subscription import Told

Json = Any


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription that may run.

    Attributes:
        place: Its root.
    """

    planned: Planned
    place: Place
    variables: Mapping[str, Json]

    @property
    def resource(self) -> str:
        """Type of record whose changes are told."""
        return self.place.resource

    @property
    def cost(self) -> int:
        """Objects that each event asks for."""
        return self.planned.cost

    @property
    def after(self) -> int | None:
        """Number of the change behind which it begins; None: from now on."""
        found: int | None = self.place.arguments.get("after")
        return found

    @property
    def until(self) -> int | None:
        """Number of the change with which it ends; None: it goes on."""
        found: int | None = self.place.arguments.get("until")
        return found


def subscription(schema: GraphQLSchema, query: Query, limits: Limits) -> Subscribed | None:
    """Read a subscription; None if it is a query or a mutation.

    Raises:
        Refused: It cannot run; the errors say why.
    """
    planned = plans_of(schema).planned(query.text, query.variables, query.operation_name, limits)
    if planned.prepared.operation.operation is not OperationType.SUBSCRIPTION:
        return None
    if len(planned.places) != 1:
        problem = Invalid("A subscription has one root field; send several for more.")
        raise Refused([described(problem)])
    return Subscribed(planned, planned.places[0], query.variables)


def admit(guarded: GuardedRepository, subscribed: Subscribed) -> None:
    """Let somebody be told of changes only if some rows, and what is asked by, are open to them.

    Raises:
        Refused: They are not; the refusal is noted for the audit.
    """
    place, access = subscribed.place, guarded.access
    asked_by = searched_by(place.resource, place.fetch)
    needed = {place.policy.coordinate or ""}.union(
        *(
            coordinates_of(place.resource, parameter(place.resource, asked_by[name]))
            for name, value in place.arguments.items()
            if name in asked_by and value is not None
        )
    )
    unseen = access.smart.rows(place.resource, "s") == NOTHING
    closed = {one for one in needed if unseen or not access.allows(one)}
    if closed:
        access.note(Entry("search", place.resource, "refused", refused=tuple(sorted(closed))))
        refusals = Refusals()
        for one in closed:
            refusals.add(one, [place.path])
        raise Refused([*refusals.errors()])


async def event(
    schema: GraphQLSchema,
    guarded: GuardedRepository,
    base_url: str,
    subscribed: Subscribed,
    limits: Limits,
    context: Context,
    change: Change,
) -> Answer | None:
    """Tell of one change as the caller of the repository may see it now.

    Returns:
        What to tell; None if it is not for this subscription, or not for this caller to know.
    """
    place = subscribed.place
    assert place.policy.perform is not None  # noqa: S101 -- every root here has one
    loader = Loader(guarded, base_url, Budget(limits.cost), context=context)
    outcome = Outcome(values={place.path: None})
    try:
        known = await known_to(guarded, [change])
        value = await place.policy.perform(Told(loader, place, known[0])) if known else None
        if value is None:
            return None
        outcome.values[place.path] = value
    except AccessDenied as denial:
        loader.noted(place, denial)
    except ResourceError as error:
        outcome.failed[place.path] = error
    return answered(schema, loader, subscribed.planned, outcome, subscribed.variables)
