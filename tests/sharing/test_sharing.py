"""Shares: who makes them, what they open and for whom, and how they end."""

import asyncio
import hashlib
from typing import Any

import bson
import pytest

from tests.granting.world import EVERYWHERE, NOWHERE, subject
from tests.sharing.asking import Sharing, in_days

NOTHING = {
    "record": None,
    "errors": [
        {
            "__typename": "NotFoundError",
            "code": "NOT_FOUND",
            "message": "this token opens nothing; ask whoever sent it for another one",
        }
    ],
}


async def test_a_study_is_shared_and_the_token_is_told_once_and_kept_nowhere(
    sharing: Sharing,
) -> None:
    until = in_days(7)
    made = (await sharing.share(subject="rad", until=until, reason="  second opinion ")).data["it"]
    record, token = made["record"], made["token"]
    assert record == {
        "id": record["id"],
        "study": "1.2.1",
        "patient": {"reference": f"Patient/{sharing.world.patients['P1']}"},
        "agent": [],
        "access": "VIEW",
        "reason": "second opinion",
        "period": {"start": record["period"]["start"], "end": until},
        "recorder": subject("rad"),
        "maxUses": 3,
        "uses": 0,
        "revoked": None,
    }
    assert len(token) == 43  # 32 bytes in base64url
    kept = await sharing.world.everything()
    stored = b"".join(one for documents in kept.values() for one in documents)
    audited = b"".join(bson.encode(one) for one in await sharing.world.audited())
    assert token.encode() not in stored + audited
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert digest.encode() in stored
    assert digest.encode() not in audited


async def test_whoever_takes_it_sees_this_study_through_every_door_until_it_is_revoked(
    sharing: Sharing,
) -> None:
    identifier, token = await sharing.shared()
    world = sharing.world
    assert await world.sight("1.2.1", "nurse", subject="n") == NOWHERE
    taken = await sharing.accept(token, subject="n")
    assert taken == {
        "record": {"id": identifier, "study": "1.2.1", "access": "VIEW", "revoked": None},
        "errors": [],
    }
    assert await world.sight("1.2.1", "nurse", subject="n") == EVERYWHERE
    # the patient is the same, the study is not
    assert await world.sight("1.2.2", "nurse", subject="n") == NOWHERE | {
        "graphql": True,
        "fhir patient": True,
    }
    assert await world.sight("1.2.3", "nurse", subject="n") == NOWHERE
    assert await world.sight("1.2.1", "nurse", subject="other") == NOWHERE
    ended = await sharing.revoke(identifier, subject="rad2")
    assert ended == {"record": {"id": identifier, "revoked": {"by": subject("rad2")}}, "errors": []}
    assert await world.sight("1.2.1", "nurse", subject="n") == NOWHERE
    assert await sharing.accept(token, subject="n") == NOTHING


async def test_a_share_is_over_when_its_time_is(sharing: Sharing) -> None:
    identifier, token = await sharing.shared()
    await sharing.accept(token, subject="n")
    period = (await sharing.record(identifier)).resource["period"]
    await sharing.change(identifier, period=period | {"end": in_days(-0.0001)})
    assert await sharing.world.sight("1.2.1", "nurse", subject="n") == NOWHERE
    assert await sharing.accept(token, subject="n") == NOTHING
    assert (await sharing.record(identifier)).resource["uses"] == 1


async def test_files_are_downloaded_where_they_are_shared(sharing: Sharing) -> None:
    _, view = await sharing.shared()
    _, download = await sharing.shared(study="1.2.3", access="DOWNLOAD")
    for token in (view, download):
        await sharing.accept(token, subject="n")
    assert await sharing.file("1.2.1", "nurse", subject="n") == 403
    assert await sharing.file("1.2.3", "nurse", subject="n") == 200
    assert await sharing.file("1.2.4", "nurse", subject="n") == 403


@pytest.mark.parametrize(("role", "who"), [("proxy", {}), ("patient", {})])
async def test_whoever_sees_nothing_else_sees_what_is_shared_and_who_it_is_about(
    sharing: Sharing, role: str, who: dict[str, str]
) -> None:
    _, token = await sharing.shared()
    assert await sharing.world.sight("1.2.1", role, subject="x", **who) == NOWHERE
    await sharing.accept(token, role, subject="x", **who)
    assert await sharing.world.sight("1.2.1", role, subject="x", **who) == EVERYWHERE
    reply = await sharing.world.ask(
        f'{{patient(id: "{sharing.world.patients["P1"]}") {{birthDate gender telecom {{value}}}}}}',
        role,
        subject="x",
        **who,
    )
    assert reply.forbidden == {"Patient.telecom": ["patient.telecom"]}


@pytest.mark.parametrize("role", ["researcher", "auditor", "admin", "billing"])
async def test_nothing_is_shared_with_whoever_needs_no_records(sharing: Sharing, role: str) -> None:
    _, token = await sharing.shared()
    before = await sharing.world.everything()
    reply = await sharing.world.ask(
        f'mutation {{acceptShare(token: "{token}") {{record {{id}}}}}}', role, project="p"
    )
    assert list(reply.body) == ["errors"]
    assert "Share.id" in reply.forbidden
    assert await sharing.world.everything() == before


async def test_a_researcher_who_took_it_in_another_role_stays_without_identity(
    sharing: Sharing,
) -> None:
    _, token = await sharing.shared(access="DOWNLOAD")
    await sharing.accept(token, "provider", subject="two")
    world = sharing.world
    who = {"subject": "two", "project": "p"}
    reply = await world.ask(
        "{studies {edges {node {id subject {reference}}}}}", "researcher", **who
    )
    assert len(reply.data["studies"]["edges"]) == 4
    for word in ("1.2.1", world.patients["P1"]):
        assert word not in reply.text
    assert (await world.ask("{shares {totalCount}}", "researcher", **who)).forbidden == {
        "Share.id": ["shares"]
    }


async def test_a_share_is_used_up_and_the_same_person_uses_it_once(sharing: Sharing) -> None:
    identifier, token = await sharing.shared(uses=2)
    for name in ("a", "a", "b", "b"):
        assert (await sharing.accept(token, subject=name))["errors"] == []
    assert await sharing.accept(token, subject="c") == NOTHING
    stored = (await sharing.record(identifier)).resource
    assert (stored["uses"], stored["agent"]) == (2, [subject("a"), subject("b")])
    assert await sharing.world.sight("1.2.1", "nurse", subject="c") == NOWHERE
    # who took it keeps it
    assert (await sharing.accept(token, subject="a"))["record"]["id"] == identifier
    assert await sharing.world.sight("1.2.1", "nurse", subject="b") == EVERYWHERE


async def test_many_at_once_take_it_no_more_often_than_it_may_be(sharing: Sharing) -> None:
    identifier, token = await sharing.shared(uses=3)
    names = [f"n{number % 8}" for number in range(16)]
    taken = await asyncio.gather(*(sharing.accept(token, subject=one) for one in names))
    stored = (await sharing.record(identifier)).resource
    assert stored["uses"] == 3
    assert len(stored["agent"]) == len(set(stored["agent"])) == 3
    for name, one in zip(names, taken, strict=True):
        assert (one == NOTHING) == (subject(name) not in stored["agent"])


async def test_nothing_tells_why_a_token_opens_nothing(sharing: Sharing) -> None:
    _, used = await sharing.shared(uses=1)
    await sharing.accept(used, subject="first")
    revoked, token = await sharing.shared()
    await sharing.revoke(revoked)
    over, late = await sharing.shared()
    await sharing.change(over, period={"start": in_days(-2), "end": in_days(-1)})
    before = await sharing.world.everything()
    for one in (used, token, late, "x" * 43, "", "\x00", "ü" * 5000, over):
        assert await sharing.accept(one, subject="n") == NOTHING
    assert await sharing.world.everything() == before
    failed = await sharing.world.audited(outcome="failed", resource="Share")
    assert [(one["action"], one["ids"]) for one in failed] == [("update", [])] * 8


async def test_patients_share_what_is_theirs_and_see_and_end_all_that_is_shared_of_it(
    sharing: Sharing,
) -> None:
    me = {"subject": "ann", "patient": sharing.world.patients["P1"]}
    identifier, token = await sharing.shared("patient", access="DOWNLOAD", **me)
    other, _ = await sharing.shared("radiologist", study="1.2.2")
    await sharing.shared("radiologist", study="1.2.3")
    await sharing.accept(token, "nurse", subject="n")
    reply = await sharing.world.ask("{shares {edges {node {id agent}}}}", "patient", **me)
    seen = {one["node"]["id"]: one["node"]["agent"] for one in reply.data["shares"]["edges"]}
    assert seen == {identifier: [subject("n")], other: []}
    assert (await sharing.revoke(other, "patient", **me))["errors"] == []
    assert "revoked" in (await sharing.record(other)).resource
    for study, code in (("1.2.3", "NOT_FOUND"), ("9.9", "NOT_FOUND")):
        refused = (await sharing.share("patient", study=study, **me)).data["it"]
        assert [one["code"] for one in refused["errors"]] == [code]
        assert (refused["record"], refused["token"]) == (None, None)


async def test_a_patient_ends_nothing_of_others(sharing: Sharing) -> None:
    identifier, _ = await sharing.shared("radiologist", study="1.2.3")
    before = await sharing.world.everything()
    me = {"subject": "ann", "patient": sharing.world.patients["P1"]}
    refused = await sharing.revoke(identifier, "patient", **me)
    assert [one["code"] for one in refused["errors"]] == ["NOT_FOUND"]
    assert await sharing.world.everything() == before


async def test_a_provider_shares_of_whom_they_look_after_and_ends_it_after_that(
    sharing: Sharing,
) -> None:
    world = sharing.world
    team = await world.link("CareTeam", "doc", **world.of("P1"))
    identifier, _ = await sharing.shared("provider", subject="doc", access="DOWNLOAD")
    before = await world.everything()
    reply = await sharing.share("provider", subject="doc", study="1.2.3")
    assert "Image.pixels" in reply.body["errors"][0]["extensions"]["coordinate"]
    assert await world.everything() == before
    await world.archive.database["access_grants"].delete_one({"_id": team})
    assert (await sharing.revoke(identifier, "provider", subject="doc"))["errors"] == []


async def test_what_was_shared_with_somebody_is_theirs_to_see_and_not_to_share(
    sharing: Sharing,
) -> None:
    _, token = await sharing.shared()
    await sharing.accept(token, "provider", subject="doc")
    assert await sharing.world.sight("1.2.1", "provider", subject="doc") == EVERYWHERE
    before = await sharing.world.everything()
    reply = await sharing.share("provider", subject="doc")
    assert reply.forbidden == {"Share.id": ["it"]}
    assert await sharing.world.everything() == before


async def test_nobody_shares_more_than_they_see(sharing: Sharing) -> None:
    # of a sensitive study a patient sees that it is there
    world = sharing.world
    await world.ask(
        'mutation {labelStudy(study: "1.2.2", confidentiality: R) {record {id}}}', "radiologist"
    )
    before = await world.everything()
    me = {"subject": "ann", "patient": world.patients["P1"]}
    reply = await sharing.share("patient", study="1.2.2", **me)
    assert reply.forbidden == {"Image.id": ["it"], "Image.pixels": ["it"]}
    assert await world.everything() == before
    await world.ask(
        'mutation {labelStudy(study: "1.2.2", confidentiality: N) {record {id}}}', "radiologist"
    )


@pytest.mark.parametrize("role", ["nurse", "technologist", "admin", "auditor", "billing"])
async def test_others_share_nothing(sharing: Sharing, role: str) -> None:
    before = await sharing.world.everything()
    reply = await sharing.share(role)
    assert list(reply.body) == ["errors"]
    assert "Share.id" in reply.forbidden
    assert await sharing.world.everything() == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"until": in_days(-1)}, "until: lies in the past"),
        ({"until": in_days(91)}, "until: at most 90 days from now"),
        ({"uses": 0}, "maxUses: 1 to 100"),
        ({"uses": 101}, "maxUses: 1 to 100"),
        ({"reason": " "}, "reason: 1 to 500 characters, without control characters"),
        ({"reason": "x" * 501}, "reason: 1 to 500 characters, without control characters"),
    ],
)
async def test_what_makes_no_sense_is_not_shared(
    sharing: Sharing, wrong: dict[str, Any], said: str
) -> None:
    before = await sharing.world.everything()
    refused = (await sharing.share(**wrong)).data["it"]
    assert refused == {
        "token": None,
        "record": None,
        "errors": [{"__typename": "InvalidError", "code": "INVALID_REQUEST", "message": said}],
    }
    assert await sharing.world.everything() == before


async def test_the_largest_share_is_made(sharing: Sharing) -> None:
    until = in_days(89.99)
    identifier, _ = await sharing.shared(uses=100, until=until, reason="x" * 500)
    assert (await sharing.record(identifier)).resource["period"]["end"] == until


async def test_fifty_shares_of_a_study_are_in_force_at_once_and_no_more(sharing: Sharing) -> None:
    made = [await sharing.shared() for _ in range(50)]
    refused = (await sharing.share()).data["it"]
    assert [one["code"] for one in refused["errors"]] == ["CONFLICT"]
    assert refused["errors"][0]["message"].startswith("50 shares of this study are in force")
    await sharing.shared(study="1.2.2")
    await sharing.revoke(made[0][0])
    await sharing.shared()


async def test_what_is_done_about_shares_is_in_the_audit(sharing: Sharing) -> None:
    identifier, token = await sharing.shared(subject="rad")
    await sharing.accept(token, subject="n")
    await sharing.revoke(identifier, subject="rad")
    found = await sharing.world.audited(resource="Share", outcome="allowed")
    done = [(one["action"], one["who"], one["ids"]) for one in found if one["action"] != "read"]
    assert done == [
        ("create", subject("rad"), [identifier]),
        ("update", subject("n"), [identifier]),
        ("delete", subject("rad"), [identifier]),
    ]
    patient = sharing.world.patients["P1"]
    assert all(one["patients"] == [patient] for one in found)


async def test_whoever_took_it_is_told_neither_who_else_did_nor_how_many(sharing: Sharing) -> None:
    identifier, token = await sharing.shared(subject="rad")
    await sharing.accept(token, subject="n")
    await sharing.accept(token, subject="other")
    reply = await sharing.world.ask(
        "{shares {edges {node {id recorder agent uses reason}}}}", "nurse", subject="n"
    )
    [edge] = reply.body["data"]["shares"]["edges"]
    assert edge["node"] == {
        "id": identifier,
        "recorder": subject("rad"),
        "agent": None,
        "uses": None,
        "reason": None,
    }
    assert set(reply.forbidden) == {"Share.agent", "Share.uses", "Share.reason"}


async def test_shares_are_found_by_what_they_say(sharing: Sharing) -> None:
    one, token = await sharing.shared()
    two, _ = await sharing.shared(study="1.2.3")
    await sharing.accept(token, subject="n")
    await sharing.revoke(two)
    for criteria, wanted in (
        ("", {one, two}),
        ('(study: ["1.2.1"])', {one}),
        (f'(patient: ["{sharing.world.patients["P2"]}"])', {two}),
        (f'(agent: ["{subject("n")}"])', {one}),
        ("(active: true)", {one}),
        ("(active: false)", {two}),
    ):
        reply = await sharing.world.ask(f"{{shares{criteria} {{edges {{node {{id}}}}}}}}", "admin")
        assert {edge["node"]["id"] for edge in reply.data["shares"]["edges"]} == wanted


async def test_the_same_idempotency_key_shares_once_and_brings_no_token_back(
    sharing: Sharing,
) -> None:
    text = f"""mutation {{it: shareStudy(study: "1.2.1", access: VIEW, until: "{in_days(7)}",
      maxUses: 1, idempotencyKey: "share-once-1") {{token record {{id}}}}}}"""
    first = (await sharing.world.ask(text, "radiologist")).data["it"]
    again = (await sharing.world.ask(text, "radiologist")).data["it"]
    assert first["token"]
    assert again == {"token": None, "record": first["record"]}
    assert await sharing.world.archive.database["access_grants"].count_documents({}) == 1
