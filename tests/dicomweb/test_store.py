"""STOW-RS through HTTP: what is stored, what is told, who may."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from app.archive import Archive
from app.dicomweb.native_xml import native_xml
from app.main import create_app
from tests.build import dicom, multipart, study, uid
from tests.dicomweb.parts import read

ActingAs = Callable[..., dict[str, str]]
BASE = "http://radiograph.test/dicomweb"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def technologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("technologist")


async def send(
    client: httpx.AsyncClient,
    headers: dict[str, str],
    *objects: bytes | tuple[bytes, str],
    to: str = "/dicomweb/studies",
) -> httpx.Response:
    body, content_type = multipart(objects)
    return await client.post(to, content=body, headers=headers | {"Content-Type": content_type})


def reference(data: bytes) -> dict[str, Any]:
    instance = read(data).SOPInstanceUID
    return {
        "00081150": {"vr": "UI", "Value": [CT]},
        "00081155": {"vr": "UI", "Value": [instance]},
    }


def stored(data: bytes) -> dict[str, Any]:
    dataset = read(data)
    url = (
        f"{BASE}/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )
    return reference(data) | {"00081190": {"vr": "UR", "Value": [url]}}


def failure(code: int, text: str, position: int) -> dict[str, Any]:
    return {
        "00081197": {"vr": "US", "Value": [code]},
        "00090010": {"vr": "LO", "Value": ["RADIOGRAPH"]},
        "00091001": {"vr": "LT", "Value": [text]},
        "00091002": {"vr": "UL", "Value": [position]},
    }


async def counts(archive: Archive) -> tuple[int, int]:
    """How many instances are indexed, and how many objects are in storage."""
    indexed = await archive.database["instances"].count_documents({})
    return indexed, len([entry async for entry in archive.objects.list()])


async def test_a_study_is_stored_and_every_instance_is_named(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    root = uid()
    objects = study(2, 2, StudyInstanceUID=root)
    answer = await send(client, technologist, *objects)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.json() == {
        "00081190": {"vr": "UR", "Value": [f"{BASE}/studies/{root}"]},
        "00081199": {"vr": "SQ", "Value": [stored(one) for one in objects]},
    }
    document = await archive.ledger.study(root)
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 4


async def test_objects_of_several_studies_have_no_common_study_address(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    objects = [dicom(), dicom()]
    answer = await send(client, technologist, *objects)
    assert answer.status_code == 200
    assert answer.json()["00081190"] == {"vr": "UR"}
    assert answer.json()["00081199"]["Value"] == [stored(one) for one in objects]


async def test_a_duplicate_counts_as_stored(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    data = dicom()
    first = await send(client, technologist, data)
    before = await counts(archive)
    second = await send(client, technologist, data)
    assert (second.status_code, second.json()) == (200, first.json())
    assert await counts(archive) == before


async def test_other_bytes_under_a_known_uid_fail_as_a_duplicate_instance(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    known, root = uid(), uid()
    changed = dicom(SOPInstanceUID=known, StudyInstanceUID=root, InstanceNumber=9)
    await send(client, technologist, dicom(SOPInstanceUID=known, StudyInstanceUID=root))
    before = await counts(archive)
    answer = await send(client, technologist, changed)
    assert answer.status_code == 409
    text = (
        "different-bytes: other bytes are stored under this SOP Instance UID; "
        "give the changed object a new UID"
    )
    assert answer.json() == {
        "00081190": {"vr": "UR"},
        "00081198": {"vr": "SQ", "Value": [reference(changed) | failure(0x0111, text, 1)]},
    }
    assert await counts(archive) == before


async def test_another_patient_in_a_known_study_is_refused(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    root = uid()
    await send(client, technologist, dicom(StudyInstanceUID=root, PatientID="one"))
    other = dicom(StudyInstanceUID=root, PatientID="two", PatientName="Secret^Name")
    answer = await send(client, technologist, other)
    assert answer.status_code == 409
    [item] = answer.json()["00081198"]["Value"]
    assert item["00081197"] == {"vr": "US", "Value": [0xA900]}
    assert "Secret" not in answer.text


async def test_some_stored_is_202_and_each_failure_says_why(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    good = dicom()
    answer = await send(
        client, technologist, b"no DICOM at all", good, dicom()[:-20], (b"%PDF-", "application/pdf")
    )
    assert answer.status_code == 202
    content = answer.json()
    assert content["00081199"]["Value"] == [stored(good)]
    others = content["0008119A"]["Value"]
    assert [one["00081197"]["Value"] for one in others] == [[0xC000]] * 3
    assert [one["00091002"]["Value"] for one in others] == [[1], [3], [4]]
    slugs = [one["00091001"]["Value"][0].partition(":")[0] for one in others]
    assert slugs == ["not-dicom", "truncated", "media-type"]
    assert "00081198" not in content


async def test_what_cannot_be_understood_alone_is_409(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    before = await counts(archive)
    answer = await send(client, technologist, dicom(StudyInstanceUID=None))
    assert answer.status_code == 409
    text = "missing-uid: The object has no StudyInstanceUID."
    assert answer.json()["0008119A"] == {"vr": "SQ", "Value": [failure(0xC000, text, 1)]}
    assert await counts(archive) == before


async def test_an_unknown_transfer_syntax_has_a_reason_of_its_own(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    answer = await send(client, technologist, dicom(meta={"TransferSyntaxUID": "1.2.3.4"}))
    assert answer.status_code == 409
    [item] = answer.json()["0008119A"]["Value"]
    assert item["00081197"]["Value"] == [0xC122]


async def test_what_was_tolerated_is_a_warning_and_still_200(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    data = dicom(preamble=None)
    answer = await send(client, technologist, data)
    assert answer.status_code == 200
    [item] = answer.json()["00081199"]["Value"]
    assert item["00081196"] == {"vr": "US", "Value": [0xB007]}
    assert item["00091001"]["Value"] == ["there is no preamble"]


async def test_a_study_address_takes_its_own_study_only(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    root = uid()
    own, other = dicom(StudyInstanceUID=root), dicom()
    answer = await send(client, technologist, own, other, to=f"/dicomweb/studies/{root}")
    assert answer.status_code == 202
    assert answer.json()["00081199"]["Value"] == [stored(own)]
    text = "wrong-study: belongs to another study than the address names"
    assert answer.json()["00081198"]["Value"] == [reference(other) | failure(0xA900, text, 2)]


async def test_one_object_may_come_as_the_whole_body(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    data = dicom()
    headers = technologist | {"Content-Type": "application/dicom"}
    answer = await client.post("/dicomweb/studies", content=data, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["00081199"]["Value"] == [stored(data)]


@pytest.mark.parametrize("content_type", [None, "application/dicom"])
async def test_an_empty_body_is_400(
    client: httpx.AsyncClient, technologist: dict[str, str], content_type: str | None
) -> None:
    body, related = multipart([])
    headers = technologist | {"Content-Type": content_type or related}
    content = b"" if content_type else body
    answer = await client.post("/dicomweb/studies", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {
        "title": "INVALID_REQUEST",
        "status": 400,
        "detail": "The body holds no DICOM object.",
    }


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        'multipart/related; type="application/dicom+json"; boundary=x',
        'multipart/related; type="application/dicom+xml"; boundary=x',
        "application/json",
        "",
    ],
)
async def test_a_body_of_another_type_is_415(
    client: httpx.AsyncClient, technologist: dict[str, str], content_type: str
) -> None:
    headers = technologist | {"Content-Type": content_type}
    answer = await client.post("/dicomweb/studies", content=b"--x--", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["title"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_compressed_body_is_415(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    headers = technologist | {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}
    answer = await client.post("/dicomweb/studies", content=b"", headers=headers)
    assert answer.status_code == 415


async def test_an_answer_in_html_is_406_before_anything_is_stored(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    before = await counts(archive)
    answer = await send(client, technologist | {"Accept": "text/html"}, dicom())
    assert answer.status_code == 406
    assert await counts(archive) == before


async def test_an_answer_may_be_xml_and_says_what_one_in_json_does(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    objects = (dicom(PatientName="M\xfcller & <Sons>"), b"no DICOM at all", dicom(preamble=None))
    in_json = await send(client, technologist, *objects)
    in_xml = await send(client, technologist | {"Accept": "application/dicom+xml"}, *objects)
    assert in_json.headers["content-type"] == "application/dicom+json"
    assert (in_xml.status_code, in_xml.headers["content-type"]) == (202, "application/dicom+xml")
    assert in_xml.content == native_xml(in_json.json())
    name = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    sequences = {
        one.attrib["keyword"]: len(one.findall(f"{name}Item"))
        for one in ElementTree.fromstring(in_xml.content)
    }
    assert sequences == {"RetrieveURL": 0, "ReferencedSOPSequence": 2, "OtherFailuresSequence": 1}


@pytest.mark.parametrize("kind", ["json", "xml"])
async def test_metadata_and_bulk_data_apart_are_415_and_the_text_says_what_to_send(
    client: httpx.AsyncClient, technologist: dict[str, str], kind: str
) -> None:
    content_type = f'multipart/related; type="application/dicom+{kind}"; boundary=x'
    headers = technologist | {"Content-Type": content_type}
    answer = await client.post("/dicomweb/studies", content=b"--x--", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["detail"] == (
        "metadata and bulk data apart are not taken; send whole objects, as "
        'multipart/related; type="application/dicom"'
    )


async def test_many_objects_of_one_request_are_answered_in_its_order(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    root = uid()
    good = study(4, 25, StudyInstanceUID=root)
    sent = [one for pair in zip(good, [b"junk"] * 100, strict=True) for one in pair]
    answer = await send(client, technologist, *sent)
    assert answer.status_code == 202
    content = answer.json()
    assert content["00081199"]["Value"] == [stored(one) for one in good]
    positions = [one["00091002"]["Value"][0] for one in content["0008119A"]["Value"]]
    assert positions == list(range(2, 201, 2))
    document = await archive.ledger.study(root)
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 100


async def test_the_same_object_twice_in_a_request_is_stored_once(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    indexed, kept = await counts(archive)
    data = dicom()
    answer = await send(client, technologist, data, data, data)
    assert answer.status_code == 200
    assert answer.json()["00081199"]["Value"] == [stored(data)] * 3
    assert await counts(archive) == (indexed + 1, kept + 1)


async def test_a_request_without_end_takes_no_place_from_others(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    body, content_type = multipart([dicom()] * 3)
    going_on = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield body[:-1000]
        await going_on.wait()
        yield body[-1000:]

    headers = technologist | {"Content-Type": content_type}
    slow = [
        asyncio.create_task(client.post("/dicomweb/studies", content=stalled(), headers=headers))
        for _ in range(80)
    ]
    for _ in range(3):
        answer = await send(client, technologist, *study(1, 30))
        assert answer.status_code == 200
    going_on.set()
    assert [one.status_code for one in await asyncio.gather(*slow)] == [200] * 80


@pytest.mark.parametrize(
    "content_type", ["multipart/related", "multipart/related; boundary=" + 201 * "b"]
)
async def test_a_body_without_a_usable_boundary_is_400(
    client: httpx.AsyncClient, technologist: dict[str, str], content_type: str
) -> None:
    headers = technologist | {"Content-Type": content_type}
    answer = await client.post("/dicomweb/studies", content=b"--b--", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "Content-Type names no usable boundary; write multipart/related; boundary=…"
    )


async def test_a_boundary_without_quotes_is_understood(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    body, _ = multipart([dicom()], boundary="plain")
    headers = technologist | {
        "Content-Type": "Multipart/Related;boundary=plain;Type=application/dicom"
    }
    answer = await client.post("/dicomweb/studies", content=body, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"no parts", b"", b"--b\r\nno header\r\n\r\n"])
async def test_a_body_that_is_not_multipart_is_400(
    client: httpx.AsyncClient, technologist: dict[str, str], body: bytes, archive: Archive
) -> None:
    before = await counts(archive)
    headers = technologist | {"Content-Type": "multipart/related; boundary=b"}
    answer = await client.post("/dicomweb/studies", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["title"] == "INVALID_REQUEST"
    assert await counts(archive) == before


async def test_what_was_complete_before_a_body_breaks_stays_and_is_told(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    root = uid()
    objects = study(1, 2, StudyInstanceUID=root)
    body, content_type = multipart(objects)
    cut = body[: body.rindex(b"radiograph-test-boundary--") - 50]
    headers = technologist | {"Content-Type": content_type}
    answer = await client.post("/dicomweb/studies", content=cut, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["00081199"]["Value"] == [stored(objects[0])]
    text = "malformed: the body ends before its last boundary; send it whole"
    assert answer.json()["0008119A"]["Value"] == [failure(0xC000, text, 2)]
    document = await archive.ledger.study(root)
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 1


def heavy(size: int, **keywords: Any) -> bytes:
    """An object that is a little longer than this."""
    return dicom(elements={0x00091001: ("OB", bytes(size))}, **keywords)


async def test_an_object_over_the_limit_is_413_and_leaves_nothing(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    before = await counts(archive)
    answer = await send(client, technologist, heavy(6_000_000))
    assert answer.status_code == 413
    [item] = answer.json()["0008119A"]["Value"]
    assert item["00081197"]["Value"] == [0xA700]
    assert await counts(archive) == before


async def test_a_request_over_the_limit_is_413_before_it_is_read(
    client: httpx.AsyncClient, technologist: dict[str, str]
) -> None:
    headers = technologist | {"Content-Type": "application/dicom", "Content-Length": "14000001"}
    answer = await client.post("/dicomweb/studies", content=unread(), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["detail"] == (
        "One request takes up to 14000000 bytes; send fewer objects at a time."
    )


async def unread() -> AsyncIterator[bytes]:
    yield b""
    raise AssertionError("the body was read")


async def test_a_request_that_grows_over_the_limit_keeps_what_was_complete(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    objects = [heavy(4_000_000) for _ in range(4)]
    body, content_type = multipart(objects)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    indexed, kept = await counts(archive)
    headers = technologist | {"Content-Type": content_type}
    answer = await client.post("/dicomweb/studies", content=chunks(), headers=headers)
    assert answer.status_code == 202
    assert answer.json()["00081199"]["Value"] == [stored(one) for one in objects[:3]]
    [item] = answer.json()["0008119A"]["Value"]
    assert item["00081197"]["Value"] == [0xA700]
    assert await counts(archive) == (indexed + 3, kept + 3)


async def test_a_client_that_goes_away_leaves_whole_objects_only(
    technologist: dict[str, str], archive: Archive
) -> None:
    root = uid()
    before = await counts(archive)
    # Long enough that its beginning is in storage already when the client leaves.
    objects = [dicom(StudyInstanceUID=root), heavy(5_900_000, StudyInstanceUID=root)]
    body, content_type = multipart(objects)
    headers = technologist | {"Content-Type": content_type}
    messages = await post_and_leave(archive, headers, body[:-10_000])
    assert messages[0]["status"] == 202
    assert await counts(archive) == (before[0] + 1, before[1] + 1)
    assert list((archive.settings.data_dir / "objects").glob(".partial/*")) == []
    document = await archive.ledger.study(root)
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 1


async def post_and_leave(
    archive: Archive, headers: dict[str, str], body: bytes
) -> list[MutableMapping[str, Any]]:
    """Send the beginning of a body and close the connection, as the server sees it."""
    pieces: Iterator[bytes] = iter(body[at : at + 65_536] for at in range(0, len(body), 65_536))
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        piece = next(pieces, None)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send_(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/dicomweb/studies",
        "raw_path": b"/dicomweb/studies",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("radiograph.test", 80),
    }
    await create_app(archive.settings, archive)(scope, receive, send_)
    return messages


async def test_two_requests_with_halves_of_one_study_end_with_true_counts(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    root = uid()
    objects = study(2, 6, StudyInstanceUID=root)
    answers = await asyncio.gather(
        send(client, technologist, *objects[::2]), send(client, technologist, *objects[1::2])
    )
    assert [one.status_code for one in answers] == [200, 200]
    document = await archive.ledger.study(root)
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 12


@pytest.mark.parametrize("role", ["billing", "provider", "patient", "researcher", "nurse"])
async def test_who_may_not_store_is_refused_before_the_body_is_read(
    client: httpx.AsyncClient, acting_as: ActingAs, archive: Archive, role: str
) -> None:
    before = await counts(archive)
    project = "trial-1" if role == "researcher" else None
    headers = acting_as(role, project=project) | {"Content-Type": "application/dicom"}
    answer = await client.post("/dicomweb/studies", content=unread(), headers=headers)
    assert answer.status_code == 403
    assert answer.json()["title"] == "ACCESS_DENIED"
    assert answer.json()["coordinates"] == ["Image.file"]
    assert await counts(archive) == before


async def test_without_a_token_nothing_is_read(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/dicom"}
    answer = await client.post("/dicomweb/studies", content=unread(), headers=headers)
    assert answer.status_code == 401


async def entries_of(archive: Archive, answer: httpx.Response) -> list[dict[str, Any]]:
    request_id = answer.headers["x-request-id"]
    found = archive.database["audit_events"].find({"requestId": request_id})
    names = ("action", "resource", "outcome", "ids", "patients", "total", "query", "refused")
    return [{name: one[name] for name in names} async for one in found]


async def test_what_was_stored_and_what_was_not_is_audited(
    client: httpx.AsyncClient, technologist: dict[str, str], archive: Archive
) -> None:
    root = uid()
    first, second = study(1, 2, StudyInstanceUID=root)
    changed = dicom(
        StudyInstanceUID=root, SOPInstanceUID=read(first).SOPInstanceUID, InstanceNumber=77
    )
    answer = await send(client, technologist, first, second, changed)
    assert answer.status_code == 202
    document = await archive.ledger.study(root)
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    assert await entries_of(archive, answer) == [
        {
            "action": "create",
            "resource": "Image",
            "outcome": "allowed",
            "ids": [read(first).SOPInstanceUID, read(second).SOPInstanceUID],
            "patients": [patient],
            "total": 2,
            "query": None,
            "refused": [],
        },
        {
            "action": "create",
            "resource": "Image",
            "outcome": "failed",
            "ids": [read(changed).SOPInstanceUID],
            "patients": [],
            "total": 0,
            "query": "different-bytes",
            "refused": [],
        },
    ]


async def test_a_refused_upload_is_audited(
    client: httpx.AsyncClient, acting_as: ActingAs, archive: Archive
) -> None:
    answer = await send(client, acting_as("billing"), dicom())
    [entry] = await entries_of(archive, answer)
    assert (entry["action"], entry["outcome"], entry["refused"]) == (
        "create",
        "refused",
        ["Image.file"],
    )
