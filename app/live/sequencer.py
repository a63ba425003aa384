"""Puts what the database tells of its writes into the sequence."""

import time
from typing import Final

import structlog

from app.store.change_events import ChangeEvents
from app.store.change_log import ChangeLog, Noticed, Overtaken, Place
from app.store.changes import HistoryLost

_REACH_SECONDS: Final = 60.0
_TRIM_SECONDS: Final = 3600.0

log = structlog.get_logger()


class Sequencer:
    """The work of one process at a time; a second one does no harm, it fails to append."""

    def __init__(self, changes: ChangeLog, events: ChangeEvents) -> None:
        self._log = changes
        self._events = events

    async def work(self, holder: str) -> None:
        """Append until cancelled, or until somebody else turns out to append.

        Args:
            holder: Under which the duty is held.
        """
        try:
            await self._follow(holder)
        except HistoryLost:
            await self._lose()
        except Overtaken:
            log.warning("another process has appended changes")

    async def _follow(self, holder: str) -> None:
        place = await self._log.place()
        reached = time.monotonic()
        trimmed = -_TRIM_SECONDS
        async with self._events.written(place.position) as stream:
            while True:
                batch = await stream.next()
                if noticed := await self._events.noticed(batch.events):
                    place = await self._log.append(place, noticed)
                if time.monotonic() - reached > _REACH_SECONDS:
                    reached = time.monotonic()
                    await self._log.reach(Place(place.sequence, batch.position), holder)
                if time.monotonic() - trimmed > _TRIM_SECONDS:
                    trimmed = time.monotonic()
                    await self._log.trim()

    async def _lose(self) -> None:
        log.error("changes were missed: followers have to begin anew")
        position = await self._log.now()
        await self._log.append(await self._log.place(), [Noticed("lost", "", "", position)])
