"""Deleting many studies at once: each is decided by itself, and the status is true for all."""

from collections.abc import Sequence
from typing import Any

import pytest
from httpx import AsyncClient, Response

from app.archive import Archive
from app.rest.batch_delete import MOST_STUDIES
from tests.build import study, uid
from tests.rest.forms import ActingAs, put

DELETE = "/postdicom/batch/delete"


async def stored(archive: Archive, count: int) -> list[str]:
    """Store studies of one image each; give their UIDs."""
    roots = [uid() for _ in range(count)]
    for root in roots:
        await put(archive, *study(StudyInstanceUID=root, PatientID=root))
    return roots


async def whole(archive: Archive) -> dict[str, int]:
    """Count what is stored and in sight."""
    found = {"studies": await archive.database["studies"].count_documents({})}
    deleted = await archive.database["studies"].count_documents({"deleted": {"$exists": True}})
    return found | {"deleted": deleted}


async def hold(client: AsyncClient, headers: dict[str, str], root: str) -> None:
    """Put a legal hold on a study."""
    query = 'mutation($study: ID!) {holdStudy(study: $study, reason: "in court") {record {id}}}'
    answer = await client.post(
        "/graphql", headers=headers, json={"query": query, "variables": {"study": root}}
    )
    assert "errors" not in answer.json(), answer.text


async def delete(
    client: AsyncClient, headers: dict[str, str], roots: Sequence[str], **more: object
) -> Response:
    return await client.post(DELETE, headers=headers, json={"studies": list(roots), **more})


def told(answer: Response) -> list[tuple[Any, ...]]:
    """Give UID, outcome and code of each study."""
    return [
        (one["studyInstanceUID"], one["deleted"], one["code"])
        for one in answer.json()["data"]["results"]
    ]


async def test_an_admin_deletes_studies_and_each_can_be_restored(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    roots = await stored(archive, 3)
    headers = acting_as("admin") | {"X-Request-Id": "batch-deletion"}
    answer = await delete(client, headers, [*roots, roots[0]], reason="Wrong person")
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["error"] is None
    assert told(answer) == [(root, True, None) for root in roots]
    assert all(one["restorableUntil"] for one in answer.json()["data"]["results"])
    written = (
        await archive.database["audit_events"].find({"requestId": "batch-deletion"}).to_list(9)
    )
    assert [(one["action"], one["outcome"], one["ids"]) for one in written] == [
        ("delete", "allowed", [root]) for root in roots
    ]
    for root in roots:
        gone = await client.get(f"/postdicom/studies/{root}", headers=acting_as("radiologist"))
        assert gone.status_code == 404
        back = await client.post(f"/postdicom/studies/{root}/restore", headers=acting_as("admin"))
        assert back.status_code == 200


async def test_what_is_held_or_not_there_stays_and_the_others_go(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    free, held = await stored(archive, 2)
    absent = uid()
    await hold(client, acting_as("admin"), held)
    answer = await delete(client, acting_as("admin"), [held, free, absent])
    assert answer.status_code == 207
    assert answer.json()["success"] is False
    assert told(answer) == [
        (held, False, "COMPLIANCE_VIOLATION"),
        (free, True, None),
        (absent, False, "STUDY_NOT_FOUND"),
    ]
    data = answer.json()["data"]
    assert (data["deleted"], data["kept"]) == (1, 2)
    assert "legal hold" in data["results"][0]["message"]
    before = await whole(archive)
    for roots, status, code in (
        ([held], 409, "COMPLIANCE_VIOLATION"),
        ([absent, free], 404, "STUDY_NOT_FOUND"),
        ([held, absent], 403, "COMPLIANCE_VIOLATION"),
    ):
        none = await delete(client, acting_as("admin"), roots)
        assert (none.status_code, none.json()["error"]["code"]) == (status, code)
        assert none.json()["data"]["deleted"] == 0
    assert await whole(archive) == before


@pytest.mark.parametrize(
    "role", ["radiologist", "technologist", "attending", "auditor", "billing", "researcher"]
)
async def test_nobody_else_deletes_and_nothing_changes(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    roots = await stored(archive, 2)
    before = await whole(archive)
    named = {"researcher": {"project": "trial-1"}}
    answer = await delete(client, acting_as(role, **named.get(role, {})), [*roots, uid()])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ACCESS_DENIED")
    assert answer.json()["error"]["details"] == {"coordinates": ["ImagingStudy.id"]}
    assert {one[1:] for one in told(answer)} == {(False, "ACCESS_DENIED")}
    assert await whole(archive) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"studies": []},
        {"studies": ["Secret"]},
        {"studies": [uid("x")], "reason": ""},
        {"studies": [uid("x")], "reason": "x" * 501},
        {"studies": [uid("x")], "why": "x"},
        {"studies": [uid(number) for number in range(MOST_STUDIES + 1)]},
    ],
    ids=["nothing", "none", "name", "no reason", "long", "unknown", "many"],
)
async def test_what_is_no_such_request_is_refused_and_nothing_changes(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, body: dict[str, Any]
) -> None:
    await put(archive, *study(StudyInstanceUID=uid("x"), SOPInstanceUID=uid("x image")))
    before = await whole(archive)
    answer = await client.post(DELETE, headers=acting_as("admin"), json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "Secret" not in answer.text
    assert await whole(archive) == before
