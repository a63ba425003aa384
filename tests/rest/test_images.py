"""DICOM objects through `/postdicom/images`: whole, in ranges, unchanged, or not at all."""

import hashlib

import pytest
from httpx import AsyncClient

from app.archive import Archive
from tests.build import dicom, uid
from tests.care import look_after, take_off
from tests.rest.forms import ActingAs, put

STUDY, IMAGE = uid("rest image", "study"), uid("rest image")
DATA = dicom(
    StudyInstanceUID=STUDY,
    SeriesInstanceUID=f"{STUDY}.1",  # names of tests hold its size: not another one every time
    SOPInstanceUID=IMAGE,
    PatientName="Secret^Sue",
    PatientID="9",
)
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
SIZE = len(DATA)


@pytest.fixture(scope="module", autouse=True)
async def patient(archive: Archive) -> str:
    """Store one image; the id of its patient."""
    await put(archive, DATA)
    document = await archive.ledger.study(STUDY)
    assert document is not None
    return str(document["resource"]["subject"]["reference"]).removeprefix("Patient/")


@pytest.mark.parametrize("path", [f"/postdicom/images/{IMAGE}", f"/postdicom/images/{IMAGE}/data"])
async def test_the_object_comes_as_it_was_stored(
    client: AsyncClient, acting_as: ActingAs, path: str
) -> None:
    answer = await client.get(path, headers=acting_as("radiologist"))
    assert (answer.status_code, answer.content) == (200, DATA)
    told = {
        name: answer.headers[name]
        for name in ("content-type", "content-length", "etag", "accept-ranges", "cache-control")
    }
    assert told == {
        "content-type": "application/dicom",
        "content-length": str(SIZE),
        "etag": TAG,
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
    }
    assert answer.headers["content-disposition"] == f'attachment; filename="{IMAGE}.dcm"'


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=128-131", 128, 132),
        ("bytes=100-", 100, SIZE),
        ("bytes=-10", SIZE - 10, SIZE),
        ("bytes=0-99999999", 0, SIZE),
        ("bytes=-99999999", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    ],
)
async def test_a_range_is_exactly_these_bytes(
    client: AsyncClient, acting_as: ActingAs, asked: str, start: int, end: int
) -> None:
    headers = acting_as("radiologist") | {"Range": asked}
    answer = await client.get(f"/postdicom/images/{IMAGE}", headers=headers)
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=-0", f"bytes={SIZE}-{SIZE + 1}"])
async def test_a_range_beyond_the_end_cannot_be_given(
    client: AsyncClient, acting_as: ActingAs, asked: str
) -> None:
    headers = acting_as("radiologist") | {"Range": asked}
    answer = await client.get(f"/postdicom/images/{IMAGE}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=-", "bytes"])
async def test_what_is_not_one_range_is_ignored(
    client: AsyncClient, acting_as: ActingAs, asked: str
) -> None:
    headers = acting_as("radiologist") | {"Range": asked}
    answer = await client.get(f"/postdicom/images/{IMAGE}", headers=headers)
    assert (answer.status_code, answer.content) == (200, DATA)


async def test_a_known_object_is_not_sent_again(client: AsyncClient, acting_as: ActingAs) -> None:
    headers = acting_as("radiologist") | {"If-None-Match": f'"other", {TAG}'}
    answer = await client.get(f"/postdicom/images/{IMAGE}", headers=headers)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize(("tag", "status"), [(TAG, 206), ('"other"', 200)], ids=["this", "another"])
async def test_a_range_of_another_version_is_the_whole(
    client: AsyncClient, acting_as: ActingAs, tag: str, status: int
) -> None:
    headers = acting_as("radiologist") | {"Range": "bytes=1-2", "If-Range": tag}
    answer = await client.get(f"/postdicom/images/{IMAGE}", headers=headers)
    assert answer.status_code == status
    assert answer.content == (DATA[1:3] if status == 206 else DATA)


async def test_an_unknown_image_is_not_found(client: AsyncClient, acting_as: ActingAs) -> None:
    for wrong in (uid(), "Secret", "0" * 65):
        answer = await client.get(f"/postdicom/images/{wrong}", headers=acting_as("radiologist"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert "Secret" not in answer.text


async def test_a_patient_gets_their_own_images_and_no_others(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, patient: str
) -> None:
    own = await client.get(
        f"/postdicom/images/{IMAGE}", headers=acting_as("patient", patient=patient)
    )
    assert (own.status_code, own.content) == (200, DATA)
    headers = acting_as("patient", patient="somebody-else")
    other = await client.get(f"/postdicom/images/{IMAGE}", headers=headers)
    nothing = await client.get(f"/postdicom/images/{uid()}", headers=headers)
    assert (other.status_code, other.json()) == (404, nothing.json())


@pytest.mark.parametrize(
    ("role", "status"),
    [("provider", 200), ("attending", 200), ("fellow", 200), ("resident", 403), ("nurse", 403)],
)
async def test_whoever_treats_patients_gets_files_of_those_they_look_after_if_at_all(
    archive: Archive,
    client: AsyncClient,
    acting_as: ActingAs,
    patient: str,
    role: str,
    status: int,
) -> None:
    path = f"/postdicom/images/{IMAGE}"
    headers = acting_as(role, subject=f"files-{role}")
    refused = await client.get(path, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ACCESS_DENIED")
    named = set(refused.json()["error"]["details"]["coordinates"])
    assert "Image.file" in named
    assert "Secret" not in refused.text
    link = await look_after(archive, f"files-{role}", patient)
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.content == DATA) == (status, status == 200)
    await take_off(client, acting_as("admin"), link)
    again = await client.get(path, headers=headers)
    assert (again.status_code, again.json()) == (403, refused.json())


async def test_a_researcher_gets_no_file_under_the_uid_that_is_stored(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    path = f"/postdicom/images/{IMAGE}"
    stored = await client.get(path, headers=acting_as("researcher", project="trial-1"))
    assert (stored.status_code, stored.json()["error"]["code"]) == (404, "NOT_FOUND")
    nobody = await client.get(path, headers=acting_as("researcher"))
    assert (nobody.status_code, nobody.json()["error"]["details"]) == (403, None)


@pytest.mark.parametrize(
    # with those who treat, files may be shared
    "role",
    ["technologist", "admin", "auditor", "billing"],
)
async def test_who_may_not_have_files_gets_not_a_byte(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    headers = acting_as(role) | {"X-Request-Id": f"no-file-{role}"}
    for path in (f"/postdicom/images/{IMAGE}", f"/postdicom/images/{uid()}"):
        answer = await client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ACCESS_DENIED")
        assert answer.json()["error"]["details"] == {"coordinates": ["Image.file"]}
        assert "Secret" not in answer.text
    written = (
        await archive.database["audit_events"].find({"requestId": f"no-file-{role}"}).to_list(9)
    )
    assert [(one["outcome"], one["refused"]) for one in written] == [
        ("refused", ["Image.file"])
    ] * 2
