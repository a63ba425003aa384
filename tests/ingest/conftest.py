"""Fixtures for commands that take objects in."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from tests.command import Installation


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    """An empty archive: a database and a data folder of its own."""
    name = f"test-{uuid4().hex}"
    yield Installation(tmp_path / "data", {"database_url": database_url, "database_name": name})
    async with AsyncMongoClient[dict[str, object]](database_url) as client:
        await client.drop_database(name)
