"""A cache server, and tiers of every kind in turn."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.cache.backend import Backend
from app.cache.disk import Folder
from app.cache.memory import Memory
from app.cache.remote import Remote
from tests.cache.valkey import Valkey, valkey

LIMIT = 100_000


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey server."""
    with valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture(params=["memory", "redis", "disk"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """An empty backend of 100,000 bytes."""
    made: Backend
    if request.param == "memory":
        made = Memory(LIMIT)
    elif request.param == "disk":
        folder = Folder(tmp_path / "cache", LIMIT)
        folder.open()
        made = folder
    else:
        server: Valkey = request.getfixturevalue("server")
        server.empty()
        made = Remote(urlsplit(server.url), "tests", LIMIT)
    yield made
    await made.close()
