"""Fixtures of an archive in which studies are deleted."""

import httpx
import pytest

from app.archive import Archive
from tests.deletion.desk import KINDS, Desk
from tests.rest.forms import ActingAs


@pytest.fixture
async def desk(archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs) -> Desk:
    """An archive without holds and deleted studies, and who asks for things."""
    for name in (*KINDS, "audit_events"):
        await archive.database[name].delete_many({})
    for one in [one async for one in archive.objects.list()]:
        await archive.objects.delete(one.key)
    return Desk(archive, client, acting_as)
