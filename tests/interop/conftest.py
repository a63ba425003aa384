"""A service in a process of its own, as clients of others meet it."""

from collections.abc import AsyncIterator

import pytest

from tests.serving import Serving, serving


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    """A server with an empty archive, one for each process of tests."""
    async with serving(tmp_path_factory.mktemp("served")) as running:
        yield running
