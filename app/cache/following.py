"""What is deleted in one process goes from the caches of all of them."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from app.cache.cache import Cache
from app.logs import place
from app.store.changes import Deletions, HistoryLost, NotReplicated, Told, is_position

_REST_SECONDS: Final = 1.0
# So many times of hearing something, or that there is nothing new, which is every two seconds.
_REACH_EVERY: Final = 30
"""Then tiers note up to where they follow although nothing was deleted."""
_TIDY_EVERY: Final = 30
_TIDY_SHARED_EVERY: Final = 900

log = structlog.get_logger()


class Following:
    """Follows deletions from where the tiers that outlive processes were left."""

    def __init__(self, cache: Cache, deletions: Deletions) -> None:
        self._cache = cache
        self._deletions = deletions
        self._position: bytes | None = None
        self._heard = 0

    async def begin(self) -> None:
        """Find out from where on, before anything is cached."""
        try:
            now = await self._deletions.now()
        except NotReplicated:
            log.warning("the database is no replica set: caches do not follow deletions")
            return
        positions = [now]
        for tier in self._cache.following:
            position = await tier.position()
            if position is None or not is_position(position):
                await tier.clear()  # nobody can tell what was deleted since it was filled
                await tier.reach(now)
            else:
                positions.append(position)
        self._position = min(positions)

    async def run(self) -> None:
        """Follow until cancelled; whatever is missed costs what is cached, never the truth."""
        while self._position is not None:
            try:
                async for told in self._deletions.follow(self._position):
                    await self._heed(told)
                    self._position = told.position
            except HistoryLost:
                await self._lose()
            except Exception as error:  # noqa: BLE001 -- the edge of a task: later it may do
                log.warning("deletions not followed", **place(error))
                await asyncio.sleep(_REST_SECONDS)

    async def _heed(self, told: Told) -> None:
        for gone in told.gone:
            if gone.study is None:
                await self._cache.clear()
            else:
                await self._cache.forget(gone.study)
        if told.gone or self._heard % _REACH_EVERY == 0:
            for tier in self._cache.following:
                await tier.reach(told.position)
        self._heard += 1
        if self._heard % _TIDY_EVERY == 0:
            await self._cache.tidy(shared=self._heard % _TIDY_SHARED_EVERY == 0)

    async def _lose(self) -> None:
        log.warning("deletions were missed: the cache begins empty")
        await asyncio.sleep(_REST_SECONDS)
        with suppress(NotReplicated):
            self._position = await self._deletions.now()
        await self._cache.clear()
