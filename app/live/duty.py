"""Work that one of all processes does at a time; another takes over within seconds."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog

from app.logs import place
from app.store.duties import Duties

DURATION: Final = timedelta(seconds=6)
_RENEWED_EVERY: Final = 2.0
_LOOKS_EVERY: Final = 1.0
_GIVEN_BACK_WITHIN: Final = 1.0

log = structlog.get_logger()


class Duty:
    """One duty, as one process sees it.

    The work may for a moment be done by two, where a process stood still for longer than
    `DURATION`: it has to be harmless then.
    """

    def __init__(self, duties: Duties, name: str) -> None:
        self._duties = duties
        self._name = name
        self._holder = secrets.token_hex(8)

    async def run(self, work: Callable[[str], Awaitable[None]]) -> None:
        """Do the work whenever it is this process's turn; runs until cancelled.

        Args:
            work: Given the name under which the duty is held. It is cancelled when the duty is
                lost, and begun again where it ended.
        """
        while True:
            try:
                if not await self._duties.held(self._name) and await self._taken():
                    await self._work(work)
            except Exception as error:  # noqa: BLE001 -- the edge of a task: later it may do
                log.warning("duty not done", duty=self._name, **place(error))
            await asyncio.sleep(_LOOKS_EVERY)

    async def _taken(self) -> bool:
        return await self._duties.take(self._name, self._holder, DURATION)

    async def _work(self, work: Callable[[str], Awaitable[None]]) -> None:
        working = asyncio.ensure_future(work(self._holder))
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            else:
                log.warning("duty lost", duty=self._name)
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            with suppress(Exception):  # it lapses by itself
                async with asyncio.timeout(_GIVEN_BACK_WITHIN):
                    await self._duties.give_back(self._name, self._holder)

    async def _renew(self) -> None:
        """Keep the duty; ends when it is lost."""
        kept = time.monotonic()
        while time.monotonic() - kept < DURATION.total_seconds():
            await asyncio.sleep(_RENEWED_EVERY)
            begun = time.monotonic()
            try:
                if not await self._taken():
                    return
            except Exception as error:  # noqa: BLE001 -- it may be kept yet
                log.warning("duty not renewed", duty=self._name, error=type(error).__name__)
            else:
                kept = begun
