"""Whatever goes wrong, the FHIR door says so in FHIR."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from httpx import ASGITransport

from app.archive import Archive
from app.main import create_app
from app.store.database import open_database
from app.store.records import MongoRepository
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import issue


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "ImagingStudy/1.2.3", 404, "not-found"),
        ("GET", "Patient/nobody", 404, "not-found"),
        ("GET", "Patient/%00%F0%9F%A6%B4", 404, "not-found"),
        ("GET", "Observation", 404, "not-found"),
        ("GET", "Observation/1", 404, "not-found"),
        ("GET", "imagingstudy", 404, "not-found"),
        ("GET", "AuditEvent", 404, "not-found"),
        ("GET", "Image", 404, "not-found"),
        ("GET", "ImagingStudy/1/series", 404, "not-found"),
        ("GET", "ImagingStudy/1/_history/1", 404, "not-found"),
        ("GET", "", 404, "not-found"),
        ("POST", "Observation/_search", 415, "not-supported"),
        ("GET", "ImagingStudy?_count=x", 400, "invalid"),
    ],
)
async def test_a_request_that_cannot_be_served_gets_an_outcome(
    radiologist: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await radiologist.request(method, path)
    assert issue(response, status)["code"] == code


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["ImagingStudy", "ImagingStudy/1.2.3", "metadata"])
async def test_nothing_is_written_here(
    radiologist: httpx.AsyncClient, known: Known, method: str, path: str
) -> None:
    response = await radiologist.request(method, path)
    issue(response, 405)
    assert "GET" in response.headers["allow"]


async def test_without_a_token_the_door_is_closed(client: httpx.AsyncClient, known: Known) -> None:
    for path in ("ImagingStudy", f"ImagingStudy/{known.chest}", "Observation", "ImagingStudy/1/2"):
        response = await client.get(f"/fhir/{path}")
        assert issue(response, 401)["code"] == "login"
        assert response.headers["www-authenticate"].startswith("Bearer")
    broken = {"Authorization": "Bearer abc.def.ghi"}
    assert issue(await client.get("/fhir/Patient", headers=broken), 401)["code"] == "login"


async def test_a_form_of_another_type_or_too_large_or_not_text_is_refused(
    radiologist: httpx.AsyncClient,
) -> None:
    path = "ImagingStudy/_search"
    assert (
        issue(await radiologist.post(path, json={"modality": "CT"}), 415)["code"] == "not-supported"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    large = await radiologist.post(path, content=b"modality=" + b"x" * 70_000, headers=form)
    assert issue(large, 413)["code"] == "too-long"
    assert (
        issue(await radiologist.post(path, content=b"a=\xff", headers=form), 400)["code"]
        == "invalid"
    )


async def test_a_refusal_does_not_repeat_what_was_asked(radiologist: httpx.AsyncClient) -> None:
    for query in (
        "started=Doe",
        "_sort=Doe",
        "_include=Doe",
        "_count=Doe",
        "Doe:x=1",
        "_cursor=Doe",
    ):
        response = await radiologist.get(
            f"ImagingStudy?{query}", headers={"Prefer": "handling=strict"}
        )
        assert response.status_code == 400
        assert "Doe" not in response.text


async def test_a_database_that_is_gone_is_unavailable_and_not_broken(
    archive: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    nowhere = open_database(
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", "none", timedelta(milliseconds=50)
    )
    severed = replace(archive, repository=MongoRepository(nowhere))
    transport = ASGITransport(app=create_app(archive.settings, severed))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        response = await http.get("/fhir/ImagingStudy", headers=acting_as("radiologist"))
    nowhere.client.close()
    assert issue(response, 503)["code"] == "transient"


async def test_what_nobody_expected_is_an_outcome_without_details(
    archive: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    document = {"_id": "broken", "resource": {"resourceType": "Endpoint"}, "version": 1}
    await archive.database["endpoints"].insert_one(document)  # as no version of ours writes it
    transport = ASGITransport(app=create_app(archive.settings, archive))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        response = await http.get("/fhir/Endpoint", headers=acting_as("radiologist"))
    await archive.database["endpoints"].delete_one({"_id": "broken"})
    found = issue(response, 500)
    assert found["code"] == "exception"
    assert "lastUpdated" not in response.text
    assert response.headers["x-request-id"] != ""
