"""`graphql-transport-ws`: what is said, and with which code a connection is closed."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from app.identity.development import KEY_FILE
from app.settings import DEVELOPMENT_ISSUER
from tests.live.talking import STUDIES, talk
from tests.serving import Serving

Bearer = Callable[..., dict[str, str]]
HELLO = "{studies(first: 1) {edges {node {id}}}}"


async def test_who_does_not_begin_in_time_is_closed_with_4408(server: Serving) -> None:
    async with talk(server.url) as one:
        assert await one.closed() == (4408, "connection_init did not come in time")


@pytest.mark.parametrize(
    "message",
    [
        "not JSON",
        b"{}",
        "[]",
        "{}",
        '{"type": 7}',
        '{"type": "start"}',
        '{"type": "connection_ack"}',
        '{"type": "ping", "payload": "now"}',
        '{"type": "complete"}',
        '{"type": "subscribe", "payload": {"query": "{__typename}"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{__typename}"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{__typename}"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{__typename}", "variables": []}}',
    ],
)
async def test_what_is_no_message_closes_with_4400(
    message: str | bytes, server: Serving, bearer: Bearer
) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        await one.connection.send(message)
        code, reason = await one.closed()
        assert (code, bool(reason)) == (4400, True)


@pytest.mark.parametrize(
    "payload", ["Bearer", ["Authorization"], {"Authorization": 1}, {"authorization": None}]
)
async def test_a_first_message_of_another_form_closes_with_4400(
    payload: Any, server: Serving
) -> None:
    async with talk(server.url) as one:
        await one.say(type="connection_init", payload=payload)
        assert (await one.closed())[0] == 4400


async def test_an_operation_before_the_beginning_closes_with_4401(server: Serving) -> None:
    async with talk(server.url) as one:
        await one.ask(HELLO)
        assert await one.closed() == (4401, "send connection_init first")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "a bearer token is needed"),
        ({}, "a bearer token is needed"),
        ({"Authorization": "Bearer x.y.z"}, "the token is malformed"),
        ({"AUTHORIZATION": "Basic eDp5"}, "the authorization is not a bearer token of three parts"),
    ],
)
async def test_no_token_that_holds_closes_with_4401(
    payload: Any, reason: str, server: Serving
) -> None:
    async with talk(server.url) as one:
        await one.say(type="connection_init", payload=payload)
        assert await one.closed() == (4401, reason)


async def test_a_token_that_shows_nothing_closes_with_4403(server: Serving, bearer: Bearer) -> None:
    async with talk(server.url) as one:
        await one.say(type="connection_init", payload=bearer("researcher"))  # of no project
        code, reason = await one.closed()
        assert (code, reason[:37]) == (4403, "Your roles show records without ident")


async def test_another_protocol_closes_with_4406(server: Serving) -> None:
    async with talk(server.url, subprotocols=["graphql-ws"]) as one:
        assert await one.closed() == (4406, "use graphql-transport-ws")
    async with talk(server.url, subprotocols=None) as one:
        assert await one.closed() == (4406, "use graphql-transport-ws")


async def test_an_id_that_is_taken_closes_with_4409(server: Serving, bearer: Bearer) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(STUDIES, "same")
        await one.ask(STUDIES, "same")
        assert await one.closed() == (4409, "this id is taken; complete it first")


async def test_an_id_is_free_again_once_its_operation_is_complete(
    server: Serving, bearer: Bearer
) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(STUDIES, "same")
        await one.say(type="complete", id="same")
        for _ in range(2):
            await one.ask("{__typename}", "same")
            assert (await one.told("same"))["data"] == {"__typename": "Query"}
            assert await one.hear() == {"type": "complete", "id": "same"}


async def test_what_is_completed_twice_or_never_was_does_no_harm(
    server: Serving, bearer: Bearer
) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        await one.say(type="complete", id="none")
        await one.say(type="ping")
        assert await one.hear() == {"type": "pong"}


async def test_beginning_twice_closes_with_4429(server: Serving, bearer: Bearer) -> None:
    headers = bearer("radiologist")
    async with talk(server.url, headers) as one:
        await one.say(type="connection_init", payload=headers)
        code, reason = await one.closed()
        assert (code, reason) == (4429, "connection_init comes once; open another connection")


async def test_more_connections_than_one_caller_may_have_close_with_4429(
    server: Serving, bearer: Bearer
) -> None:
    headers = bearer("radiologist", subject="Many Windows")
    async with (
        talk(server.url, headers),
        talk(server.url, headers),
        talk(server.url, headers) as third,
        talk(server.url) as fourth,
    ):
        await fourth.say(type="connection_init", payload=headers)
        expected = (4429, "You have 3 connections already; close one of them.")
        assert await fourth.closed() == expected
        await third.connection.close()
        async with talk(server.url, bearer("radiologist", subject="Somebody Else")):
            pass


async def test_a_connection_that_is_closed_makes_room(server: Serving, bearer: Bearer) -> None:
    headers = bearer("radiologist", subject="Comes And Goes")
    for _ in range(5):
        async with talk(server.url, headers) as one:
            await one.ask(STUDIES)


async def test_more_operations_than_one_connection_may_have_are_refused(
    server: Serving, bearer: Bearer
) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        for number in range(20):
            await one.ask(STUDIES, f"op {number}")
        await one.ask(STUDIES, "too many")
        frame = await one.hear()
        assert (frame["type"], frame["id"]) == ("error", "too many")
        [error] = frame["payload"]
        assert error["extensions"] == {"code": "TOO_MANY_SUBSCRIPTIONS"}
        await one.say(type="complete", id="op 3")
        await one.ask("{__typename}", "room")
        assert (await one.told("room"))["data"] == {"__typename": "Query"}


async def test_a_message_that_is_too_large_closes_with_1009(
    server: Serving, bearer: Bearer
) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask("#" * 2**18)
        assert (await one.closed())[0] == 1009


async def test_signs_of_life_are_answered_at_any_time(server: Serving, bearer: Bearer) -> None:
    async with talk(server.url) as one:
        await one.say(type="ping", payload={"at": 1})
        assert await one.hear() == {"type": "pong", "payload": {"at": 1}}
        await one.say(type="pong")
        await one.begin(bearer("radiologist"))
        await one.say(type="ping")
        assert await one.hear() == {"type": "pong"}


async def test_a_token_may_come_in_the_header(server: Serving, bearer: Bearer) -> None:
    async with talk(server.url, additional_headers=bearer("radiologist")) as one:
        await one.begin({})
        await one.ask("{__typename}")
        assert (await one.told())["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("origin", "opened"),
    [
        ("{own}", True),
        ("http://localhost:1", False),
        ("https://elsewhere.example", False),
        ("null", False),
        ("http://[", False),
    ],
)
async def test_pages_of_other_sites_open_no_connection(
    origin: str, opened: bool, server: Serving, bearer: Bearer
) -> None:
    origin = origin.format(own=server.url)
    if opened:
        async with talk(server.url, bearer("radiologist"), origin=origin):
            return
    with pytest.raises(InvalidStatus) as refused:
        async with talk(server.url, bearer("radiologist"), origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_other_doors_open_no_connection(server: Serving) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with talk(f"{server.url}/fhir"):
            pass
    assert refused.value.response.status_code == 403


async def test_queries_and_mutations_run_here_too(server: Serving, bearer: Bearer) -> None:
    async with talk(server.url, bearer("admin")) as one:
        await one.ask(HELLO, "query")
        told = await one.told("query")
        assert told["data"] == {"studies": {"edges": []}}
        assert told["extensions"]["cost"]["objects"] == 1
        assert await one.hear() == {"type": "complete", "id": "query"}
        await one.ask(
            'mutation {deleteStudy(study: "1.2", reason: "none") {record {id} errors {code}}}',
            "mutation",
        )
        told = await one.told("mutation")
        assert told["data"]["deleteStudy"] == {"record": None, "errors": [{"code": "NOT_FOUND"}]}
        assert await one.hear() == {"type": "complete", "id": "mutation"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription {nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {a: studyChanged {id} b: studyChanged {id}}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {studyChanged(after: -1) {id}}", "INVALID_REQUEST"),
        ("subscription {studyChanged(after: 999999) {id}}", "CHANGES_LOST"),
        ("subscription {policyChanged {version}}", "FORBIDDEN"),
        ("{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ('mutation {deleteStudy(study: 1, reason: "x") {record {id}}}', "FORBIDDEN"),
    ],
)
async def test_an_operation_that_does_not_run_is_an_error_of_its_own(
    query: str, code: str, server: Serving, bearer: Bearer
) -> None:
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(query)
        frame = await one.hear()
        assert (frame["type"], frame["id"]) == ("error", "1"), frame
        assert {error["extensions"]["code"] for error in frame["payload"]} == {code}
        await one.ask("{__typename}", "2")
        assert (await one.told("2"))["data"] == {"__typename": "Query"}


async def test_a_token_that_expires_ends_a_connection_on_which_nothing_happens(
    server: Serving,
) -> None:
    key = (server.installation.data_dir / KEY_FILE).read_bytes()
    now = time.time()
    claims = {
        "iss": DEVELOPMENT_ISSUER,
        "aud": "radiograph",
        "sub": "Short",
        "iat": now - 3600,
        "exp": now - 57,  # clocks may differ by 60 seconds
        "roles": ["radiologist"],
    }
    token = jwt.encode(claims, key, algorithm="EdDSA")
    async with talk(server.url, {"Authorization": f"Bearer {token}"}) as one:
        await one.ask(STUDIES)
        assert await one.closed() == (4401, "the token has expired; sign in again")
