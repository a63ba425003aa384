"""The cache of one process: tiers, the fastest first, and what has to be gone from all of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from app.cache.keys import IN_MEMORY_ONLY, Key, Kind, Names
from app.cache.statistics import Ahead, Report, of_each_kind
from app.cache.tier import Tier

_DROPPED_KEPT: Final = 10_000
_AHEAD_KEPT: Final = 50_000
_UNWRITTEN_BYTES: Final = 32 * 2**20


class Cache:
    """Values by key, in every tier that takes them.

    What is read before a group is dropped and put in after it is refused: `since` says when
    reading began. The memory tier is written at once, slower ones behind the answer.
    """

    def __init__(self, tiers: Sequence[Tier], names: Names) -> None:
        """Take tiers, which are closed with this."""
        self.names = names
        self.counts = of_each_kind()
        self.ahead: dict[str, Ahead] = {}
        self._tiers = tuple(tiers)
        self._now = 0
        self._dropped: OrderedDict[str, int] = OrderedDict()
        self._all_dropped = 0
        self._ahead: OrderedDict[Key, str] = OrderedDict()
        self._writing: dict[asyncio.Task[None], tuple[str, int]] = {}

    @property
    def on(self) -> bool:
        """Whether anything is kept at all."""
        return bool(self._tiers)

    def since(self) -> int:
        """Say what time it is for `put`, before reading what is to be put."""
        return self._now

    async def get(self, key: Key) -> bytes | None:
        """Give a value, or None; counted, and kept in the faster tiers from now on."""
        since = self._now
        tiers = self._tiers_of(key.kind)
        for number, tier in enumerate(tiers):
            value = await tier.get(key)
            if value is not None:
                if number:
                    await self._put(tiers[:number], key, value, since)
                self.counts[key.kind].hits += 1
                self._used(key)
                return value
        self.counts[key.kind].misses += 1
        return None

    async def holds(self, key: Key) -> bool:
        """Say whether a value is there; nothing is counted."""
        for tier in self._tiers_of(key.kind):
            if await tier.holds(key):
                return True
        return False

    async def put(self, key: Key, value: bytes, since: int, rule: str | None = None) -> bool:
        """Keep a value; say whether some tier takes it.

        Args:
            key: Of a group.
            value: Whatever else follows from the key alone.
            since: Of before the value was read or made.
            rule: Which prefetch rule had it read; None: somebody asked for it.
        """
        if rule is not None and await self.holds(key):
            return True  # somebody was quicker
        kept = await self._put(self._tiers_of(key.kind), key, value, since)
        if kept and rule is not None:
            ahead = self.ahead.setdefault(rule, Ahead())
            ahead.fetched += 1
            ahead.bytes += len(value)
            self._ahead[key] = rule
            if len(self._ahead) > _AHEAD_KEPT:
                self._ahead.popitem(last=False)
        return kept

    def mistaken(self, key: Key) -> None:
        """Take back a hit: what was found was out of date and could not be used."""
        counts = self.counts[key.kind]
        counts.hits -= 1
        counts.misses += 1
        fastest = self._tiers_of(key.kind)[0].counts[key.kind]
        fastest.hits -= 1
        fastest.misses += 1

    async def forget(self, study: str) -> bool:
        """Drop everything about a study; say whether it is gone from every tier now.

        A tier that does not answer drops it before it answers anything else.

        Args:
            study: Real Study Instance UID.
        """
        group = self.names.group(study)
        self._now += 1
        self._dropped[group] = self._now
        self._dropped.move_to_end(group)
        if len(self._dropped) > _DROPPED_KEPT:
            # rather refuse too much than too little
            _, self._all_dropped = self._dropped.popitem(last=False)
        for key in [key for key in self._ahead if key.group == group]:
            del self._ahead[key]
        await self._written(group)
        gone = await asyncio.gather(*(tier.drop(group) for tier in self._tiers))
        return all(gone)

    async def clear(self, *, shared: bool = True) -> bool:
        """Drop everything; say whether it is gone from every tier now.

        Args:
            shared: Whether from tiers that other processes see, too.
        """
        self._now += 1
        self._all_dropped = self._now
        self._ahead.clear()
        await self._written(None)
        tiers = [tier for tier in self._tiers if shared or not tier.shared]
        return all(await asyncio.gather(*(tier.clear() for tier in tiers)))

    async def report(self) -> Report:
        """Say what is counted and what is held."""
        tiers = list(await asyncio.gather(*(tier.report() for tier in self._tiers)))
        return Report(self.counts, tiers, self.ahead)

    async def tidy(self, *, shared: bool) -> None:
        """Remove what is over its time though nobody asked for it.

        Args:
            shared: Whether in tiers that other processes see, too; it takes them longer.
        """
        for tier in self._tiers:
            if shared or not tier.shared:
                await tier.report()  # what is over its time is not counted, and so looked for

    async def settled(self) -> None:
        """Wait until what is written behind answers is."""
        await self._written(None)

    @property
    def following(self) -> tuple[Tier, ...]:
        """The tiers that outlive the process; each follows deletions from where it was left."""
        return tuple(tier for tier in self._tiers if tier.shared)

    async def close(self) -> None:
        """Write what is under way, and let go of connections."""
        await self.settled()
        for tier in self._tiers:
            await tier.close()

    def _tiers_of(self, kind: Kind) -> tuple[Tier, ...]:
        if kind not in IN_MEMORY_ONLY:
            return self._tiers
        return tuple(tier for tier in self._tiers if not tier.shared)

    async def _put(self, tiers: Sequence[Tier], key: Key, value: bytes, since: int) -> bool:
        kept = False
        for tier in tiers:
            if not tier.takes(value) or self._is_late(key.group, since):
                continue
            if tier.shared:
                kept = self._write(tier, key, value, since) or kept
            else:
                kept = await tier.put(key, value) or kept
        return kept

    def _write(self, tier: Tier, key: Key, value: bytes, since: int) -> bool:
        """Write behind the answer, unless too much is under way."""
        if sum(size for _, size in self._writing.values()) + len(value) > _UNWRITTEN_BYTES:
            return False

        async def write() -> None:
            if not self._is_late(key.group, since):
                await tier.put(key, value)

        self._start(write(), key.group, len(value))
        return True

    def _start(self, work: Coroutine[Any, Any, None], group: str, size: int) -> None:
        task = asyncio.create_task(work)
        self._writing[task] = (group, size)
        task.add_done_callback(self._writing.pop)

    def _is_late(self, group: str, since: int) -> bool:
        return since < max(self._all_dropped, self._dropped.get(group, 0))

    async def _written(self, group: str | None) -> None:
        """Wait for writes under way, of one group or all."""
        tasks = [task for task, (its, _) in self._writing.items() if group in (None, its)]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _used(self, key: Key) -> None:
        rule = self._ahead.pop(key, None)
        if rule is not None:
            self.ahead[rule].used += 1
