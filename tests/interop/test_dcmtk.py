"""dcmtk's tools as they come, against the listener."""

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydicom import dcmread, uid

from app.archive import Archive, open_archive
from app.dimse.listener import Listener, listening
from app.embedded.mongod import EmbeddedDatabase
from app.settings import Settings
from tests.build import study
from tests.command import write
from tests.servers import free_ports

TOOLS = ("echoscu", "findscu", "getscu", "movescu", "storescu")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
STUDY = "1.2.70.1"
SYNTAXES = {
    "": uid.ExplicitVRLittleEndian,
    "-xi": uid.ImplicitVRLittleEndian,
    "-xt": uid.JPEGLSLossless,
    "-xr": uid.RLELossless,
}

pytestmark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{', '.join(MISSING)} not installed: apt-get install dcmtk",
)


@pytest.fixture(scope="module")
def destination() -> int:
    """Where `movescu` receives."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
async def archive(
    mongod: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory, destination: int
) -> AsyncIterator[Archive]:
    """An open archive with an empty database and empty storage, shared by the module."""
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path_factory.mktemp("data"),
            "dimse_port": 0,
            "dimse_callers": {
                "CT1": {"roles": ["technologist"]},
                "READER": {"roles": ["radiologist"]},
                "BILLING": {"roles": ["billing"]},
            },
            "dimse_destinations": {"READER": {"host": "127.0.0.1", "port": destination}},
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


@pytest.fixture(scope="module")
async def listener(archive: Archive) -> AsyncIterator[Listener]:
    """A running listener, with a study of four objects in front of which it stands."""

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for data in study(2, 2, StudyInstanceUID=STUDY, PatientName="Müller^Jürgen"):
        assert (await archive.ingest.store(pieces(data))).status == "stored"
    async with listening(archive) as running:
        yield running


async def run(
    tool: str, listener: Listener, title: str, *arguments: Any, called: str = "RADIOGRAPH"
) -> tuple[int, str]:
    """Run a tool; give its exit code and what it printed."""
    peer = ("-aet", title, "-aec", called, *arguments)
    options = [one for one in peer if not isinstance(one, Path)]
    files = [one for one in peer if isinstance(one, Path)]
    process = await asyncio.create_subprocess_exec(
        tool,
        *map(str, options),
        "127.0.0.1",
        str(listener.port),
        *map(str, files),
        stdout=PIPE,
        stderr=STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode(errors="replace")


def keys(**named: str) -> list[str]:
    return [each for name, value in named.items() for each in ("-k", f"{name}={value}")]


async def test_echoscu_is_answered_and_strangers_are_not(listener: Listener) -> None:
    assert await run("echoscu", listener, "CT1") == (0, "")
    code, said = await run("echoscu", listener, "STRANGER")
    assert code != 0
    assert "Calling AE Title Not Recognized" in said
    code, said = await run("echoscu", listener, "CT1", called="OTHER")
    assert "Called AE Title Not Recognized" in said


@pytest.mark.parametrize("option", SYNTAXES)
async def test_storescu_stores_what_it_sends(
    option: str, archive: Archive, listener: Listener, tmp_path: Path
) -> None:
    syntax = SYNTAXES[option]
    root = f"1.2.71.{list(SYNTAXES).index(option)}"
    objects = study(1, 3, StudyInstanceUID=root, transfer_syntax=syntax)
    paths = write(tmp_path / "sent", objects)
    code, said = await run("storescu", listener, "CT1", *([option] if option else []), *paths)
    assert (code, said) == (0, "")
    for data, number in zip(objects, (1, 2, 3), strict=True):
        image = await archive.repository.stored_image(f"{root}.1.{number}")
        assert image is not None
        kept = b"".join([one async for one in archive.objects.get(image.object_key)])
        assert image.transfer_syntax == syntax
        assert dcmread(BytesIO(kept)) == dcmread(BytesIO(data))


async def test_storescu_is_told_that_it_may_not(
    archive: Archive, listener: Listener, tmp_path: Path
) -> None:
    paths = write(tmp_path / "sent", study(1, 1, StudyInstanceUID="1.2.72"))
    code, said = await run("storescu", listener, "BILLING", "-v", *paths)
    assert "Unknown Status: 0x124" in said  # it has no name for what PS3.7 calls not authorized
    assert code != 0
    assert await archive.ledger.study("1.2.72") is None


@pytest.mark.parametrize("root", ["-S", "-P"])
async def test_findscu_finds(root: str, listener: Listener) -> None:
    query = keys(
        QueryRetrieveLevel="PATIENT" if root == "-P" else "STUDY",
        PatientName="M*ller*",
        PatientID="",
    )
    if root == "-S":
        query += keys(StudyInstanceUID="", StudyDate="20240101-20241231")
    code, said = await run("findscu", listener, "READER", root, *query)
    assert code == 0
    assert len(re.findall(r"Find Response: \d+ \(Pending\)", said)) == 1
    assert "[P1]" in said
    assert ("[1.2.70.1]" in said.replace("\0", "")) is (root == "-S")


async def test_getscu_gets_the_same_bytes(listener: Listener, tmp_path: Path) -> None:
    query = keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY)
    code, said = await run("getscu", listener, "READER", "-S", "-od", str(tmp_path), *query)
    assert (code, said) == (0, "")
    same(tmp_path)


async def test_movescu_moves_to_itself(
    destination: int, listener: Listener, tmp_path: Path
) -> None:
    query = keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY)
    port = ("+P", str(destination), "-aem", "READER", "-od", str(tmp_path))
    code, said = await run("movescu", listener, "READER", "-S", *port, *query)
    assert (code, said) == (0, "")
    same(tmp_path)


def same(folder: Path) -> None:
    found = {one.SOPInstanceUID: one for one in map(dcmread, folder.iterdir())}
    sent = study(2, 2, StudyInstanceUID=STUDY, PatientName="Müller^Jürgen")
    expected = [dcmread(BytesIO(one)) for one in sent]
    assert found == {one.SOPInstanceUID: one for one in expected}
