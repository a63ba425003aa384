"""Several processes: whichever one something happens in, listeners of all of them are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import psutil
import pytest

from tests.build import dicom, uid
from tests.live.talking import STUDIES, Talk, talk
from tests.serving import Serving, serving

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
async def several(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    """Two processes that serve."""
    data_dir = tmp_path_factory.mktemp("data")
    async with serving(data_dir, workers="2") as server:
        yield server


def busy(server: Serving) -> set[int]:
    """Say which processes have a connection."""
    port = httpx.URL(server.url).port
    return {
        process.pid
        for process in psutil.Process(server.pid).children()
        if any(one.laddr.port == port for one in process.net_connections("tcp"))
    }


async def through_both(
    server: Serving, headers: dict[str, str], stack: AsyncExitStack
) -> list[Talk]:
    """Connect to each process; the second one may still be on its way."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            talks = [await stack.enter_async_context(talk(server.url, headers)) for _ in range(2)]
            if len(busy(server)) == 2:
                return talks
            await stack.aclose()


async def test_a_change_made_through_one_process_is_told_through_every_other(
    several: Serving,
) -> None:
    headers = {"Authorization": f"Bearer {several.issuer.token('radiologist')}"}
    async with AsyncExitStack() as stack:
        talks = await through_both(several, headers, stack)
        for one in talks:
            await one.ask(STUDIES, after=0)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=several.url))
        for number in range(4):
            files = {"files": ("one.dcm", dicom(StudyInstanceUID=uid(number)), "application/dicom")}
            sent = await client.post("/postdicom/studies", files=files, headers=headers)
            assert sent.is_success, sent.text
        told = [[(await one.told())["data"]["studyChanged"] for _ in range(4)] for one in talks]
    assert {change["id"] for change in told[0]} <= {uid(number) for number in range(4)}
    assert [change["sequence"] for change in told[0]] == sorted(
        change["sequence"] for change in told[0]
    )
    assert told[1] == told[0]
