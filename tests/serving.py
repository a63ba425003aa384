"""The service as others meet it: a process of its own that listens on a port."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.identity.development import DevelopmentIssuer
from tests.command import Installation
from tests.servers import free_ports

_TRIES = 600
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers.

    Attributes:
        pid: Of its process.
    """

    url: str
    pid: int
    installation: Installation
    issuer: DevelopmentIssuer


@asynccontextmanager
async def serving(data_dir: Path, **settings: str) -> AsyncIterator[Serving]:
    """Serve an archive in a folder, with a database of its own, for as long as the block lasts.

    Args:
        data_dir: The folder; what is in it stays.
        settings: More of them, by name.
    """
    [port] = free_ports(1)
    values = {"port": str(port), "development_issuer": "true", **settings}
    installation = Installation(data_dir, values)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as errors:
        process = await installation.start("serve", stderr=errors.fileno())
        reading = asyncio.create_task(process.communicate())
        try:
            if not await _answers(f"{url}/ready", process):
                errors.seek(0)
                raise RuntimeError(errors.read().decode(errors="replace"))
            yield Serving(url, process.pid, installation, DevelopmentIssuer(data_dir))
        finally:
            if process.returncode is None:
                process.terminate()
            await reading


async def _answers(url: str, process: asyncio.subprocess.Process) -> bool:
    async with httpx.AsyncClient() as client:
        for _ in range(_TRIES):
            if process.returncode is not None:
                return False
            try:
                if (await client.get(url)).is_success:
                    return True
            except httpx.TransportError:
                await asyncio.sleep(_PAUSE)
    return False
