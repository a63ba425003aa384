"""The planted archive under the shipped policy, once for each process, and who comes to it."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.archive import Archive, open_archive
from app.audit import Circumstances
from app.embedded.mongod import EmbeddedDatabase
from app.identity.development import DevelopmentIssuer
from app.main import create_app
from app.settings import Settings
from app.store.jobs import JobTickets
from app.store.shares import ShareTokens
from fhir.dates import instant
from fhir.jobs import Left
from fhir.labels import with_confidentiality, with_release
from fhir.repository import Wanted
from fhir.search import Has
from fhir.sharing import digest
from tests.build import dicom, uid
from tests.changes.told import until
from tests.doors.judge import Judge
from tests.doors.people import PEOPLE, UPLOADING, Person
from tests.doors.planted import (
    ERASED,
    OPEN_IDS,
    OPEN_JOB_ID,
    OPEN_SESSION_ID,
    SEEN,
    SHARE_TOKEN,
    WATCHED,
    annotation,
    deleted,
    hold,
    job,
    open_annotation,
    open_hold,
    open_records,
    planted,
    records,
    session,
    view,
)
from tests.doors.sight import Target
from tests.doors.world import World
from tests.policy import SHIPPED

Json = Any


@pytest.fixture(scope="session")
async def archive(
    mongod: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """An archive of its own, with a copy of the shipped policy that may be written to."""
    folder = tmp_path_factory.mktemp("doors")
    shutil.copytree(SHIPPED, folder / "policy", ignore=shutil.ignore_patterns("*.py", "__*"))
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": folder,
            "policy_dir": folder / "policy",
            "development_issuer": True,
            "date_shift_days": 365,
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


@pytest.fixture(scope="session")
async def client(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """Every door, called in process."""
    app = create_app(archive.settings, archive)
    transport = httpx.ASGITransport(app=app)
    base_url = archive.settings.base_url
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
        yield http


@pytest.fixture(scope="session")
def judge(archive: Archive) -> Judge:
    """Casbin, with the rules that are in force."""
    return Judge(archive.settings.policy_dir)


@pytest.fixture(scope="session")
async def world(archive: Archive, client: httpx.AsyncClient) -> World:
    """Everything planted."""
    await _ingest(archive)
    normal = await _target(archive, "planted")
    sensitive = await _target(archive, "sensitive")
    stranger = await _target(archive, "stranger")
    burned_in = await _target(archive, "burned in")
    await _relabel(archive, sensitive.study, lambda one: with_confidentiality(one, "R"))
    await _relabel(archive, burned_in.study, lambda one: with_release(one, released=False))
    made = World(
        archive,
        client,
        DevelopmentIssuer(archive.settings.data_dir),
        normal,
        sensitive,
        stranger.patient,
        burned_in,
    )
    for record in (
        *records(normal.patient, normal.study),
        *open_records(normal.patient, made.burned_in.study),
        *_links(normal),
        view(),
        *(view(f"view-of-{one.subject}", one.agent, "own") for one in PEOPLE),
    ):
        await archive.repository.create(record)
    await ShareTokens(archive.database).keep(OPEN_IDS["Share"], digest(SHARE_TOKEN))
    await _jobs(archive, normal)
    for record in (
        deleted(normal.patient),
        hold(normal.patient, normal.study),
        open_hold(normal.patient, burned_in.study),
    ):
        await archive.repository.create(record)
    await made.load(planted("erased", everywhere=False))
    eraser = "https://elsewhere.example#eraser"
    await archive.custody.delete(ERASED, by=eraser, reason=None)
    await archive.repository.create(annotation(normal.patient))
    await archive.repository.create(open_annotation(normal.patient))
    for one in PEOPLE:
        own = open_annotation(normal.patient, f"annotation-of-{one.subject}", one.agent)
        await archive.repository.create(own)
    await made.keep(session())
    await made.keep(session(OPEN_SESSION_ID, ended=False))
    await archive.audit.write([SEEN], WATCHED, Circumstances("rest", "planted", "203.0.113.77"))
    await made.find_without_identity()
    told = [("created", one.study) for one in (normal, sensitive, burned_in)]
    told.append(("deleted", ERASED))
    version = archive.book.current.version
    await until(archive.changes, 0, *told, ("changed", version))
    return made


async def _ingest(archive: Archive) -> None:
    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for data in (
        planted(),
        planted("sensitive"),
        planted("burned in", everywhere=False, BurnedInAnnotation="YES"),
        dicom(
            StudyInstanceUID=uid("stranger", "study"),
            PatientID="STRANGER",
            PatientName="Strange^Person",
        ),
    ):
        outcome = await archive.ingest.store(chunks(data))
        assert outcome.status == "stored", outcome


async def _target(archive: Archive, name: str) -> Target:
    study, series, instance = (uid(name, one) for one in ("study", "series", "instance"))
    stored = await archive.ledger.study(study)
    assert stored is not None
    patient = str(stored["resource"]["subject"]["reference"]).removeprefix("Patient/")
    return Target(patient, study, series, instance)


async def _relabel(
    archive: Archive, study: str, edit: Callable[[dict[str, Json]], dict[str, Json]]
) -> None:
    [found] = await archive.repository.find(
        "ImagingStudy", Has("_id", study), wanted=Wanted(None), limit=1
    )
    assert await archive.repository.replace(edit(dict(found.resource)), found.version)


def _links(target: Target) -> Iterator[dict[str, Json]]:
    """Write what lets people in."""
    kinds = {
        "care team": "CareTeam",
        "assigned": "Assignment",
        "broke the glass": "BreakGlass",
        "shared with": "Share",
        "shared with, files": "Share",
    }
    for person in PEOPLE:
        kind = "Proxy" if "by link" in person.relation else kinds.get(person.relation)
        if kind is not None:
            yield {
                "resourceType": kind,
                "id": f"link-of-{person.subject}",
                "agent": person.agent,
                "patient": {"reference": f"Patient/{target.patient}"},
                "period": {"start": "2020-01-01T00:00:00.000Z"},
                "recorder": "https://elsewhere.example#front-desk",
            } | _more(kind, person, target)


def _more(kind: str, person: Person, target: Target) -> dict[str, Json]:
    about = {"study": target.study} if kind in {"Assignment", "Share"} else {}
    if kind != "Share":
        return about
    access = "DOWNLOAD" if person.relation.endswith("files") else "VIEW"
    return about | {"agent": [person.agent], "access": access, "maxUses": 1, "uses": 1}


async def _jobs(archive: Archive, target: Target) -> None:
    """Plant an upload that has failed, one that is open, and an open one of whoever uploads."""
    later = datetime.now(UTC) + timedelta(days=1)
    fresh: dict[str, Json] = {"status": "waiting", "expires": instant(later), "problems": []}
    begun: dict[str, Json] = {**fresh, "recorded": "2022-01-01T00:00:00.000Z"}
    await archive.repository.create(job(target.patient, target.study))
    await archive.repository.create(job(target.patient, target.study, OPEN_JOB_ID, **fresh))
    for person in PEOPLE:
        if person.role in UPLOADING:
            identifier = f"job-of-{person.subject}"
            record = job(target.patient, target.study, identifier, person.agent, **begun)
            del record["patient"], record["study"]
            await archive.repository.create(record)
            await JobTickets(archive.database).open(identifier, Left(3, 10**6), later)
