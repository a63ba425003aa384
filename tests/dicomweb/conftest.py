"""An archive with limits that a test can reach."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.settings import Settings

MAX_UPLOAD_BYTES = 6_000_000
MAX_REQUEST_BYTES = 14_000_000


@pytest.fixture(scope="module")
async def archive(
    mongod: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """An open archive with an empty database and empty storage, shared by a test module."""
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path_factory.mktemp("data"),
            "development_issuer": True,
            "public_url": "http://radiograph.test",
            "max_upload_bytes": MAX_UPLOAD_BYTES,
            "max_request_bytes": MAX_REQUEST_BYTES,
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)
