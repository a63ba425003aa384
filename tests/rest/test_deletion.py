"""Deleting a study: who may, what is gone then, and that nothing changes for the others."""

import pytest
from httpx import AsyncClient

from app.archive import Archive
from tests.build import study, uid
from tests.rest.forms import FORM, ActingAs, form, put, statuses


async def whole(archive: Archive) -> dict[str, int]:
    """Count what is stored."""
    names = ("instances", "studies", "patients")
    counts = {name: await archive.database[name].count_documents({}) for name in names}
    return counts | {"objects": len([one async for one in archive.objects.list()])}


async def test_an_admin_deletes_a_study_with_everything_in_it(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    before = await whole(archive)
    root, kept = uid(), uid()
    objects = study(series=2, instances=2, StudyInstanceUID=root, PatientID=root)
    await put(archive, *objects, *study(StudyInstanceUID=kept, PatientID=kept))
    headers = acting_as("admin") | {"X-Request-Id": "deletion"}
    answer = await client.delete(f"/postdicom/studies/{root}", headers=headers)
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "data": {"studyInstanceUID": root}},
    )
    assert await whole(archive) == {name: count + 1 for name, count in before.items()}
    gone = await client.get(f"/postdicom/studies/{root}", headers=acting_as("radiologist"))
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "STUDY_NOT_FOUND")
    image = await client.get(f"/postdicom/images/{root}.1.1", headers=acting_as("radiologist"))
    assert image.status_code == 404
    again = await client.delete(f"/postdicom/studies/{root}", headers=acting_as("admin"))
    assert (again.status_code, again.json()["error"]["code"]) == (404, "STUDY_NOT_FOUND")
    [written] = await archive.database["audit_events"].find({"requestId": "deletion"}).to_list(9)
    assert (written["action"], written["resource"], written["outcome"], written["ids"]) == (
        "delete",
        "ImagingStudy",
        "allowed",
        [root],
    )
    assert len(written["patients"]) == 1


async def test_a_deleted_study_can_be_sent_again(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    root = uid()
    objects = study(instances=2, StudyInstanceUID=root)
    await put(archive, *objects)
    await client.delete(f"/postdicom/studies/{root}", headers=acting_as("admin"))
    answer = await client.post(
        "/postdicom/studies", content=form(*objects), headers=acting_as("admin") | FORM
    )
    assert statuses(answer.json()["data"]["results"]) == [("stored", "")] * 2
    found = await client.get(f"/postdicom/studies/{root}", headers=acting_as("admin"))
    assert found.json()["data"]["numberOfInstances"] == 2


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
        "auditor",
        "researcher",
        "billing",
    ],
)
async def test_nobody_else_deletes_and_nothing_changes(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    root = uid("kept")
    [stored] = await put(archive, *study(StudyInstanceUID=root, SOPInstanceUID=uid("kept image")))
    assert stored.kept
    document = await archive.ledger.study(root)
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    before = await whole(archive)
    named = {"patient": {"patient": patient}, "researcher": {"project": "trial-1"}}
    headers = acting_as(role, **named.get(role, {}))
    for there in (root, uid()):
        answer = await client.delete(f"/postdicom/studies/{there}", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ACCESS_DENIED")
        assert answer.json()["error"]["details"] == {"coordinates": ["ImagingStudy.id"]}
    assert await whole(archive) == before
    assert await archive.ledger.study(root) == document
