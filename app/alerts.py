"""Telling somebody that emergency access was opened, however long it takes to reach them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import structlog

from app.background import in_background
from app.logs import place
from app.store.notices import Notice, Notices

log = structlog.get_logger()

_PATIENCE: Final = timedelta(minutes=1)  # of one delivery, several times its time-out
_TIMEOUT_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(minutes=5)


class Alerts:
    """Alerts of one process.

    Openings are delivered at least once: each is looked up in the database, so that one whose
    process ended before it was delivered is delivered by another process, or after a restart.
    """

    def __init__(
        self, notices: Notices, url: str | None, first_pause: timedelta = _FIRST_PAUSE
    ) -> None:
        """Set whom to tell.

        Args:
            notices: Where the openings are.
            url: Receives them by POST; None: they are logged and no more.
            first_pause: After a failure; each further one doubles it, up to five minutes.
        """
        self._notices = notices
        self._url = url
        self._first_pause = first_pause
        self._opened = asyncio.Event()

    def opened(self, identifier: str) -> None:
        """Log that emergency access was opened, and have it delivered; waits for nothing."""
        log.warning("break-glass opened", record=identifier)
        self._opened.set()

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Deliver in the background, what was left undelivered before, too."""
        async with in_background(self._deliver()) if self._url else nullcontext():
            yield

    async def _deliver(self) -> None:
        pause = self._first_pause
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            while True:
                self._opened.clear()
                if await self._deliver_all(client):
                    pause = self._first_pause
                    # another process may have ended with something undelivered
                    await self._wait(_PATIENCE)
                else:
                    await asyncio.sleep(pause.total_seconds())
                    pause = min(2 * pause, _LONGEST_PAUSE)

    async def _wait(self, longest: timedelta) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._opened.wait(), longest.total_seconds())

    async def _deliver_all(self, client: httpx.AsyncClient) -> bool:
        """Deliver what there is; say False if one could not be."""
        try:
            while notice := await self._taken():
                told = False
                try:
                    told = await self._told(client, notice)
                finally:  # where this process ends meanwhile, too
                    if not told:
                        await self._notices.returned(notice)
                if not told:
                    return False
                await self._notices.delivered(notice, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 -- the edge of a task that has to go on
            log.error("alerts not looked up", **place(error))  # noqa: TRY400 -- may hold PHI
            return False
        return True

    async def _taken(self) -> Notice | None:
        """Take a notice; one that is taken while this process ends is given back."""
        taking = asyncio.ensure_future(self._notices.take(datetime.now(UTC), _PATIENCE))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            if notice := await taking:
                await self._notices.returned(notice)
            raise

    async def _told(self, client: httpx.AsyncClient, notice: Notice) -> bool:
        body = {"kind": "break-glass", "id": notice.id, "at": notice.at}
        try:
            answer = await client.post(str(self._url), json=body)
        except httpx.HTTPError as error:
            log.warning("alert not delivered", record=notice.id, error=type(error).__name__)
            return False
        if answer.is_success:
            return True
        log.warning("alert not delivered", record=notice.id, status=answer.status_code)
        return False
