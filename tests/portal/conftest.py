"""Fixtures of an archive that the portal stands before, under the shipped policy."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from tests.portal.asking import Portal

pytest.register_assert_rewrite("tests.portal.access", "tests.portal.records")


@pytest.fixture
def portal(
    archive: Archive, client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]
) -> Portal:
    """The doors, and those who go through them."""
    return Portal(archive, client, acting_as)
