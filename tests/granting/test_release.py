"""Labels of studies: what a patient may see, who says so, and how a patient asks for it."""

import asyncio
from typing import Any

import pytest

from fhir.labels import CONFIDENTIALITY, NORMAL, RELEASED
from tests.build import dicom
from tests.granting.world import World, subject

ASK = """mutation($patient: ID!, $study: ID!, $reason: String!, $urgency: Urgency!) {
  it: requestRelease(patient: $patient, study: $study, reason: $reason, urgency: $urgency) {record {
    id patient {reference} study reason urgency requester status decision {at by reason}}}}"""
ANSWER = """mutation($id: ID!, $accepted: Boolean!, $reason: String) {
  it: answerReleaseRequest(id: $id, accepted: $accepted, reason: $reason) {record {
    id status decision {by reason}}}}"""
OTHER = {"system": "https://example.org/labels", "code": "teaching"}


async def meta(world: World, study: str = "1.2.1") -> dict[str, Any]:
    stored = await world.archive.ledger.study(study)
    assert stored is not None
    return {
        name: value
        for name, value in stored["resource"]["meta"].items()
        if name in {"tag", "security"}
    }


async def do(world: World, text: str, role: str = "admin", **who: str) -> Any:
    return (await world.ask(f"mutation {{it: {text} {{record {{id}}}}}}", role, **who)).data["it"][
        "record"
    ]


@pytest.fixture(autouse=True)
async def _withheld(world: World) -> None:
    """Begin with nothing released, and normal."""
    for study in ("1.2.1", "1.2.3"):
        await do(world, f'labelStudy(study: "{study}", confidentiality: N)')
        await do(world, f'withholdStudy(study: "{study}")')
    await world.archive.database["audit_events"].delete_many({})


def me(world: World) -> dict[str, str]:
    """Say what the token of P1 says."""
    return {"subject": "me", "patient": world.patients["P1"]}


async def ask_for(
    world: World, study: str = "1.2.1", of: str = "P1", role: str = "patient", **who: str
) -> dict[str, Any]:
    variables = {
        "patient": world.patients[of],
        "study": study,
        "reason": "I would like to see it",
        "urgency": "urgent",
    }
    reply = await world.ask(ASK, role, variables, **(who or me(world)))
    asked: dict[str, Any] = reply.data["it"]["record"]
    return asked


async def sees(world: World, study: str = "1.2.1", patient: str = "P1") -> bool:
    """Say whether a patient sees a study; through every door, or through none."""
    who = {"patient": world.patients[patient], "subject": "patient"}
    seen = await world.sight(study, "patient", **who)
    doors = {name: seen[name] for name in seen if name != "fhir patient"}
    assert len(set(doors.values())) == 1, doors
    return doors["graphql"]


async def test_a_patient_sees_a_study_once_it_is_released_and_until_it_is_withheld(
    world: World,
) -> None:
    assert not await sees(world)
    assert await do(world, 'releaseStudy(study: "1.2.1")') == {"id": "1.2.1"}
    assert await sees(world)
    assert not await sees(world, patient="P2")
    await do(world, 'withholdStudy(study: "1.2.1")')
    assert not await sees(world)
    events = await world.audited(action="update", resource="ImagingStudy")
    assert [one["patients"] for one in events] == [[world.patients["P1"]]] * 2


async def test_a_sensitive_study_is_hidden_even_if_it_is_released(world: World) -> None:
    await do(world, 'releaseStudy(study: "1.2.1")')
    for label, seen in (("R", False), ("V", False), ("U", True), ("N", True)):
        await do(world, f'labelStudy(study: "1.2.1", confidentiality: {label})')
        assert await sees(world) is seen
        [security] = (await meta(world))["security"]
        assert security == {"system": CONFIDENTIALITY, "code": label}


async def test_a_label_that_is_there_already_writes_nothing(world: World) -> None:
    before = await world.everything()
    await do(world, 'withholdStudy(study: "1.2.1")')
    await do(world, 'labelStudy(study: "1.2.1", confidentiality: N)')
    assert await world.everything() == before


async def test_other_labels_stay(world: World) -> None:
    stored = await world.archive.ledger.study("1.2.1")
    assert stored is not None
    labelled = {**stored["resource"], "meta": {"tag": [OTHER], "security": [OTHER, NORMAL]}}
    assert await world.archive.repository.replace(labelled, stored["version"])
    await do(world, 'releaseStudy(study: "1.2.1")')
    await do(world, 'labelStudy(study: "1.2.1", confidentiality: R)')
    restricted = {"system": CONFIDENTIALITY, "code": "R"}
    assert await meta(world) == {"tag": [OTHER, RELEASED], "security": [OTHER, restricted]}
    await do(world, 'withholdStudy(study: "1.2.1")')
    await do(world, 'labelStudy(study: "1.2.1", confidentiality: N)')
    assert await meta(world) == {"tag": [OTHER], "security": [OTHER, NORMAL]}
    assert await world.archive.repository.replace(
        {**stored["resource"], "meta": {"security": [NORMAL]}},
        (await world.archive.ledger.study("1.2.1") or {})["version"],
    )


async def test_labels_outlive_new_images_and_being_derived_again(world: World, load: Any) -> None:
    await do(world, 'releaseStudy(study: "1.2.3")')
    await do(world, 'labelStudy(study: "1.2.3", confidentiality: R)')
    labelled = await meta(world, "1.2.3")
    assert labelled == {
        "tag": [RELEASED],
        "security": [{"system": CONFIDENTIALITY, "code": "R"}],
    }
    before = await world.archive.ledger.study("1.2.3")
    more = dicom(
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.3.2",
        PatientID="P2",
        PatientName="Bakelite^Bob",
    )
    [outcome] = await load(more)
    assert outcome.status == "stored"
    after = await world.archive.ledger.study("1.2.3")
    assert before is not None
    assert after is not None
    assert after["resource"]["numberOfSeries"] == before["resource"]["numberOfSeries"] + 1
    assert await meta(world, "1.2.3") == labelled
    [again] = await load(more)
    assert again.status == "duplicate"
    await world.archive.ingest.derive("1.2.3")
    assert await meta(world, "1.2.3") == labelled


async def test_who_looks_after_a_patient_releases_their_studies_and_nobody_elses(
    world: World,
) -> None:
    await world.link("CareTeam", "a", **world.of("P1"))
    await do(world, 'releaseStudy(study: "1.2.1")', "attending", subject="a")
    before = await world.everything()
    for text in ('releaseStudy(study: "1.2.3")', 'labelStudy(study: "1.2.3", confidentiality: U)'):
        reply = await world.ask(
            f"mutation {{it: {text} {{record {{id}}}}}}", "attending", subject="a"
        )
        assert reply.body["data"] == {"it": {"record": None}}
        assert reply.forbidden == {"ImagingStudy.meta": ["it"]}
    reply = await world.ask('mutation {releaseStudy(study: "1.2.1") {record {id}}}', "provider")
    assert list(reply.body) == ["errors"]
    assert reply.forbidden == {"ImagingStudy.meta": ["releaseStudy"]}
    assert await world.everything() == before


async def test_a_request_is_asked_answered_and_shown(world: World) -> None:
    await world.link("CareTeam", "doctor", **world.of("P1"))
    asked = await ask_for(world)
    assert asked == {
        "id": asked["id"],
        "patient": {"reference": f"Patient/{world.patients['P1']}"},
        "study": "1.2.1",
        "reason": "I would like to see it",
        "urgency": "urgent",
        "requester": subject("me"),
        "status": "pending",
        "decision": None,
    }
    listed = '{releaseRequests(status: ["pending"], urgency: ["urgent"]) {totalCount}}'
    reply = await world.ask(listed, "attending", subject="doctor")
    assert reply.data["releaseRequests"]["totalCount"] == 1
    reply = await world.ask(listed, "attending", subject="other")
    assert reply.data["releaseRequests"]["totalCount"] == 0
    variables = {"id": asked["id"], "accepted": True, "reason": "Of course"}
    reply = await world.ask(ANSWER, "attending", variables, subject="other")
    assert (reply.code, reply.body["data"]) == ("NOT_FOUND", {"it": {"record": None}})
    assert not await sees(world)
    reply = await world.ask(ANSWER, "attending", variables, subject="doctor")
    assert reply.data["it"]["record"] == {
        "id": asked["id"],
        "status": "accepted",
        "decision": {"by": subject("doctor"), "reason": "Of course"},
    }
    assert await sees(world)
    seen = "{releaseRequests {edges {node {status decision {reason}}}}}"
    [edge] = (await world.ask(seen, "patient", **me(world))).data["releaseRequests"]["edges"]
    assert edge["node"] == {"status": "accepted", "decision": {"reason": "Of course"}}


async def test_a_declined_request_shows_nothing_and_no_request_is_answered_twice(
    world: World,
) -> None:
    asked = await ask_for(world)
    reply = await world.ask(ANSWER, "nurse", {"id": asked["id"], "accepted": False})
    assert reply.data["it"]["record"]["status"] == "declined"
    assert not await sees(world)
    before = await world.everything()
    for accepted in (True, False):
        reply = await world.ask(ANSWER, "admin", {"id": asked["id"], "accepted": accepted})
        assert (reply.code, reply.body["data"]) == ("CONFLICT", {"it": {"record": None}})
    assert await world.everything() == before


async def test_of_several_answers_at_once_one_holds_and_shows_what_it_says(world: World) -> None:
    for _ in range(5):
        await do(world, 'withholdStudy(study: "1.2.1")')
        asked = await ask_for(world)
        answers = await asyncio.gather(
            *(
                world.ask(ANSWER, "admin", {"id": asked["id"], "accepted": accepted})
                for accepted in (True, False, True, False)
            )
        )
        [held] = [
            one.body["data"]["it"]["record"] for one in answers if one.body["data"]["it"]["record"]
        ]
        others = [one.code for one in answers if one.body["data"]["it"]["record"] is None]
        assert others == ["CONFLICT"] * 3
        assert ("tag" in await meta(world)) is (held["status"] == "accepted")


async def test_accepting_needs_the_right_to_release_as_well(world: World) -> None:
    asked = await ask_for(world)
    before = await world.everything()
    reply = await world.ask(ANSWER, "nurse", {"id": asked["id"], "accepted": True})
    assert list(reply.body) == ["errors"]
    assert reply.forbidden == {"ImagingStudy.meta": ["it"]}
    assert await world.everything() == before


async def test_existence_of_a_study_is_not_learnt_by_asking_for_it(world: World) -> None:
    mine, theirs, nobodys = [await ask_for(world, study) for study in ("1.2.1", "1.2.3", "9.9.9")]
    for one in (mine, theirs, nobodys):
        assert one | {"id": "", "study": ""} == mine | {"id": "", "study": ""}
    stored = [one async for one in world.archive.database["release_requests"].find()]
    assert {one["resource"]["study"] for one in stored} == {"1.2.1", "1.2.3", "9.9.9"}
    looked = await world.audited(who=subject("me"))
    assert {one["resource"] for one in looked} == {"Patient", "ReleaseRequest"}
    before = await world.everything()
    for one in (theirs, nobodys):
        reply = await world.ask(ANSWER, "admin", {"id": one["id"], "accepted": True})
        assert (reply.code, reply.body["data"]) == ("NOT_FOUND", {"it": {"record": None}})
    assert await world.everything() == before
    assert not await sees(world, "1.2.3", "P2")
    reply = await world.ask(ANSWER, "admin", {"id": theirs["id"], "accepted": False})
    assert reply.data["it"]["record"]["status"] == "declined"


async def test_nobody_asks_for_another_patient(world: World) -> None:
    before = await world.everything()
    variables = {
        "patient": world.patients["P2"],
        "study": "1.2.3",
        "reason": "curious",
        "urgency": "routine",
    }
    for role in ("patient", "proxy"):
        reply = await world.ask(ASK, role, variables, **me(world))
        assert (reply.code, reply.body["data"]) == ("NOT_FOUND", {"it": {"record": None}})
    assert await world.everything() == before


async def test_a_proxy_asks_for_whom_they_act_for(world: World) -> None:
    await world.link("Proxy", "p", **world.of("P2"))
    asked = await ask_for(world, "1.2.3", "P2", role="proxy", subject="p")
    assert asked["requester"] == subject("p")


async def test_so_many_requests_may_be_open_and_answered_ones_do_not_count(world: World) -> None:
    asked = [await ask_for(world) for _ in range(20)]
    before = await world.everything()
    variables = {
        "patient": world.patients["P1"],
        "study": "1.2.1",
        "reason": "again",
        "urgency": "routine",
    }
    reply = await world.ask(ASK, "patient", variables, **me(world))
    assert (reply.code, reply.body["data"]) == ("CONFLICT", {"it": {"record": None}})
    assert await world.everything() == before
    await world.ask(ANSWER, "admin", {"id": asked[0]["id"], "accepted": False})
    assert (await world.ask(ASK, "patient", variables, **me(world))).data["it"]["record"]["id"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"reason": ""}, "INVALID_REQUEST"),
        ({"reason": "x" * 501}, "INVALID_REQUEST"),
        ({"study": "not a uid"}, "INVALID_REQUEST"),
        ({"study": "1" * 65}, "INVALID_REQUEST"),
        ({"study": ""}, "INVALID_REQUEST"),
        ({"urgency": "soon"}, "INVALID_REQUEST"),
    ],
)
async def test_what_makes_no_sense_is_not_asked(
    world: World, wrong: dict[str, str], code: str
) -> None:
    before = await world.everything()
    fine = {
        "patient": world.patients["P1"],
        "study": "1.2.1",
        "reason": "please",
        "urgency": "routine",
    }
    reply = await world.ask(ASK, "patient", fine | wrong, **me(world))
    assert reply.code == code
    assert await world.everything() == before
