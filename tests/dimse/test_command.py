"""`python -m app listen` as its users run it."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.command import Installation
from tests.dimse.peers import ECHO, associate, connected, contexts
from tests.servers import free_ports

CALLERS = {"CT1": {"roles": ["technologist"]}}


async def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data", {"dimse_callers": json.dumps(CALLERS)})
    [port] = free_ports(1)
    process = await installation.start("listen", "--port", str(port), "--aet", "ARCHIVE")
    assert process.stdout is not None
    assert process.stderr is not None
    assert (await process.stdout.readline()).decode() == f"ARCHIVE listens on 127.0.0.1:{port}\n"

    def echo() -> int:
        with connected(port, "CT1", contexts(ECHO), called="ARCHIVE") as peer:
            return int(peer.send_c_echo().Status)

    assert await asyncio.to_thread(echo) == 0
    waiting = await asyncio.to_thread(associate, port, "CT1", contexts(ECHO), called="ARCHIVE")
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert b"AE title" not in err
    await asyncio.to_thread(waiting.join, 10)
    assert waiting.is_aborted
    async with Installation(tmp_path / "data").opened() as archive:
        assert await archive.database["leases"].count_documents({}) == 0


async def test_it_says_so_if_nobody_is_let_in(tmp_path: Path) -> None:
    process = await Installation(tmp_path / "data").start("listen", "--port", "0")
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 0
    assert "nobody is let in: RADIOGRAPH_DIMSE_CALLERS names nobody" in err.decode()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dimse_callers": '{"CT1": {"roles": ["emperor"]}}'}, "setting RADIOGRAPH_DIMSE_CALLERS"),
        ({"dimse_host": "192.0.2.1"}, "cannot listen on 192.0.2.1:11112 ("),
    ],
)
async def test_settings_that_cannot_be_are_named(
    settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    ran = await Installation(tmp_path / "data", settings).run("listen")
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
