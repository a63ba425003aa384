"""`python -m app doctor`: what is reachable and what is wrong, in plain words."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from app.archive import open_archive, open_book
from app.embedded.binary import available
from app.health import checks
from app.settings import Settings
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
    yield Finding("python", True, sys.version.split()[0])
    yield Finding("mode", True, _mode(settings))
    yield _disk(settings)
    if settings.database_url is None:
        why = await asyncio.to_thread(available)
        yield Finding("embedded database", why is None, why or "can run here")
    try:
        await asyncio.to_thread(open_book, settings, last_good=None)
    except PolicyError as error:
        yield Finding("policy files", False, str(error))
    async for finding in _issuers(settings):
        yield finding
    async with AsyncExitStack() as stack:
        try:
            archive = await stack.enter_async_context(open_archive(settings))
        except (ResourceError, PolicyError) as error:
            yield Finding("service", False, f"cannot start: {error}")
            return
        for check in await checks(archive):
            yield Finding(check.name, check.ok, check.message)


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
