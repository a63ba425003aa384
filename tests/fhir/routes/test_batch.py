"""Several requests in one, through the FHIR door."""

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from app.archive import Archive
from fhir import batch
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue
from tests.validators import assert_valid

Headers = Callable[..., dict[str, str]]
Json = dict[str, Any]
FHIR_JSON = {"Content-Type": "application/fhir+json"}


def bundle(*urls: str, kind: str = "batch", **more: Any) -> Json:
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": kind, **({"entry": entries} if urls else {}), **more}


async def send(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await client.post(
        "http://127.0.0.1:8000/fhir", content=content, headers=FHIR_JSON | headers
    )


async def answered(client: httpx.AsyncClient, body: Any, **headers: str) -> list[Json]:
    answer = fhir(await send(client, body, **headers))
    assert answer["type"] == "batch-response"
    return list(answer.get("entry", ()))


def refusal(entry: Json, status: str) -> Json:
    assert entry.keys() == {"response"}
    assert entry["response"]["status"] == status
    assert_valid(entry["response"]["outcome"])
    [only] = entry["response"]["outcome"]["issue"]
    return dict(only)


async def test_each_entry_is_answered_like_the_request_that_it_is(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    paths = (
        f"ImagingStudy/{known.chest}",
        f"Patient/{known.jane}?_elements=gender",
        "ImagingStudy?patient.name=roe&_include=ImagingStudy:patient",
        f"Patient?_id={known.jane}&_revinclude=*&_summary=true",
        "Endpoint",
        f"{radiologist.base_url}Endpoint/dicomweb",
    )
    entries = await answered(radiologist, bundle(*paths))
    assert len(entries) == len(paths)
    for path, entry in zip(paths, entries, strict=True):
        alone = await radiologist.get(path)
        resource = fhir(alone)
        assert entry["response"]["status"] == "200 OK"
        if resource["resourceType"] == "Bundle":
            # when it was found differs
            assert {**entry["resource"], "meta": resource["meta"]} == resource
            assert "fullUrl" not in entry
        else:
            assert entry["resource"] == resource
            assert entry["response"]["etag"] == alone.headers["etag"]
            assert entry["response"]["lastModified"].endswith("Z")
            assert (
                entry["fullUrl"] == f"{radiologist.base_url}{path.split('?')[0].split('fhir/')[-1]}"
            )


async def test_one_entry_does_not_touch_another(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    missing, wrong, there = await answered(
        radiologist,
        bundle("Patient/nobody", "ImagingStudy?started=yesterday", f"Patient/{known.jane}"),
    )
    assert refusal(missing, "404 Not Found")["code"] == "not-found"
    assert refusal(wrong, "400 Bad Request")["code"] == "not-supported"
    assert there["resource"]["id"] == known.jane


async def test_an_entry_reaches_nothing_but_reads_and_searches_of_what_is_served(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    urls = (
        "metadata",
        ".well-known/smart-configuration",
        "$graphql",
        f"ImagingStudy/{known.chest}/$graphql",
        "AuditEvent",
        "Image",
        "Observation/1",
        "ImagingStudy/_search",
        "ImagingStudy/..",
        "ImagingStudy/.",
        "../graphql",
        "ImagingStudy/../Patient",
        f"/ImagingStudy/{known.chest}",
        f"//ImagingStudy/{known.chest}",
        f"ImagingStudy/{known.chest}/",
        f"ImagingStudy/{known.chest}/_history/1",
        f"ImagingStudy%2F{known.chest}",
        "ImagingStudy/%2e%2e",
        f"http://elsewhere.example/fhir/ImagingStudy/{known.chest}",
        "http://127.0.0.1:8000/graphql",
        "http://127.0.0.1:8000/fhir",
        f"http://127.0.0.1:8000/fhirx/ImagingStudy/{known.chest}",
        f"http://127.0.0.1:8000/fhir/http://127.0.0.1:8000/fhir/ImagingStudy/{known.chest}",
        f"file:///fhir/ImagingStudy/{known.chest}",
        "urn:uuid:6f1f1a4e-7f0e-4d8c-8b5e-5a2f4a9f6f2b",
        "?_type=Patient",
        "ImagingStudy#x",
    )
    for url, entry in zip(urls, await answered(radiologist, bundle(*urls)), strict=True):
        found = refusal(entry, "404 Not Found")
        assert found["code"] == "not-found", url


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
async def test_an_entry_writes_nothing(
    archive: Archive, radiologist: httpx.AsyncClient, known: Known, method: str
) -> None:
    before = await archive.database["patients"].find({}).to_list(None)
    patient = {"resourceType": "Patient", "id": known.jane, "gender": "male"}
    write = {
        "resource": patient,
        "request": {"method": method, "url": f"Patient/{known.jane}"},
    }
    read = bundle(f"Patient/{known.jane}")["entry"][0]
    refused, found = await answered(radiologist, bundle(entry=[write, read]))
    assert refusal(refused, "405 Method Not Allowed")["code"] == "not-supported"
    assert found["resource"]["gender"] == "female"
    assert await archive.database["patients"].find({}).to_list(None) == before


async def test_each_entry_is_authorised_and_audited_for_itself(
    archive: Archive, client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    client.headers.update(acting_as("billing"))
    urls = (f"Patient/{known.jane}", "Endpoint", "ImagingStudy?patient.name=doe", "ImagingStudy")
    entries = await answered(client, bundle(*urls), **{"X-Request-Id": "batched"})
    assert entries[0]["resource"].keys() == {"resourceType", "id", "meta", "identifier"}
    assert refusal(entries[1], "403 Forbidden")["expression"] == ["Endpoint.id"]
    assert refusal(entries[2], "403 Forbidden")["expression"] == ["Patient.name"]
    assert len(ids(entries[3]["resource"])) == 4
    events = archive.database["audit_events"].find({"requestId": "batched"})
    told = [(one["action"], one["resource"], one["outcome"], one["query"]) async for one in events]
    assert sorted(told, key=str) == sorted(
        [
            ("read", "Patient", "allowed", None),
            ("search", "Endpoint", "refused", None),
            ("search", "Patient", "refused", None),
            ("search", "ImagingStudy", "allowed", ""),
        ],
        key=str,
    )


async def test_smart_scopes_hold_in_each_entry(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    scope = "patient/ImagingStudy.rs?modality=CT"
    client.headers.update(acting_as("radiologist", scope=scope, context=known.jane))
    studies, other, patient = await answered(
        client, bundle("ImagingStudy", f"ImagingStudy/{known.knee}", f"Patient/{known.jane}")
    )
    assert ids(studies["resource"]) == [known.chest]
    refusal(other, "404 Not Found")
    refusal(patient, "403 Forbidden")


async def test_who_has_the_version_already_is_told_so(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    tag = (await radiologist.get(f"Patient/{known.jane}")).headers["etag"]
    asked = bundle(f"Patient/{known.jane}", f"Patient/{known.jane}")
    asked["entry"][0]["request"]["ifNoneMatch"] = tag
    asked["entry"][1]["request"]["ifNoneMatch"] = 'W/"0"'
    same, changed = await answered(radiologist, asked)
    assert same["response"]["status"] == "304 Not Modified"
    assert "resource" not in same
    assert changed["resource"]["id"] == known.jane


async def test_an_entry_is_read_as_strictly_as_the_batch(radiologist: httpx.AsyncClient) -> None:
    asked = bundle("ImagingStudy?unknown=1", "ImagingStudy?_format=xml")
    lenient, unwritten = await answered(radiologist, asked)
    assert lenient["resource"]["total"] == 4
    refusal(unwritten, "406 Not Acceptable")
    strict, _ = await answered(radiologist, asked, Prefer="handling=strict")
    refusal(strict, "400 Bad Request")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid"),
        (b"{", 400, "invalid"),
        (b"\xff", 400, "invalid"),
        (b"[]", 400, "invalid"),
        (b"null", 400, "invalid"),
        ({"resourceType": "Patient"}, 400, "invalid"),
        ({"resourceType": "Bundle"}, 400, "not-supported"),
        (bundle("Patient", kind="transaction"), 400, "not-supported"),
        (bundle("Patient", kind="searchset"), 400, "not-supported"),
        (bundle(entry="x"), 400, "invalid"),
        (bundle(entry={"request": {}}), 400, "invalid"),
        (bundle(entry=[{"request": {"method": "GET"}}]), 400, "invalid"),
        (bundle(entry=[{"request": "GET Patient"}]), 400, "invalid"),
        (bundle(entry=[{"colour": "red"}]), 400, "invalid"),
        (bundle(colour="red"), 400, "invalid"),
    ],
)
async def test_what_is_no_batch_is_refused_as_a_whole(
    radiologist: httpx.AsyncClient, body: Any, status: int, code: str
) -> None:
    assert issue(await send(radiologist, body), status)["code"] == code


@pytest.mark.parametrize(
    "entry",
    [
        {},
        None,
        {"request": None},
        {"fullUrl": "http://elsewhere.example/Patient/1"},
        {"request": {"method": "GET", "_url": {"extension": [{"url": "x", "valueCode": "y"}]}}},
    ],
)
async def test_an_entry_that_asks_for_nothing_is_refused_or_the_batch_is(
    radiologist: httpx.AsyncClient, entry: Json | None
) -> None:
    response = await send(radiologist, bundle(entry=[entry]))
    if response.status_code == 400:
        issue(response, 400)
    else:
        [only] = fhir(response)["entry"]
        assert refusal(only, "400 Bad Request")["code"] == "invalid"


async def test_a_batch_that_is_empty_or_has_nulls_is_answered(
    radiologist: httpx.AsyncClient,
) -> None:
    assert await answered(radiologist, bundle()) == []
    assert await answered(radiologist, bundle(entry=[])) == []


async def test_nesting_is_refused_and_breaks_nothing(radiologist: httpx.AsyncClient) -> None:
    for depth in (100, 400, 900):
        inner = b'{"extension":[' * depth + b"]}" * depth
        body = b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":' + inner + b"}]}"
        assert issue(await send(radiologist, body), 400)["code"] == "invalid"


async def test_a_batch_has_its_limits(
    radiologist: httpx.AsyncClient, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = (batch.MAX_ENTRIES, batch.MAX_BATCH_BYTES, batch.MAX_ANSWER_BYTES)
    assert limits == (50, 262_144, 33_554_432)
    assert len(await answered(radiologist, bundle(*["Endpoint/dicomweb"] * 50))) == 50
    many = await send(radiologist, bundle(*["Endpoint/dicomweb"] * 51))
    assert issue(many, 413)["code"] == "too-long"
    text = orjson.dumps(bundle("Endpoint/dicomweb"))
    assert len(await answered(radiologist, text.ljust(262_144))) == 1
    assert issue(await send(radiologist, text.ljust(262_145)), 413)["code"] == "too-long"


async def test_answers_that_grow_too_large_end_the_batch_entry_by_entry(
    archive: Archive, known: Known, acting_as: Headers, radiologist: httpx.AsyncClient
) -> None:
    caller, _ = await archive.identity.signed_in(acting_as("radiologist")["Authorization"])
    guarded = await archive.begin(caller)
    base = str(radiologist.base_url).rstrip("/")
    asked = await batch.read_batch(orjson.dumps(bundle(*["Endpoint/dicomweb"] * 4)))
    size = len((await radiologist.get("Endpoint/dicomweb")).content)
    answer = await batch.answer_batch(guarded, base, asked, strict=False, most_bytes=2 * size - 1)
    statuses = [one["response"]["status"][:3] for one in answer["entry"]]
    assert statuses == ["200", "200", "413", "413"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_batch_is_sent_as_json(radiologist: httpx.AsyncClient, kind: str) -> None:
    response = await send(radiologist, bundle("Patient"), **{"Content-Type": kind})
    assert issue(response, 415)["code"] == "not-supported"


async def test_no_refusal_of_a_batch_repeats_what_was_sent(radiologist: httpx.AsyncClient) -> None:
    secret = "Zzsecretvalue"
    for body in (
        bundle(f"Patient?birthdate={secret}", f"Patient/{secret}", f"{secret}/1", secret),
        bundle(kind=secret),
        bundle(identifier={"value": [secret]}),
        bundle(entry=[{"request": {"method": secret, "url": secret}}]),
        bundle(entry=[{"request": {"method": "GET", "url": "Patient", "ifNoneMatch": [secret]}}]),
        {"resourceType": secret},
    ):
        assert secret not in (await send(radiologist, body)).text


async def test_without_a_token_there_is_no_batch(client: httpx.AsyncClient) -> None:
    assert issue(await send(client, bundle("Patient")), 401)["code"] == "login"
