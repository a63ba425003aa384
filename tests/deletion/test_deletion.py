"""Deleting and restoring: what anybody sees meanwhile, and that all of it comes back."""

from datetime import datetime, timedelta

import pytest

from app.imaging.sweep import sweep
from tests.contents import assert_true
from tests.deletion.desk import Desk, codes
from tests.doors.probes import PROBES
from tests.doors.sight import Target, Visit

LIST = """{ deletedStudies { edges { node {
    id patient { reference } recorded recorder reason until numberOfInstances } } } }"""


async def shown(desk: Desk, study: str, patient: str, role: str = "radiologist") -> set[str]:
    """Say through which doors somebody is shown an instance, or the study, by whatever route."""
    target = Target(patient, study, f"{study}.1", f"{study}.1.1")
    found = set()
    for door, probe in PROBES.items():
        visit = Visit(desk.client, desk.acting_as(role), target, role)
        await probe(visit)
        if any(visit.sight.shows(one) for one in ("NUMBER-OF-IT", "MRN-OF-IT", f"{study}.1.1")):
            found.add(door)
    return found


def reference(document: dict[str, object]) -> str:
    resource = document.get("resource") or document["kept"]["resource"]  # type: ignore[index]
    assert isinstance(resource, dict)
    said: str = resource["subject"]["reference"]
    return said


async def test_a_deleted_study_is_shown_by_no_route_of_any_door_and_then_by_all_again(
    desk: Desk,
) -> None:
    root = await desk.load(AccessionNumber="NUMBER-OF-IT", PatientID="MRN-OF-IT")
    patient = reference(await desk.document(root)).removeprefix("Patient/")
    before = await shown(desk, root, patient)
    assert {"graphql", "fhir", "dicomweb", "rest"} <= before
    assert codes(await desk.delete(root)) == []
    assert await shown(desk, root, patient) == set()
    assert codes(await desk.restore(root)) == []
    assert await shown(desk, root, patient) == before


async def test_whoever_may_sees_what_is_deleted_by_whom_and_until_when(desk: Desk) -> None:
    root = await desk.load(instances=3)
    patient = reference(await desk.document(root))
    await desk.delete(root, "Wrong $person")
    for role in ("admin", "auditor"):
        body = await desk.ask(LIST, role)
        [edge] = body["data"]["deletedStudies"]["edges"]
        node = edge["node"]
        recorded, until = (datetime.fromisoformat(node.pop(one)) for one in ("recorded", "until"))
        assert until - recorded == timedelta(days=7)
        assert node.pop("recorder").endswith("#admin")
        assert node == {
            "id": root,
            "patient": {"reference": patient},
            "reason": "Wrong $person",
            "numberOfInstances": 3,
        }
    refused = await desk.ask(LIST, "radiologist")
    assert {one["extensions"]["code"] for one in refused["errors"]} == {"FORBIDDEN"}
    await desk.restore(root)
    assert (await desk.ask(LIST))["data"]["deletedStudies"]["edges"] == []


async def test_everything_comes_back_but_the_version(desk: Desk) -> None:
    root = await desk.load()
    await desk.do(f'labelStudy(study: "{root}", confidentiality: R)')
    await desk.do(f'withholdStudy(study: "{root}")')
    before, stored = await desk.everything(), await desk.document(root)
    assert codes(await desk.delete(root)) == []
    deleted = await desk.document(root)
    assert {"resource", "index", "keys", "spoken", "tags", "dicom"}.isdisjoint(deleted)
    assert deleted["version"] == stored["version"] + 1
    assert codes(await desk.restore(root)) == []
    back, found = await desk.everything(), await desk.document(root)
    assert back.keys() == before.keys()
    same = back.keys() - {"studies", "patients"}
    assert {one: back[one] for one in same} == {one: before[one] for one in same}
    moved = {"version", "lastUpdated", "resource", "index", "keys"}
    assert found.keys() == stored.keys()
    assert {name: one for name, one in found.items() if name not in moved} == {
        name: one for name, one in stored.items() if name not in moved
    }
    was, now = stored["resource"].pop("meta"), found["resource"].pop("meta")
    assert found["resource"] == stored["resource"]
    assert (was["security"], was.get("tag")) == (now["security"], now.get("tag"))
    assert int(now["versionId"]) == int(was["versionId"]) + 2
    await assert_true(desk.archive)
    assert codes(await desk.restore(root)) == ["NOT_FOUND"]


async def test_a_patient_with_other_studies_stays_and_one_without_comes_back_by_the_same_id(
    desk: Desk,
) -> None:
    one = await desk.load(PatientID="shared", PatientName="Old^Name", StudyDate="20200101")
    two = await desk.load(PatientID="shared", PatientName="New^Name", StudyDate="20210101")
    patients = desk.archive.database["patients"]
    first = await patients.find_one({})
    assert first is not None
    assert first["resource"]["name"][0]["family"] == "New"
    await desk.delete(two)
    settled = await patients.find_one({})
    assert settled is not None
    assert settled["resource"]["name"][0]["family"] == "Old"
    await desk.delete(one)
    assert await patients.count_documents({}) == 0
    await desk.restore(two)
    back = await patients.find_one({})
    assert back is not None
    assert (back["_id"], back["resource"]["name"][0]["family"]) == (first["_id"], "New")
    await desk.restore(one)
    await assert_true(desk.archive)


async def test_a_new_study_of_a_patient_whose_studies_are_deleted_is_of_the_same_patient(
    desk: Desk,
) -> None:
    one = await desk.load(PatientID="again")
    patient = reference(await desk.document(one))
    await desk.delete(one)
    two = await desk.load(PatientID="again")
    assert reference(await desk.document(two)) == patient
    await desk.restore(one)
    assert reference(await desk.document(one)) == patient
    await assert_true(desk.archive)


@pytest.mark.parametrize("role", ["radiologist", "attending", "technologist", "auditor"])
async def test_nobody_else_deletes_restores_holds_or_lifts_and_nothing_changes(
    desk: Desk, role: str
) -> None:
    root, deleted = await desk.load(), await desk.load()
    await desk.delete(deleted)
    hold = (await desk.hold(root))["record"]["id"]
    before = await desk.everything()
    for mutation in (
        f'deleteStudy(study: "{root}", reason: "r")',
        f'restoreStudy(study: "{deleted}")',
        f'holdStudy(study: "{root}", reason: "r")',
        f'liftHold(id: "{hold}", reason: "r")',
    ):
        body = await desk.ask(f"mutation {{ {mutation} {{ record {{ id }} }} }}", role)
        assert {one["extensions"]["code"] for one in body["errors"]} == {"FORBIDDEN"}, body
        assert await desk.everything() == before


@pytest.mark.parametrize("reason", ["", " ", "a" * 501, "\\u0007"])
async def test_a_reason_that_will_not_do_changes_nothing(desk: Desk, reason: str) -> None:
    root = await desk.load()
    before = await desk.everything()
    assert codes(await desk.delete(root, reason)) == ["INVALID_REQUEST"]
    held = await desk.do(f'holdStudy(study: "{root}", reason: "{reason}")')
    assert codes(held) == ["INVALID_REQUEST"]
    assert await desk.everything() == before


async def test_what_is_not_there_cannot_be_deleted_restored_or_held(desk: Desk) -> None:
    live = await desk.load()
    before = await desk.everything()
    assert codes(await desk.delete("1.2.3")) == ["NOT_FOUND"]
    assert codes(await desk.restore("1.2.3")) == ["NOT_FOUND"]
    assert codes(await desk.restore(live)) == ["NOT_FOUND"]
    assert codes(await desk.hold("1.2.3")) == ["NOT_FOUND"]
    assert codes(await desk.lift("absent")) == ["NOT_FOUND"]
    assert await desk.everything() == before


async def test_a_sweep_leaves_what_is_deleted_as_it_is(desk: Desk) -> None:
    root, other = await desk.load(), await desk.load()
    await desk.delete(root)
    before = await desk.everything()
    await sweep(desk.archive.ingest)
    assert await desk.everything() == before
    await desk.restore(root)
    await assert_true(desk.archive)
    assert {root, other} == set(await desk.archive.database["studies"].distinct("_id"))
