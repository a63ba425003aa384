"""Fixtures of an archive that uploads are announced to, under the shipped policy."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from tests.jobs.asking import Uploads


@pytest.fixture
async def uploads(
    archive: Archive, client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]
) -> Uploads:
    """An archive without jobs."""
    for name in ("jobs", "job_allowances", "audit_events"):
        await archive.database[name].delete_many({})
    return Uploads(archive, client, acting_as)
