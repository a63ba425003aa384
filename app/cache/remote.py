"""The tier in Redis or Valkey, which processes on all machines share, through aiocache."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, unquote

from aiocache.backends.redis import RedisBackend
from redis.asyncio import BlockingConnectionPool

from app.cache import scripts
from app.cache.backend import Backend
from app.cache.keys import KINDS, Key, Kind
from app.cache.statistics import Held

_PATIENCE_SECONDS: Final = 1.0
_CONNECTIONS: Final = 8
_PORT: Final = 6379


class Remote(Backend, RedisBackend):  # type: ignore[misc]  # aiocache has no types
    """Values and the books about them, bounded by what we count of our own.

    What the server evicts for itself is noticed when it is asked for, or in its time.
    """

    NAME = "redis"

    def __init__(self, url: SplitResult, namespace: str, limit: int) -> None:
        """Connect lazily.

        Args:
            url: redis:// or rediss://, with user, password, host, port and number of the database.
            namespace: Of everything that is ours there.
            limit: Bytes of the values.
        """
        options: dict[str, Any] = {"timeout": _PATIENCE_SECONDS}
        if url.username:
            options["username"] = unquote(url.username)
        super().__init__(
            limit,
            endpoint=url.hostname or "127.0.0.1",
            port=url.port or _PORT,
            db=int(url.path.strip("/") or 0),
            password=unquote(url.password) if url.password else None,
            pool_max_size=_CONNECTIONS,
            create_connection_timeout=_PATIENCE_SECONDS,
            ssl=url.scheme == "rediss",
            timeout=_PATIENCE_SECONDS,
            connection_pool_class=BlockingConnectionPool,
            connection_pool_kwargs=options,
        )
        self._prefix = f"{{{namespace}}}:"
        self._get_one = self.client.register_script(scripts.GET)
        self._set_one = self.client.register_script(scripts.SET)
        self._drop_some = self.client.register_script(scripts.DROP)
        self._clear_some = self.client.register_script(scripts.CLEAR)
        self._sums = self.client.register_script(scripts.HELD)

    def _build_key(self, key: Key, namespace: str | None = None) -> str:
        return f"{key.kind}:{key.group}:{key.digest}"

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> bytes | None:
        value: bytes | None = await self._get_one(keys=[self._prefix], args=[key])
        return value

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return bool(await self.client.exists(self._prefix + key))

    async def _set(
        self,
        key: str,
        value: bytes,
        ttl: float | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> bool:
        if len(value) > self.limit:
            return False
        life = max(int((ttl or 0) * 1000), 1)
        evicted = await self._set_one(keys=[self._prefix], args=[key, value, life, self.limit])
        self.evicted.update(_kind(one) for one in evicted)
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(await self.client.delete(self._prefix + key))

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        while await self._clear_some(keys=[self._prefix]):
            pass
        return True

    async def _close(self, *args: Any, _conn: Any = None, **kwargs: Any) -> None:
        await self.client.aclose()

    async def drop(self, group: str) -> None:
        """Remove every entry of a group."""
        while await self._drop_some(keys=[self._prefix], args=[group]):
            pass

    async def held(self) -> dict[Kind, Held]:
        """Say what is kept now, by kind; what is over its time goes."""
        sums, counts = (_table(one) for one in await self._sums(keys=[self._prefix]))
        return {kind: Held(counts.get(kind, 0), sums.get(kind, 0)) for kind in KINDS}

    async def position(self) -> bytes | None:
        """Say up to where it follows deletions."""
        value: bytes | None = await self.client.get(f"{self._prefix}position")
        return value

    async def reach(self, position: bytes) -> None:
        """Remember up to where it follows deletions."""
        await self.client.set(f"{self._prefix}position", position)


def _table(flat: list[bytes]) -> Mapping[str, int]:
    names = (name.decode() for name in flat[::2])
    return dict(zip(names, map(int, flat[1::2]), strict=True))


def _kind(name: bytes) -> Kind:
    return next(kind for kind in KINDS if kind == name.decode())
