"""A process's word, renewed while it lasts, that it is taking objects in."""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import structlog

from app.store.database import is_outage
from app.store.leases import Leases

DURATION: Final = timedelta(seconds=9)
RENEWED_EVERY: Final = DURATION / 3
NAME_DIGITS: Final = 12
_NAMES_IN_A_FOLDER: Final = 256

log = structlog.get_logger(__name__)


class Lease:
    """Names objects so that a sweep knows whose they are, and leaves those of the living alone.

    The lease goes on as long as anything is under way. If the process stands still for longer
    than `DURATION`, somebody may take it away, and with it what no instance refers to: so whoever
    has entered an object in the index asks `holds` before relying on it.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._name: str | None = None
        self._renewed = -math.inf
        self._at_work = 0
        self._beginning = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._folder = ""
        self._first = 0
        self._keys = 0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[str]:
        """Hold the lease meanwhile; gives its name."""
        async with self._beginning:
            if self._name is None or time.monotonic() - self._renewed > DURATION.total_seconds():
                await self._begin()
        name = self._name or ""
        self._at_work += 1
        try:
            yield name
        finally:
            self._at_work -= 1

    async def holds(self, name: str) -> bool:
        """Say whether the lease was not taken away before now."""
        fresh = time.monotonic() - self._renewed < DURATION.total_seconds() / 2
        return (name == self._name and fresh) or await self._leases.renew(name, DURATION)

    def new_key(self, name: str) -> str:
        """Give a new object key that ends with the lease's name.

        Neighbours share a folder, which saves a file system two folders for each, and count on
        from a random number: drawing one for each takes as long as a small write.
        """
        number = self._keys % _NAMES_IN_A_FOLDER
        if number == 0:
            self._folder = secrets.token_hex(2)
            self._first = secrets.randbits(64)
        self._keys += 1
        folder, own = self._folder, (self._first + number) % 2**64
        return f"{folder[:2]}/{folder[2:]}/{folder}{own:016x}{name}"

    async def close(self) -> None:
        """Give the lease back."""
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        if self._name is not None:
            name, self._name = self._name, None
            await self._leases.end(name)

    async def _begin(self) -> None:
        begun = time.monotonic()
        name = secrets.token_hex(NAME_DIGITS // 2)
        await self._leases.begin(name, DURATION)
        self._name, self._renewed = name, begun
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while self._name is not None:
            await asyncio.sleep(RENEWED_EVERY.total_seconds())
            name, begun = self._name, time.monotonic()
            try:
                if self._at_work:
                    if not await self._leases.renew(name, DURATION):
                        await self._begin()
                    elif name == self._name:
                        self._renewed = begun
                else:
                    self._name = None
                    await self._leases.end(name)
            except Exception as error:
                if not is_outage(error):
                    raise
                # it may come back in time; if not, `holds` will not say so
                log.warning("lease not renewed", error=type(error).__name__)


def holder(key: str) -> str:
    """Give the name of the lease under which an object was named."""
    return key[-NAME_DIGITS:]
