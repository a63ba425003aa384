"""Fixtures of a hospital whose studies are shared, under the shipped policy."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from tests.granting.world import World, fill
from tests.sharing.asking import Sharing


@pytest.fixture(scope="module")
async def patients(archive: Archive) -> dict[str, str]:
    """PatientID to the id of the Patient, of everybody who is there."""
    return await fill(archive)


@pytest.fixture
async def sharing(
    archive: Archive,
    patients: dict[str, str],
    client: httpx.AsyncClient,
    acting_as: Callable[..., dict[str, str]],
) -> Sharing:
    """Studies and people, without links."""
    for name in ("access_grants", "audit_events"):
        await archive.database[name].delete_many({})
    return Sharing(World(archive, client, acting_as, patients))
