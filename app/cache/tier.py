"""One tier as the cache uses it: what fails there costs a hit and nothing else."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from redis.exceptions import RedisError

from app.cache.backend import Backend
from app.cache.keys import Key, Kind
from app.cache.statistics import Held, TierReport, of_each_kind

_FAILURES: Final = (OSError, RedisError)  # TimeoutError is an OSError
_FIRST_REST: Final = 0.5
_LONGEST_REST: Final = 10.0
_LARGEST_SHARE: Final = 8

log = structlog.get_logger()
Value = TypeVar("Value")


class Tier:
    """Counts, and lets a store that does not answer rest for a while.

    What had to be dropped meanwhile is owed: it is dropped before anything else is asked, so that
    nothing comes back that was deleted while the store was away.
    """

    def __init__(self, backend: Backend, ttl: float, *, shared: bool) -> None:
        """Wrap a backend.

        Args:
            backend: Closed with this.
            ttl: Seconds that an entry lasts.
            shared: Whether other processes see the same entries.
        """
        self.shared = shared
        self.counts = of_each_kind()
        self.failures = 0
        self._backend = backend
        self._ttl = ttl
        self._owed: set[str] = set()
        self._owes_all = False
        self._rest = 0.0
        self._rests_until = 0.0

    @property
    def name(self) -> str:
        """What it is: memory, redis or disk."""
        return str(self._backend.NAME)

    def takes(self, value: bytes) -> bool:
        """Say whether a value is short enough: one must not push out everything else."""
        return len(value) <= self._backend.limit // _LARGEST_SHARE

    async def get(self, key: Key) -> bytes | None:
        """Give a value, or None; it is counted either way."""
        found: bytes | None = await self._asked(lambda: self._backend.get(key), None)
        counts = self.counts[key.kind]
        if found is None:
            counts.misses += 1
        else:
            counts.hits += 1
        return found

    async def holds(self, key: Key) -> bool:
        """Say whether a value is there; nothing is counted."""
        return bool(await self._asked(lambda: self._backend.exists(key), otherwise=False))

    async def put(self, key: Key, value: bytes) -> bool:
        """Keep a value; say whether it was."""
        kept = bool(
            await self._asked(lambda: self._backend.set(key, value, ttl=self._ttl), otherwise=False)
        )
        self.counts[key.kind].stored += kept
        return kept

    async def drop(self, group: str) -> bool:
        """Remove a group, or owe it; say whether it is gone."""
        self._owed.add(group)
        return await self._asked(self._nothing, otherwise=False)

    async def clear(self) -> bool:
        """Remove everything, or owe it; say whether it is gone."""
        self._owes_all = True
        return await self._asked(self._nothing, otherwise=False)

    async def position(self) -> bytes | None:
        """Say up to where it follows deletions; None if it does not know."""
        return await self._asked(self._backend.position, None)

    async def reach(self, position: bytes) -> None:
        """Note up to where it follows deletions, unless it owes one."""
        await self._asked(lambda: self._backend.reach(position), None)

    async def report(self) -> TierReport:
        """Say what is counted and what is held."""
        held: dict[Kind, Held] | None = await self._asked(self._backend.held, None)
        for kind, counts in self.counts.items():
            counts.evicted = self._backend.evicted[kind]
        return TierReport(self.name, self._backend.limit, self.counts, held, self.failures)

    async def close(self) -> None:
        """Let go of connections."""
        await self._backend.close()

    @staticmethod
    async def _nothing() -> bool:
        return True

    async def _asked(self, work: Callable[[], Awaitable[Value]], otherwise: Value) -> Value:
        if time.monotonic() < self._rests_until:
            return otherwise
        try:
            await self._pay()
            found = await work()
        except _FAILURES as error:
            self._failed(error)
            return otherwise
        self._rest = 0.0
        return found

    async def _pay(self) -> None:
        if self._owes_all:
            await self._backend.clear()
            self._owes_all = False
            self._owed.clear()
        for group in list(self._owed):
            await self._backend.drop(group)
            self._owed.discard(group)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if not self._rest:  # once for each time that it goes away
            log.warning("cache does not answer", tier=self.name, error=type(error).__name__)
        self._rest = min(max(self._rest * 2, _FIRST_REST), _LONGEST_REST)
        self._rests_until = time.monotonic() + self._rest
