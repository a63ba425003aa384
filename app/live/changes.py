"""The sequence as one process gives it to its followers, however many they are."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import Context
from itertools import islice
from typing import Any, Final

import structlog

from app.live.duty import Duty
from app.live.sequencer import Sequencer
from app.logs import place
from app.store.change_log import ChangeLog, changes_of, not_followed
from fhir.changes import Change

MOST: Final = 100
"""Changes that a follower is given at once."""

_HEARTBEAT_SECONDS: Final = 5.0
_REMEMBERED: Final = 1000
_REST_SECONDS: Final = 1.0

log = structlog.get_logger()


class LiveChanges:
    """`fhir.changes.Changes` of one process.

    One cursor in the database wakes all followers, and what came lately is given from memory; it
    is there from the first follower on.
    """

    def __init__(self, changes: ChangeLog) -> None:
        self._log = changes
        self._on = False
        self._recent: deque[Mapping[str, Any]] = deque(maxlen=_REMEMBERED)
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def going_on(self, sequencer: Sequencer, duty: Duty) -> AsyncIterator[None]:
        """Have changes put into the sequence, by this process or another, and followed."""
        self._on = await self._log.prepare()
        if not self._on:
            log.warning("the database is no replica set: changes are not followed")
        sequencing = asyncio.create_task(duty.run(sequencer.work)) if self._on else None
        try:
            yield
        finally:
            for task in (sequencing, self._listening):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def newest(self) -> int:
        """Give the number of the latest change; 0 if there is none yet."""
        self._require()
        return await self._log.newest()

    async def oldest(self) -> int:
        """Give the number of the oldest change that is kept; `newest() + 1` if none is."""
        self._require()
        return await self._log.oldest()

    async def page(self, after: int, limit: int) -> Sequence[Change]:
        """List changes in their order, beginning behind a number.

        Raises:
            HistoryLost: What came next is not known any more.
        """
        self._require()
        return await self._log.page(after, limit)

    async def follow(self, after: int) -> AsyncGenerator[Sequence[Change]]:
        """Give changes behind a number as they come; an empty one every few seconds if none do.

        Raises:
            HistoryLost: What came next is not known any more.
        """
        self._require()
        if self._listening is None:
            # it outlasts the request that happens to be first
            self._listening = asyncio.create_task(self._listen(), context=Context())
        while True:
            news = self._news
            found = self._remembered(after)
            if found is None:
                found = await self._log.page(after, MOST)
            if found:
                after = found[-1].sequence
                yield found
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), _HEARTBEAT_SECONDS)
            if not news.is_set():
                yield ()

    def _require(self) -> None:
        if not self._on:
            raise not_followed()

    def _remembered(self, after: int) -> Sequence[Change] | None:
        """Give what came behind a number; None if memory does not go back so far."""
        if not self._recent or not self._recent[0]["_id"] <= after + 1:
            return None
        skipped = after + 1 - self._recent[0]["_id"]
        if skipped > len(self._recent):
            return None  # a number that nobody was given here
        return changes_of(list(islice(self._recent, skipped, skipped + MOST)), after)

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._log.appended()) as told:
                    await anext(told)
                    self._wake()  # what was appended while nobody listened is in the database
                    async for documents in told:
                        if documents:
                            self._hear(documents)
                            self._wake()
            except Exception as error:  # noqa: BLE001 -- the edge of a task: later it may do
                log.warning("changes not followed", **place(error))
            # until it goes on, followers look for themselves
            self._recent.clear()
            await asyncio.sleep(_REST_SECONDS)

    def _hear(self, documents: Sequence[Mapping[str, Any]]) -> None:
        for one in documents:
            if self._recent and one["_id"] != self._recent[-1]["_id"] + 1:
                self._recent.clear()
            self._recent.append(one)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
