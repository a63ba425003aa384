"""Fixtures of a hospital in which people write on images."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from tests.annotations.world import World, fill


@pytest.fixture(scope="module")
async def patients(archive: Archive) -> dict[str, str]:
    """Study to the id of its Patient."""
    return await fill(archive)


@pytest.fixture
async def world(
    archive: Archive,
    client: httpx.AsyncClient,
    acting_as: Callable[..., dict[str, str]],
    patients: dict[str, str],
) -> World:
    """Studies and people; nothing is written on any image yet, and nobody is let in."""
    for name in ("annotations", "access_grants", "audit_events"):
        await archive.database[name].delete_many({})
    return World(archive, client, acting_as, patients)
