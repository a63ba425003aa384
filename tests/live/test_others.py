"""Jobs and the policy are listened to as studies are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from app.archive import Archive
from tests.build import dicom
from tests.live.talking import talk
from tests.serving import Serving

Bearer = Callable[..., dict[str, str]]
Json = Any


async def test_an_upload_is_listened_to_by_whose_it_is(
    server: Serving, archive: Archive, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    mine = bearer("technologist", subject="Uploader")
    query = """subscription($after: Integer64, $id: ID) {jobProgress(after: $after, id: $id) {
        sequence id job {status done total}}}"""
    async with (
        talk(server.url, mine) as one,
        talk(server.url, bearer("technologist", subject="Another")) as other,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await one.ask(query, after=after)
        await other.ask(query, after=after)
        announced = "mutation {createUpload(files: 5, bytes: 1000000) {record {id} url}}"
        answer = await client.post("/graphql", json={"query": announced}, headers=mine)
        upload = answer.json()["data"]["createUpload"]
        told = (await one.told())["data"]["jobProgress"]
        assert told["id"] == upload["record"]["id"]
        assert told["job"] == {"status": "waiting", "done": 0, "total": None} | {
            "total": told["job"]["total"]
        }
        files = {"files": ("one.dcm", dicom(), "application/dicom")}
        sent = await client.post(upload["url"], files=files, headers=mine)
        assert sent.is_success, sent.text
        while (told := (await one.told())["data"]["jobProgress"])["job"]["done"] != 1:
            pass
        assert told["id"] == upload["record"]["id"]
        await other.say(type="ping")
        assert await other.hear() == {"type": "pong"}


async def test_another_policy_is_told_to_who_may_read_of_it(
    server: Serving, archive: Archive, bearer: Bearer, policy: Path
) -> None:
    after = await archive.changes.newest()
    query = "subscription($after: Integer64) {policyChanged(after: $after) {sequence version at}}"
    async with (
        talk(server.url, bearer("auditor")) as one,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await one.ask(query, after=after)
        rules = policy / "rules.csv"
        rules.write_text(rules.read_text() + "p, technologist, Endpoint.*, *, any, deny\n")
        told = (await one.told())["data"]["policyChanged"]
        assert told["sequence"] > after
        body = {"query": "{policy {id}}"}
        found = (await client.post("/graphql", json=body, headers=bearer("auditor"))).json()
        assert found["data"] == {"policy": {"id": told["version"]}}
