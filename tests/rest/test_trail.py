"""Reading the audit through `/postdicom/audit/logs`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from app.archive import Archive, open_book
from app.main import create_app
from app.settings import DEVELOPMENT_ISSUER
from tests.build import study, uid
from tests.rest.forms import ActingAs, put

LOGS = "/postdicom/audit/logs"
STUDY = uid("trail")
MEMBERS = {
    "id",
    "timestamp",
    "action",
    "outcome",
    "success",
    "userId",
    "userName",
    "roles",
    "address",
    "door",
    "requestId",
    "resource",
    "resourceIds",
    "patientIds",
    "total",
    "query",
    "refused",
}


@pytest.fixture(scope="module", autouse=True)
async def patient(archive: Archive) -> str:
    """Store a study; the id of its patient."""
    await put(archive, *study(StudyInstanceUID=STUDY))
    document = await archive.ledger.study(STUDY)
    assert document is not None
    return str(document["resource"]["subject"]["reference"]).removeprefix("Patient/")


async def read(client: AsyncClient, headers: dict[str, str], **query: Any) -> dict[str, Any]:
    answer = await client.get(LOGS, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_access_can_be_read_with_everything_that_was_written(
    client: AsyncClient, acting_as: ActingAs, patient: str
) -> None:
    someone = acting_as("radiologist", subject="dr-one") | {"X-Request-Id": "trail-read"}
    await client.get(f"/fhir/ImagingStudy/{STUDY}", headers=someone)
    body = await read(client, acting_as("auditor"), userId=f"{DEVELOPMENT_ISSUER}#dr-one")
    [event] = body["data"]
    assert event.keys() == MEMBERS
    assert {name: event[name] for name in MEMBERS - {"id", "timestamp", "userName"}} == {
        "action": "read",
        "outcome": "allowed",
        "success": True,
        "userId": f"{DEVELOPMENT_ISSUER}#dr-one",
        "roles": ["radiologist"],
        "address": "127.0.0.1",
        "door": "fhir",
        "requestId": "trail-read",
        "resource": "ImagingStudy",
        "resourceIds": [STUDY],
        "patientIds": [patient],
        "total": 1,
        "query": None,
        "refused": [],
    }
    assert body["metadata"] == {
        "totalCount": 1,
        "pageSize": 20,
        "currentPage": 1,
        "hasMore": False,
        "refused": {},
    }


async def test_elements_that_were_not_given_are_named_though_the_rest_was_read(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    someone = acting_as("provider", subject="dr-two")
    await client.get(f"/postdicom/studies/{STUDY}", headers=someone)
    who = f"{DEVELOPMENT_ISSUER}#dr-two"
    body = await read(client, acting_as("auditor"), userId=who, action="read")
    [event] = body["data"]
    assert (event["resource"], event["outcome"], event["success"]) == (
        "ImagingStudy",
        "allowed",
        True,
    )
    assert event["refused"] == ["ImagingStudy.referrer", "ImagingStudy.subject.display"]


@pytest.mark.parametrize("name", ["a|b", "a,b", "a\\b", "a|b,c\\|$d"])
async def test_whoever_has_separators_in_their_name_is_found_by_it(
    client: AsyncClient, acting_as: ActingAs, name: str
) -> None:
    await client.get("/fhir/ImagingStudy", headers=acting_as("nurse", subject=name))
    who = f"{DEVELOPMENT_ISSUER}#{name}"
    body = await read(client, acting_as("auditor"), userId=who)
    assert [(one["userId"], one["action"]) for one in body["data"]] == [(who, "search")]
    assert body["metadata"]["totalCount"] == 1


async def test_what_was_refused_is_found_by_its_outcome(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    who = f"{DEVELOPMENT_ISSUER}#curious"
    await client.get(f"/postdicom/studies/{STUDY}", headers=acting_as("auditor", subject="curious"))
    await client.get("/fhir/ImagingStudy", headers=acting_as("nurse", subject="curious"))
    auditor = acting_as("auditor")
    refused = await read(client, auditor, userId=who, success=False)
    allowed = await read(client, auditor, userId=who, success=True)
    assert [(one["action"], one["refused"]) for one in refused["data"]] == [
        ("read", ["ImagingStudy.id"])
    ]
    assert [(one["action"], one["outcome"]) for one in allowed["data"]] == [("search", "allowed")]
    assert (await read(client, auditor, userId=who, action="read"))["metadata"]["totalCount"] == 1
    assert (await read(client, auditor, userId=who, action="delete"))["data"] == []


async def test_a_refused_token_is_there_without_a_name(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    headers = {"Authorization": "Bearer nonsense", "X-Request-Id": "no-token"}
    await client.get("/postdicom/studies", headers=headers)
    body = await read(client, acting_as("auditor"), action="login")
    [event] = [one for one in body["data"] if one["requestId"] == "no-token"]
    assert (event["userId"], event["success"], event["roles"]) == (None, False, [])


async def test_pages_up_to_one_time_visit_every_access_once_the_latest_first(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    for _ in range(5):
        await client.get("/fhir/ImagingStudy", headers=acting_as("nurse", subject="busy"))
    auditor = acting_as("auditor", subject="turning")
    first = await read(client, auditor, limit=1)
    until = first["data"][0]["timestamp"]
    everything = await read(client, auditor, limit=100, endDate=until)
    seen: list[str] = []
    for offset in range(0, 100, 2):
        body = await read(client, auditor, limit=2, offset=offset, endDate=until)
        seen += [one["id"] for one in body["data"]]
        if not body["metadata"]["hasMore"]:
            break
    assert seen == [one["id"] for one in everything["data"]]
    assert len(set(seen)) == len(seen) == everything["metadata"]["totalCount"]
    times = [one["timestamp"] for one in everything["data"]]
    assert times == sorted(times, reverse=True)


async def test_days_are_included_at_both_ends(client: AsyncClient, acting_as: ActingAs) -> None:
    auditor = acting_as("auditor")
    [event] = (await read(client, auditor, limit=1))["data"]
    today = event["timestamp"][:10]
    assert (await read(client, auditor, startDate=today))["metadata"]["totalCount"] > 0
    assert (await read(client, auditor, endDate=today))["metadata"]["totalCount"] > 0
    assert (await read(client, auditor, endDate="2001-01-01"))["data"] == []
    assert (await read(client, auditor, startDate="2999-01-01"))["data"] == []
    exact = await read(client, auditor, startDate=event["timestamp"], endDate=event["timestamp"])
    assert event["id"] in {one["id"] for one in exact["data"]}


async def test_reading_the_audit_is_in_the_audit(client: AsyncClient, acting_as: ActingAs) -> None:
    who = f"{DEVELOPMENT_ISSUER}#watcher"
    auditor = acting_as("auditor", subject="watcher")
    first = await read(client, auditor, userId=who)
    second = await read(client, auditor, userId=who)
    assert first["data"] == []
    [event] = second["data"]
    assert (event["action"], event["resource"], event["door"]) == ("search", "AuditEvent", "rest")
    assert event["query"].startswith("userId=")


@pytest.mark.parametrize(
    "role",
    [
        "patient",
        "proxy",
        "provider",
        "radiologist",
        "technologist",
        "nurse",
        "resident",
        "fellow",
        "attending",
        "admin",
        "researcher",
        "billing",
    ],
)
async def test_nobody_but_the_auditor_reads_the_audit(
    client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    headers = acting_as(role, project="trial-1" if role == "researcher" else None)
    answer = await client.get(LOGS, headers=headers)
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (403, "ACCESS_DENIED")
    assert body["error"]["details"] == {"coordinates": ["AuditEvent.id"]}
    assert "data" not in body


async def test_a_researcher_without_a_project_is_refused_before_any_element(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    body = (await client.get(LOGS, headers=acting_as("researcher"))).json()
    assert body.keys() == {"success", "error"}
    assert (body["error"]["code"], body["error"]["details"]) == ("ACCESS_DENIED", None)


@pytest.mark.parametrize(
    "query",
    [
        {"startDate": "yesterday"},
        {"endDate": "ge2024-01-01"},
        {"startDate": "2024-02-30"},
        {"action": "peek"},
        {"success": "maybe"},
        {"limit": 101},
        {"user": "x"},
        {"userId": ""},
    ],
)
async def test_what_makes_no_sense_is_refused(
    client: AsyncClient, acting_as: ActingAs, query: dict[str, Any]
) -> None:
    answer = await client.get(LOGS, params=query, headers=acting_as("auditor"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


async def test_a_policy_can_show_patients_who_saw_their_images(
    archive: Archive, acting_as: ActingAs, patient: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policies"
    policy.mkdir()
    for name in ("model.conf", "rules.csv", "scopes.toml"):
        (policy / name).write_text((archive.settings.policy_dir / name).read_text())
    (policy / "tests.toml").write_text("")
    with (policy / "rules.csv").open("a") as rules:
        rules.write("p, patient, AuditEvent.*, read, seen, allow\n")
    with (policy / "scopes.toml").open("a") as scopes:
        scopes.write('[seen]\ndescription = "About the caller"\n')
        scopes.write('AuditEvent = "patient=Patient/{patient}"\n')
    settings = archive.settings.model_copy(update={"policy_dir": policy, "data_dir": tmp_path})
    opened = replace(
        archive, settings=settings, book=open_book(settings, tmp_path / "last-good.zip")
    )
    transport = ASGITransport(app=create_app(settings, opened))
    async with AsyncClient(transport=transport, base_url="http://radiograph.test") as client:
        await client.get(f"/fhir/ImagingStudy/{STUDY}", headers=acting_as("nurse", subject="saw"))
        own = await read(client, acting_as("patient", patient=patient), limit=100)
        other = await read(client, acting_as("patient", patient="somebody-else"))
    assert f"{DEVELOPMENT_ISSUER}#saw" in {one["userId"] for one in own["data"]}
    assert {patient} == {one for event in own["data"] for one in event["patientIds"]}
    assert (other["data"], other["metadata"]["totalCount"]) == ([], 0)
