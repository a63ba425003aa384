"""Deleting a study: who may, what is gone then, and that nothing changes for the others."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from httpx import ASGITransport, AsyncClient

from app.archive import Archive
from app.main import create_app
from tests.build import study, uid
from tests.rest.forms import FORM, ActingAs, form, put

SECOND = timedelta(seconds=1)


async def whole(archive: Archive) -> dict[str, int]:
    """Count what is stored."""
    names = ("instances", "studies", "patients")
    counts = {name: await archive.database[name].count_documents({}) for name in names}
    return counts | {"objects": len([one async for one in archive.objects.list()])}


async def test_an_admin_deletes_a_study_and_it_is_kept_out_of_sight(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    root, kept = uid(), uid()
    objects = study(series=2, instances=2, StudyInstanceUID=root, PatientID=root)
    await put(archive, *objects, *study(StudyInstanceUID=kept, PatientID=kept))
    before = await whole(archive)
    headers = acting_as("admin") | {"X-Request-Id": "deletion"}
    begun = datetime.now(UTC)
    answer = await client.request(
        "DELETE", f"/postdicom/studies/{root}", headers=headers, json={"reason": "Wrong person"}
    )
    assert answer.status_code == 200
    said = answer.json()["data"]
    until = datetime.fromisoformat(said.pop("restorableUntil"))
    assert said == {"studyInstanceUID": root}
    week = archive.settings.restore_window
    assert begun + week - SECOND <= until <= datetime.now(UTC) + week + SECOND
    assert await whole(archive) == before | {"patients": before["patients"] - 1}
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


async def test_where_nothing_is_kept_a_study_is_gone_with_everything_in_it(
    archive: Archive, acting_as: ActingAs
) -> None:
    root = uid()
    before = await whole(archive)
    await put(archive, *study(series=2, instances=2, StudyInstanceUID=root, PatientID=root))
    settings = archive.settings.model_copy(update={"restore_window": timedelta()})
    at_once = replace(archive, settings=settings)
    transport = ASGITransport(app=create_app(settings, at_once))
    async with AsyncClient(transport=transport, base_url=settings.base_url) as client:
        answer = await client.delete(f"/postdicom/studies/{root}", headers=acting_as("admin"))
        assert answer.json()["data"] == {"studyInstanceUID": root, "restorableUntil": None}
        back = await client.post(f"/postdicom/studies/{root}/restore", headers=acting_as("admin"))
        assert (back.status_code, back.json()["error"]["code"]) == (404, "STUDY_NOT_FOUND")
    assert await whole(archive) == before


async def test_a_restored_study_is_what_it_was(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    root = uid()
    await put(archive, *study(series=2, instances=2, StudyInstanceUID=root, PatientID=root))
    before, stored = await whole(archive), await archive.ledger.study(root)
    assert stored is not None
    await client.delete(f"/postdicom/studies/{root}", headers=acting_as("admin"))
    for role in ("radiologist", "auditor", "technologist"):
        refused = await client.post(f"/postdicom/studies/{root}/restore", headers=acting_as(role))
        assert refused.status_code == 403
        assert refused.json()["error"]["details"] == {"coordinates": ["DeletedStudy.id"]}
    back = await client.post(f"/postdicom/studies/{root}/restore", headers=acting_as("admin"))
    assert (back.status_code, back.json()["data"]) == (200, {"studyInstanceUID": root})
    assert await whole(archive) == before
    found = await archive.ledger.study(root)
    assert found is not None
    assert found["version"] == stored["version"] + 2
    meta = found["resource"].pop("meta")
    was = stored["resource"].pop("meta")
    assert found["resource"] == stored["resource"]
    assert (meta["security"], meta["tag"]) == (was["security"], was["tag"])
    again = await client.post(f"/postdicom/studies/{root}/restore", headers=acting_as("admin"))
    assert (again.status_code, again.json()["error"]["code"]) == (404, "STUDY_NOT_FOUND")


async def test_a_deleted_study_cannot_be_sent_again_while_it_is_kept(
    archive: Archive, client: AsyncClient, acting_as: ActingAs
) -> None:
    root = uid()
    objects = study(instances=2, StudyInstanceUID=root)
    await put(archive, *objects[:1])
    await client.delete(f"/postdicom/studies/{root}", headers=acting_as("admin"))
    before = await whole(archive)
    answer = await client.post(
        "/postdicom/studies", content=form(*objects), headers=acting_as("admin") | FORM
    )
    assert answer.status_code == 409
    assert await whole(archive) == before


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
