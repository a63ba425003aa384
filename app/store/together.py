"""Many calls as one: what comes while a run is under way waits for the next and shares it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Together(Generic[Item, Answer]):
    """Answers calls by runs over all items that wait; each run begins after its calls came in.

    A run that fails, fails for every call that shared it. A caller that is cancelled does not
    stop the run.
    """

    def __init__(self, work: Callable[[list[Item]], Awaitable[list[Answer]]]) -> None:
        """Set the work: it gives one answer for each item, in their order."""
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Answer:
        """Give the answer for an item; raises what its run failed with."""
        return await self.begin(item)

    def begin(self, item: Item) -> asyncio.Future[Answer]:
        """Begin to answer an item; whoever goes on without the answer misses how its run fails."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                calls, self._waiting = self._waiting, []
                await self._answer(calls)
        finally:
            self._running = None

    async def _answer(self, calls: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._work([item for item, _ in calls])
        except Exception as error:  # noqa: BLE001 - it is raised again, where the answer is awaited
            for _, answer in calls:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for (_, answer), given in zip(calls, answers, strict=True):
                if not answer.done():
                    answer.set_result(given)


def _seen(answer: asyncio.Future[Answer]) -> None:
    if not answer.cancelled():
        answer.exception()  # who awaits it gets it; that nobody does is no error
