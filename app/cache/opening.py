"""Opening the tiers that the settings name."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from app.cache.cache import Cache
from app.cache.disk import Folder
from app.cache.keys import Names
from app.cache.memory import Memory
from app.cache.remote import Remote
from app.cache.tier import Tier
from app.settings import Settings

POSSIBLE = (
    "none, or tiers with commas between them, the fastest first: memory://, "
    "redis://user:password@host:6379/0 or rediss://…, file:///absolute/folder or file://"
)


def open_cache(settings: Settings, secret: bytes) -> Cache:
    """Open the cache at `cache_url`; the caller closes it.

    Args:
        settings: Name the tiers and their bounds.
        secret: Of all processes that share a tier, so that they give the same names.

    Raises:
        ValueError: The URL names no tiers; the message says what is possible.
        OSError: A folder cannot be made. Redis is not asked.
    """
    names = Names(secret)
    tiers = list(_tiers(settings, names)) if settings.cache_on else []
    kinds = [tier.name for tier in tiers]
    if len(set(kinds)) < len(kinds) or "memory" in kinds[1:]:
        raise ValueError(f"each kind of tier once, and memory first: {POSSIBLE}")
    return Cache(tiers, names)


def _tiers(settings: Settings, names: Names) -> Iterator[Tier]:
    ttl = settings.cache_ttl.total_seconds()
    for text in settings.cache_url.get_secret_value().split(","):
        url = urlsplit(text.strip())
        match url.scheme:
            case "memory" if not (url.netloc or url.path):
                yield Tier(Memory(settings.cache_memory_bytes), ttl, shared=False)
            case "redis" | "rediss" if url.hostname and _is_number(url.path.strip("/")):
                # several archives, or several secrets, may share a server
                namespace = f"radiograph-{names.group(settings.database_name)}"
                yield Tier(Remote(url, namespace, settings.cache_redis_bytes), ttl, shared=True)
            case "file" if url.netloc in {"", "localhost"}:
                folder = Folder(_folder(settings, url), settings.cache_disk_bytes)
                folder.open()
                yield Tier(folder, ttl, shared=True)
            case _:
                raise ValueError(f"no cache at {url.scheme}://…: use {POSSIBLE}")


def _folder(settings: Settings, url: SplitResult) -> Path:
    if url.path in {"", "/"}:
        return (settings.data_dir / "cache").absolute()
    return Path(unquote(url.path))


def _is_number(text: str) -> bool:
    return not text or text.isdecimal()
