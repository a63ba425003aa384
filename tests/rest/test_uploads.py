"""Uploading files: each one's outcome, the status that is true for all, nothing half stored."""

import io
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from starlette.types import Message

from app.archive import Archive
from app.main import create_app
from tests.build import dicom, study, uid
from tests.rest.forms import (
    BOUNDARY,
    END,
    FORM,
    ActingAs,
    form,
    large,
    opening,
    part,
    pieces,
    statuses,
)

STUDIES = "/postdicom/studies"


@pytest.fixture
def sender(acting_as: ActingAs) -> dict[str, str]:
    """Headers of a technologist who sends a form."""
    return acting_as("technologist") | FORM


async def held(archive: Archive) -> tuple[int, int, int]:
    """Count instances, studies and objects; make sure that no write is left half done."""
    assert await archive.objects.sweep(timedelta()) == 0
    instances = await archive.database["instances"].count_documents({})
    studies = await archive.database["studies"].count_documents({})
    return instances, studies, len([one async for one in archive.objects.list()])


async def send(client: AsyncClient, headers: dict[str, str], *contents: bytes) -> Response:
    return await client.post(STUDIES, content=form(*contents), headers=headers)


async def test_new_files_are_stored_and_each_is_told(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    root, sop = uid(), uid()
    data = dicom(StudyInstanceUID=root, SOPInstanceUID=sop, PatientID="1")
    answer = await send(client, sender, data)
    assert answer.status_code == 201
    assert answer.json() == {
        "success": True,
        "data": {
            "received": 1,
            "stored": 1,
            "duplicates": 0,
            "rejected": 0,
            "results": [
                {
                    "position": 1,
                    "filename": "image.dcm",
                    "entry": None,
                    "status": "stored",
                    "reason": "",
                    "message": "",
                    "studyInstanceUID": root,
                    "sopInstanceUID": sop,
                    "size": len(data),
                    "warnings": [],
                }
            ],
        },
        "error": None,
    }
    stored = await archive.repository.stored_image(sop)
    assert stored is not None
    assert stored.size == len(data)


async def test_one_form_of_a_whole_study_counts_it_once(
    client: AsyncClient, sender: dict[str, str], acting_as: ActingAs
) -> None:
    root = uid()
    answer = await send(client, sender, *study(series=2, instances=3, StudyInstanceUID=root))
    assert (answer.status_code, answer.json()["data"]["stored"]) == (201, 6)
    found = (await client.get(f"{STUDIES}/{root}", headers=acting_as("nurse"))).json()["data"]
    assert (found["numberOfSeries"], found["numberOfInstances"]) == (2, 6)


async def test_the_same_bytes_again_are_a_success_that_changes_nothing(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    data = dicom()
    await send(client, sender, data)
    before = await held(archive)
    answer = await send(client, sender, data)
    assert (answer.status_code, answer.json()["success"]) == (201, True)
    assert answer.json()["data"]["duplicates"] == 1
    assert await held(archive) == before


async def test_other_bytes_under_a_known_uid_are_a_conflict_and_the_first_ones_stay(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    known = uid()
    root = uid()
    await send(client, sender, dicom(SOPInstanceUID=known, StudyInstanceUID=root))
    before = await held(archive)
    changed = dicom(SOPInstanceUID=known, StudyInstanceUID=root, InstanceNumber=9)
    answer = await send(client, sender, changed)
    body = answer.json()
    assert (answer.status_code, body["success"], body["error"]["code"]) == (409, False, "CONFLICT")
    assert statuses(body["data"]["results"]) == [("conflict", "different-bytes")]
    assert await held(archive) == before


async def test_another_patients_object_does_not_enter_a_study(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    root = uid()
    await send(client, sender, dicom(StudyInstanceUID=root, PatientID="MRN-7"))
    before = await held(archive)
    answer = await send(client, sender, dicom(StudyInstanceUID=root, PatientID="MRN-8"))
    assert answer.status_code == 409
    assert statuses(answer.json()["data"]["results"]) == [("conflict", "wrong-patient")]
    assert "MRN" not in answer.text
    assert await held(archive) == before


async def test_what_is_no_dicom_is_refused_and_does_not_stop_the_others(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    instances, studies, objects = await held(archive)
    answer = await send(client, sender, b"hello", dicom(), b"", dicom()[:700])
    body = answer.json()
    assert (answer.status_code, body["success"]) == (207, False)
    assert body["error"] == {
        "code": "INVALID_DICOM_FILE",
        "message": "3 of 4 files were not stored; data.results says why",
        "details": None,
    }
    assert statuses(body["data"]["results"]) == [
        ("refused", "not-dicom"),
        ("stored", ""),
        ("refused", "empty"),
        ("refused", "truncated"),
    ]
    assert [one["position"] for one in body["data"]["results"]] == [1, 2, 3, 4]
    assert await held(archive) == (instances + 1, studies + 1, objects + 1)


async def test_if_nothing_is_kept_the_status_says_so(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    before = await held(archive)
    answer = await send(client, sender, b"hello")
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (400, "INVALID_DICOM_FILE")
    assert body["error"]["message"] == "the file was not stored: This is no DICOM object."
    assert await held(archive) == before


async def test_a_zip_file_is_opened_and_its_entries_are_told(
    client: AsyncClient, sender: dict[str, str]
) -> None:
    first, second = dicom(), dicom()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DICOM/ST1/IM1", first)
        archive.writestr("DICOM/README.txt", "hello")
        archive.writestr("DICOM/ST1/IM2", second)
    body = part(first, "C:\\scans\\first\x01.dcm") + part(packed.getvalue(), "a/disc.zip") + END
    answer = await client.post(STUDIES, content=body, headers=sender)
    assert answer.status_code == 207
    told = [
        (one["position"], one["filename"], one["entry"], one["status"])
        for one in answer.json()["data"]["results"]
    ]
    assert told == [
        (1, "first.dcm", None, "stored"),
        (2, "disc.zip", "DICOM/ST1/IM1", "duplicate"),
        (2, "disc.zip", "DICOM/README.txt", "refused"),
        (2, "disc.zip", "DICOM/ST1/IM2", "stored"),
    ]


async def test_a_broken_zip_file_is_refused(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    before = await held(archive)
    answer = await send(client, sender, b"PK\x03\x04 and no more")
    assert answer.status_code == 400
    assert statuses(answer.json()["data"]["results"]) == [("refused", "unreadable")]
    assert await held(archive) == before


async def test_fields_of_the_form_are_no_files(client: AsyncClient, sender: dict[str, str]) -> None:
    field = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    ).encode()
    answer = await client.post(STUDIES, content=field + form(dicom()), headers=sender)
    assert (answer.status_code, answer.json()["data"]["received"]) == (201, 1)
    assert answer.json()["data"]["results"][0]["position"] == 2
    answer = await client.post(STUDIES, content=field + END, headers=sender)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"
    assert answer.json()["error"]["message"].startswith("the form holds no file")


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("application/dicom", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (f"multipart/related; boundary={BOUNDARY}", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("multipart/form-data", 400, "INVALID_REQUEST"),
        ("multipart/form-data; boundary=other", 400, "INVALID_REQUEST"),
    ],
)
async def test_a_body_that_is_no_form_stores_nothing(
    archive: Archive,
    client: AsyncClient,
    sender: dict[str, str],
    content_type: str,
    status: int,
    code: str,
) -> None:
    before = await held(archive)
    headers = sender | {"Content-Type": content_type}
    answer = await client.post(STUDIES, content=form(dicom()), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert await held(archive) == before


@pytest.mark.parametrize(
    "rest",
    [
        f"--{BOUNDARY}\r\nContent-Disp".encode(),
        opening("cut.dcm") + dicom()[:300],
        f"--{BOUNDARY}\r\n(malformed): 1\r\n\r\n".encode(),
    ],
)
async def test_a_cut_body_keeps_what_was_whole_and_nothing_else(
    archive: Archive, client: AsyncClient, sender: dict[str, str], rest: bytes
) -> None:
    instances, studies, objects = await held(archive)
    answer = await client.post(STUDIES, content=part(dicom()) + rest, headers=sender)
    body = answer.json()
    assert (answer.status_code, body["success"]) == (207, False)
    assert body["error"]["code"] == "INVALID_REQUEST"
    assert statuses(body["data"]["results"]) == [("stored", "")]
    assert await held(archive) == (instances + 1, studies + 1, objects + 1)


@pytest.mark.parametrize("rest", [b"", b"--other--\r\n"])
async def test_a_file_that_no_boundary_ends_is_not_kept(
    archive: Archive, client: AsyncClient, sender: dict[str, str], rest: bytes
) -> None:
    before = await held(archive)
    answer = await client.post(STUDIES, content=part(dicom()) + rest, headers=sender)
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (400, "INVALID_REQUEST")
    assert body["data"]["results"] == []
    assert await held(archive) == before


async def test_a_large_file_passes_through_a_small_memory(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    sop = uid()
    body = pieces(opening("large.dcm"), large(200, SOPInstanceUID=sop), b"\r\n", END)
    tracemalloc.start()
    try:
        answer = await client.post(STUDIES, content=body, headers=sender)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.status_code, answer.json()["data"]["stored"]) == (201, 1)
    assert peak < 24 * 2**20
    stored = await archive.repository.stored_image(sop)
    assert stored is not None
    assert stored.frames is not None
    assert stored.size > 200 * 2**20
    await archive.objects.delete(stored.object_key)


async def test_a_request_beyond_the_limit_is_refused_before_or_while_it_is_read(
    archive: Archive, acting_as: ActingAs
) -> None:
    limited = archive.settings.model_copy(update={"max_request_bytes": 100_000})
    from_here = replace(archive, settings=limited)
    headers = acting_as("technologist") | FORM
    before = await held(archive)
    content = form(dicom(pixels=None, frames=400))
    async with AsyncClient(
        transport=ASGITransport(app=create_app(limited, from_here)), base_url="http://test"
    ) as client:
        announced = await client.post(STUDIES, content=content, headers=headers)
        streamed = await client.post(STUDIES, content=pieces(content), headers=headers)
    for answer in (announced, streamed):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")
        assert answer.json()["error"]["message"] == (
            "a request may have 100,000 bytes; send several"
        )
    assert await held(archive) == before


async def test_a_zip_file_may_not_inflate_beyond_the_limit(
    archive: Archive, acting_as: ActingAs
) -> None:
    limited = archive.settings.model_copy(update={"max_request_bytes": 100_000})
    before = await held(archive)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("bomb", dicom()[:-512] + bytes(10_000_000))
    assert len(packed.getvalue()) < 50_000
    async with AsyncClient(
        transport=ASGITransport(app=create_app(limited, replace(archive, settings=limited))),
        base_url="http://test",
    ) as client:
        answer = await send(client, acting_as("technologist") | FORM, packed.getvalue())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")
    assert await held(archive) == before


@pytest.mark.parametrize(
    "role",
    [
        "patient",
        "proxy",
        "provider",
        "nurse",
        "resident",
        "fellow",
        "attending",
        "auditor",
        "researcher",
        "billing",
    ],
)
async def test_who_may_not_store_is_refused_before_the_body_is_read(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    before = await held(archive)

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = acting_as(role, project="trial-1" if role == "researcher" else None) | FORM
    answer = await client.post(STUDIES, content=unread(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (
        403,
        {
            "code": "ACCESS_DENIED",
            "message": "Your roles do not give the right to create Image.file. "
            "Ask the policy's administrator if you need it.",
            "details": {"coordinates": ["Image.file"]},
        },
    )
    assert await held(archive) == before


@pytest.mark.parametrize("role", ["technologist", "radiologist", "admin"])
async def test_who_may_store_can(client: AsyncClient, acting_as: ActingAs, role: str) -> None:
    answer = await send(client, acting_as(role) | FORM, dicom())
    assert answer.status_code == 201


async def test_a_client_that_goes_away_leaves_nothing_half_stored(
    archive: Archive, sender: dict[str, str]
) -> None:
    instances, studies, objects = await held(archive)
    whole, sop = uid(), uid()
    begun = chain(
        [part(dicom(SOPInstanceUID=whole)), opening("cut.dcm")], large(20, SOPInstanceUID=sop)
    )
    arriving = aiter(pieces(begun))

    async def receive() -> Message:
        piece = await anext(arriving, None)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": True}

    async def ignore(message: Message) -> None: ...

    headers = sender | {"X-Request-Id": "gone"}
    await create_app(archive.settings, archive)(_scope(headers), receive, ignore)
    assert await held(archive) == (instances + 1, studies + 1, objects + 1)
    assert await archive.repository.stored_image(sop) is None
    stored = await archive.repository.stored_image(whole)
    assert stored is not None
    document = await archive.ledger.study(stored.study)
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 1
    written = await archive.database["audit_events"].find({"requestId": "gone"}).to_list(9)
    assert [(one["action"], one["outcome"], one["ids"]) for one in written] == [
        ("create", "allowed", [whole])
    ]


def _scope(headers: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": STUDIES,
        "raw_path": STUDIES.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1),
        "server": ("radiograph.test", 80),
    }


async def test_what_was_stored_and_what_was_not_is_in_the_audit(
    archive: Archive, client: AsyncClient, sender: dict[str, str]
) -> None:
    sop, root = uid(), uid()
    headers = sender | {"X-Request-Id": "audited"}
    data = dicom(SOPInstanceUID=sop, StudyInstanceUID=root, PatientName="Secret^Sue")
    await send(client, headers, data, b"no")
    stored = await archive.ledger.study(root)
    assert stored is not None
    patient = stored["resource"]["subject"]["reference"].removeprefix("Patient/")
    written = await archive.database["audit_events"].find({"requestId": "audited"}).to_list(9)
    assert [
        (one["action"], one["resource"], one["outcome"], one["ids"], one["patients"], one["total"])
        for one in written
    ] == [
        ("create", "Image", "allowed", [sop], [patient], 1),
        ("create", "Image", "failed", [], [], 1),
    ]
    assert "Secret" not in str(written)
    assert "image.dcm" not in str(written)
