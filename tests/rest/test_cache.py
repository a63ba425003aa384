"""The cache through REST: true numbers, emptied by whoever may, and never a way past the guard."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.imaging.ingest import Outcome
from app.main import create_app
from app.settings import Settings
from policies.rules import ROLES
from tests.build import ramp, study, uid
from tests.cache.valkey import valkey
from tests.care import look_after, patient_of, take_off

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
OCTETS = {"Accept": "application/octet-stream"}
FRAME_BYTES = ramp().nbytes


@pytest.fixture
async def archive(mongod: EmbeddedDatabase, tmp_path: Path) -> AsyncIterator[Archive]:
    """An empty archive without prefetch."""
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path,
            "development_issuer": True,
            "cache_url": "memory://,file://",
            "prefetch": False,
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


async def stats(client: httpx.AsyncClient, acting_as: ActingAs) -> Any:
    answer = await client.get("/postdicom/cache/stats", headers=acting_as("admin"))
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def path(instance: str, what: str = "frames/1") -> str:
    root, series, _ = instance.rsplit(".", 2)
    return f"/dicomweb/studies/{root}/series/{root}.{series}/instances/{instance}/{what}"


async def test_the_numbers_are_those_of_what_was_asked(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=3, StudyInstanceUID=root))
    fresh = await stats(client, acting_as)
    assert fresh["settings"] == {"on": True, "ttlSeconds": 3600.0, "prefetch": False}
    assert fresh["total"]["frames"] == {
        "hitRate": None,
        **dict.fromkeys(("hits", "misses", "stored", "evicted", "entries", "bytes"), 0),
    }
    who = acting_as("radiologist")
    for _ in range(3):
        for number in (1, 2, 3):
            answer = await client.get(path(f"{root}.1.{number}"), headers=who | OCTETS)
            assert answer.status_code == 200
    pictures = [await client.get(path(f"{root}.1.1", "rendered"), headers=who) for _ in range(4)]
    assert {one.status_code for one in pictures} == {200}
    [size] = {len(one.content) for one in pictures}
    missing = await client.get(path(f"{root}.1.1", "frames/2"), headers=who | OCTETS)
    assert missing.status_code == 404
    await archive.cache.settled()
    found = await stats(client, acting_as)
    # a picture is made of a frame that is there
    frames, images, records = (found["total"][one] for one in ("frames", "pictures", "records"))
    assert (frames["hits"], frames["misses"]) == (3 * 2 + 1, 3)
    assert (images["hits"], images["misses"]) == (3, 1)
    # of the first instance the study was not known before; it was then read once more
    assert (records["hits"], records["misses"]) == (14 - 4, 4)
    memory, disk = found["tiers"]
    assert (memory["name"], disk["name"]) == ("memory", "disk")
    for tier in (memory, disk):
        assert tier["answers"] is True
        assert tier["failures"] == 0
        held = tier["kinds"]["frames"]
        assert (held["entries"], held["bytes"], held["stored"]) == (3, 3 * FRAME_BYTES, 3)
        held = tier["kinds"]["pictures"]
        assert (held["entries"], held["bytes"], held["stored"]) == (1, size, 1)
        assert tier["kinds"]["frames"]["evicted"] == 0
    assert (memory["kinds"]["records"]["entries"], disk["kinds"]["records"]["entries"]) == (3, 0)
    assert disk["kinds"]["frames"]["hits"] == 0
    assert disk["kinds"]["frames"]["misses"] == 3


async def test_a_study_that_changes_makes_its_records_no_hits(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    first, second = study(instances=2, StudyInstanceUID=root)
    await load(first)
    who = acting_as("radiologist")
    counts = archive.cache.counts["records"]
    for _ in range(3):
        await client.get(path(f"{root}.1.1"), headers=who | OCTETS)
    assert (counts.hits, counts.misses) == (1, 2)
    await load(second)  # another version of the study
    await client.get(path(f"{root}.1.1"), headers=who | OCTETS)
    assert (counts.hits, counts.misses) == (1, 3)
    for _ in range(2):
        await client.get(path(f"{root}.1.1"), headers=who | OCTETS)
    assert (counts.hits, counts.misses) == (3, 3)


async def test_a_warm_cache_opens_nothing(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=2, StudyInstanceUID=root))
    addresses = [path(f"{root}.1.1"), path(f"{root}.1.1", "rendered"), path(f"{root}.1.2")]
    addresses += [path(f"{root}.1.1", "thumbnail"), f"/dicomweb/studies/{root}/metadata"]
    patient = await patient_of(archive, root)

    async def seen(role: str) -> list[tuple[int, Any]]:
        claims = {"researcher": {"project": "p"}, "patient": {"patient": "somebody-else"}}
        who = acting_as(role, **claims.get(role, {})) | {"Accept": "*/*"}
        answers = [await client.get(one, headers=who) for one in addresses]
        return [
            (one.status_code, one.json() if one.status_code >= 400 else one.content)
            for one in answers
        ]

    cold = {}
    for role in sorted(ROLES):
        assert await archive.cache.clear()
        cold[role] = await seen(role)
    for _ in range(3):
        assert {status for status, _ in await seen("radiologist")} == {200}
    hits = archive.cache.counts["pictures"].hits
    assert hits >= 2
    for role in sorted(ROLES):
        assert await seen(role) == cold[role]
    pixels = {role: {status for status, _ in some[:4]} for role, some in cold.items()}
    assert {role for role, some in pixels.items() if some == {200}} == {
        "radiologist",
        "technologist",
    }
    assert all(some <= {403, 404} or some == {200} for some in pixels.values())

    link = await look_after(archive, "nurse", patient)
    nurse = acting_as("nurse")
    warm = await client.get(addresses[0], headers=nurse | OCTETS)
    assert warm.status_code == 200
    await take_off(client, acting_as("admin"), link)
    again = await client.get(addresses[0], headers=nurse | OCTETS)
    assert (again.status_code, again.json()) == cold["nurse"][0]


async def test_only_an_administrator_looks_into_the_cache_and_empties_it(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(StudyInstanceUID=root))
    who = acting_as("radiologist")
    await client.get(path(f"{root}.1.1"), headers=who | OCTETS)
    before = await archive.cache.report()
    held = [one.held for one in before.tiers]
    for role in sorted(ROLES - {"admin"}):
        claims = {"project": "p"} if role == "researcher" else {}
        headers = acting_as(role, **claims)
        for method, address in (
            ("GET", "/postdicom/cache/stats"),
            ("DELETE", "/postdicom/cache"),
            ("DELETE", f"/postdicom/cache/studies/{root}"),
        ):
            answer = await client.request(method, address, headers=headers)
            assert answer.status_code == 403, (role, address)
            assert answer.json()["error"]["code"] == "ACCESS_DENIED"
    assert [one.held for one in (await archive.cache.report()).tiers] == held
    admin = acting_as("admin")
    gone = await client.delete(f"/postdicom/cache/studies/{root}", headers=admin)
    assert gone.json() == {"success": True, "data": {"studyInstanceUID": root}}
    for tier in (await stats(client, acting_as))["tiers"]:
        assert (tier["total"]["entries"], tier["total"]["bytes"]) == (0, 0)
    unknown = await client.delete(f"/postdicom/cache/studies/{uid()}", headers=admin)
    assert unknown.status_code == 200  # says nothing of whether there is such a study
    wrong = await client.delete("/postdicom/cache/studies/no-uid", headers=admin)
    assert wrong.status_code == 404
    await client.get(path(f"{root}.1.1"), headers=who | OCTETS)
    assert (await stats(client, acting_as))["tiers"][0]["total"]["entries"] > 0
    everything = await client.delete("/postdicom/cache", headers=admin)
    assert everything.json() == {"success": True, "data": {"studyInstanceUID": None}}
    for tier in (await stats(client, acting_as))["tiers"]:
        assert tier["total"]["entries"] == 0
    events = archive.database["audit_events"]
    assert await events.count_documents({"resource": "Cache", "action": "delete"}) >= 4
    assert await events.count_documents({"resource": "Cache", "outcome": "refused"}) == 3 * 12
    assert await events.count_documents({"resource": "Cache", "ids": root}) == 1


async def test_studies_are_read_in_for_whoever_may_see_them_and_for_nobody_else(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    roots = [uid(), uid()]
    for root in roots:
        await load(*study(instances=4, StudyInstanceUID=root))
    address = "/postdicom/cache/warmup"
    body = {"studyUIDs": roots}
    for role in sorted(ROLES - {"technologist"}):
        claims = {"project": "p"} if role == "researcher" else {}
        answer = await client.post(address, headers=acting_as(role, **claims), json=body)
        assert answer.status_code == 403, role
    who = acting_as("technologist")
    absent = await client.post(address, headers=who, json={"studyUIDs": [*roots, uid()]})
    assert absent.status_code == 404
    assert absent.json()["error"]["code"] == "STUDY_NOT_FOUND"
    refused: list[dict[str, list[str]]] = [{}, {"studyUIDs": []}]
    for wrong in (*refused, {"studyUIDs": ["x" * 65]}, {"studyUIDs": roots * 11}):
        answer = await client.post(address, headers=who, json=wrong)
        assert answer.status_code == 400, wrong
    await archive.prefetch.rest()
    assert (await archive.cache.report()).counts["frames"].stored == 0
    answer = await client.post(address, headers=who, json=body)
    assert answer.status_code == 202
    assert answer.json()["data"] == {"studies": 2, "images": 8, "framesAtMost": 2000}
    await archive.prefetch.rest()
    warmed = archive.cache.ahead["warm-up"]
    assert (warmed.fetched, warmed.used, warmed.bytes) == (8, 0, 8 * FRAME_BYTES)
    counts = archive.cache.counts["frames"]
    for root in roots:
        answer = await client.get(path(f"{root}.1.2"), headers=acting_as("radiologist") | OCTETS)
        assert answer.status_code == 200
    assert (counts.hits, counts.misses) == (2, 0)
    assert warmed.used == 2
    events = archive.database["audit_events"]
    found = await events.find_one({"resource": "Cache", "action": "update", "outcome": "allowed"})
    assert found is not None
    assert sorted(found["ids"]) == sorted(roots)
    # what is read in is noted once somebody asks for it
    assert len(await events.distinct("ids", {"resource": "Image"})) == 2


async def test_a_tier_that_is_away_is_said_to_be_and_refuses_to_have_dropped(
    mongod: EmbeddedDatabase, tmp_path: Path, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    root = uid()
    await load(*study(StudyInstanceUID=root))
    (tmp_path / "valkey").mkdir()
    with valkey(tmp_path / "valkey") as server:
        changes = {"cache_url": f"memory://,{server.url}"}
        settings = Settings.model_validate(archive.settings.model_dump() | changes)
        async with open_archive(settings) as opened:
            app = create_app(settings, opened)
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                admin, who = acting_as("admin"), acting_as("radiologist") | OCTETS
                first = await client.get(path(f"{root}.1.1"), headers=who)
                server.stop()
                assert (await client.get(path(f"{root}.1.1"), headers=who)).content == first.content
                answer = await client.delete("/postdicom/cache", headers=admin)
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "CACHE_ERROR"
                assert (await client.get(path(f"{root}.1.1"), headers=who)).content == first.content
                found = await stats(client, acting_as)
                [memory, redis] = found["tiers"]
                assert (memory["answers"], redis["answers"]) == (True, False)
                assert redis["total"]["entries"] is None
                assert redis["failures"] >= 1
                deleted = await client.delete(f"/postdicom/studies/{root}", headers=admin)
                assert deleted.status_code == 200
                assert (await client.get(path(f"{root}.1.1"), headers=who)).status_code == 404
