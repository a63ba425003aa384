"""Who listens, and what of each operation is sent to them, whatever it is sent over."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from app.graphql.asked import Asked
from app.graphql.operating import Operator, body_of
from app.graphql.refused import ChangesLost, TooManyListeners
from app.presence import Presence, TurnedAway, expected
from app.settings import Settings
from fhir.changes import Change, Changes, HistoryLost, known_to
from fhir.errors import Invalid
from schema.execution import Answer
from schema.subscribing import Subscribed

Json = Any

MOST_BEHIND: Final = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be sent.

    Attributes:
        body: What an operation gives; None: a subscription has begun, or goes on.
        sequence: Of the change that it tells of, or behind which it begins.
    """

    body: dict[str, Json] | None
    sequence: int | None = None


class Listeners:
    """The connections of a process through which somebody is told more than once.

    Attributes:
        settings: Hold the limits.
    """

    def __init__(self, settings: Settings, operator: Operator) -> None:
        self.settings = settings
        self._operator = operator
        self._connections: Counter[str] = Counter()

    @contextmanager
    def connected(self, presence: Presence) -> Iterator[None]:
        """Count a connection of somebody who was let in, for as long as the block lasts.

        Raises:
            TooManyListeners: They have as many as they may.
        """
        who, most = _subject(presence), self.settings.live_connections
        if self._connections[who] >= most:
            raise TooManyListeners(f"You have {most} connections already; close one of them.")
        self._connections[who] += 1
        try:
            yield
        finally:
            self._connections[who] -= 1
            if not self._connections[who]:
                del self._connections[who]

    async def look_after(self, presence: Presence) -> NoReturn:
        """See from time to time that somebody may still be here, whether or not they are told.

        Raises:
            TurnedAway: They may not.
        """
        while True:
            await asyncio.sleep(self.settings.live_check.total_seconds())
            try:
                await presence.remain()
            except TurnedAway:
                raise
            except Exception as error:  # noqa: BLE001 -- it may be said again the next time
                expected(error)

    async def events(
        self,
        presence: Presence,
        asked: Asked,
        resume: int | None = None,
        *,
        reading: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """Run an operation, and give what is to be sent.

        Each event is in the audit before it is given. Nothing is made before it is asked for: who
        takes events slowly gets them later, and as the policy is then.

        Args:
            presence: Whose operation it is.
            asked: The operation.
            resume: Number of the change behind which it goes on, in place of its `after`.
            reading: Whether it came by a method that changes nothing.

        Raises:
            Refused: It does not run, or not any more; the errors say why.
            TurnedAway: Who listens is nobody any more.
            ResourceError: It cannot go on.
        """
        guarded = await presence.begin()
        answer: Answer | None = None
        try:
            subscribed = self._operator.subscription(guarded, asked)
            if subscribed is None:
                answer = await self._operator.run(guarded, asked, queries_only=reading)
        finally:
            await presence.write_down(guarded)
        if answer is not None:
            yield Event(body_of(answer, self._operator.limits))
        if subscribed is None:
            return
        changes = presence.archive.changes
        number = await _start(changes, subscribed, resume)
        yield Event(None, number)
        async with aclosing(changes.follow(number)) as batches:
            try:
                while not _over(subscribed, number):
                    batch = await anext(batches)
                    async for one in self._told(presence, subscribed, batch):
                        yield one
                    number = batch[-1].sequence if batch else number
            except HistoryLost:
                raise ChangesLost from None

    async def _told(
        self, presence: Presence, subscribed: Subscribed, batch: Sequence[Change]
    ) -> AsyncGenerator[Event, None]:
        mine = [
            one
            for one in batch
            if one.resource == subscribed.resource and not _over(subscribed, one.sequence - 1)
        ]
        if len(mine) > 1:
            mine = await _known(presence, mine)
        for change in mine:
            told = await self._event(presence, subscribed, change)
            if told is not None:
                yield told

    async def _event(
        self, presence: Presence, subscribed: Subscribed, change: Change
    ) -> Event | None:
        async with self._operator.turn(_subject(presence), subscribed.cost):
            guarded = await presence.begin(use=False)
            told = True
            try:
                answer = await self._operator.event(guarded, subscribed, change)
                told = answer is not None
            finally:
                if told:
                    await presence.write_down(guarded)
        if answer is None:
            return None
        return Event(body_of(answer, self._operator.limits), change.sequence)


async def _known(presence: Presence, changes: Sequence[Change]) -> list[Change]:
    """Leave out what is none of somebody's business; of the rest each is looked at again."""
    guarded = await presence.begin(use=False)
    known = {one.sequence for one in await known_to(guarded, changes)}
    return [one for one in changes if one.sequence in known]


async def _start(changes: Changes, subscribed: Subscribed, resume: int | None) -> int:
    """Say behind which change a subscription begins."""
    newest = await changes.newest()
    after = subscribed.after if resume is None else resume
    if after is None:
        return newest
    if after < 0:
        raise Invalid("after: no sequence is below 0")
    if after > newest or newest - after > MOST_BEHIND or after + 1 < await changes.oldest():
        raise ChangesLost
    return after


def _over(subscribed: Subscribed, number: int) -> bool:
    """Say whether nothing behind a change is to be told any more."""
    return subscribed.until is not None and number >= subscribed.until


def _subject(presence: Presence) -> str:
    assert presence.caller is not None  # noqa: S101 -- they were let in
    return presence.caller.subject
