"""Several processes at once, and processes that die: nothing acknowledged is ever lost."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from app.embedded.folder import DatabaseFolder
from app.embedded.mongod import EmbeddedDatabase
from app.imaging.sweep import sweep
from tests.build import dicom, ramp, study, uid
from tests.command import Installation, write
from tests.contents import assert_true, contents, partial_writes


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Installation]:
    """An empty archive with the embedded database, kept up while commands come and go."""
    async with EmbeddedDatabase(tmp_path / "data"):
        yield Installation(tmp_path / "data")


@pytest.mark.parametrize("attempt", range(4))
async def test_two_processes_with_halves_of_a_study_end_with_true_numbers(
    embedded: Installation, tmp_path: Path, attempt: int
) -> None:
    objects = study(series=3, instances=20)
    random.Random(attempt).shuffle(objects)
    write(tmp_path / "a", objects[:30])
    write(tmp_path / "b", objects[30:])
    ran = await asyncio.gather(
        embedded.run("ingest", tmp_path / "a"), embedded.run("ingest", tmp_path / "b")
    )
    assert [one.code for one in ran] == [0, 0]
    async with embedded.opened() as archive:
        found = await contents(archive)
        assert (len(found.instances), len(found.studies), found.patients) == (60, 1, 1)
        await assert_true(archive)


async def test_the_same_files_from_two_processes_are_stored_once(
    embedded: Installation, tmp_path: Path
) -> None:
    write(tmp_path / "in", study(series=2, instances=20))
    ran = await asyncio.gather(*(embedded.run("ingest", tmp_path / "in") for _ in range(2)))
    said = Counter(line.split()[0] for one in ran for line in one.lines[:-1])
    assert said == {"stored": 40, "duplicate": 40}
    async with embedded.opened() as archive:
        assert len((await contents(archive)).objects) == 40
        await assert_true(archive)


async def test_whoever_is_killed_while_ingesting_loses_nothing_that_was_acknowledged(
    embedded: Installation, tmp_path: Path
) -> None:
    digests: dict[str, str] = {}
    said: list[str] = []
    codes = set()
    for attempt in range(5):
        folder = tmp_path / f"in-{attempt}"
        objects = study(series=3, instances=160, pixels=ramp(1, 64, 64))
        for path, data in zip(write(folder, objects), objects, strict=True):
            digests[str(path)] = sha256(data).hexdigest()
        code, lines = await killed_after(random.Random(attempt).uniform(0, 1.2), embedded, folder)
        codes.add(code)
        said += lines
    assert -signal.SIGKILL in codes
    acknowledged = [one.removeprefix("stored    ") for one in said if one.startswith("stored")]
    async with embedded.opened() as archive:
        kept = set(await archive.database["instances"].distinct("sha256"))
        assert {digests[name] for name in acknowledged} <= kept
    swept = await embedded.run("sweep")
    assert swept.code == 0
    async with embedded.opened() as archive:
        after = set(await archive.database["instances"].distinct("sha256"))
        assert {digests[name] for name in acknowledged} <= after
        await assert_true(archive)
    assert partial_writes(embedded.data_dir) == []
    again = await embedded.run("ingest", "--quiet", *(tmp_path / f"in-{n}" for n in range(5)))
    assert again.code == 0
    async with embedded.opened() as archive:
        assert len((await contents(archive)).instances) == 5 * 480
        await assert_true(archive)


async def killed_after(
    seconds: float, embedded: Installation, folder: Path
) -> tuple[int | None, list[str]]:
    """Kill an ingest some time after it began to store; give its code and its whole lines."""
    process = await embedded.start("ingest", folder)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stderr.readline()  # the policy is in force: it begins now
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await process.wait()
    with suppress(ProcessLookupError):
        process.kill()
    out, _ = await process.communicate()
    return process.returncode, out.decode().split("\n")[:-1]


async def test_a_sweep_while_others_ingest_destroys_nothing(
    embedded: Installation, tmp_path: Path
) -> None:
    objects = study(series=4, instances=100, pixels=ramp(1, 64, 64))
    write(tmp_path / "a", objects[::2])
    write(tmp_path / "b", objects[1::2])
    ingests = [
        asyncio.create_task(embedded.run("ingest", "--quiet", tmp_path / name)) for name in "ab"
    ]
    async with embedded.opened() as archive:
        swept = 0
        while not all(one.done() for one in ingests):
            await sweep(archive.ingest)
            swept += 1
        assert swept > 0
        assert [one.result().code for one in ingests] == [0, 0]
        assert len((await contents(archive)).instances) == 400
        await assert_true(archive)


async def test_a_database_that_dies_meanwhile_loses_nothing_that_was_acknowledged(
    embedded: Installation, tmp_path: Path
) -> None:
    objects = study(series=3, instances=300)
    write(tmp_path / "in", objects)
    process = await embedded.start("ingest", tmp_path / "in")
    assert process.stdout is not None
    first = await process.stdout.readline()
    mongod = DatabaseFolder(embedded.data_dir / "database").read_state().mongod
    assert mongod is not None
    os.kill(mongod, signal.SIGKILL)
    out, err = await process.communicate()
    lines = (first + out).decode().splitlines()
    assert "Traceback" not in err.decode()
    said = Counter(line.split()[0] for line in lines)
    async with embedded.opened() as archive:
        assert len((await contents(archive)).instances) >= said["stored"]
    again = await embedded.run("ingest", "--quiet", tmp_path / "in")
    assert again.code == 0
    async with embedded.opened() as archive:
        assert len((await contents(archive)).instances) == 900
        await assert_true(archive)


async def test_a_store_that_stays_away_is_said_to_be_and_nothing_is_acknowledged(
    installation: Installation, tmp_path: Path
) -> None:
    write(tmp_path / "in", [dicom(StudyInstanceUID=uid()) for _ in range(3)])
    objects = tmp_path / "data" / "objects"
    assert (await installation.run("ingest", tmp_path / "in" / "0000.dcm")).code == 0
    for one in sorted(objects.rglob("*"), reverse=True):
        one.rmdir() if one.is_dir() else one.unlink()
    objects.rmdir()
    objects.write_text("a file in the place of the folder")
    ran = await installation.run("ingest", tmp_path / "in")
    assert (ran.code, ran.out) == (1, "")
    assert "Traceback" not in ran.err
    assert f"the folder {objects} of the object store fails" in ran.err
