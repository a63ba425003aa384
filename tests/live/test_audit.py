"""Each event is in the audit before it leaves, and nothing else is."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.archive import Archive
from app.settings import DEVELOPMENT_ISSUER
from tests.care import patient_of
from tests.live.talking import listen, talk
from tests.serving import Serving

Load = Callable[..., Awaitable[str]]
Bearer = Callable[..., dict[str, str]]
Json = Any
QUERY = """subscription($after: Integer64) {studyChanged(after: $after) {
    id study {id status}}}"""


async def entries(archive: Archive, who: str) -> list[dict[str, Json]]:
    found = {"who": f"{DEVELOPMENT_ISSUER}#{who}"}
    fields = {"_id": 0, "action": 1, "resource": 1, "outcome": 1, "ids": 1, "patients": 1}
    fields |= {"door": 1, "requestId": 1, "address": 1, "refused": 1}
    cursor = archive.database["audit_events"].find(found, fields).sort({"action": 1})
    return await cursor.to_list(None)


async def test_an_event_is_written_down_with_whom_it_is_about(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    study = await load("written down")
    expected = {
        "resource": "ImagingStudy",
        "outcome": "allowed",
        "ids": [study],
        "patients": [await patient_of(archive, study)],
        "door": "graphql",
        "address": "127.0.0.1",
        "requestId": "of-this-connection",
        "refused": [],
    }
    named = {"X-Request-Id": "of-this-connection"}
    radiologist = bearer("radiologist", subject="Written")
    async with talk(server.url, radiologist, additional_headers=named) as one:
        await one.ask(QUERY, after=after)
        await one.told()
        assert await entries(archive, "Written") == [
            {"action": "read", **expected},
            {"action": "search", **expected},
        ]
    listening = bearer("radiologist", subject="Streamed")
    async with listen(server.url, QUERY, {**listening, **named}, after=after) as stream:
        await stream.told()
        assert await entries(archive, "Streamed") == [
            {"action": "read", **expected},
            {"action": "search", **expected},
        ]


async def test_what_is_not_told_is_not_written_down(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    await load("of somebody else")
    async with talk(server.url, bearer("patient", patient="nobody", subject="Blind")) as one:
        await one.ask(QUERY, after=after)
        await one.ask("{patients(first: 1) {edges {node {id}}}}", "2")
        await one.told("2")
        found = await entries(archive, "Blind")
    assert [(entry["action"], entry["resource"]) for entry in found] == [("search", "Patient")]


async def test_refusals_are_written_down(server: Serving, archive: Archive, bearer: Bearer) -> None:
    async with talk(server.url, bearer("nurse", subject="Refused")) as one:
        await one.ask("subscription {policyChanged {version}}")
        assert (await one.hear())["type"] == "error"
        [entry] = await entries(archive, "Refused")
        found = (entry["resource"], entry["outcome"], entry["refused"])
        assert found == ("Policy", "refused", ["Policy.id"])


async def test_a_token_that_does_not_hold_is_written_down(
    server: Serving, archive: Archive
) -> None:
    named = {"X-Request-Id": "of-nobody"}
    async with talk(server.url, additional_headers=named) as one:
        await one.say(type="connection_init", payload={"Authorization": "Bearer x.y.z"})
        assert await one.closed() == (4401, "the token is malformed")
    entry = await archive.database["audit_events"].find_one({"requestId": "of-nobody"})
    assert entry is not None
    found = (entry["action"], entry["outcome"], entry["query"], entry["who"], entry["door"])
    assert found == ("login", "refused", "INVALID_CREDENTIALS", None, "graphql")
