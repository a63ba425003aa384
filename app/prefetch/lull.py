"""Whether somebody needs the processor: reading ahead waits until nobody does."""

import asyncio
import time
from typing import Final

_STEP: Final = 0.005
_QUIET: Final = 0.02
"""Seconds without a new request. Whoever waits for slow storage asks less often than that."""
_LATE: Final = 0.002
"""The event loop, or the machine, is busy when a timer comes so much later than it should."""


class Lull:
    """Told of every request that begins."""

    def __init__(self) -> None:
        self._began = 0.0

    def begin(self) -> None:
        """Note that somebody asks for something."""
        self._began = time.monotonic()

    async def come(self, deadline: float) -> bool:
        """Wait for a moment in which nobody is in the way; False if none came in time.

        Args:
            deadline: By `time.monotonic`.
        """
        while True:
            before = time.monotonic()
            await asyncio.sleep(_STEP)
            now = time.monotonic()
            if now - before - _STEP < _LATE and now - self._began >= _QUIET:
                return True
            if now >= deadline:
                return False
