"""What a tier is made of: an aiocache backend for bytes that knows groups and its own size."""

from abc import abstractmethod
from collections import Counter
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import BaseSerializer

from app.cache.keys import Key, Kind
from app.cache.statistics import Held


class AsBytes(BaseSerializer):  # type: ignore[misc]  # aiocache has no types
    """Passes bytes, and nothing else: what comes back from a store is never executed."""

    DEFAULT_ENCODING = None

    def dumps(self, value: Any) -> bytes:
        """Give the bytes.

        Raises:
            TypeError: They are none.
        """
        if not isinstance(value, bytes):
            raise TypeError("only bytes are cached")
        return value

    def loads(self, value: Any) -> bytes | None:
        """Give the bytes back, or None."""
        return value if isinstance(value, bytes) else None


class Backend(BaseCache):  # type: ignore[misc]  # aiocache has no types
    """Bytes under `Key`s, bounded by their size.

    Every method but those of memory may raise OSError, TimeoutError or RedisError.

    Attributes:
        evicted: How many entries of each kind had to make room in this process, so far.
    """

    def __init__(self, limit: int, **options: Any) -> None:
        """Bound it.

        Args:
            limit: Bytes that the values may have together, with what each needs besides.
            options: Of aiocache.
        """
        super().__init__(serializer=AsBytes(), **options)
        self.limit = limit
        self.evicted: Counter[Kind] = Counter()

    def _build_key(self, key: Key, namespace: str | None = None) -> Any:
        return key

    @abstractmethod
    async def drop(self, group: str) -> None:
        """Remove every entry of a group."""

    @abstractmethod
    async def held(self) -> dict[Kind, Held]:
        """Say what is kept now, by kind; what is over its time is not."""

    async def position(self) -> bytes | None:
        """Say up to where it follows deletions: what `reach` was given last; None: nowhere yet."""
        return None

    async def reach(self, position: bytes) -> None:
        """Remember up to where it follows deletions."""
