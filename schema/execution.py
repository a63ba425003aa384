"""Running one operation: select, load or change, walk, and say what was refused or went wrong."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType

from fhir.errors import Invalid, ResourceError
from fhir.guarded import GuardedRepository
from schema.changing import carry_out, decide
from schema.context import Context
from schema.documents import Prepared, prepare
from schema.errors import Refused, TooComplex, described, internal
from schema.introspection import execute
from schema.limits import Budget, Limits
from schema.loading import Loader
from schema.selection import Place, select

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
    """

    body: dict[str, Json]
    failures: tuple[GraphQLError, ...] = ()

    @property
    def ran(self) -> bool:
        """Whether the operation was run at all."""
        return "data" in self.body


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
    context = context or Context()
    loader = Loader(guarded, base_url, Budget(limits.cost), context=context)
    try:
        prepared = prepare(schema, query.text, query.variables, query.operation_name, limits)
        places = _selected(schema, prepared)
        changing = prepared.operation.operation is OperationType.MUTATION
        if changing:
            _decide(guarded, places, limits)
    except Refused as refused:
        return Answer({"errors": refused.errors})
    if changing:
        loaded = await carry_out(loader, places, context)
    else:
        loaded = await _load(loader, places)
    values = {path: None if isinstance(one, Exception) else one for path, one in loaded.items()}
    result = execute(schema, guarded.access, prepared, values, query.variables)
    return _answer(result, loader, loaded)


def _selected(schema: GraphQLSchema, prepared: Prepared) -> list[Place]:
    try:
        return select(schema, prepared.document, prepared.operation, prepared.variables)
    except GraphQLError:
        problem = Invalid("An argument that has to have a value is given a variable without one.")
        raise Refused([described(problem)]) from None


def _decide(guarded: GuardedRepository, places: list[Place], limits: Limits) -> None:
    try:
        # fragments count as one selection where selections are counted
        if len(places) > limits.mutations:
            raise TooComplex("mutations", len(places), limits.mutations)
        decide(guarded, places)
    except ResourceError as error:
        raise Refused([described(error)]) from None


async def _load(loader: Loader, places: list[Place]) -> dict[str, Json]:
    """Load every root; the value of one that failed as expected is the exception."""
    found = await asyncio.gather(*map(loader.root, places), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, ResourceError):
            raise one
    return {place.path: value for place, value in zip(places, found, strict=True)}


def _answer(result: ExecutionResult, loader: Loader, loaded: Mapping[str, Json]) -> Answer:
    failures = tuple(result.errors or ())
    errors = [
        *loader.refusals.errors(),
        *(
            described(value, path=[path])
            for path, value in loaded.items()
            if isinstance(value, ResourceError)
        ),
        *(internal(error.path or ()) for error in failures),
    ]
    body: dict[str, Json] = {"data": result.data}
    return Answer(body | ({"errors": errors} if errors else {}), failures)
