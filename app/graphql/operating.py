"""Running operations of whichever kind, within what their callers may ask for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakValueDictionary

import structlog
from graphql import GraphQLError, GraphQLSchema, OperationType

from app.graphql.asked import Asked
from app.graphql.budget import REFUSED_COST, Budgets
from app.graphql.persisted import Operations
from app.graphql.refused import Later, TimedOut, WrongMethod
from app.logs import place
from app.store.deadline import deadline
from fhir.changes import Change
from fhir.guarded import GuardedRepository
from schema.context import Context
from schema.errors import FORBIDDEN
from schema.execution import Answer, Query, kind_of, run
from schema.limits import Limits
from schema.subscribing import Subscribed, admit, event, subscription

Json = Any
Result = TypeVar("Result")


class Costly(Protocol):
    """An answer, of whichever kind of GraphQL."""

    @property
    def ran(self) -> bool:
        """Whether anything was run."""
        ...

    @property
    def cost(self) -> int:
        """Records that were asked for."""
        ...


Counted = TypeVar("Counted", bound=Costly)
log = structlog.get_logger()

MAX_ERRORS: Final = 20
_GRACE_SECONDS: Final = 0.25  # so that the database is not told to stop before we have stopped


class Operator:
    """Runs the operations of a process.

    Attributes:
        limits: Of one operation.
        operations: Those that are known by their hashes.
        budgets: What callers may ask for.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        context: Callable[[], Context],
        operations: Operations,
        budgets: Budgets,
        *,
        base_url: str,
        timeout: float,
    ) -> None:
        """Set what operations are run with.

        Args:
            schema: Built once.
            context: What operations are given.
            operations: Those that are known by their hashes.
            budgets: What callers may ask for.
            base_url: What clients call this server.
            timeout: Seconds that a query, or an event, may take.
        """
        self.limits = Limits()
        self._schema = schema
        self._context = context
        self.operations = operations
        self.budgets = budgets
        self._base_url = base_url
        self._timeout = timeout
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(
        self, guarded: GuardedRepository, asked: Asked, *, queries_only: bool = False
    ) -> Answer:
        """Run a query or mutations.

        Args:
            guarded: Of the caller.
            asked: The operation.
            queries_only: Whether it came by a method that changes nothing.

        Raises:
            WrongMethod: It is no query, and has to be one.
            ResourceError: It is not run.
        """
        caller = guarded.access.caller
        found = self.operations.find(asked, caller.roles)
        query = Query(found.text, asked.variables, asked.operation_name)
        kind = kind_of(self._schema, query, self.limits)
        if queries_only and kind is not OperationType.QUERY:
            raise WrongMethod(f"send a {kind.value} with POST; GET takes queries", "POST")

        async def answer() -> Answer:
            return await run(
                self._schema, guarded, self._base_url, query, self.limits, self._context()
            )

        # mutations are never stopped between what they do and saying so
        timed = kind is not OperationType.MUTATION
        answered = await self.counted(caller.subject, answer, timed=timed)
        if answered.ran:
            self.operations.ran(found)
        note_failures(answered.failures)
        return answered

    async def counted(
        self, caller: str, answer: Callable[[], Awaitable[Counted]], *, timed: bool = True
    ) -> Counted:
        """Run something within a caller's budget, and count what it cost.

        Args:
            caller: Who asks.
            answer: Runs it.
            timed: Whether it is stopped when its time is over.

        Raises:
            Later: The budget is spent, or they run as much already as they may.
            TimedOut: It took too long.
        """
        self.budgets.begin(caller)
        objects = REFUSED_COST
        try:
            answered = await (self._timed(answer) if timed else answer())
            if answered.ran:
                objects = answered.cost
        except TimedOut:
            objects = self.limits.cost
            raise
        finally:
            self.budgets.end(caller, objects)
        return answered

    def subscription(self, guarded: GuardedRepository, asked: Asked) -> Subscribed | None:
        """Read a subscription; None if something else is asked for.

        Raises:
            Refused: It does not run, or its caller may know of no such change.
            ResourceError: It is not read.
        """
        found = self.operations.find(asked, guarded.access.caller.roles)
        query = Query(found.text, asked.variables, asked.operation_name)
        subscribed = subscription(self._schema, query, self.limits)
        if subscribed is None:
            return None
        admit(guarded, subscribed)
        self.operations.ran(found)
        return subscribed

    async def event(
        self, guarded: GuardedRepository, subscribed: Subscribed, change: Change
    ) -> Answer | None:
        """Tell of one change; None if it is not for this subscription, or not for its caller.

        Raises:
            Refused: The caller may know of no such change any more.
            ResourceError: It cannot be told.
        """

        async def answer() -> Answer | None:
            return await event(
                self._schema,
                guarded,
                self._base_url,
                subscribed,
                self.limits,
                self._context(),
                change,
            )

        admit(guarded, subscribed)
        answered = await self._timed(answer)
        if answered is not None:
            note_failures(answered.failures)
        return answered

    @asynccontextmanager
    async def turn(self, caller: str, cost: int) -> AsyncIterator[None]:
        """Wait until an event may be made for somebody: one at a time, as their budget allows.

        Args:
            caller: Who.
            cost: Objects that the event asks for.
        """
        lock = self._turns.setdefault(caller, asyncio.Lock())
        async with lock:
            await self._afforded(caller)
            try:
                yield
            finally:
                self.budgets.end(caller, cost)

    async def _afforded(self, caller: str) -> None:
        while True:
            try:
                self.budgets.begin(caller)
            except Later as error:
                await asyncio.sleep(error.seconds)
            else:
                return

    async def _timed(self, answer: Callable[[], Awaitable[Result]]) -> Result:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                with deadline(self._timeout + _GRACE_SECONDS):
                    return await answer()
        except TimeoutError:
            if limit.expired():
                raise TimedOut(self._timeout) from None
            raise


def body_of(answer: Answer, limits: Limits) -> dict[str, Json]:
    """Give what a client is told of an answer."""
    body = answer.body
    if errors := body.get("errors"):
        body = body | {"errors": _few(errors)}
    if answer.ran:
        body = body | {"extensions": {"cost": {"objects": answer.cost, "max": limits.cost}}}
    return body


def _few(errors: list[Json]) -> list[Json]:
    """Give every refused coordinate, which the schema bounds, and as many others as are useful."""
    refused = [one for one in errors if one["extensions"]["code"] == FORBIDDEN]
    others = [one for one in errors if one["extensions"]["code"] != FORBIDDEN]
    return errors if len(others) <= MAX_ERRORS else refused + others[:MAX_ERRORS]


def note_failures(failures: Iterable[GraphQLError]) -> None:
    """Log what nobody expected of an answer, without its values."""
    for failure in failures:
        log.error(
            "GraphQL value broken",
            path=[one for one in failure.path or () if isinstance(one, str)],
            **place(failure.original_error or failure),
        )
