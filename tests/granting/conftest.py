"""Fixtures of a hospital in which links decide."""

from collections.abc import AsyncIterator, Callable

import pytest

from app.archive import Archive
from tests.granting.world import RULES, SCOPES, World, fill
from tests.policy import book, doors


@pytest.fixture(scope="module")
async def patients(archive: Archive) -> dict[str, str]:
    """PatientID to the id of the Patient, of everybody who is there."""
    return await fill(archive)


@pytest.fixture
async def world(
    archive: Archive,
    patients: dict[str, str],
    acting_as: Callable[..., dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    """Studies and people, without links and requests."""
    for name in ("access_grants", "release_requests", "audit_events"):
        await archive.database[name].delete_many({})
    policy = book(tmp_path_factory.mktemp("policy"), RULES, SCOPES)
    async with doors(archive, policy) as client:
        yield World(archive, client, acting_as, patients)
