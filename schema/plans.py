"""What is remembered of operations: texts as parsed and validated, and what each one asks for.

Nothing in it depends on who asks: the policy decides at each request, over what is remembered.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import orjson
from graphql import GraphQLError, GraphQLSchema

from fhir.errors import Invalid
from schema.compiled import Projection, Unsupported, compiled
from schema.documents import Prepared, Text
from schema.errors import Refused, described
from schema.limits import Limits
from schema.selection import Place, select

Json = Any
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# Both in characters of the texts: what is kept of a text is some hundred times as large.
MOST_OF_TEXTS = 2**20
MOST_OF_PLANS = 2**21
LONGEST_TEXT = 2**15  # longer ones are parsed each time


class Remembered(Generic[Key, Value]):
    """What was used last, at most so much."""

    def __init__(self, most: int) -> None:
        """Set how much the weights may be together."""
        self._most = most
        self._weight = 0
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def look(self, key: Key) -> Value | None:
        """Give a value, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: Key, value: Value, weight: int) -> None:
        """Remember a value, and forget those that were not used for longest."""
        self._kept[key] = value, weight
        self._weight += weight
        while self._weight > self._most:
            _, (_, least) = self._kept.popitem(last=False)
            self._weight -= least


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
    """Plans of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._texts: Remembered[tuple[str, Limits], Text] = Remembered(MOST_OF_TEXTS)
        self._plans: Remembered[Hashable, Plan] = Remembered(MOST_OF_PLANS)

    def planned(
        self, text: str, variables: Mapping[str, Json], name: str | None, limits: Limits
    ) -> Planned:
        """Read a request: parse it, measure it, validate it, and find what it asks for.

        Raises:
            Refused: It cannot run; the errors say why.
        """
        known = self._text(text, limits)
        operation = known.operation(name)
        given = {one: variables[one] for one in known.deciding if one in variables}
        # as JSON, in which true is not 1
        key = (text, name, limits, orjson.dumps(given) if given else b"")
        plan = self._plans.look(key)
        if plan is not None:
            prepared = known.prepared(operation, variables)
            return Planned(prepared, plan.cost, _bound(plan, prepared), plan.projection)
        cost = known.measure(operation, variables, limits)
        known.validate()
        prepared = known.prepared(operation, variables)
        plan = self._made(prepared, cost)
        if len(text) <= LONGEST_TEXT:
            self._plans.keep(key, plan, len(text))
        return Planned(prepared, cost, plan.places, plan.projection)

    def _text(self, text: str, limits: Limits) -> Text:
        known = self._texts.look((text, limits))
        if known is None:
            known = Text(self._schema, text, limits)
            if len(text) <= LONGEST_TEXT:
                self._texts.keep((text, limits), known, len(text))
        return known

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
