"""Emergency access: opened by oneself, for one patient, for a while, and never in silence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from app.archive import open_archive
from fhir.dates import instant
from tests.granting.world import EVERYWHERE, NOWHERE, REASON, RULES, SCOPES, World, subject
from tests.policy import book, doors

OPEN = """mutation($patient: ID!, $reason: String!, $minutes: Int!) {
  breakGlass(patient: $patient, reason: $reason, minutes: $minutes) {record {
    id agent patient {reference} study reason period {start end} recorder revoked {at by}}}}"""
END = "mutation($id: ID!) {endBreakGlass(id: $id) {record {id period {end} revoked {at by}}}}"


async def open_glass(world: World, patient: str = "P1", minutes: int = 5, **who: str) -> str:
    variables = {"patient": world.patients[patient], "reason": REASON, "minutes": minutes}
    reply = await world.ask(OPEN, "provider", variables, **who)
    return str(reply.data["breakGlass"]["record"]["id"])


async def test_it_opens_one_patient_to_one_person_through_every_door(world: World) -> None:
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        assert await world.sight(uid, subject="a") == NOWHERE
    before = datetime.now(UTC)
    variables = {"patient": world.patients["P1"], "reason": f" {REASON}\n", "minutes": 30}
    reply = await world.ask(OPEN, "provider", variables, subject="a")
    opened = reply.data["breakGlass"]["record"]
    start, end = (datetime.fromisoformat(opened["period"][one]) for one in ("start", "end"))
    assert before - timedelta(milliseconds=1) <= start <= datetime.now(UTC)
    assert end - start - timedelta(minutes=30) < timedelta(seconds=1)
    assert opened == {
        "id": opened["id"],
        "agent": subject("a"),
        "patient": {"reference": f"Patient/{world.patients['P1']}"},
        "study": None,
        "reason": REASON,
        "period": opened["period"],
        "recorder": subject("a"),
        "revoked": None,
    }
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE
    assert await world.sight("1.2.2", subject="a") == EVERYWHERE
    assert await world.sight("1.2.3", subject="a") == NOWHERE
    assert await world.sight("1.2.1", subject="b") == NOWHERE


async def test_it_is_over_by_itself(world: World) -> None:
    now = datetime.now(UTC)
    over = {"start": instant(now - timedelta(hours=1)), "end": instant(now)}
    await world.link("BreakGlass", "a", **world.of("P1"), period=over)
    not_yet = {
        "start": instant(now + timedelta(hours=1)),
        "end": instant(now + timedelta(hours=2)),
    }
    await world.link("BreakGlass", "a", **world.of("P1"), period=not_yet)
    assert await world.sight("1.2.1", subject="a") == NOWHERE
    await world.link("BreakGlass", "a", **world.of("P1"))
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE


async def test_ended_by_hand_it_is_over_at_once_and_stays_listed(world: World) -> None:
    identifier = await open_glass(world, subject="a")
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE
    reply = await world.ask(END, "provider", {"id": identifier}, subject="a")
    assert reply.data["endBreakGlass"]["record"]["revoked"]["by"] == subject("a")
    assert await world.sight("1.2.1", subject="a") == NOWHERE
    again = await world.ask(END, "admin", {"id": identifier}, subject="chief")
    assert again.data == reply.data
    listed = "{breakGlasses(active: %s) {totalCount edges {node {id reason}}}}"
    gone = await world.ask(listed % "false", "admin")
    assert gone.data["breakGlasses"] == {
        "totalCount": 1,
        "edges": [{"node": {"id": identifier, "reason": REASON}}],
    }
    assert (await world.ask(listed % "true", "admin")).data["breakGlasses"]["totalCount"] == 0


async def test_an_administrator_ends_what_somebody_else_opened(world: World) -> None:
    identifier = await open_glass(world, subject="a")
    mine = await world.ask(END, "provider", {"id": identifier}, subject="b")
    assert (mine.code, mine.body["data"]) == ("NOT_FOUND", {"endBreakGlass": {"record": None}})
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE
    reply = await world.ask(END, "admin", {"id": identifier}, subject="chief")
    assert reply.data["endBreakGlass"]["record"]["revoked"]["by"] == subject("chief")
    assert await world.sight("1.2.1", subject="a") == NOWHERE


async def test_doing_it_again_is_one_more_record_and_extends_nothing(world: World) -> None:
    first = await open_glass(world, minutes=5, subject="a")
    second = await open_glass(world, minutes=60, subject="a")
    records = [one async for one in world.archive.database["access_grants"].find()]
    assert {one["_id"] for one in records} == {first, second}
    assert {one["version"] for one in records} == {1}
    await world.ask(END, "provider", {"id": second}, subject="a")
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE


@pytest.mark.parametrize(
    ("reason", "minutes", "said"),
    [
        ("too short", 5, "reason: 10 to 500 characters, without control characters"),
        ("too short" + " " * 20, 5, "reason: 10 to 500 characters, without control characters"),
        ("x" * 501, 5, "reason: 10 to 500 characters, without control characters"),
        ("\x1b[31m and so on", 5, "reason: 10 to 500 characters, without control characters"),
        ("\u202eturned around", 5, "reason: 10 to 500 characters, without control characters"),
        (REASON, 4, "minutes: 5 to 60"),
        (REASON, 61, "minutes: 5 to 60"),
        (REASON, -5, "minutes: 5 to 60"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(
    world: World, reason: str, minutes: int, said: str
) -> None:
    before = await world.everything()
    variables = {"patient": world.patients["P1"], "reason": reason, "minutes": minutes}
    reply = await world.ask(OPEN, "provider", variables)
    assert reply.body == {
        "data": {"breakGlass": {"record": None}},
        "errors": [
            {"message": said, "path": ["breakGlass"], "extensions": {"code": "INVALID_REQUEST"}}
        ],
        "extensions": {"cost": {"objects": 1, "max": 50_000}},
    }
    assert await world.everything() == before


@pytest.mark.parametrize(
    "reason",
    [
        "意識不明　担当者が誰もいません",
        "بیمار بی‌هوش است و کسی نیست",
        "Not awake:\n- no team\n- bleeding",
    ],
)
async def test_a_reason_is_given_in_any_script(world: World, reason: str) -> None:
    variables = {"patient": world.patients["P1"], "reason": reason, "minutes": 5}
    assert (await world.ask(OPEN, "provider", variables)).data["breakGlass"]["record"][
        "reason"
    ] == reason


async def test_it_holds_and_ends_in_every_process(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = book(tmp_path_factory.mktemp("policy"), RULES, SCOPES)
    async with (
        open_archive(world.archive.settings) as archive,
        doors(archive, policy) as client,
    ):
        other = replace(world, archive=archive, client=client)
        identifier = await open_glass(world, subject="a")
        assert await other.sight("1.2.1", subject="a") == EVERYWHERE
        await other.ask(END, "provider", {"id": identifier}, subject="a")
        assert await world.sight("1.2.1", subject="a") == NOWHERE


async def test_a_patient_who_is_not_there_cannot_be_opened(world: World) -> None:
    before = await world.everything()
    for patient in ("00000000-0000-4000-8000-000000000000", "", "Patient/x", "$ne"):
        variables = {"patient": patient, "reason": REASON, "minutes": 5}
        reply = await world.ask(OPEN, "provider", variables)
        assert (reply.code, reply.body["data"]) == ("NOT_FOUND", {"breakGlass": {"record": None}})
    assert await world.everything() == before


async def test_every_opening_is_in_the_audit_with_its_patient(world: World) -> None:
    identifier = await open_glass(world, subject="a")
    [event] = await world.audited(action="create", resource="BreakGlass")
    assert (event["outcome"], event["ids"]) == ("allowed", [identifier])
    assert event["patients"] == [world.patients["P1"]]
    assert event["who"] == subject("a")
    answer = await world.client.get(
        "/postdicom/audit/logs",
        params={"action": "create", "userId": subject("a")},
        headers=world.acting_as("auditor"),
    )
    [row] = answer.json()["data"]
    assert (row["resource"], row["resourceIds"]) == ("BreakGlass", [identifier])
    assert row["patientIds"] == [world.patients["P1"]]


async def test_every_opening_is_logged_without_a_word_about_anybody(world: World) -> None:
    with structlog.testing.capture_logs() as lines:
        identifier = await open_glass(world, subject="a")
        await world.ask(OPEN, "provider", {"patient": "x", "reason": REASON, "minutes": 5})
    assert lines == [{"event": "break-glass opened", "log_level": "warning", "record": identifier}]
