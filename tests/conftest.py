"""Fixtures that need a running server; each pytest process starts its own, once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo import AsyncMongoClient

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.identity.development import DevelopmentIssuer
from app.imaging.ingest import Outcome
from app.main import create_app
from app.settings import Settings
from app.store.objects import open_objects
from app.store.ports import ObjectStore
from tests.schema.asking import Ask, Reply, sent
from tests.servers import S3Server, seaweed


@pytest.fixture(scope="session")
async def mongod(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedDatabase]:
    """The embedded database, running."""
    async with EmbeddedDatabase(tmp_path_factory.mktemp("mongod")) as database:
        yield database


@pytest.fixture(scope="session")
def database_url(mongod: EmbeddedDatabase) -> str:
    """Where the database is, with user and password."""
    return mongod.url


@pytest.fixture
async def database_name(database_url: str) -> AsyncIterator[str]:
    """The name of a database that is new, and dropped after the test."""
    name = f"test-{uuid4().hex}"
    yield name
    async with AsyncMongoClient[dict[str, object]](database_url) as client:
        await client.drop_database(name)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server with an empty bucket."""
    with seaweed(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def file_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with objects in a folder of their own."""
    return Settings.model_validate({"storage_url": f"file://{tmp_path_factory.mktemp('objects')}"})


@pytest.fixture
def s3_settings(s3: S3Server) -> Settings:
    """Settings with objects under a prefix of their own."""
    return Settings.model_validate(
        {
            "storage_url": f"s3://{s3.bucket}/{uuid4().hex}",
            "storage_endpoint": s3.endpoint,
            "storage_region": s3.region,
            "storage_access_key": s3.access_key,
            "storage_secret_key": s3.secret_key,
        }
    )


@pytest.fixture(params=["file", "s3"])
def object_settings(request: pytest.FixtureRequest) -> Settings:
    """Settings of every provider in turn; a new provider is one more parameter."""
    settings: Settings = request.getfixturevalue(f"{request.param}_settings")
    return settings


@pytest.fixture
async def objects(object_settings: Settings) -> AsyncIterator[ObjectStore]:
    """An empty store of every provider in turn."""
    store = await open_objects(object_settings)
    yield store
    await store.close()


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
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


@pytest.fixture
async def client(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """Every door of the archive, called in process."""
    app = create_app(archive.settings, archive)
    transport = httpx.ASGITransport(app=app)
    base_url = archive.settings.base_url
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
        yield http


@pytest.fixture
def acting_as(archive: Archive) -> Callable[..., dict[str, str]]:
    """Headers of somebody with a role: `acting_as("patient", patient=id)`."""
    issuer = DevelopmentIssuer(archive.settings.data_dir)

    def headers(role: str, **who: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(role, **who)}"}

    return headers


@pytest.fixture
def ask(client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]) -> Ask:
    """Send one GraphQL operation: `await ask("{...}", "billing", variables={...})`."""

    async def send(
        query: str,
        role: str = "radiologist",
        variables: object = None,
        operation_name: str | None = None,
        **who: str,
    ) -> Reply:
        return await sent(client, acting_as(role, **who), query, variables, operation_name)

    return send


@pytest.fixture
def load(archive: Archive) -> Callable[..., Awaitable[list[Outcome]]]:
    """Take DICOM objects in, as bytes."""

    async def store(*objects: bytes) -> list[Outcome]:
        return [await archive.ingest.store(_pieces(one)) for one in objects]

    return store


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]
