"""Several processes, and processes that are killed: one sequence, without gap or duplicate."""

import asyncio
from pathlib import Path

import pytest
from pymongo import MongoClient

from app.archive import Archive, open_archive
from app.embedded.binary import locate
from app.settings import Settings
from fhir.errors import Unavailable
from tests.build import study, uid
from tests.cache.served import served
from tests.changes.told import assert_told_once, assert_whole, store, until
from tests.command import Installation, write
from tests.servers import await_answer, free_ports, running


async def holder(archive: Archive) -> str | None:
    """Say who puts changes in order; it is a name and not a process."""
    found = await archive.database["duties"].find_one({"_id": "sequence"})
    return found.get("holder") if found else None


async def test_what_two_processes_take_in_is_one_sequence(
    home: Installation, tmp_path: Path
) -> None:
    studies = [uid("processes", "two", number) for number in range(8)]
    halves: dict[str, list[bytes]] = {"a": [], "b": []}
    for number, one in enumerate(studies):
        # of each study, both have a part
        objects = study(2, 2, StudyInstanceUID=one, PatientID=f"two-{number}")
        halves["a"] += objects[::2]
        halves["b"] += objects[1::2]
    async with home.opened() as archive:
        for name, objects in halves.items():
            write(tmp_path / name, objects)
        ran = await asyncio.gather(
            *(home.run("ingest", "--quiet", tmp_path / name) for name in halves)
        )
        assert [one.code for one in ran] == [0, 0]
        seen = await until(archive.changes, 0, *(("created", one) for one in studies))
        assert_told_once(seen, studies)
        assert_whole(seen, 0)


async def test_whoever_puts_changes_in_order_is_killed_and_another_goes_on(
    home: Installation,
) -> None:
    studies = [uid("processes", "killed", number) for number in range(30)]
    async with served(home) as first, home.opened() as archive:
        before = await holder(archive)
        assert before is not None
        await store(archive, *study(StudyInstanceUID=studies[0]))
        seen = await until(archive.changes, 0, ("created", studies[0]))
        assert await holder(archive) == before

        async def take_in() -> None:
            for one in studies[1:]:
                await store(archive, *study(StudyInstanceUID=one))

        taking = asyncio.create_task(take_in())
        seen += await until(archive.changes, seen[-1].sequence, ("created", studies[3]))
        first.process.kill()
        await taking
        seen += await until(archive.changes, seen[-1].sequence, ("created", studies[-1]))
        assert await holder(archive) not in {None, before}
        assert_told_once(seen, studies)
        assert_whole(seen, 0)


async def test_a_database_that_is_no_replica_set_has_no_sequence_and_says_so(
    tmp_path: Path,
) -> None:
    binary = locate()
    assert binary is not None
    [port] = free_ports(1)
    folder = tmp_path / "alone"
    folder.mkdir()
    url = f"mongodb://127.0.0.1:{port}/"
    command = (binary, "--dbpath", folder, "--port", str(port), "--bind_ip", "127.0.0.1")

    def answers() -> bool:
        with MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=500) as client:
            try:
                client.admin.command("ping")
            except Exception:  # noqa: BLE001 -- not yet
                return False
        return True

    with running(command, folder) as process:
        await asyncio.to_thread(await_answer, answers, process, folder)
        said = Settings.model_validate({"database_url": url, "data_dir": tmp_path / "data"})
        async with open_archive(said) as archive:
            await store(archive, *study())
            for asked in (archive.changes.newest(), archive.changes.oldest()):
                with pytest.raises(Unavailable, match="no replica set"):
                    await asked
            with pytest.raises(Unavailable, match="no replica set"):
                await until(archive.changes, 0, ("created", "x"))
            assert await archive.database["changes"].count_documents({}) == 0
