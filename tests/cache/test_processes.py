"""What is deleted by one process is gone from the tiers of all of them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from app.archive import Archive
from app.embedded.mongod import EmbeddedDatabase
from tests.build import dicom, uid
from tests.cache.served import Served, served, soon
from tests.cache.valkey import Valkey
from tests.command import Installation

GONE, STAYS = uid("cache", "gone"), uid("cache", "stays")
TIERS = ("memory", "redis", "disk")
# pixels that no other file, record or log has by chance
MARK = b"PIXELS-OF-THE-STUDY-THAT-GOES"


def slices(study: str, mark: bytes, count: int = 3) -> list[bytes]:
    made = []
    for number in range(1, count + 1):
        pixels = np.frombuffer((mark * 2000)[: 64 * 64 * 2], np.uint16).reshape(64, 64)
        made.append(
            dicom(
                pixels=pixels,
                StudyInstanceUID=study,
                SeriesInstanceUID=f"{study}.1",
                SOPInstanceUID=f"{study}.1.{number}",
                InstanceNumber=number,
                BitsAllocated=16,
                BitsStored=16,
                HighBit=15,
            )
        )
    return made


async def load(archive: Archive, objects: Sequence[bytes]) -> None:
    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for one in objects:
        outcome = await archive.ingest.store(chunks(one))
        assert outcome.status == "stored", outcome


def address(study: str, number: int) -> str:
    return f"/dicomweb/studies/{study}/series/{study}.1/instances/{study}.1.{number}"


async def look(server: Served, study: str) -> list[int]:
    """Read frames and pictures as a viewer does; give the statuses."""
    statuses = []
    for number in (1, 2, 3):
        for path in (f"{address(study, number)}/frames/1", f"{address(study, number)}/rendered"):
            accept = {"Accept": "application/octet-stream, image/jpeg"}
            statuses.append(
                (await server.ask("radiologist", "GET", path, headers=accept)).status_code
            )
    return statuses


def installation(mongod: EmbeddedDatabase, folder: Path) -> Installation:
    settings = {
        "database_url": mongod.url,
        "database_name": f"test-{uuid4().hex}",
        "development_issuer": "true",
        "prefetch": "false",
    }
    return Installation(folder / "data", settings)


def tiers(kind: str, server: Valkey | None) -> str:
    return {
        "memory": "memory://",
        "redis": f"memory://,{server.url if server else ''}",
        "disk": "memory://,file://",
    }[kind]


@pytest.mark.parametrize("kind", TIERS)
async def test_a_study_deleted_in_one_process_is_gone_from_the_other_at_once(
    kind: str, mongod: EmbeddedDatabase, tmp_path: Path, server: Valkey
) -> None:
    server.empty()
    home = installation(mongod, tmp_path)
    async with home.opened() as archive:
        await load(archive, [*slices(GONE, MARK), *slices(STAYS, b"stays")])
        url = tiers(kind, server)
        async with served(home, cache_url=url) as one, served(home, cache_url=url) as other:
            for process in (one, other):
                await look(process, STAYS)
                await look(process, STAYS)
            alone = {process: await process.held() for process in (one, other)}
            for process in (one, other):
                assert await look(process, GONE) == [200] * 6
                assert await look(process, GONE) == [200] * 6
            for process in (one, other):
                twice = await process.held()
                # the first read of a study in a process leaves its record out
                assert all(twice[name] > alone[process][name] for name in twice)
            shared = server.content() + files(home.data_dir / "cache")
            assert (MARK in shared) is (kind != "memory")

            gone = await one.ask("admin", "DELETE", f"/postdicom/studies/{GONE}")
            assert gone.status_code == 200
            assert await look(other, GONE) == [404] * 6
            assert MARK not in server.content() + files(home.data_dir / "cache")
            assert await one.held() == alone[one]
            took = await soon(other.held, alone[other])
            print(f"{kind}: the other process followed {took * 1000:.0f} ms after that")
            assert await look(one, GONE) == [404] * 6
            assert await look(other, STAYS) == [200] * 6

            # it can come back for a while, and does with what it was
            back = await other.ask("admin", "POST", f"/postdicom/studies/{GONE}/restore")
            assert back.status_code == 200
            for process in (one, other):
                assert await look(process, GONE) == [200] * 6
        await archive.database.client.drop_database(home.settings["database_name"])


def files(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file())


async def test_whoever_was_away_while_a_study_was_deleted_follows_at_its_start(
    mongod: EmbeddedDatabase, tmp_path: Path
) -> None:
    home = installation(mongod, tmp_path)
    here, there = (f"memory://,file://{tmp_path}/{name}" for name in ("here", "there"))
    async with home.opened() as archive:
        await load(archive, [*slices(GONE, MARK), *slices(STAYS, b"stays")])
        async with served(home, cache_url=there) as other:
            await look(other, STAYS)
            alone = (await other.held())["disk"]
            assert await look(other, GONE) == [200] * 6
            assert (await other.held())["disk"] > alone
        assert MARK in files(tmp_path / "there")
        async with served(home, cache_url=here) as one:
            deleted = await one.ask("admin", "DELETE", f"/postdicom/studies/{GONE}")
            assert deleted.status_code == 200
            assert MARK in files(tmp_path / "there")  # on a machine that is away
            async with served(home, cache_url=there) as other:
                await soon(lambda: disk(other), alone)
                assert MARK not in files(tmp_path / "there")
                assert await look(other, STAYS) == [200] * 6
                assert (await other.stats())["total"]["frames"]["hits"] == 3
        await archive.database.client.drop_database(home.settings["database_name"])


async def disk(process: Served) -> tuple[int, int]:
    return (await process.held())["disk"]


async def test_orders_reach_every_process(mongod: EmbeddedDatabase, tmp_path: Path) -> None:
    home = installation(mongod, tmp_path)
    async with home.opened() as archive:
        await load(archive, [*slices(GONE, MARK), *slices(STAYS, b"stays")])
        async with served(home) as one, served(home) as other:
            await look(other, STAYS)
            alone = await other.held()
            await look(other, GONE)
            address = f"/postdicom/cache/studies/{GONE}"
            assert (await one.ask("admin", "DELETE", address)).status_code == 200
            await soon(other.held, alone)
            assert (await one.ask("admin", "DELETE", "/postdicom/cache")).status_code == 200
            await soon(other.held, {"memory": (0, 0)})
            assert await look(other, GONE) == [200] * 6
        await archive.database.client.drop_database(home.settings["database_name"])
