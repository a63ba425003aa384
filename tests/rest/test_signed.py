"""Presigned URLs: who gets one, what it gives to whoever has it, and when it gives nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from httpx import ASGITransport, AsyncClient, Response, TransportError

from app.archive import Archive, open_book
from app.identity.development import KEY_FILE, DevelopmentIssuer
from app.main import create_app
from app.settings import DEVELOPMENT_ISSUER, Settings
from app.store.objects import open_objects
from tests.build import dicom, uid
from tests.care import look_after, patient_of
from tests.command import Installation
from tests.policy import SHIPPED
from tests.rest.forms import ActingAs, put
from tests.servers import free_ports

STUDY, IMAGE = uid("signed", "study"), uid("signed")
DATA = dicom(
    StudyInstanceUID=STUDY, SOPInstanceUID=IMAGE, PatientName="Secret^Sue", PatientID="SIGNED"
)
BURNED_STUDY, BURNED = uid("signed burned", "study"), uid("signed burned")
SIGN = f"/postdicom/images/{IMAGE}/presigned-url"
OWN = "http://127.0.0.1:8000/postdicom/signed/"
NOTHING = {
    "success": False,
    "error": {
        "code": "NOT_FOUND",
        "message": "this address leads nowhere, or not any more; ask for another one",
        "details": None,
    },
}


@pytest.fixture(scope="module", autouse=True)
async def images(archive: Archive) -> None:
    """Store an image, and one of the same patient with text in its pixels."""
    burned = dicom(
        StudyInstanceUID=BURNED_STUDY,
        SOPInstanceUID=BURNED,
        PatientID="SIGNED",
        BurnedInAnnotation="YES",
    )
    await put(archive, DATA, burned)


@asynccontextmanager
async def calling(archive: Archive, **changes: object) -> AsyncIterator[AsyncClient]:
    """Call the doors of an archive with other settings."""
    settings = archive.settings.model_copy(update=changes)
    app = create_app(settings, replace(archive, settings=settings))
    async with AsyncClient(
        transport=ASGITransport(app=app), base_url=archive.settings.base_url
    ) as http:
        yield http


async def signed(client: AsyncClient, headers: dict[str, str], **asked: object) -> str:
    """Have the image signed; give its address."""
    answer = await client.post(SIGN, headers=headers, json=asked)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["data"]["url"]
    return url


async def entries(archive: Archive, request_id: str) -> list[dict[str, Any]]:
    """Give what the audit says of one request."""
    found = archive.database["audit_events"].find({"requestId": request_id})
    return [
        {name: one[name] for name in ("who", "action", "resource", "outcome", "ids", "query")}
        for one in await found.to_list(None)
    ]


def assert_nothing(answer: Response) -> None:
    assert (answer.status_code, answer.json()) == (404, NOTHING)


async def test_whoever_may_download_gets_an_address_that_gives_the_object_without_a_token(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("radiologist", subject="signer")
    before = datetime.now(UTC)
    answer = await client.post(
        SIGN, headers=headers | {"X-Request-Id": "signing"}, json={"expiresIn": 60}
    )
    assert answer.status_code == 200
    said = answer.json()["data"]
    assert set(said) == {"url", "expires", "method"}
    assert said["method"] == "GET"
    expires = datetime.fromisoformat(said["expires"])
    assert (
        timedelta(seconds=58)
        <= expires - before
        <= timedelta(seconds=60) + (datetime.now(UTC) - before)
    )
    assert answer.headers["cache-control"] == "private, no-store"
    token = said["url"].removeprefix(OWN)
    assert len(token) == 43
    read = await client.get(said["url"], headers={"X-Request-Id": "redeeming"})
    assert (read.status_code, read.content) == (200, DATA)
    assert read.headers["content-type"] == "application/dicom"
    agent = f"{DEVELOPMENT_ISSUER}#signer"
    shared = {"who": agent, "resource": "Image", "outcome": "allowed", "ids": [IMAGE]}
    assert await entries(archive, "signing") == [
        shared | {"action": "read", "query": "presigned-url, 60 s"}
    ]
    assert await entries(archive, "redeeming") == [
        shared | {"action": "read", "query": "signed address"}
    ]


async def test_ranges_and_conditions_are_those_of_the_data_itself(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    url = await signed(client, acting_as("radiologist"))
    part = await client.get(url, headers={"Range": "bytes=128-131"})
    assert (part.status_code, part.content) == (206, b"DICM")
    assert part.headers["content-range"] == f"bytes 128-131/{len(DATA)}"
    known = await client.get(url, headers={"If-None-Match": part.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    beyond = await client.get(url, headers={"Range": f"bytes={len(DATA)}-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    posted = await client.post(url)
    assert posted.status_code == 405


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"expiresIn": 0}, "expiresIn"),
        ({"expiresIn": -5}, "expiresIn"),
        ({"expiresIn": "60"}, "expiresIn"),
        ({"expiresIn": True}, "expiresIn"),
        ({"expiresIn": 1.5}, "expiresIn"),
        ({"expiresIn": None}, "expiresIn"),
        ({"expiresin": 60}, "expiresin"),
        ({"expiresIn": 60, "Secret": 1}, "Secret"),
    ],
)
async def test_what_is_no_time_or_no_known_key_is_refused_and_nothing_is_signed(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, body: object, named: str
) -> None:
    kept = await archive.database["signed_addresses"].count_documents({})
    answer = await client.post(SIGN, headers=acting_as("radiologist"), json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert named in answer.json()["error"]["message"]
    assert await archive.database["signed_addresses"].count_documents({}) == kept


@pytest.mark.parametrize(("asked", "seconds"), [({}, 300), ({"expiresIn": 10**30}, 900)])
async def test_it_holds_five_minutes_and_never_longer_than_the_setting(
    archive: Archive,
    client: AsyncClient,
    acting_as: ActingAs,
    asked: dict[str, int],
    seconds: int,
) -> None:
    headers = acting_as("radiologist") | {"X-Request-Id": f"for-{seconds}"}
    before = datetime.now(UTC)
    answer = await client.post(SIGN, headers=headers, json=asked)
    expires = datetime.fromisoformat(answer.json()["data"]["expires"])
    lasting = timedelta(seconds=seconds)
    # told to the second, and never later than it is
    assert before + lasting - timedelta(seconds=1) < expires <= datetime.now(UTC) + lasting
    [written] = await entries(archive, headers["X-Request-Id"])
    assert written["query"] == f"presigned-url, {seconds} s"
    async with calling(archive, signed_url_longest=timedelta(seconds=7)) as http:
        answer = await http.post(SIGN, headers=acting_as("radiologist"), json=asked)
        left = datetime.fromisoformat(answer.json()["data"]["expires"]) - datetime.now(UTC)
        assert left <= timedelta(seconds=7)


async def test_it_never_holds_longer_than_the_token_that_asks(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    key = (archive.settings.data_dir / KEY_FILE).read_bytes()
    claims = jwt.decode(
        acting_as("radiologist", subject="short")["Authorization"].removeprefix("Bearer "),
        options={"verify_signature": False},
    )
    end = int(datetime.now(UTC).timestamp()) + 20
    token = jwt.encode(claims | {"exp": end, "jti": "short"}, key, algorithm="EdDSA")
    answer = await client.post(SIGN, headers={"Authorization": f"Bearer {token}"}, json={})
    assert datetime.fromisoformat(answer.json()["data"]["expires"]).timestamp() <= end
    # within the skew of clocks it still lets in, and has no second left to give away
    over = jwt.encode(claims | {"exp": end - 30, "jti": "over"}, key, algorithm="EdDSA")
    refused = await client.post(SIGN, headers={"Authorization": f"Bearer {over}"}, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")


@pytest.mark.parametrize(
    ("role", "who"),
    [
        ("nurse", {}),
        ("technologist", {}),
        ("billing", {}),
        ("admin", {}),
        ("auditor", {}),
        ("provider", {}),
        ("patient", {"patient": "somebody-else"}),
        ("radiologist", {"scope": "user/Patient.r"}),
        ("radiologist", {"scope": "patient/*.rs", "context": "somebody-else"}),
    ],
)
async def test_who_may_not_download_is_refused_just_as_at_the_data_and_nothing_is_signed(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, role: str, who: dict[str, str]
) -> None:
    headers = acting_as(role, subject=f"unsigned-{role}", **who)
    kept = await archive.database["signed_addresses"].count_documents({})
    for image in (IMAGE, uid()):
        read = await client.get(f"/postdicom/images/{image}/data", headers=headers)
        refused = await client.post(
            f"/postdicom/images/{image}/presigned-url", headers=headers, json={}
        )
        assert read.status_code in {403, 404}
        assert (refused.status_code, refused.json()) == (read.status_code, read.json())
    assert await archive.database["signed_addresses"].count_documents({}) == kept


async def test_without_a_token_nothing_is_signed(client: AsyncClient) -> None:
    assert (await client.post(SIGN, json={})).status_code == 401


async def test_a_tampered_an_unknown_and_an_expired_address_say_the_same_and_nothing(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    url = await signed(client, acting_as("radiologist", subject="tampered"))
    token = url.removeprefix(OWN)
    other = "A" if token[9] != "A" else "B"
    for changed in (
        token[:9] + other + token[10:],
        token[:-1],
        f"{token}A",
        f"{token}/",
        f"x/{token}",
        f"../signed/x{token}",
        "A" * 43,
        "x",
        "%00",
        IMAGE,
        "Zz" * 2000,
    ):
        for headers in ({}, acting_as("radiologist")):
            answer = await client.get(f"{OWN}{changed}", headers=headers)
            assert_nothing(answer)
    assert (await client.get(url)).status_code == 200
    past = datetime.now(UTC) - timedelta(seconds=1)
    done = await archive.database["signed_addresses"].update_one(
        {"caller.subject": f"{DEVELOPMENT_ISSUER}#tampered"}, {"$set": {"vanish": past}}
    )
    assert done.modified_count == 1
    assert_nothing(await client.get(url, headers={"X-Request-Id": "expired"}))
    [written] = await entries(archive, "expired")
    assert (written["action"], written["outcome"], written["who"]) == ("login", "refused", None)


async def test_what_is_kept_of_an_address_does_not_give_it_away_and_goes_by_itself(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    url = await signed(client, acting_as("radiologist", subject="kept"))
    token = url.removeprefix(OWN)
    stored = await archive.database["signed_addresses"].find({}).to_list(None)
    audited = await archive.database["audit_events"].find({}).to_list(None)
    assert token not in repr(stored)
    assert token not in repr(audited)
    indexes = await archive.database["signed_addresses"].index_information()
    assert indexes["vanish_1"]["expireAfterSeconds"] == 0


async def test_no_log_has_the_token_whatever_goes_wrong(
    database_url: str, database_name: str, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    where = {"database_url": database_url, "database_name": database_name, "port": str(port)}
    installation = Installation(tmp_path / "data", where | {"development_issuer": "true"})
    base_url = f"http://127.0.0.1:{port}"
    errors = tmp_path / "errors"
    with errors.open("wb") as file:
        process = await installation.start("serve", stderr=file.fileno())
        async with installation.opened() as opened, AsyncClient(base_url=base_url) as http:
            await put(opened, DATA)
            await answering(http)
            issuer = DevelopmentIssuer(tmp_path / "data")
            headers = {"Authorization": f"Bearer {issuer.token('radiologist')}"}
            token = (await signed(http, headers)).rpartition("/")[2]
            path = f"/postdicom/signed/{token}"
            for method, address, status in (
                ("GET", path, 200),
                ("GET", f"{path}x", 404),
                ("DELETE", path, 405),
                ("GET", f"/postdicom/signed/{token}/more", 404),
                ("GET", f"/nowhere/{token}", 404),
            ):
                assert (await http.request(method, address)).status_code == status
            # what nobody expected is logged
            await opened.database["signed_addresses"].update_many({}, {"$unset": {"signIn": 1}})
            assert (await http.get(path)).status_code == 500
        process.terminate()
        out, _ = await process.communicate()
    said = errors.read_text() + out.decode()
    assert "request failed" in said
    assert token not in said


async def answering(http: AsyncClient) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        with suppress(TransportError):
            if (await http.get("/ready")).is_success:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def test_a_session_that_was_ended_takes_its_addresses_along(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("radiologist", subject="leaving")
    url = await signed(client, headers)
    assert (await client.get(url)).status_code == 200
    listed = await client.get("/postdicom/sessions", headers=headers)
    [own] = listed.json()["data"]
    ended = await client.delete(f"/postdicom/sessions/{own['id']}", headers=headers)
    assert ended.status_code == 200
    assert_nothing(await client.get(url, headers={"X-Request-Id": "ended"}))
    [written] = await entries(archive, "ended")
    assert (written["action"], written["outcome"]) == ("login", "refused")
    assert written["who"] == f"{DEVELOPMENT_ISSUER}#leaving"


async def test_what_is_deleted_or_closed_meanwhile_is_not_given(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    study, image = uid(), uid()
    await put(archive, dicom(StudyInstanceUID=study, SOPInstanceUID=image, PatientID=image))
    patient = await patient_of(archive, study)
    link = await look_after(archive, "signing-provider", patient)
    address = f"/postdicom/images/{image}/presigned-url"
    urls = {}
    for name, headers in {
        "provider": acting_as("provider", subject="signing-provider"),
        "radiologist": acting_as("radiologist", subject="signing-radiologist"),
    }.items():
        answer = await client.post(address, headers=headers, json={})
        urls[name] = answer.json()["data"]["url"]
        assert (await client.get(urls[name])).status_code == 200
    await archive.database["access_grants"].delete_one({"_id": link})
    refused = await client.get(urls["provider"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ACCESS_DENIED")
    assert (await client.get(urls["radiologist"])).status_code == 200
    await client.delete(f"/postdicom/studies/{study}", headers=acting_as("admin"))
    for url in urls.values():
        gone = await client.get(url)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "NOT_FOUND")
    back = await client.post(f"/postdicom/studies/{study}/restore", headers=acting_as("admin"))
    assert back.status_code == 200
    assert (await client.get(urls["radiologist"])).status_code == 200


async def researched(client: AsyncClient, headers: dict[str, str]) -> dict[str, str]:
    """Give the pseudonyms of the images that a researcher finds, by those of their studies."""
    answer = await client.get("/fhir/ImagingStudy?_count=50", headers=headers)
    studies = [one["resource"] for one in answer.json()["entry"]]
    return {one["id"]: one["series"][0]["instance"][0]["uid"] for one in studies}


async def test_without_identity_the_address_gives_what_the_data_door_gives_and_refuses(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("researcher", project="A", subject="signing-researcher")
    found = await researched(client, headers)
    given, withheld = [], []
    for image in found.values():
        read = await client.get(f"/postdicom/images/{image}/data", headers=headers)
        answer = await client.post(
            f"/postdicom/images/{image}/presigned-url", headers=headers, json={}
        )
        if read.status_code == 403:
            assert (answer.status_code, answer.json()) == (403, read.json())
            withheld.append(image)
            continue
        url = answer.json()["data"]["url"]
        assert url.startswith(OWN)
        sent = await client.get(url, headers={"Range": "bytes=0-9"})
        assert (sent.status_code, sent.content) == (200, read.content)
        assert b"Secret" not in sent.content
        assert IMAGE.encode() not in sent.content
        given.append(image)
    assert given
    assert len(withheld) == 1
    real = await client.post(SIGN, headers=headers, json={})
    assert real.status_code == 404


async def test_the_view_is_that_of_who_signed_whatever_token_comes_along(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    researcher = acting_as("researcher", project="A", subject="signing-researcher")
    url = await signed(client, acting_as("radiologist"))
    for headers in (acting_as("billing"), researcher, {"Authorization": "Bearer x.y.z"}):
        answer = await client.get(url, headers=headers)
        assert (answer.status_code, answer.content) == (200, DATA)


async def test_it_is_redeemed_within_the_smart_scopes_of_the_token_that_signed(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    patient = await patient_of(archive, STUDY)
    headers = acting_as("radiologist", subject="smart", scope="patient/*.rs", context=patient)
    url = await signed(client, headers)
    assert (await client.get(url)).content == DATA
    [kept] = (
        await archive.database["signed_addresses"]
        .find({"caller.subject": f"{DEVELOPMENT_ISSUER}#smart"})
        .to_list(None)
    )
    assert (kept["caller"]["scopes"], kept["caller"]["context"]) == (["patient/*.rs"], patient)
    # as if the launch had been for somebody else
    await archive.database["signed_addresses"].update_one(
        {"_id": kept["_id"]}, {"$set": {"caller.context": "somebody-else"}}
    )
    assert (await client.get(url)).status_code == 404


async def test_an_edit_of_the_policy_closes_an_address_that_is_out_already(
    archive: Archive, tmp_path: Path, acting_as: ActingAs
) -> None:
    folder = tmp_path / "policy"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__*"))
    (folder / "tests.toml").write_text("")
    book = open_book(archive.settings.model_copy(update={"policy_dir": folder}), None)
    app = create_app(archive.settings, replace(archive, book=book))
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://127.0.0.1") as http:
        url = await signed(http, acting_as("radiologist"))
        assert (await http.get(url)).status_code == 200
        rules = (folder / "rules.csv").read_text()
        (folder / "rules.csv").write_text(f"{rules}\np, radiologist, Image.file, read, any, deny\n")
        assert book.reload()
        refused = await http.get(url)
        assert refused.status_code == 403
        assert refused.json()["error"]["details"] == {"coordinates": ["Image.file"]}
        (folder / "rules.csv").write_text(rules)
        assert book.reload()
        assert (await http.get(url)).content == DATA


async def test_with_s3_the_address_is_the_storages_own_only_where_it_gives_the_very_bytes(
    archive: Archive, s3_settings: Settings, acting_as: ActingAs
) -> None:
    objects = await open_objects(s3_settings)
    document = await archive.database["instances"].find_one({"_id": IMAGE})
    assert document is not None
    await objects.put(document["object"], _pieces(DATA))
    there = replace(archive, objects=objects)
    wanted = {"signed_url_by_storage": True}
    async with calling(there, **wanted) as http, AsyncClient() as anybody:
        url = await signed(http, acting_as("radiologist"), expiresIn=45)
        assert url.startswith(s3_settings.storage_endpoint or "")
        assert "X-Amz-Expires=45&" in url
        for word in ("Secret", "SIGNED", IMAGE, STUDY):
            assert word not in url
        sent = await anybody.get(url)
        assert (sent.status_code, sent.content) == (200, DATA)
        headers = acting_as("researcher", project="A", subject="signing-researcher")
        urls = []
        for image in (await researched(http, headers)).values():
            answer = await http.post(
                f"/postdicom/images/{image}/presigned-url", headers=headers, json={}
            )
            urls += [answer.json()["data"]["url"]] if answer.status_code == 200 else []
        assert [one.startswith(OWN) for one in urls] == [True]  # no other object is there
    for changes in ({"zero_preamble": True, **wanted}, {}):
        async with calling(there, **changes) as http:
            url = await signed(http, acting_as("radiologist"))
            assert url.startswith(OWN)
            sent = await http.get(url)
            assert (sent.status_code, sent.content[128:]) == (200, DATA[128:])
    await objects.close()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data
