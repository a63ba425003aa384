"""What callers may ask for at `/graphql` bounds them here as well, in one account."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.archive import Archive
from app.main import create_app
from tests.fhir.graphql.asking import Reply
from tests.fhir.graphql.known import CT

pytestmark = pytest.mark.usefixtures("known")
Headers = Callable[..., dict[str, str]]


@asynccontextmanager
async def doors(archive: Archive, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    made = archive.settings.model_copy(update=settings)
    transport = httpx.ASGITransport(app=create_app(made, archive))
    async with httpx.AsyncClient(transport=transport, base_url=made.base_url) as http:
        yield http


async def test_whoever_may_send_trusted_documents_alone_may_send_no_other_here(
    archive: Archive, acting_as: Headers
) -> None:
    query = f'{{ ImagingStudy(id: "{CT}") {{ id }} }}'
    async with doors(archive, graphql_persisted_only=frozenset({"nurse"})) as http:
        for role, status in (("nurse", 403), ("radiologist", 200)):
            answers = [
                await http.post("/fhir/$graphql", json={"query": query}, headers=acting_as(role)),
                await http.get("/fhir/$graphql", params={"query": query}, headers=acting_as(role)),
                await http.post(
                    "/fhir/$graphql",
                    content=query,
                    headers=acting_as(role) | {"Content-Type": "application/graphql"},
                ),
            ]
            assert [one.status_code for one in answers] == [status] * 3
        refused = await http.post(
            "/fhir/$graphql", json={"query": query}, headers=acting_as("nurse")
        )
    reply = Reply(refused.status_code, refused.json(), refused.text)
    assert reply.problem == (403, "PERSISTED_ONLY", "forbidden")


async def test_objects_are_counted_together_with_those_of_our_own_graphql(
    archive: Archive, acting_as: Headers
) -> None:
    headers = acting_as("radiologist")
    async with doors(archive, graphql_cost_per_minute=100) as http:
        first = await http.post(
            "/graphql",
            json={"query": "{ studies(first: 100) { edges { node { series { uid } } } } }"},
            headers=headers,
        )
        assert first.status_code == 200
        answer = await http.post(
            "/fhir/$graphql", json={"query": "{ PatientList { id } }"}, headers=headers
        )
    reply = Reply(answer.status_code, answer.json(), answer.text)
    assert reply.problem == (429, "BUDGET_EXCEEDED", "throttled")
    assert int(answer.headers["retry-after"]) in range(1, 62)


async def test_the_capability_statement_names_the_operation(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    for headers in ({}, acting_as("billing")):
        statement = (await client.get("/fhir/metadata", headers=headers)).json()
        [operation] = statement["rest"][0]["operation"]
        assert operation["name"] == "graphql"
        definition = "http://hl7.org/fhir/OperationDefinition/Resource-graphql"
        assert operation["definition"] == definition


async def test_what_is_said_about_a_date_of_birth_is_in_the_resource_too(
    client: httpx.AsyncClient, acting_as: Headers, archive: Archive
) -> None:
    found = await archive.database["patients"].find_one({"resource.identifier.value": "P1"})
    assert found is not None
    shown = await client.get(f"/fhir/Patient/{found['_id']}", headers=acting_as("radiologist"))
    [time] = shown.json()["_birthDate"]["extension"]
    assert time["valueDateTime"] == "1970-08-09T10:11:12+01:00"
    closed = await client.get(f"/fhir/Patient/{found['_id']}", headers=acting_as("billing"))
    assert "10:11:12" not in closed.text
