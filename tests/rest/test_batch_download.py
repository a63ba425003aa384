"""Many studies and images in one zip file: all that is named, or what of it is open."""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest
from httpx import ASGITransport, AsyncClient, Response

from app.archive import Archive
from app.main import create_app
from app.rest.batch_download import MOST_IMAGES, MOST_STUDIES
from app.settings import Settings
from app.store.objects import open_objects
from tests.build import dicom, study, uid
from tests.care import label, look_after, patient_of
from tests.rest.forms import ActingAs, put
from tests.servers import free_ports

DOWNLOAD = "/postdicom/batch/download"
ONE, TWO, OTHER, BURNED = (uid("batch", name) for name in ("one", "two", "other", "burned"))
WHOSE = {"PatientName": "Secret^Sue", "PatientID": "BATCHMRN"}
FILES = {
    f"{root}/{root}.{series}/{root}.{series}.{number}.dcm": data
    for root, count in ((ONE, 2), (TWO, 1))
    for (series, number), data in zip(
        [(one, number) for one in range(1, count + 1) for number in (1, 2)],
        study(series=count, instances=2, StudyInstanceUID=root, **WHOSE),
        strict=True,
    )
}


@pytest.fixture(scope="module", autouse=True)
async def stored(archive: Archive) -> None:
    """Store two studies of one patient, one of another, and one with text in a picture."""
    burned: dict[str, Any] = {
        "StudyInstanceUID": BURNED,
        "PatientID": "BATCHMRN",
        "PatientName": "Secret^Sue",
    }
    await put(
        archive,
        *FILES.values(),
        *study(StudyInstanceUID=OTHER, PatientID="OTHERMRN", PatientName="Secret^Other"),
        dicom(**burned, SOPInstanceUID=f"{BURNED}.1", BurnedInAnnotation="YES"),
        dicom(**burned, SOPInstanceUID=f"{BURNED}.2"),
    )


async def download(client: AsyncClient, headers: dict[str, str], **wanted: object) -> Response:
    """Ask for a download."""
    return await client.post(DOWNLOAD, headers=headers, json=wanted)


def unzipped(answer: Response) -> dict[str, bytes]:
    """Give what a zip file holds, by name."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {ZIP_STORED}
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        return {one: archive.read(one) for one in archive.namelist()}


async def entries(archive: Archive, request_id: str) -> list[tuple[Any, ...]]:
    """Give what the audit says of one request."""
    found = archive.database["audit_events"].find({"requestId": request_id})
    return [
        (one["action"], one["resource"], one["outcome"], sorted(one["ids"]), one["query"])
        for one in await found.to_list(None)
    ]


def instances(root: str) -> list[str]:
    return sorted(name.rpartition("/")[2][:-4] for name in FILES if name.startswith(root))


async def test_studies_and_images_come_in_one_zip_file_each_once(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("radiologist") | {"X-Request-Id": "download"}
    answer = await download(
        client, headers, studies=[ONE, ONE], images=[f"{TWO}.1.2", f"{ONE}.1.1", f"{TWO}.1.2"]
    )
    assert answer.headers["content-disposition"] == 'attachment; filename="images.zip"'
    assert answer.headers["cache-control"] == "private, no-store"
    found = unzipped(answer)
    assert found == {
        name: data
        for name, data in FILES.items()
        if name.startswith(ONE) or name.endswith(f"{TWO}.1.2.dcm")
    }
    assert "Secret" not in repr(answer.headers) + "".join(found)
    assert await entries(archive, "download") == [
        ("read", "Image", "allowed", instances(ONE), "batch/download"),
        ("read", "Image", "allowed", [f"{TWO}.1.2"], "batch/download"),
    ]


async def test_if_anything_is_closed_nothing_is_given_and_every_reason_is_said(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    patient = await patient_of(archive, ONE)
    absent = uid()
    headers = acting_as("patient", patient=patient) | {"X-Request-Id": "half"}
    await label(archive, TWO, "R")
    try:
        answer = await download(
            client, headers, studies=[ONE, TWO, absent], images=[f"{OTHER}.1.1"]
        )
        single = await client.get(
            f"/dicomweb/studies/{TWO}", headers=headers | {"Accept": "application/zip"}
        )
        assert answer.status_code == single.status_code == 403
        error = answer.json()["error"]
        assert error["code"] == "ACCESS_DENIED"
        assert error["message"] == (
            "3 of what you named are closed to you, or not there; details.refused says which and "
            'why. With "partial": true you get the others.'
        )
        refused = error["details"]["refused"]
        assert [(one.get("study"), one.get("image"), one["code"]) for one in refused] == [
            (TWO, None, "ACCESS_DENIED"),
            (absent, None, "NOT_FOUND"),
            (None, f"{OTHER}.1.1", "NOT_FOUND"),
        ]
        assert refused[0]["coordinates"] == single.json()["coordinates"]
        assert refused[0]["message"] == single.json()["detail"]
        assert "Secret" not in answer.text
        written = await entries(archive, "half")
        assert {one[2] for one in written} == {"refused", "failed"}
        partly = await download(
            client, headers, studies=[ONE, TWO, absent], images=[f"{OTHER}.1.1"], partial=True
        )
        found = unzipped(partly)
        manifest = json.loads(found.pop("manifest.json"))
        assert found == {name: data for name, data in FILES.items() if name.startswith(ONE)}
        assert manifest == {"images": 4, "leftOut": refused}
    finally:
        await label(archive, TWO, "N")


async def test_where_nothing_is_open_nothing_is_given_in_part_either(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("patient", patient="somebody")
    for partial in (False, True):
        answer = await download(client, headers, studies=[ONE, uid()], partial=partial)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert "partial" not in answer.json()["error"]["message"]
        said = answer.json()["error"]["details"]["refused"]
        assert len({one["message"] for one in said}) == 1


@pytest.mark.parametrize("role", ["nurse", "technologist", "billing", "admin", "auditor"])
async def test_who_may_download_nothing_is_refused_as_at_the_data(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    headers = acting_as(role, subject=f"batch-{role}")
    single = await client.get(f"/postdicom/images/{ONE}.1.1/data", headers=headers)
    assert single.status_code == 403
    for partial in (False, True):
        answer = await download(client, headers, studies=[ONE], partial=partial)
        assert answer.status_code == 403
        closed = answer.json()["error"]["details"]["coordinates"]
        assert "Image.file" in closed


async def test_a_provider_gets_whom_they_look_after_and_nobody_else(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    await look_after(archive, "batch-provider", await patient_of(archive, ONE))
    headers = acting_as("provider", subject="batch-provider")
    found = unzipped(await download(client, headers, studies=[ONE, OTHER], partial=True))
    manifest = json.loads(found.pop("manifest.json"))
    assert [(one["study"], one["code"]) for one in manifest["leftOut"]] == [
        (OTHER, "ACCESS_DENIED")
    ]
    assert found == {name: data for name, data in FILES.items() if name.startswith(ONE)}


async def pseudonyms(client: AsyncClient, headers: dict[str, str]) -> dict[str, list[str]]:
    """Give a researcher's studies with their images."""
    answer = await client.get("/fhir/ImagingStudy?_count=50", headers=headers)
    return {
        one["resource"]["id"]: [
            instance["uid"]
            for series in one["resource"]["series"]
            for instance in series["instance"]
        ]
        for one in answer.json()["entry"]
    }


async def test_without_identity_everything_is_under_pseudonyms_and_a_burned_in_one_stays(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("researcher", project="A")
    studies = await pseudonyms(client, headers)
    assert len(studies) == 4
    whole = await download(client, headers, studies=list(studies))
    assert whole.status_code == 403
    [reason] = whole.json()["error"]["details"]["refused"]
    single = await client.get(f"/postdicom/images/{reason['image']}/data", headers=headers)
    assert single.json()["error"]["message"] == reason["message"]
    answer = await download(client, headers, studies=list(studies), partial=True)
    found = unzipped(answer)
    manifest = json.loads(found["manifest.json"])
    assert manifest == {"images": 8, "leftOut": [reason]}
    names = {name for name in found if name != "manifest.json"}
    assert {name.partition("/")[0] for name in names} == set(studies)
    assert {name.rpartition("/")[2][:-4] for name in names} | {reason["image"]} == {
        one for images in studies.values() for one in images
    }
    said = answer.content + whole.content + repr(answer.headers).encode()
    for word in ("Secret", "BATCHMRN", "OTHERMRN", ONE, TWO, OTHER, BURNED):
        assert word.encode() not in said, word
    for name in names:
        image = name.rpartition("/")[2][:-4]
        alone = await client.get(f"/postdicom/images/{image}/data", headers=headers)
        assert alone.content == found[name]
    real = await download(client, headers, studies=[ONE])
    assert (real.status_code, real.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"studies": [], "images": []},
        {"studies": ["Secret"]},
        {"images": ["1" * 65]},
        {"studies": [ONE], "partial": "yes"},
        {"studies": [ONE], "Secret": 1},
        {"studies": ONE},
        {"studies": [uid(number) for number in range(MOST_STUDIES + 1)]},
        {"images": [uid(number) for number in range(MOST_IMAGES + 1)]},
    ],
    ids=["nothing", "empty", "name", "long", "word", "unknown", "text", "studies", "images"],
)
async def test_what_is_no_such_request_is_refused_without_repeating_it(
    client: AsyncClient, acting_as: ActingAs, wanted: dict[str, Any]
) -> None:
    answer = await download(client, acting_as("radiologist"), **wanted)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "'Secret'" not in answer.text


async def test_as_many_as_the_limits_say_may_be_named(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    studies = [uid("many", number) for number in range(MOST_STUDIES)]
    images = [uid("many images", number) for number in range(MOST_IMAGES)]
    answer = await download(client, acting_as("radiologist"), studies=studies, images=images)
    assert answer.status_code == 404
    refused = answer.json()["error"]["details"]["refused"]
    assert len(refused) == MOST_STUDIES + MOST_IMAGES


async def test_a_download_has_no_more_images_than_the_setting_says(
    archive: Archive, acting_as: ActingAs
) -> None:
    for most, status in ((4, 200), (3, 413)):
        settings = archive.settings.model_copy(update={"download_images": most})
        app = create_app(settings, replace(archive, settings=settings))
        transport = ASGITransport(app=app)
        async with AsyncClient(transport=transport, base_url=settings.base_url) as http:
            headers = acting_as("radiologist") | {"X-Request-Id": f"most-{most}"}
            answer = await download(http, headers, studies=[ONE], partial=True)
        assert answer.status_code == status
        if status == 413:
            error = answer.json()["error"]
            assert error["code"] == "TOO_LARGE"
            assert error["message"] == "a download has at most 3 images; name fewer studies"
    assert [one[2] for one in await entries(archive, "most-3")] == ["refused"]


async def test_an_image_whose_bytes_are_gone_is_left_out_and_said(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    root = uid()
    await put(archive, *study(instances=2, StudyInstanceUID=root, PatientID=root))
    document = await archive.database["instances"].find_one({"_id": f"{root}.1.1"})
    assert document is not None
    await archive.objects.delete(document["object"])
    refused = await download(client, acting_as("radiologist"), studies=[root])
    assert refused.status_code == 404
    said = {
        "image": f"{root}.1.1",
        "code": "NOT_FOUND",
        "message": "the bytes of this image are gone: it is being deleted",
    }
    assert refused.json()["error"]["details"] == {"refused": [said]}
    answer = await download(client, acting_as("radiologist"), studies=[root], partial=True)
    found = unzipped(answer)
    assert json.loads(found.pop("manifest.json")) == {"images": 1, "leftOut": [said]}
    assert list(found) == [f"{root}/{root}.1/{root}.1.2.dcm"]


async def test_where_the_storage_does_not_answer_nothing_counts_as_given(
    archive: Archive, s3_settings: Settings, acting_as: ActingAs
) -> None:
    [port] = free_ports(1)
    away = s3_settings.model_copy(update={"storage_endpoint": f"http://127.0.0.1:{port}"})
    objects = await open_objects(away)
    app = create_app(archive.settings, replace(archive, objects=objects))
    transport = ASGITransport(app=app)
    async with AsyncClient(transport=transport, base_url=archive.settings.base_url) as http:
        headers = acting_as("radiologist") | {"X-Request-Id": "away"}
        answer = await download(http, headers, studies=[TWO])
    await objects.close()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "NETWORK_ERROR")
    assert [one[2] for one in await entries(archive, "away")] == ["failed"]


async def test_it_is_sent_while_it_is_read(archive: Archive, acting_as: ActingAs) -> None:
    root = uid()
    await put(archive, *study(instances=3, StudyInstanceUID=root, PatientID=root))
    read: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(archive.objects, name)

        async def get(
            self, key: str, start: int = 0, end: int | None = None
        ) -> AsyncIterator[bytes]:
            read.append(key)
            async for piece in archive.objects.get(key, start, end):
                yield piece

    watched: Any = Watched()
    app = create_app(archive.settings, replace(archive, objects=watched))
    begun: list[int] = []
    body = json.dumps({"studies": [root]}).encode()

    asked = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        for one in asked:
            return one
        await asyncio.Event().wait()  # nobody leaves
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and not begun:
            begun.append(len(read))

    headers = acting_as("radiologist") | {"content-type": "application/json"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": DOWNLOAD,
        "raw_path": DOWNLOAD.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    assert begun == [1]
    assert len(read) == 3
