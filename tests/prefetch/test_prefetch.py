"""Rules in force: what is read ahead, for whom, how much of it, and whether it was right."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.imaging.ingest import Outcome
from app.prefetch.events import Event
from app.prefetch.lull import Lull
from app.settings import DEVELOPMENT_ISSUER, Settings
from fhir.dates import instant
from policies.caller import Caller
from tests.build import dicom, study, uid
from tests.care import look_after, patient_of, take_off

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
OCTETS = {"Accept": "application/octet-stream"}
RULES = """
[budget]
items = 40
bytes = 1_000_000

[[rule]]
name = "frames"
fetch = "next-frames"
count = 3

[[rule]]
name = "series"
fetch = "next-series"
count = 2

[[rule]]
name = "priors"
fetch = "priors"
studies = 2
count = 2

[[rule]]
name = "recent"
fetch = "recent"
studies = 3
count = 1
of_specialty = true

[[rule]]
name = "mammograms"
fetch = "next-frames"
count = 9
modalities = ["MG"]

[[rule]]
name = "for hearts"
fetch = "next-frames"
count = 5
specialties = ["CARDIOLOGY"]

[[rule]]
name = "off"
fetch = "next-frames"
count = 9
enabled = false
"""


class Quiet(Lull):
    """Nobody is ever in the way: the machine of a test is busy."""

    async def come(self, deadline: float) -> bool:
        await asyncio.sleep(0)
        return True


@pytest.fixture
async def archive(mongod: EmbeddedDatabase, tmp_path: Path) -> AsyncIterator[Archive]:
    """An empty archive with rules of its own."""
    (tmp_path / "prefetch.toml").write_text(RULES)
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path / "data",
            "development_issuer": True,
            "prefetch_rules": tmp_path / "prefetch.toml",
        }
    )
    async with open_archive(settings) as opened:
        opened.prefetch.lull = Quiet()
        yield opened
        await opened.database.client.drop_database(settings.database_name)


def ahead(archive: Archive) -> dict[str, tuple[int, int]]:
    """How many were read ahead and used, of the rules that read anything."""
    found = archive.cache.ahead.items()
    return {name: (one.fetched, one.used) for name, one in found if one.fetched}


async def read(
    client: httpx.AsyncClient, who: dict[str, str], instance: str, frame: int = 1
) -> int:
    root, series, _ = instance.rsplit(".", 2)
    path = f"/dicomweb/studies/{root}/series/{root}.{series}/instances/{instance}/frames/{frame}"
    return (await client.get(path, headers=who | OCTETS)).status_code


async def test_the_frames_that_follow_are_there_before_they_are_asked_for(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    [data] = [dicom(frames=10, StudyInstanceUID=root, SeriesInstanceUID=f"{root}.1",
                    SOPInstanceUID=f"{root}.1.1")]  # fmt: skip
    await load(data)
    who = acting_as("radiologist")
    assert await read(client, who, f"{root}.1.1", 2) == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (3, 0)}
    counts = archive.cache.counts["frames"]
    assert (counts.hits, counts.misses) == (0, 1)
    for frame in (3, 4):
        assert await read(client, who, f"{root}.1.1", frame) == 200
    await archive.prefetch.rest()
    assert (counts.hits, counts.misses) == (2, 1)
    assert ahead(archive) == {"frames": (5, 2)}
    assert await read(client, who, f"{root}.1.1", 10) == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (5, 2)}
    assert archive.cache.ahead["frames"].hit_rate == 0.4


async def test_the_slices_and_the_series_that_follow_are_read_ahead(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(series=2, instances=6, StudyInstanceUID=root))
    who = acting_as("radiologist")
    assert await read(client, who, f"{root}.1.2") == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (3, 0), "series": (2, 0)}
    for instance in ("1.3", "1.4", "1.5", "2.1", "2.2"):
        assert await read(client, who, f"{root}.{instance}") == 200
    counts = archive.cache.counts["frames"]
    assert (counts.hits, counts.misses) == (5, 1)
    await archive.prefetch.rest()
    assert archive.cache.ahead["series"].used == 2


async def test_priors_of_the_patient_and_the_body_part_are_read_ahead(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    days = {
        "now": ("20240301", "P1", "CHEST"),
        "prior": ("20240201", "P1", "CHEST"),
        "older": ("20240101", "P1", "CHEST"),
        "oldest": ("20230101", "P1", "CHEST"),
        "later": ("20240401", "P1", "CHEST"),
        "head": ("20240201", "P1", "HEAD"),
        "other": ("20240201", "P2", "CHEST"),
    }
    roots = {name: uid() for name in days}
    for name, (date, patient, part) in days.items():
        await load(*study(instances=3, StudyInstanceUID=roots[name], StudyDate=date,
                          PatientID=patient, BodyPartExamined=part))  # fmt: skip
    who = acting_as("radiologist")
    answer = await client.get(f"/dicomweb/studies/{roots['now']}/metadata", headers=who)
    assert answer.status_code == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"priors": (4, 0)}
    misses = archive.cache.counts["frames"].misses
    for name in ("prior", "older"):
        for number in (1, 2):
            assert await read(client, who, f"{roots[name]}.1.{number}") == 200
    assert archive.cache.counts["frames"].misses == misses
    assert archive.cache.ahead["priors"].used == 4
    await archive.prefetch.rest()
    before = replace(archive.cache.ahead["priors"])
    again = await client.get(f"/dicomweb/studies/{roots['now']}/metadata", headers=who)
    assert again.status_code == 200
    await archive.prefetch.rest()
    assert archive.cache.ahead["priors"] == before  # a study is opened once in a while


async def test_studies_of_today_that_matter_to_a_specialty_are_read_ahead(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    today = datetime.now(UTC)
    past = today - timedelta(days=3)
    for modality, day in (("CT", today), ("US", today), ("MG", today), ("CT", past)):
        await load(*study(instances=2, Modality=modality, StudyDate=f"{day:%Y%m%d}",
                          StudyTime=None, StudyInstanceUID=uid()))  # fmt: skip
    who = acting_as("radiologist", specialty="CARDIOLOGY")
    answer = await client.get("/postdicom/studies", headers=who)
    assert answer.status_code == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"recent": (2, 0)}  # CT and US of today; no mammogram


async def test_rules_are_for_modalities_and_specialties(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=8, StudyInstanceUID=root))
    assert (
        await read(client, acting_as("radiologist", specialty="CARDIOLOGY"), f"{root}.1.1") == 200
    )
    await archive.prefetch.rest()
    assert sum(fetched for fetched, _ in ahead(archive).values()) == 5
    assert archive.cache.ahead["mammograms"].fetched == 0
    assert archive.cache.ahead["for hearts"].fetched >= 2
    assert archive.cache.ahead["off"].fetched == 0


async def test_nothing_is_read_ahead_that_its_caller_may_not_read(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    now, prior = uid(), uid()
    for root, date in ((now, "20240301"), (prior, "20240201")):
        await load(*study(instances=2, StudyInstanceUID=root, StudyDate=date, PatientID="P9",
                          BodyPartExamined="CHEST"))  # fmt: skip
    await archive.repository.create(
        {
            "resourceType": "Assignment",
            "id": str(uuid4()),
            "agent": f"{DEVELOPMENT_ISSUER}#ann",
            "patient": {"reference": f"Patient/{await patient_of(archive, now)}"},
            "study": now,
            "period": {"start": instant(datetime.now(UTC))},
            "recorder": f"{DEVELOPMENT_ISSUER}#test",
        }
    )
    ann = acting_as("provider", subject="ann")
    assert await read(client, ann, f"{prior}.1.1") in {403, 404}
    assert await read(client, ann, f"{now}.1.1") == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (1, 0)}
    assert await read(client, ann, f"{prior}.1.1") in {403, 404}
    rad = acting_as("radiologist")
    assert await read(client, rad, f"{now}.1.1") == 200
    await archive.prefetch.rest()
    assert ahead(archive)["priors"] == (2, 0)


async def test_a_right_that_is_gone_when_it_comes_to_reading_opens_nothing(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=4, StudyInstanceUID=root))
    link = await look_after(archive, "ann", await patient_of(archive, root))
    ann = Caller(f"{DEVELOPMENT_ISSUER}#ann", frozenset({"provider"}))
    event = Event("frames", root, f"{root}.1", f"{root}.1.1")
    await take_off(client, acting_as("admin"), link)
    archive.prefetch.noticed(ann, event)
    await archive.prefetch.rest()
    assert ahead(archive) == {}
    await look_after(archive, "ann", await patient_of(archive, root))
    archive.prefetch.noticed(ann, event)
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (3, 0)}


async def test_a_minute_has_its_budget(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=60, StudyInstanceUID=root))
    who = acting_as("radiologist")
    for number in range(1, 60, 4):
        assert await read(client, who, f"{root}.1.{number}") == 200
        await archive.prefetch.rest()
    assert ahead(archive)["frames"][0] == 40
    assert archive.cache.ahead["frames"].unaffordable == 2
    other = acting_as("radiologist", subject="another")
    assert await read(client, other, f"{root}.1.57") == 200
    await archive.prefetch.rest()
    assert ahead(archive)["frames"][0] == 43


async def test_reading_ahead_is_no_access(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=5, StudyInstanceUID=root))
    who = acting_as("radiologist")
    assert await read(client, who, f"{root}.1.1") == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (3, 0)}
    events = archive.database["audit_events"]
    assert await events.distinct("ids", {"resource": "Image"}) == [f"{root}.1.1"]
    assert await read(client, who, f"{root}.1.2") == 200
    found = await events.distinct("ids", {"resource": "Image"})
    assert sorted(found) == [f"{root}.1.1", f"{root}.1.2"]


async def test_a_researcher_reads_ahead_under_pseudonyms(
    archive: Archive, client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    root = uid()
    await load(*study(instances=5, StudyInstanceUID=root))
    who = acting_as("researcher", project="p1")
    [found] = (await client.get("/fhir/ImagingStudy", headers=who)).json()["entry"]
    await archive.prefetch.rest()
    [series] = found["resource"]["series"]
    instances = [one["uid"] for one in series["instance"]]
    base = f"/dicomweb/studies/{found['resource']['id']}/series/{series['uid']}/instances"
    first = await client.get(f"{base}/{instances[0]}/frames/1", headers=who | OCTETS)
    assert first.status_code == 200
    await archive.prefetch.rest()
    assert ahead(archive) == {"frames": (3, 0)}
    second = await client.get(f"{base}/{instances[1]}/frames/1", headers=who | OCTETS)
    assert second.status_code == 200
    assert archive.cache.ahead["frames"].used == 1


async def test_without_prefetch_nothing_is_read_ahead(
    mongod: EmbeddedDatabase, tmp_path: Path
) -> None:
    values = {
        "database_url": mongod.url,
        "database_name": f"test-{uuid4().hex}",
        "data_dir": tmp_path,
        "development_issuer": True,
        "prefetch": False,
        "prefetch_rules": tmp_path / "none",
    }
    async with open_archive(Settings.model_validate(values)) as archive:
        assert not archive.prefetch.on
        archive.prefetch.noticed(Caller("me", frozenset({"radiologist"})), Event("searched"))
        await archive.prefetch.rest()
        await archive.database.client.drop_database(archive.settings.database_name)
