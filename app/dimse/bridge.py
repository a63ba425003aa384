"""From the threads of associations into the event loop of the archive, and back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Bridge:
    """Runs coroutines for threads; once it is closed, everything that waits is cancelled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._pending: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something."""
        with self._lock:
            if self._closed:
                work.close()
                raise ConnectionAbortedError("the service is stopping")
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
            self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, and wait for it.

        Raises:
            CancelledError: The service is stopping.
        """
        return self.submit(work).result()

    def pulled(self, chunks: AsyncIterator[T]) -> Generator[T, None, None]:
        """Give what a coroutine yields; the next is fetched while one is being used."""
        upcoming = self.submit(_next(chunks))
        try:
            while (found := upcoming.result()) is not None:
                upcoming = self.submit(_next(chunks))
                yield found
        finally:
            upcoming.cancel()

    def close(self) -> None:
        """Cancel what is under way, and begin nothing any more."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        for future in pending:
            future.cancel()


async def _next(chunks: AsyncIterator[T]) -> T | None:
    return await anext(chunks, None)
