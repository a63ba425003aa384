"""An archive for each module, and clients of its REST door."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.archive import Archive, open_archive
from app.identity.development import DevelopmentIssuer
from app.imaging.ingest import Outcome
from app.main import create_app
from app.settings import Settings

Load = Callable[..., Awaitable[list[Outcome]]]
ActingAs = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
async def archive(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """Everything the doors stand on, empty, on a database of its own."""
    folder = tmp_path_factory.mktemp("archive")
    name = f"rest-{uuid4().hex}"
    settings = Settings.model_validate(
        {
            "database_url": database_url,
            "database_name": name,
            "data_dir": folder,
            "storage_url": f"file://{folder}/objects",
            "development_issuer": True,
            "max_upload_bytes": 2**30,
            "max_request_bytes": 2**30,
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(name)


@pytest.fixture(scope="module")
def app(archive: Archive) -> FastAPI:
    """The application in front of the archive."""
    return create_app(archive.settings, archive)


@pytest.fixture(scope="module")
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """A client of the application, in process."""
    transport = ASGITransport(app=app)
    async with AsyncClient(transport=transport, base_url="http://radiograph.test") as opened:
        yield opened


@pytest.fixture(scope="module")
def acting_as(archive: Archive) -> ActingAs:
    """Give the headers of somebody in a role."""
    issuer = DevelopmentIssuer(archive.settings.data_dir)

    def headers(role: str, **said: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(role, **said)}"}

    return headers


@pytest.fixture(scope="module")
def load(archive: Archive) -> Load:
    """Store objects past the doors."""

    async def stored(*objects: bytes) -> list[Outcome]:
        return [await archive.ingest.store(_whole(one)) for one in objects]

    return stored


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
