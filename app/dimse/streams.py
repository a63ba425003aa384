"""Data sets on their way from a thread into the event loop, a few pieces at a time."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, Generic, TypeVar

from app.dimse.bridge import Bridge

PIECE_BYTES: Final = 2**18
WAITING_PIECES: Final = 4

T = TypeVar("T")


class BrokenOff(Exception):
    """The association ended before the data set did."""


class Stream(Generic[T]):
    """One data set as it arrives: written by one thread, read by a coroutine.

    At most `WAITING_PIECES` pieces wait; whoever writes more waits for the reader.
    """

    def __init__(
        self,
        bridge: Bridge,
        consume: Callable[[AsyncIterator[bytes]], Coroutine[Any, Any, T]],
    ) -> None:
        """Start the reader.

        Args:
            bridge: Runs it.
            consume: Is given the pieces, and need not read them to their end.
        """
        self._loop = bridge.loop
        self._queue: asyncio.Queue[bytes | BrokenOff | None] = asyncio.Queue()
        self._room = threading.Semaphore(WAITING_PIECES)
        self._buffer = bytearray()
        self._over = False
        self._result = bridge.submit(consume(self._pieces()))
        self._result.add_done_callback(lambda _: self._room.release())

    def write(self, data: bytes) -> None:
        """Pass bytes on; those that nobody reads any more are dropped."""
        self._buffer += data
        if len(self._buffer) >= PIECE_BYTES:
            self._flush()

    def end(self) -> None:
        """Say that the data set is complete."""
        if not self._over:
            self._flush()
            self._over = True
            self._put(None)

    def break_off(self) -> None:
        """Say that the rest will never come, if it has not; return once nothing is left of it."""
        if not self._over:
            self._over = True
            self._put(BrokenOff("the association ended first"))
            with contextlib.suppress(CancelledError):
                self._result.exception()

    def result(self) -> T:
        """Wait for what the reader gives.

        Raises:
            CancelledError: The service is stopping.
        """
        return self._result.result()

    def _flush(self) -> None:
        if not self._buffer:
            return
        self._room.acquire()
        if self._result.done():
            self._room.release()  # for the next one
        else:
            self._put(bytes(self._buffer))
        self._buffer.clear()

    def _put(self, piece: bytes | BrokenOff | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    async def _pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._queue.get()) is not None:
            if isinstance(piece, BrokenOff):
                raise piece
            self._room.release()
            yield piece
