"""`python -m app serve` in processes of their own, on one database and one storage."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from app.identity.development import DevelopmentIssuer
from tests.command import Installation
from tests.servers import free_ports

Json = Any
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Served:
    """One process."""

    process: Process
    http: httpx.AsyncClient
    issuer: DevelopmentIssuer

    async def ask(self, role: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {self.issuer.token(role)}",
            **options.pop("headers", {}),
        }
        return await self.http.request(method, path, headers=headers, **options)

    async def stats(self) -> Json:
        answer = await self.ask("admin", "GET", "/postdicom/cache/stats")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def held(self) -> dict[str, tuple[int, int]]:
        """Entries and bytes by tier."""
        tiers = (await self.stats())["tiers"]
        return {one["name"]: (one["total"]["entries"], one["total"]["bytes"]) for one in tiers}


@asynccontextmanager
async def served(installation: Installation, **settings: str) -> AsyncIterator[Served]:
    """Serve until the end of the block."""
    [port] = free_ports(1)
    own = replace(installation, settings={**installation.settings, "port": str(port), **settings})
    process = await own.start("serve", "--port", str(port))
    issuer = DevelopmentIssuer(installation.data_dir)
    base_url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=30) as http:
            await _started(http, process)
            yield Served(process, http, issuer)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _started(http: httpx.AsyncClient, process: Process) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                if (await http.get("/ready")).status_code == 200:
                    return
            except httpx.HTTPError:
                if process.returncode is not None:
                    _, said = await process.communicate()
                    raise RuntimeError(said.decode()) from None
            await asyncio.sleep(0.05)


async def soon(look: Callable[[], Awaitable[Any]], expected: Any) -> float:
    """Wait until something is as expected; give how long it took, in seconds."""
    began = asyncio.get_running_loop().time()
    found = None
    try:
        async with asyncio.timeout(10):
            while (found := await look()) != expected:  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"{found} instead of {expected}") from None
    return asyncio.get_running_loop().time() - began
