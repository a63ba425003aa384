"""An installation on the running database, for processes of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from tests.command import Installation


@pytest.fixture
async def home(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    """An empty archive with a database and a data folder of its own."""
    name = f"test-{uuid4().hex}"
    settings = {
        "database_url": database_url,
        "database_name": name,
        "development_issuer": "true",
        "prefetch": "false",
    }
    yield Installation(tmp_path / "data", settings)
    async with AsyncMongoClient[dict[str, object]](database_url) as client:
        await client.drop_database(name)
