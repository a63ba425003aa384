"""Running one operation: select, load or change, walk, and say what was refused or went wrong."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationType

from fhir.errors import NotSupported, ResourceError
from fhir.guarded import GuardedRepository
from schema.changing import Outcome, carry_out, decide
from schema.compiled import Unexpected
from schema.context import Context
from schema.errors import Refused, TooComplex, described, internal
from schema.introspection import execute
from schema.limits import Budget, Limits
from schema.loading import Loader
from schema.plans import Planned, plans_of
from schema.selection import Place

Json = Any


@dataclass(frozen=True, slots=True)
class Query:
    """What a client sends.

    Attributes:
        text: The GraphQL document.
    """

    text: str
    variables: Mapping[str, Json] = field(default_factory=dict)
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets.

    Attributes:
        body: `data` and `errors`; without `data` the operation did not run.
        failures: Unexpected exceptions behind "Internal error", for the log.
        cost: Records that were asked for; 0 if it did not run.
        compiled: Whether code made for the operation walked the data, and not graphql-core.
    """

    body: dict[str, Json]
    failures: tuple[GraphQLError, ...] = ()
    cost: int = 0
    compiled: bool = False

    @property
    def ran(self) -> bool:
        """Whether the operation was run at all."""
        return "data" in self.body


def kind_of(schema: GraphQLSchema, query: Query, limits: Limits) -> OperationType:
    """Say what the operation is that would run; a query where none would."""
    try:
        known = plans_of(schema).texts.read(query.text, limits)
        return known.operation(query.operation_name).operation
    except Refused:
        return OperationType.QUERY


async def run(
    schema: GraphQLSchema,
    guarded: GuardedRepository,
    base_url: str,
    query: Query,
    limits: Limits,
    context: Context | None = None,
) -> Answer:
    """Run a query or mutations as the caller of the repository.

    Only what is expected becomes `errors`; anything else is raised, for the edge to log.
    """
    try:
        planned = plans_of(schema).planned(
            query.text, query.variables, query.operation_name, limits
        )
        return await perform(
            schema, guarded, base_url, planned, query.variables, limits, context or Context()
        )
    except Refused as refused:
        return Answer({"errors": refused.errors})


async def perform(
    schema: GraphQLSchema,
    guarded: GuardedRepository,
    base_url: str,
    planned: Planned,
    variables: Mapping[str, Json],
    limits: Limits,
    context: Context,
) -> Answer:
    """Run what is planned, as `run` does.

    Raises:
        Refused: It is not done at all; the errors say why.
    """
    _admit(guarded, planned, limits)
    loader = Loader(guarded, base_url, Budget(limits.cost), context=context)
    if planned.prepared.operation.operation is OperationType.MUTATION:
        outcome = await carry_out(loader, planned.places, context)
    else:
        outcome = await _load(loader, planned.places)
    return answered(schema, loader, planned, outcome, variables)


def answered(
    schema: GraphQLSchema,
    loader: Loader,
    planned: Planned,
    outcome: Outcome,
    variables: Mapping[str, Json],
) -> Answer:
    """Walk what was loaded, and say what was refused or went wrong.

    Args:
        schema: That of the operation.
        loader: Whose refusals are told.
        planned: The operation.
        outcome: What was loaded.
        variables: As the client sent them.
    """
    walked = _walked(planned, outcome)
    failures: tuple[GraphQLError, ...] = ()
    data = walked
    if data is None:
        access = loader.guarded.access
        result = execute(schema, access, planned.prepared, outcome.values, variables)
        data, failures = result.data, tuple(result.errors or ())
    errors = [
        *loader.refusals.errors(),
        *(described(value, path=[path]) for path, value in outcome.failed.items()),
        *(internal(error.path or ()) for error in failures),
    ]
    body: dict[str, Json] = {"data": data}
    if errors:
        body["errors"] = errors
    return Answer(body, failures, planned.cost, compiled=walked is not None)


def _walked(planned: Planned, outcome: Outcome) -> dict[str, Json] | None:
    if planned.projection is None:
        return None
    try:
        return planned.projection(outcome.values)
    except (Unexpected, TypeError, KeyError, AttributeError, RecursionError):
        return None  # graphql-core says what is wrong, and where


def _admit(guarded: GuardedRepository, planned: Planned, limits: Limits) -> None:
    """Refuse what cannot be done as a whole."""
    places = planned.places
    match planned.prepared.operation.operation:
        case OperationType.SUBSCRIPTION:
            problem = NotSupported(
                "Send subscriptions over WebSocket, or ask for text/event-stream."
            )
            raise Refused([described(problem)])
        case OperationType.MUTATION:
            try:
                # fragments count as one selection where selections are counted
                if len(places) > limits.mutations:
                    raise TooComplex("mutations", len(places), limits.mutations)
                decide(guarded, places)
            except ResourceError as error:
                raise Refused([described(error)]) from None


async def _load(loader: Loader, places: list[Place]) -> Outcome:
    """Load every root; one that failed as expected is None."""
    # one alone needs no task of its own
    found: Sequence[Json | BaseException] = (
        await asyncio.gather(*map(loader.root, places), return_exceptions=True)
        if len(places) > 1
        else [await _loaded(loader, one) for one in places]
    )
    outcome = Outcome()
    for place, one in zip(places, found, strict=True):
        if isinstance(one, ResourceError):
            outcome.failed[place.path] = one
        elif isinstance(one, BaseException):
            raise one
        outcome.values[place.path] = None if isinstance(one, ResourceError) else one
    return outcome


async def _loaded(loader: Loader, place: Place) -> Json | ResourceError:
    try:
        return await loader.root(place)
    except ResourceError as error:
        return error
