"""An archive with a listener in front of it, and somebody to move objects to."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pynetdicom import _config

from app.archive import Archive, open_archive
from app.dimse.listener import Listener, listening
from app.embedded.mongod import EmbeddedDatabase
from app.settings import Settings
from tests.servers import free_ports

MAX_UPLOAD_BYTES = 6_000_000
ROLES = ("admin", "billing", "nurse", "provider", "radiologist", "technologist")


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """Keep pynetdicom from writing down what it sends."""
    _config.LOG_HANDLER_LEVEL = "none"


@pytest.fixture(scope="module")
def destinations() -> dict[str, dict[str, Any]]:
    """Where objects can be moved to: DEST, and NOBODY, where nobody listens."""
    here, nowhere = free_ports(2)
    return {
        "DEST": {"host": "127.0.0.1", "port": here},
        "NOBODY": {"host": "127.0.0.1", "port": nowhere},
    }


@pytest.fixture(scope="module")
def callers() -> dict[str, dict[str, Any]]:
    """One AE title for each role, and some that have conditions."""
    return {
        **{role.upper(): {"roles": [role]} for role in ROLES},
        "RESEARCHER": {"roles": ["researcher"], "project": "lung"},
        "NAMED": {"roles": ["technologist"], "subject": "https://idp.example#ct-1"},
        "ELSEWHERE": {"roles": ["technologist"], "networks": ["192.0.2.0/24"]},
        "HERE": {"roles": ["technologist"], "networks": ["192.0.2.0/24", "127.0.0.0/8"]},
    }


@pytest.fixture(scope="module")
async def archive(
    mongod: EmbeddedDatabase,
    tmp_path_factory: pytest.TempPathFactory,
    callers: dict[str, Any],
    destinations: dict[str, Any],
) -> AsyncIterator[Archive]:
    """An open archive with an empty database and empty storage, shared by a test module."""
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path_factory.mktemp("data"),
            "max_upload_bytes": MAX_UPLOAD_BYTES,
            "dimse_port": 0,
            "dimse_callers": callers,
            "dimse_destinations": destinations,
            "dimse_associations": 4,
            "dimse_timeout": 20,
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


@pytest.fixture(scope="module")
async def listener(archive: Archive) -> AsyncIterator[Listener]:
    """A running listener."""
    async with listening(archive) as running:
        yield running


@pytest.fixture(scope="module")
def port(listener: Listener) -> int:
    """Where it listens."""
    return listener.port


def with_settings(archive: Archive, **changed: Any) -> Archive:
    """Give the same archive under other settings."""
    values = archive.settings.model_dump() | changed
    return dataclasses.replace(archive, settings=Settings.model_validate(values))
