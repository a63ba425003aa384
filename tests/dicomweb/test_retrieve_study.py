"""Whole studies and series through HTTP: all of the bytes, or none."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from io import BytesIO
from typing import Any, cast
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from pydicom import uid as uids
from pydicom.pixels.utils import pixel_array
from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from app.archive import Archive
from app.imaging.ingest import Outcome
from app.main import create_app
from app.store.database import Database
from app.store.local import LocalObjects
from app.store.records import MongoRepository
from fhir.pseudonyms import Pseudonyms
from tests.build import dicom, ramp, study, uid
from tests.care import TREATING, label, look_after, patient_of, take_off
from tests.dicomweb.parts import address, parts_of, read

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
ARGONAUT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


def study_path(data: bytes) -> str:
    return f"/dicomweb/studies/{read(data).StudyInstanceUID}"


def series_path(data: bytes) -> str:
    return f"{study_path(data)}/series/{read(data).SeriesInstanceUID}"


@pytest.mark.parametrize(
    "accept",
    [
        ARGONAUT,
        "multipart/related; type=application/dicom; transfer-syntax=*",
        'multipart/related; type="application/dicom"',
        f"multipart/related; type=application/dicom; transfer-syntax={uids.ExplicitVRLittleEndian}",
        "*/*",
        "",
    ],
)
async def test_a_study_is_all_of_its_instances_byte_for_byte(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, accept: str
) -> None:
    files = study(2, 3)
    await load(*files)
    answer = await client.get(study_path(files[0]), headers=radiologist | {"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom"')
    parts = parts_of(answer)
    assert [content for _, content in parts] == files
    for data, (headers, _) in zip(files, parts, strict=True):
        assert headers == {
            "Content-Type": f"application/dicom; transfer-syntax={uids.ExplicitVRLittleEndian}",
            "Content-Length": str(len(data)),
            "Content-Location": BASE + address(data),
        }


async def test_a_series_is_its_instances_and_no_others(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    files = study(2, 2)
    await load(*files)
    answer = await client.get(series_path(files[2]), headers=radiologist)
    assert [content for _, content in parts_of(answer)] == files[2:]


async def test_each_part_says_its_own_transfer_syntax(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    name = uid()
    syntaxes = [uids.JPEGLSLossless, uids.ExplicitVRLittleEndian]
    files = [
        dicom(StudyInstanceUID=name, transfer_syntax=one, InstanceNumber=number)
        for number, one in enumerate(syntaxes, 1)
    ]
    await load(*files)
    answer = await client.get(
        f"/dicomweb/studies/{name}", headers=radiologist | {"Accept": ARGONAUT}
    )
    assert {headers["Content-Type"]: content for headers, content in parts_of(answer)} == {
        f"application/dicom; transfer-syntax={one}": data
        for one, data in zip(syntaxes, files, strict=True)
    }


async def test_a_study_without_a_syntax_that_is_named_is_uncompressed(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    name = uid()
    syntaxes = [uids.JPEGLSLossless, uids.ExplicitVRLittleEndian, uids.JPEG2000, uids.MPEG4HP41]
    pixels: list[Any] = [ramp(2), ramp(2), ramp(2), [b"\0\0\0\x18ftypmp42"]]
    files = [
        dicom(StudyInstanceUID=name, pixels=frames, transfer_syntax=syntax, InstanceNumber=number)
        for number, (syntax, frames) in enumerate(zip(syntaxes, pixels, strict=True), 1)
    ]
    await load(*files)
    answer = await client.get(f"/dicomweb/studies/{name}", headers=radiologist)
    found = {
        read(content).InstanceNumber: (headers, content) for headers, content in parts_of(answer)
    }
    said = [found[number][0]["Content-Type"].partition("=")[2] for number in (1, 2, 3, 4)]
    explicit = uids.ExplicitVRLittleEndian
    # what was lossy, or cannot be decoded, stays as it is
    assert said == [explicit, explicit, uids.JPEG2000, uids.MPEG4HP41]
    assert np.array_equal(pixel_array(read(found[1][1])), ramp(2))
    assert [found[number][1] for number in (2, 3, 4)] == files[1:]


@pytest.mark.parametrize(
    "syntax", [uids.ExplicitVRLittleEndian, uids.HTJ2KLossless, uids.RLELossless]
)
async def test_a_study_comes_in_one_syntax_for_all_if_it_is_named(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, syntax: str
) -> None:
    name = uid()
    files = [
        dicom(StudyInstanceUID=name, transfer_syntax=one, InstanceNumber=number)
        for number, one in enumerate([uids.JPEGLSLossless, uids.ImplicitVRLittleEndian], 1)
    ]
    await load(*files)
    accept = {"Accept": f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'}
    answer = await client.get(f"/dicomweb/studies/{name}", headers=radiologist | accept)
    parts = parts_of(answer)
    assert len(parts) == 2
    for headers, content in parts:
        dataset = read(content)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        assert headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"
        assert headers["Content-Length"] == str(len(content))
        assert np.array_equal(pixel_array(dataset), ramp()[0])


async def test_a_study_comes_as_a_zip_archive(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    files = study(2, 2)
    await load(*files)
    accept = {"Accept": "application/zip"}
    answer = await client.get(study_path(files[0]), headers=radiologist | accept)
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {
        f"{read(one).SeriesInstanceUID}/{read(one).SOPInstanceUID}.dcm": one for one in files
    }


async def test_a_study_that_the_client_has_is_not_sent_again_until_it_changes(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, acting_as: ActingAs
) -> None:
    files = study(2, 2)
    await load(*files[:3])
    tags = []
    for path in (study_path(files[0]), series_path(files[0]), series_path(files[2])):
        first = await client.get(path, headers=radiologist)
        tags.append(first.headers["etag"])
        assert first.headers["cache-control"] == "private, no-cache"
        assert int(first.headers["content-length"]) == len(first.content)
        again = await client.get(path, headers=radiologist | {"If-None-Match": tags[-1]})
        assert (again.status_code, again.content) == (304, b"")
        refused = await client.get(path, headers=acting_as("billing") | {"If-None-Match": tags[-1]})
        assert refused.status_code == 403
    assert len(set(tags)) == 3
    await load(files[3])
    known = {"If-None-Match": tags[0]}
    changed = await client.get(study_path(files[0]), headers=radiologist | known)
    assert (changed.status_code, len(parts_of(changed))) == (200, 4)


@pytest.mark.parametrize(
    "accept", ["application/dicom", "application/json", 'multipart/related; type="image/jpeg"']
)
async def test_a_study_has_no_other_form(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, accept: str
) -> None:
    [data] = study(1, 1)
    await load(data)
    answer = await client.get(study_path(data), headers=radiologist | {"Accept": accept})
    assert answer.status_code == 406


async def test_what_is_not_there_is_404(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    first, second = dicom(), dicom()
    await load(first, second)
    answers = [
        await client.get(path, headers=radiologist)
        for path in (
            f"{study_path(first)}.9",
            f"{study_path(first)}/series/1.2.3",
            f"{study_path(first)}/series/{read(second).SeriesInstanceUID}",
        )
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("role", ["technologist", "admin", "billing", *TREATING])
async def test_whoever_may_not_have_a_file_gets_none_of_them(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, role: str
) -> None:
    files = study(1, 2, PatientName="Secret^Name")
    await load(*files)
    for path in (study_path(files[0]), series_path(files[0])):
        answer = await client.get(path, headers=acting_as(role))
        assert answer.status_code == 403
        assert "Image.file" in answer.json()["coordinates"]
        assert b"Secret" not in answer.content


@pytest.mark.parametrize(
    ("role", "status"),
    [("provider", 200), ("attending", 200), ("fellow", 200), ("resident", 403), ("nurse", 403)],
)
async def test_whoever_looks_after_a_patient_gets_all_of_the_study_if_files_at_all(
    client: httpx.AsyncClient,
    acting_as: ActingAs,
    load: Load,
    archive: Archive,
    role: str,
    status: int,
) -> None:
    files = study(1, 2, PatientID=uid())
    await load(*files)
    headers = acting_as(role, subject=f"whole-{role}")
    patient = await patient_of(archive, str(read(files[0]).StudyInstanceUID))
    link = await look_after(archive, f"whole-{role}", patient)
    for path in (study_path(files[0]), series_path(files[0])):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == status
        if status == 200:
            assert [content for _, content in parts_of(answer)] == files
    await take_off(client, acting_as("admin"), link)
    for path in (study_path(files[0]), series_path(files[0])):
        assert (await client.get(path, headers=headers)).status_code == 403


async def test_a_restricted_study_does_not_tell_its_patient_which_series_it_has(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    files = study(1, 2, PatientID=uid())
    await load(*files)
    root = str(read(files[0]).StudyInstanceUID)
    headers = acting_as("patient", patient=await patient_of(archive, root))
    await label(archive, root, "R")
    there = await client.get(series_path(files[0]), headers=headers)
    absent = await client.get(f"{series_path(files[0])}.9", headers=headers)
    assert (there.status_code, absent.status_code) == (403, 403)
    assert there.json() == absent.json()
    assert (await client.get(study_path(files[0]), headers=headers)).status_code == 403


async def test_a_patient_gets_their_own_studies_and_learns_of_no_others(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    own, other = study(1, 2, PatientID="own"), study(1, 2, PatientID="other")
    await load(*own, *other)
    document = await archive.ledger.study(str(read(own[0]).StudyInstanceUID))
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    headers = acting_as("patient", patient=patient)
    answer = await client.get(study_path(own[0]), headers=headers)
    assert [content for _, content in parts_of(answer)] == own
    absent = await client.get("/dicomweb/studies/1.2.3", headers=headers)
    closed = await client.get(study_path(other[0]), headers=headers)
    assert (absent.status_code, closed.status_code) == (404, 404)
    assert absent.json() == closed.json()


async def test_a_study_is_one_access_of_all_its_images(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    outcomes = await load(*study(2, 2))
    found = []
    for role in ("radiologist", "technologist"):
        path = f"/dicomweb/studies/{outcomes[0].study}"
        answer = await client.get(path, headers=acting_as(role))
        request = {"requestId": answer.headers["x-request-id"]}
        async for entry in archive.database["audit_events"].find(request):
            names = ("action", "resource", "outcome", "ids", "total", "query", "refused")
            found.append([entry[name] for name in names])
            assert len(entry["patients"]) == (role == "radiologist")
    instances = [one.instance for one in outcomes]
    assert found == [
        ["read", "Image", "allowed", instances, 4, "Image.file", []],
        ["read", "Image", "refused", [], None, None, ["Image.file"]],
    ]


@pytest.mark.parametrize("harm", ["gone", "cut"])
async def test_a_study_of_which_an_object_is_not_whole_is_404(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    archive: Archive,
    harm: str,
) -> None:
    outcomes = await load(*study(1, 40))
    image = await archive.repository.stored_image(str(outcomes[-1].instance))
    assert image is not None
    path = archive.settings.data_dir / "objects" / image.object_key
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    for accept in (ARGONAUT, "application/zip"):
        answer = await client.get(
            f"/dicomweb/studies/{outcomes[0].study}", headers=radiologist | {"Accept": accept}
        )
        assert answer.status_code == 404
        assert image.object_key not in answer.text


class Vanishing(LocalObjects):
    """Real storage that loses, or cuts, the third object that is read."""

    read_so_far = 0
    keeps_bytes: int | None = None

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.read_so_far += 1
        if self.read_so_far == 3:
            if self.keeps_bytes is None:
                await self.delete(key)
            else:
                end = self.keeps_bytes
        async for chunk in super().get(key, start, end):
            yield chunk


@pytest.mark.parametrize("keeps_bytes", [None, 100])
@pytest.mark.parametrize("accept", [ARGONAUT, "application/zip"])
async def test_an_object_that_vanishes_meanwhile_breaks_the_answer_off(
    archive: Archive,
    radiologist: dict[str, str],
    load: Load,
    keeps_bytes: int | None,
    accept: str,
) -> None:
    files = study(1, 4)
    await load(*files)
    objects = Vanishing(archive.settings.data_dir / "objects")
    objects.keeps_bytes = keeps_bytes
    app = create_app(archive.settings, replace(archive, objects=objects))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as losing:
        with pytest.raises(ConnectionAbortedError, match="failed after the answer began"):
            await losing.get(study_path(files[0]), headers=radiologist | {"Accept": accept})


class Listening(CommandListener):
    """Counts the finds in the instances."""

    finds = 0

    def started(self, event: CommandStartedEvent) -> None:
        self.finds += event.command.get("find") == "instances"

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""


@pytest.mark.parametrize("role", ["radiologist", "researcher"])
async def test_all_instances_are_one_read_of_the_database(
    archive: Archive, acting_as: ActingAs, load: Load, role: str
) -> None:
    files = study(1, 12)
    await load(*files)
    listening = Listening()
    url = archive.settings.database_url
    assert url is not None
    async with AsyncMongoClient[dict[str, Any]](
        url.get_secret_value(), event_listeners=[listening], tz_aware=True
    ) as watched:
        database = cast(Database, watched[archive.settings.database_name])
        seen = replace(archive, repository=MongoRepository(database))
        transport = httpx.ASGITransport(create_app(archive.settings, seen))
        headers = acting_as(role, project="counted")
        path = study_path(files[0])
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            if role == "researcher":
                # a pseudonym can be asked by once it was given out
                await client.get("/fhir/ImagingStudy?_count=200", headers=headers)
                made = Pseudonyms(archive.pseudonym_key, "counted")
                path = f"/dicomweb/studies/{made.uid(str(read(files[0]).StudyInstanceUID))}"
            listening.finds = 0
            answer = await client.get(path, headers=headers)
    assert len(parts_of(answer)) == 12
    assert listening.finds == 1


class OneAtATime(LocalObjects):
    """Real storage that sees whether more than one object is being read."""

    reading = 0
    most = 0

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        async for chunk in super().get(key, start, end):
            yield chunk
        self.reading -= 1


async def test_objects_are_read_one_after_the_other_as_they_leave(
    archive: Archive, radiologist: dict[str, str], load: Load
) -> None:
    files = study(1, 5)
    await load(*files)
    objects = OneAtATime(archive.settings.data_dir / "objects")
    app = create_app(archive.settings, replace(archive, objects=objects))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as counting:
        answer = await counting.get(study_path(files[0]), headers=radiologist)
    assert [content for _, content in parts_of(answer)] == files
    assert (objects.most, objects.reading) == (1, 0)
