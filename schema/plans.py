"""What is remembered of operations: texts as parsed and validated, and what each one asks for.

Nothing in it depends on who asks: the policy decides at each request, over what is remembered.
"""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from graphql import GraphQLError, GraphQLSchema

from fhir.errors import Invalid
from schema.compiled import Projection, Unsupported, compiled
from schema.documents import LONGEST_TEXT, Prepared, Texts
from schema.errors import Refused, described
from schema.limits import Limits
from schema.remembered import Remembered
from schema.selection import Place, select

Json = Any

MOST_OF_PLANS = 2**21  # in characters of their texts


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation asks for, for certain values of the variables that decide about that.

    Attributes:
        cost: Records asked for.
        places: Its roots; with arguments of the request that it was made for.
        varies: Whether variables are among the arguments.
        projection: Walks what is loaded; None: graphql-core does.
    """

    cost: int
    places: list[Place]
    varies: bool
    projection: Projection | None


@dataclass(frozen=True, slots=True)
class Planned:
    """An operation of one request.

    Attributes:
        places: Its roots, with arguments.
    """

    prepared: Prepared
    cost: int
    places: list[Place]
    projection: Projection | None


class Plans:
    """Plans of one schema.

    Attributes:
        texts: As they were parsed.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.texts = Texts(schema)
        self._plans: Remembered[Hashable, Plan] = Remembered(MOST_OF_PLANS)

    def planned(
        self, text: str, variables: Mapping[str, Json], name: str | None, limits: Limits
    ) -> Planned:
        """Read a request: parse it, measure it, validate it, and find what it asks for.

        Raises:
            Refused: It cannot run; the errors say why.
        """
        known = self.texts.read(text, limits)
        operation = known.operation(name)
        given = {one: variables[one] for one in known.deciding if one in variables}
        # as JSON, in which true is not 1
        key = (text, name, limits, orjson.dumps(given) if given else b"")
        plan = self._plans.look(key)
        if plan is not None:
            prepared = known.prepared(operation, variables)
            return Planned(prepared, plan.cost, _bound(plan, prepared), plan.projection)
        cost = known.measure(operation, variables)
        known.validate()
        prepared = known.prepared(operation, variables)
        plan = self._made(prepared, cost)
        if len(text) <= LONGEST_TEXT:
            self._plans.keep(key, plan, len(text))
        return Planned(prepared, cost, plan.places, plan.projection)

    def _made(self, prepared: Prepared, cost: int) -> Plan:
        with _complete():
            places = select(self._schema, prepared.document, prepared.operation, prepared.variables)
        try:
            projection: Projection | None = compiled(self._schema, prepared)
        except Unsupported:
            projection = None
        return Plan(cost, places, any(one.varies for one in places), projection)


@lru_cache(maxsize=16)
def plans_of(schema: GraphQLSchema) -> Plans:
    """Give what is remembered for a schema."""
    return Plans(schema)


def _bound(plan: Plan, prepared: Prepared) -> list[Place]:
    if not plan.varies:
        return plan.places
    with _complete():
        return [one.bound(prepared.variables) for one in plan.places]


@contextmanager
def _complete() -> Iterator[None]:
    """Refuse an operation whose arguments lack a value."""
    try:
        yield
    except GraphQLError:
        problem = Invalid("An argument that has to have a value is given a variable without one.")
        raise Refused([described(problem)]) from None
