"""Several processes that serve one address, as their clients and their operator meet them."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.command import ROOT, Installation
from tests.servers import free_ports
from tests.serving import Serving, serving

SESSIONS = "/postdicom/sessions"
CHEAP = "/fhir/ImagingStudy?_count=1"
CLOSING = "p, technologist, Endpoint.*, *, any, deny\n"
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies")
    for name in ("model.conf", "rules.csv", "scopes.toml", "tests.toml"):
        shutil.copy(ROOT / "policies" / name, folder)
    return folder


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> AsyncIterator[Serving]:
    """Two workers that serve; each test leaves two."""
    data_dir = tmp_path_factory.mktemp("data")
    async with serving(data_dir, workers="2", policy_dir=str(policy)) as server:
        await both(server)
        yield server


@asynccontextmanager
async def through_each(server: Serving) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A connection to each worker, for as long as the block lasts."""
    limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
    clients = [httpx.AsyncClient(base_url=server.url, limits=limits) for _ in range(2)]
    try:
        for client in clients:
            await client.get("/")
        assert [len(connections(one, server)) for one in workers(server)] == [1, 1]
        yield clients
    finally:
        for client in clients:
            await client.aclose()


def workers(server: Serving) -> list[psutil.Process]:
    return psutil.Process(server.pid).children()


def connections(worker: psutil.Process, server: Serving) -> list[object]:
    port = httpx.URL(server.url).port
    return [one for one in worker.net_connections("tcp") if one.laddr.port == port]


async def both(server: Serving, than: psutil.Process | None = None) -> None:
    """Wait until new connections are dealt to two workers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with (
                httpx.AsyncClient(base_url=server.url) as one,
                httpx.AsyncClient(base_url=server.url) as other,
            ):
                await one.get("/")
                await other.get("/")
                found = [one for one in workers(server) if one != than]
                if [bool(connections(one, server)) for one in found] == [True, True]:
                    break
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(connections(one, server) for one in workers(server)):  # noqa: ASYNC110 - theirs
            await asyncio.sleep(0)


def bearer(server: Serving, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.issuer.token(role)}"}


async def test_connections_are_dealt_in_turn(server: Serving) -> None:
    async with through_each(server) as first, through_each_further(server) as further:
        answers = [await one.get("/postdicom/health") for one in (*first, *further)]
        assert [one.status_code for one in answers] == [200] * 6
        assert [len(connections(one, server)) for one in workers(server)] == [3, 3]


@asynccontextmanager
async def through_each_further(server: Serving) -> AsyncIterator[list[httpx.AsyncClient]]:
    clients = [httpx.AsyncClient(base_url=server.url) for _ in range(4)]
    try:
        for client in clients:
            await client.get("/")
        yield clients
    finally:
        for client in clients:
            await client.aclose()


async def test_a_session_that_is_ended_through_one_worker_has_ended_in_the_other(
    server: Serving,
) -> None:
    nurse, admin = bearer(server, "nurse"), bearer(server, "admin")
    async with through_each(server) as (one, other):
        for client in (one, other):
            assert (await client.get(CHEAP, headers=nurse)).status_code == 200
        listed = await one.get(SESSIONS, headers=nurse)
        [session] = listed.json()["data"]
        ended = await one.delete(f"{SESSIONS}/{session['id']}", headers=admin)
        assert ended.status_code == 200, ended.text
        after = [await client.get(CHEAP, headers=nurse) for client in (other, one)]
        assert [answer.status_code for answer in after] == [401, 401]


async def test_a_changed_policy_is_in_force_in_every_worker(server: Serving, policy: Path) -> None:
    technologist = bearer(server, "technologist")
    rules = policy / "rules.csv"
    before = rules.read_text()
    async with through_each(server) as clients:
        assert [await status(one, technologist) for one in clients] == [200, 200]
        rules.write_text(before + CLOSING)
        assert [await turned(one, technologist, 403) for one in clients] == [403, 403]
        rules.write_text(before)
        assert [await turned(one, technologist, 200) for one in clients] == [200, 200]


async def status(client: httpx.AsyncClient, headers: dict[str, str]) -> int:
    return (await client.get("/fhir/Endpoint", headers=headers)).status_code


async def turned(client: httpx.AsyncClient, headers: dict[str, str], wanted: int) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await status(client, headers)) != wanted:
            pass
    return found


async def test_what_is_accessed_through_any_worker_is_in_the_audit(server: Serving) -> None:
    radiologist = bearer(server, "radiologist")
    async with through_each(server) as clients:
        answers = [await one.get(CHEAP, headers=radiologist) for one in clients]
    requests = [one.headers["X-Request-Id"] for one in answers]
    async with server.installation.opened() as archive:
        for request in requests:
            entry = await archive.database["audit_events"].find_one({"requestId": request})
            assert entry is not None
            assert (entry["action"], entry["resource"]) == ("search", "ImagingStudy")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_that_ends_is_replaced_and_the_other_serves_meanwhile(
    server: Serving, number: signal.Signals
) -> None:
    ended = workers(server)[0]
    ended.send_signal(number)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while ended.is_running() and ended in workers(server):  # noqa: ASYNC110 - not ours
            await asyncio.sleep(0)
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get(CHEAP, headers=bearer(server, "admin"))).status_code == 200
    await both(server, than=ended)
    assert ended not in workers(server)


async def test_whoever_stops_it_stops_every_process(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", workers="2") as server:
        await both(server)
        parent, started = psutil.Process(server.pid), workers(server)
        parent.terminate()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, started, PATIENCE_SECONDS)
        assert (len(gone), alive) == (2, [])


async def test_workers_stop_when_whoever_deals_is_gone(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", workers="2") as server:
        await both(server)
        parent, started = psutil.Process(server.pid), workers(server)
        parent.kill()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, started, PATIENCE_SECONDS)
        assert (len(gone), alive) == (2, [])


async def test_what_is_wrong_is_said_once_and_nothing_is_served(
    fresh: Installation, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    settings = {"workers": "3", "port": str(port), "policy_dir": str(tmp_path / "none")}
    ran = await Installation(fresh.data_dir, settings).run("serve")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("the policy cannot be used") == 1
    assert "Traceback" not in ran.err


async def test_a_number_of_processes_may_be_given_on_the_command_line(fresh: Installation) -> None:
    ran = await fresh.run("serve", "--workers", "0")
    assert ran.code == 1
    assert ran.err.startswith("setting RADIOGRAPH_WORKERS: Input should be greater than")
