"""A server of its own process, the archive that it serves, and who comes to it."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.archive import Archive
from app.identity.development import DevelopmentIssuer
from tests.build import dicom, uid
from tests.policy import SHIPPED
from tests.serving import Serving, serving

SETTINGS = {"live_patience": "1", "live_check": "1", "live_connections": "3"}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped policy, to be edited by hand."""
    folder = tmp_path_factory.mktemp("policies")
    for name in ("model.conf", "rules.csv", "scopes.toml"):
        shutil.copy(SHIPPED / name, folder)
    (folder / "tests.toml").write_text("")  # what is shipped expects what is edited away
    return folder


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> AsyncIterator[Serving]:
    """A server that is less patient than most."""
    data_dir = tmp_path_factory.mktemp("data")
    async with serving(data_dir, policy_dir=str(policy), **SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
async def archive(server: Serving) -> AsyncIterator[Archive]:
    """What is served, seen from this process."""
    async with server.installation.opened() as archive:
        yield archive


@pytest.fixture
def bearer(server: Serving) -> Callable[..., dict[str, str]]:
    """Headers of somebody who has just signed in."""

    def headers(role: str, **who: Any) -> dict[str, str]:
        issuer = DevelopmentIssuer(server.installation.data_dir)
        return {"Authorization": f"Bearer {issuer.token(role, **who)}"}

    return headers


@pytest.fixture
def load(archive: Archive) -> Callable[..., Awaitable[str]]:
    """Take a study of one instance in; give its UID."""

    async def store(name: str, **keywords: Any) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield dicom(StudyInstanceUID=uid(name, "study"), **keywords)

        outcome = await archive.ingest.store(chunks())
        assert outcome.status == "stored", outcome
        return uid(name, "study")

    return store
