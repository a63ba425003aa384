"""Legal holds: what is held is neither deleted nor purged, whoever is quicker."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.imaging.custody import StudyCustody
from fhir.deleting import Held
from fhir.errors import NotFound
from tests.deletion.desk import Desk, codes

LIST = """{ holds { edges { node {
    id study patient { reference } reason recorder period { start end }
    revoked { at by reason } } } } }"""


async def listed(desk: Desk, role: str = "auditor") -> list[dict[str, Any]]:
    body = await desk.ask(LIST, role)
    return [edge["node"] for edge in body["data"]["holds"]["edges"]]


async def test_a_held_study_is_not_deleted_and_the_answer_says_who_may_lift(desk: Desk) -> None:
    root = await desk.load()
    assert codes(await desk.hold(root)) == []
    before = await desk.everything()
    refused = await desk.delete(root)
    assert codes(refused) == ["COMPLIANCE_VIOLATION"]
    [error] = refused["errors"]
    assert error["__typename"] == "ConflictError"
    assert error["message"] == (
        "A legal hold is in force on this study, so it stays. Roles that may lift it: admin."
    )
    answer = await desk.client.delete(f"/postdicom/studies/{root}", headers=desk.acting_as("admin"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "COMPLIANCE_VIOLATION")
    assert await desk.everything() == before
    events = desk.archive.database["audit_events"]
    refusals = await events.count_documents({"action": "delete", "outcome": "refused"})
    assert refusals == 2


async def test_a_study_is_deleted_once_its_last_hold_is_lifted(desk: Desk) -> None:
    root = await desk.load()
    holds = [(await desk.hold(root))["record"]["id"] for _ in range(2)]
    assert codes(await desk.lift(holds[0])) == []
    assert codes(await desk.delete(root)) == ["COMPLIANCE_VIOLATION"]
    assert codes(await desk.lift(holds[1])) == []
    assert codes(await desk.delete(root)) == []


async def test_a_hold_tells_who_placed_and_lifted_it_and_why(desk: Desk) -> None:
    root = await desk.load()
    patient = (await desk.document(root))["resource"]["subject"]["reference"]
    hold = (await desk.hold(root))["record"]["id"]
    [node] = await listed(desk)
    assert node["recorder"].endswith("#admin")
    assert node["period"].pop("start") is not None
    expected = {
        "id": hold,
        "study": root,
        "patient": {"reference": patient},
        "reason": "Case 7",
        "recorder": node["recorder"],
        "period": {"end": None},
        "revoked": None,
    }
    assert node == expected
    await desk.lift(hold)
    before = await desk.everything()
    again = await desk.do(f'liftHold(id: "{hold}", reason: "Twice")')
    assert codes(again) == []
    assert await desk.everything() == before
    [node] = await listed(desk, "admin")
    assert node["revoked"].pop("at") is not None
    assert node["revoked"] == {"by": node["recorder"], "reason": "Case closed"}


async def test_a_deleted_study_can_be_held_and_restored_even_late(desk: Desk) -> None:
    root = await desk.load()
    await desk.delete(root)
    assert codes(await desk.hold(root)) == []
    await desk.let_time_pass(root)
    before = await desk.everything()
    assert await desk.retention().purge() == 0
    assert await desk.everything() == before
    assert codes(await desk.restore(root)) == []
    assert codes(await desk.delete(root)) == ["COMPLIANCE_VIOLATION"]


async def test_a_study_that_is_gone_is_not_held_and_no_hold_stays(desk: Desk) -> None:
    root = await desk.load()
    await desk.archive.ledger.deleted.hide(root)
    assert codes(await desk.hold(root)) == ["NOT_FOUND"]
    assert await listed(desk) == []


@pytest.mark.parametrize("window", [timedelta(), timedelta(days=7)], ids=["at once", "kept"])
async def test_of_a_hold_and_a_deletion_at_once_one_is_first(desk: Desk, window: timedelta) -> None:
    archive, seen = desk.archive, set()
    custody = StudyCustody(archive.ingest, archive.cache, window)
    # admins are two: what one does, the other one's database client does not know of
    for attempt in range(40):
        root = await desk.load(instances=1)
        hold = {
            "resourceType": "Hold",
            "id": f"hold-{root}",
            "study": root,
            "reason": "r",
            "recorder": "somebody",
            "period": {"start": "2024-01-01T00:00:00Z"},
        }
        await archive.repository.create(hold)

        async def deletion(root: str = root) -> str:
            try:
                await custody.delete(root, by="somebody", reason=None)
            except Held:
                return "held"
            except NotFound:
                return "missing"
            return "deleted"

        first, second = custody.hold(root, f"hold-{root}"), deletion()
        if attempt % 2:
            deleted, held = await asyncio.gather(second, first)
        else:
            held, deleted = await asyncio.gather(first, second)
        seen.add((held, deleted))
        document = await archive.ledger.study(root)
        records = await archive.database["holds"].count_documents({"_id": f"hold-{root}"})
        assert records == held
        if held and not window:
            assert deleted == "held"
        if deleted == "held":
            assert document is not None
            assert "resource" in document
            assert held
        elif window:
            assert document is not None
            assert ("kept" in document, document.get("holds")) == (True, [f"hold-{root}"])
            await desk.let_time_pass(root)
            assert await desk.retention().purge() == 0
        else:
            assert document is None
            assert not held
    assert len(seen) == 2


async def test_what_a_crash_left_between_a_hold_and_its_study_is_mended(desk: Desk) -> None:
    holds = desk.archive.database["holds"]
    placed, lifted, gone = await desk.load(), await desk.load(), await desk.load()
    ids = {one: (await desk.hold(one))["record"]["id"] for one in (placed, lifted, gone)}
    studies = desk.archive.database["studies"]
    await studies.update_one({"_id": placed}, {"$unset": {"holds": ""}})
    now = datetime.now(UTC)
    await holds.update_one({"_id": ids[lifted]}, {"$set": {"resource.revoked": {"at": "now"}}})
    await studies.update_one({"_id": gone}, {"$unset": {"holds": ""}})
    await desk.archive.ledger.deleted.hide(gone)
    await desk.archive.ledger.holds.settle()
    assert "holds" not in await desk.document(placed)  # it may be on its way
    await holds.update_many({}, {"$set": {"lastUpdated": now - timedelta(minutes=2)}})
    await desk.archive.ledger.holds.settle()
    assert (await desk.document(placed))["holds"] == [ids[placed]]
    assert (await desk.document(lifted))["holds"] == []
    assert sorted(await holds.distinct("_id")) == sorted([ids[placed], ids[lifted]])
    assert codes(await desk.delete(placed)) == ["COMPLIANCE_VIOLATION"]
    assert codes(await desk.delete(lifted)) == []
