"""What `/docs` tells of this door."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from httpx import AsyncClient

from fhir.elements import COORDINATES
from tests.rest.forms import ActingAs

ROUTES = {
    ("/postdicom/health", "get"),
    ("/postdicom/studies", "get"),
    ("/postdicom/studies", "post"),
    ("/postdicom/uploads/{upload_id}", "post"),
    ("/postdicom/studies/{study_uid}", "get"),
    ("/postdicom/studies/{study_uid}", "delete"),
    ("/postdicom/studies/{study_uid}/annotations/export", "get"),
    ("/postdicom/studies/{study_uid}/annotations/store", "post"),
    ("/postdicom/images/{image_uid}", "get"),
    ("/postdicom/images/{image_uid}/data", "get"),
    ("/postdicom/audit/logs", "get"),
    ("/postdicom/sessions", "get"),
    ("/postdicom/sessions", "delete"),
    ("/postdicom/sessions/{session_id}", "delete"),
    ("/postdicom/permissions", "get"),
    ("/postdicom/studies/{study_uid}/restore", "post"),
    ("/postdicom/changes", "get"),
    ("/postdicom/cache/stats", "get"),
    ("/postdicom/cache", "delete"),
    ("/postdicom/cache/studies/{study_uid}", "delete"),
    ("/postdicom/cache/warmup", "post"),
    ("/postdicom/images/{image_uid}/presigned-url", "post"),
    ("/postdicom/signed/{token}", "get"),
    ("/postdicom/batch/download", "post"),
    ("/postdicom/batch/delete", "post"),
}


async def document(client: AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        if path.startswith("/postdicom"):
            for method, operation in methods.items():
                yield path, method, operation


def within(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from within(inner)


async def test_the_document_is_openapi_3_1_and_has_every_route(client: AsyncClient) -> None:
    found = await document(client)
    assert found["openapi"].startswith("3.1.")
    OpenAPI.model_validate(found)
    assert {(path, method) for path, method, _ in operations(found)} == ROUTES
    names = [operation["operationId"] for _, _, operation in operations(found)]
    assert len(set(names)) == len(names)


async def test_every_reference_in_it_leads_somewhere(client: AsyncClient) -> None:
    found = await document(client)
    references = {one["$ref"] for one in within(found) if isinstance(one.get("$ref"), str)}
    known = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    assert references <= known
    assert len(references) > 10


async def test_every_route_tells_how_it_fails_and_that_it_needs_a_token(
    client: AsyncClient,
) -> None:
    found = await document(client)
    schemes = found["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["bearer"]["bearerFormat"] == "JWT"
    for path, _method, operation in operations(found):
        assert operation["tags"] == ["REST"]
        assert operation["description"]
        assert "422" not in operation["responses"]
        assert "503" in operation["responses"]
        if path in {"/postdicom/health", "/postdicom/signed/{token}"}:
            assert "security" not in operation
        else:
            assert operation["security"] == [{"bearer": []}]
            assert {"401", "403"} <= operation["responses"].keys()


async def test_every_parameter_is_described(client: AsyncClient) -> None:
    found = await document(client)
    listed = found["paths"]["/postdicom/studies"]["get"]["parameters"]
    assert [one["name"] for one in listed] == [
        "limit",
        "offset",
        "patientID",
        "studyDate",
        "startDate",
        "endDate",
        "modality",
        "specialty",
        "accessLevel",
        "sortBy",
        "sortOrder",
    ]
    upload = found["paths"]["/postdicom/studies"]["post"]["requestBody"]["content"]
    assert upload["multipart/form-data"]["schema"]["properties"]["files"]["type"] == "array"


async def test_every_member_of_a_record_names_coordinates_that_exist(client: AsyncClient) -> None:
    schemas = (await document(client))["components"]["schemas"]
    for name in ("Study", "StudyDetail", "Series", "Access", "Session"):
        members = schemas[name]["properties"]
        assert schemas[name]["required"] == list(members)
        for member in members.values():
            assert member["x-coordinates"]
            assert set(member["x-coordinates"]) <= COORDINATES
            assert member["description"]


async def test_the_page_itself_is_served(client: AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/postdicom/health", 405), ("GET", "/postdicom/nothing", 404)],
)
async def test_what_is_no_route_answers_in_the_envelope_too(
    client: AsyncClient, acting_as: ActingAs, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path, headers=acting_as("provider"))
    assert (answer.status_code, answer.json()["success"]) == (status, False)
