"""The tier in the process: bounded by bytes, and not flushed by one pass over much."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from app.cache.backend import Backend
from app.cache.keys import Key, Kind
from app.cache.statistics import Held, of_each_kind

OVERHEAD: Final = 512
"""Bytes that an entry takes besides its value: key, tables, the head of the object."""

_PROVEN_SHARE = 0.75


@dataclass(slots=True)
class _Entry:
    value: bytes
    ends: float

    @property
    def cost(self) -> int:
        return len(self.value) + OVERHEAD


class Memory(Backend):
    """Least recently used entries make room first, and those that were asked for once before all.

    An entry is on trial until it is asked for again; then it is proven. Reading through a large
    study so replaces what is on trial and leaves what people come back to. Proven entries may have
    three quarters of the bytes; who is pushed out of them is on trial once more.
    """

    NAME = "memory"

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limit, timeout=None)
        self._clock = clock
        self._trial: OrderedDict[Key, _Entry] = OrderedDict()
        self._proven: OrderedDict[Key, _Entry] = OrderedDict()
        self._groups: dict[str, set[Key]] = {}
        self._groups_of: dict[Key, str] = {}
        self._cost = 0
        self._proven_cost = 0

    async def _get(self, key: Key, encoding: str | None = None, _conn: Any = None) -> bytes | None:
        entry = self._proven.get(key) or self._trial.get(key)
        if entry is None:
            return None
        if entry.ends <= self._clock():
            self._remove(key)
            return None
        if key in self._proven:
            self._proven.move_to_end(key)
        else:
            self._prove(key)
        return entry.value

    async def _exists(self, key: Key, _conn: Any = None) -> bool:
        entry = self._proven.get(key) or self._trial.get(key)
        return entry is not None and entry.ends > self._clock()

    async def _set(
        self,
        key: Key,
        value: bytes,
        ttl: float | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> bool:
        proven = key in self._proven
        self._remove(key)
        entry = _Entry(value, self._clock() + (ttl or 0))
        if entry.cost > self.limit:
            return False
        self._trial[key] = entry
        self._cost += entry.cost
        self._groups.setdefault(key.group, set()).add(key)
        self._groups_of[key] = key.group
        if proven:
            self._prove(key)
        while self._cost > self.limit:
            oldest = next(iter(self._trial or self._proven))
            self.evicted[oldest.kind] += 1
            self._remove(oldest)
        return True

    async def _delete(self, key: Key, _conn: Any = None) -> int:
        return int(self._remove(key))

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        for one in (self._trial, self._proven, self._groups, self._groups_of):
            one.clear()
        self._cost = self._proven_cost = 0
        return True

    async def drop(self, group: str) -> None:
        """Remove every entry of a group."""
        for key in list(self._groups.get(group, ())):
            self._remove(key)

    async def held(self) -> dict[Kind, Held]:
        """Say what is kept now, by kind; what is over its time goes."""
        now = self._clock()
        for key in [key for key, entry in self._entries() if entry.ends <= now]:
            self._remove(key)
        found = {kind: Held() for kind in of_each_kind()}
        for key, entry in self._entries():
            found[key.kind] += Held(1, len(entry.value))
        return found

    @property
    def cost(self) -> int:
        """Bytes that are taken, with what each entry needs besides its value."""
        return self._cost

    def _entries(self) -> Iterator[tuple[Key, _Entry]]:
        yield from self._trial.items()
        yield from self._proven.items()

    def _prove(self, key: Key) -> None:
        entry = self._trial.pop(key)
        self._proven[key] = entry
        self._proven_cost += entry.cost
        while self._proven_cost > self.limit * _PROVEN_SHARE:
            oldest, pushed = self._proven.popitem(last=False)
            self._proven_cost -= pushed.cost
            self._trial[oldest] = pushed

    def _remove(self, key: Key) -> bool:
        if (entry := self._proven.pop(key, None)) is not None:
            self._proven_cost -= entry.cost
        else:
            entry = self._trial.pop(key, None)
        if entry is None:
            return False
        self._cost -= entry.cost
        group = self._groups_of.pop(key)
        members = self._groups[group]
        members.discard(key)
        if not members:
            del self._groups[group]
        return True
