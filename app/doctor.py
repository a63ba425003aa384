"""`python -m app doctor`: what is reachable and what is wrong, in plain words."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from app.archive import open_archive, open_book, open_chosen_database
from app.cache.opening import open_cache
from app.embedded.binary import available
from app.live.webhooks import read_hooks
from app.settings import Settings
from app.store.ledger import Ledger
from app.store.objects import open_objects
from fhir.errors import ResourceError
from policies.errors import PolicyError

_ENOUGH_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


async def diagnose(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything the service needs, the simplest first; go on after what is wrong."""
    well = True
    async for finding in _parts(settings):
        well = well and finding.ok
        yield finding
    if well:
        yield await _service(settings)


async def _parts(settings: Settings) -> AsyncIterator[Finding]:
    yield Finding("python", True, sys.version.split()[0])
    yield Finding("mode", True, _mode(settings))
    yield _disk(settings)
    yield await _policy(settings)
    yield await _storage(settings)
    yield await _cache(settings)
    yield await asyncio.to_thread(_webhooks, settings)
    async for finding in _issuers(settings):
        yield finding
    yield await _database(settings)


def _mode(settings: Settings) -> str:
    believed = [one.issuer for one in settings.issuers]
    if settings.development_issuer:
        believed.append("development tokens")
    return f"{settings.mode}; tokens of: {', '.join(believed) or 'nobody, so nobody gets in'}"


def _disk(settings: Settings) -> Finding:
    folder = next(
        one for one in (settings.data_dir, *settings.data_dir.resolve().parents) if one.exists()
    )
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > _ENOUGH_BYTES, f"{free / 2**30:.1f} GiB free at {folder}")


async def _policy(settings: Settings) -> Finding:
    try:
        book = await asyncio.to_thread(open_book, settings, last_good=None)
    except PolicyError as error:
        return Finding("policy", False, str(error))
    return Finding("policy", True, f"version {book.current.version} is good")


async def _storage(settings: Settings) -> Finding:
    where = settings.storage_url or f"{settings.data_dir}/objects"
    try:
        objects = await open_objects(settings)
        try:
            await objects.check()
        finally:
            await objects.close()
    except (ResourceError, ValueError) as error:
        return Finding("storage", False, f"{where}: {error}")
    return Finding("storage", True, f"{where} can be read and written")


async def _cache(settings: Settings) -> Finding:
    try:
        cache = open_cache(settings, b"doctor")  # names of its own: it looks at nothing
    except (ValueError, OSError) as error:
        return Finding("cache", False, f"setting RADIOGRAPH_CACHE_URL: {error}")
    try:
        tiers = (await cache.report()).tiers
    finally:
        await cache.close()
    away = [tier.name for tier in tiers if tier.held is None]
    said = ", ".join(f"{tier.name} up to {tier.limit / 2**20:.0f} MiB" for tier in tiers) or "none"
    # the service works without it
    if away:
        return Finding("cache", False, f"{said}; does not answer: {', '.join(away)}")
    return Finding("cache", True, said)


def _webhooks(settings: Settings) -> Finding:
    try:
        hooks = read_hooks(settings.webhooks)
    except PolicyError as error:
        return Finding("webhooks", False, str(error))
    told = ", ".join(one.name for one in hooks)
    return Finding("webhooks", True, f"told of changes: {told or 'nobody'}")


async def _database(settings: Settings) -> Finding:
    name = "database" if settings.database_url else "embedded database"
    if settings.database_url is None and (why := await asyncio.to_thread(available)):
        return Finding(name, False, why)
    async with AsyncExitStack() as stack:
        try:
            database = await open_chosen_database(settings, stack)
        except ResourceError as error:
            return Finding(name, False, error.message)
        problem = await Ledger(database).problem()
    return Finding(name, problem is None, problem or "answers")


async def _service(settings: Settings) -> Finding:
    try:
        async with open_archive(settings):
            return Finding("service", True, "can start")
    except (ResourceError, PolicyError) as error:
        return Finding("service", False, f"cannot start: {error}")


async def _issuers(settings: Settings) -> AsyncIterator[Finding]:
    async with httpx.AsyncClient(timeout=10) as http:
        for issuer in settings.issuers:
            if issuer.secret is not None:
                yield Finding(f"issuer {issuer.issuer}", True, "HS256 with a configured secret")
                continue
            address = f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                answer = await http.get(address)
                ok = answer.status_code == httpx.codes.OK
                message = "answers" if ok else f"answers {answer.status_code} at {address}"
            except httpx.HTTPError as error:
                ok, message = False, f"does not answer ({type(error).__name__}) at {address}"
            yield Finding(f"issuer {issuer.issuer}", ok, message)
