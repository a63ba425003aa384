"""What a mutation gives back: its record, typed errors, and the same again for the same key."""

import asyncio
from typing import Any

import pytest

from app.store.once import OnceStore
from fhir.errors import Conflict
from schema.context import Attempt
from tests.granting.world import REASON, World, subject

GLASS = """mutation($patient: ID!, $reason: String!, $minutes: Int!, $key: String) {
  it: breakGlass(patient: $patient, reason: $reason, minutes: $minutes, idempotencyKey: $key) {
    record {id} errors {__typename code message done}}}"""


def said(world: World, **changed: Any) -> dict[str, Any]:
    return {"patient": world.patients["P1"], "reason": REASON, "minutes": 5, **changed}


async def count(world: World) -> int:
    return await world.archive.database["access_grants"].count_documents({})


@pytest.mark.parametrize(
    ("changed", "kind", "code"),
    [
        ({"minutes": 1}, "InvalidError", "INVALID_REQUEST"),
        ({"reason": "short"}, "InvalidError", "INVALID_REQUEST"),
        ({"patient": "nobody"}, "NotFoundError", "NOT_FOUND"),
    ],
)
async def test_who_asks_for_errors_gets_them_with_their_type_and_in_no_other_place(
    world: World, changed: dict[str, Any], kind: str, code: str
) -> None:
    reply = await world.ask(GLASS, "provider", said(world, **changed))
    assert reply.data["it"]["record"] is None
    [error] = reply.data["it"]["errors"]
    assert (error["__typename"], error["code"], error["done"]) == (kind, code, False)
    assert await count(world) == 0


async def test_who_does_not_ask_for_errors_gets_them_as_errors_of_graphql(world: World) -> None:
    text = (
        f'mutation {{breakGlass(patient: "x", reason: "{REASON}", minutes: 5) {{record {{id}}}}}}'
    )
    reply = await world.ask(text, "provider")
    assert reply.body["data"] == {"breakGlass": {"record": None}}
    assert reply.code == "NOT_FOUND"


async def test_a_row_that_is_closed_is_a_typed_error_and_a_refused_coordinate(
    world: World,
) -> None:
    await world.link("CareTeam", "a", **world.of("P1"))
    text = """mutation($patient: ID!, $agent: String!) {
      it: addToCareTeam(patient: $patient, agent: $agent) {
        record {id} errors {code ... on ForbiddenError {coordinates}}}}"""
    variables = {"patient": world.patients["P2"], "agent": subject("b")}
    reply = await world.ask(text, "attending", variables, subject="a")
    assert reply.forbidden == {"CareTeam.id": ["it"]}
    assert reply.body["data"]["it"] == {
        "record": None,
        "errors": [{"code": "FORBIDDEN", "coordinates": ["CareTeam.id"]}],
    }


async def test_what_follows_a_failure_says_that_it_was_not_run(world: World) -> None:
    text = f"""mutation($p: ID!) {{
      a: breakGlass(patient: "x", reason: "{REASON}", minutes: 5) {{errors {{__typename}}}}
      b: breakGlass(patient: $p, reason: "{REASON}", minutes: 5) {{errors {{__typename code}}}}}}"""
    reply = await world.ask(text, "provider", {"p": world.patients["P1"]})
    assert reply.data == {
        "a": {"errors": [{"__typename": "NotFoundError"}]},
        "b": {"errors": [{"__typename": "NotRunError", "code": "NOT_RUN"}]},
    }
    assert await count(world) == 0


async def test_what_is_done_and_cannot_be_shown_is_told_as_done(world: World) -> None:
    await world.ask('mutation {releaseStudy(study: "1.2.3") {record {id}}}')
    text = 'mutation {it: withholdStudy(study: "1.2.3") {record {id} errors {code done}}}'
    reply = await world.ask(text, "technologist")
    assert reply.data["it"] == {"record": None, "errors": [{"code": "FORBIDDEN", "done": True}]}


async def test_the_same_key_does_the_same_once_and_gives_the_same_record(world: World) -> None:
    first = await world.ask(GLASS, "provider", said(world, key="key-number-1"), subject="a")
    again = await world.ask(GLASS, "provider", said(world, key="key-number-1"), subject="a")
    assert first.data["it"]["record"]["id"]
    assert again.data == first.data
    assert await count(world) == 1
    other = await world.ask(GLASS, "provider", said(world, key="key-number-1-other"), subject="a")
    assert other.data["it"]["record"] != first.data["it"]["record"]
    theirs = await world.ask(GLASS, "provider", said(world, key="key-number-1"), subject="b")
    assert theirs.data["it"]["record"] != first.data["it"]["record"]
    assert await count(world) == 3


async def test_a_key_stands_for_one_set_of_arguments(world: World) -> None:
    await world.ask(GLASS, "provider", said(world, key="key-number-2"), subject="a")
    changed = said(world, key="key-number-2", minutes=6)
    reply = await world.ask(GLASS, "provider", changed, subject="a")
    [error] = reply.data["it"]["errors"]
    assert (error["__typename"], error["code"]) == ("ConflictError", "IDEMPOTENCY_KEY_REUSED")
    assert await count(world) == 1


async def test_what_failed_may_be_tried_again_under_its_key(world: World) -> None:
    wrong = said(world, key="key-number-3", patient="nobody")
    for _ in range(2):
        reply = await world.ask(GLASS, "provider", wrong, subject="a")
        assert [one["code"] for one in reply.data["it"]["errors"]] == ["NOT_FOUND"]
    reply = await world.ask(GLASS, "provider", said(world, key="key-number-3"), subject="a")
    assert reply.data["it"]["record"]["id"]


@pytest.mark.parametrize("key", ["short", "x" * 129, "with space", "umlaut-ä-key"])
async def test_a_key_has_a_form(world: World, key: str) -> None:
    reply = await world.ask(GLASS, "provider", said(world, key=key))
    assert [one["code"] for one in reply.data["it"]["errors"]] == ["INVALID_REQUEST"]
    assert await count(world) == 0


async def test_what_is_sent_many_times_at_once_is_done_once(world: World) -> None:
    variables = said(world, key="key-number-4")
    answers = await asyncio.gather(
        *(world.ask(GLASS, "provider", variables, subject="a") for _ in range(4))
    )
    done = {one.data["it"]["record"]["id"] for one in answers if one.data["it"]["record"]}
    codes = {error["code"] for one in answers for error in one.data["it"]["errors"]}
    assert len(done) == 1
    assert codes <= {"CONFLICT"}
    assert await count(world) == 1


async def test_what_nobody_knows_the_end_of_is_not_done_again(world: World) -> None:
    once = OnceStore(world.archive.database)
    attempt = Attempt("me", "breakGlass", "key-number-5", "x")
    assert await once.begin(attempt) == (False, None)
    with pytest.raises(Conflict, match="not known to have ended"):
        await once.begin(attempt)
    await once.done(attempt, "an id")
    assert await once.begin(attempt) == (True, "an id")


async def test_a_key_opens_nothing_that_is_closed_by_now(world: World) -> None:
    variables = said(world, key="key-number-6")
    first = await world.ask(GLASS, "provider", variables, subject="a")
    assert first.data["it"]["record"]["id"]
    again = await world.ask(GLASS, "nurse", variables, subject="a")
    assert list(again.body) == ["errors"]
    assert "BreakGlass.id" in again.forbidden
