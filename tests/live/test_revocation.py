"""What is taken from somebody is taken before the next event."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.archive import Archive
from tests.care import look_after, patient_of, take_off
from tests.live.talking import STUDIES, listen, talk
from tests.serving import Serving

Load = Callable[..., Awaitable[str]]
Bearer = Callable[..., dict[str, str]]
Json = Any
SHOWN = """subscription($after: Integer64) {studyChanged(after: $after) {
    kind id study {id description numberOfInstances}}}"""


@asynccontextmanager
async def edited(server: Serving, policy: Path, line: str) -> AsyncIterator[None]:
    """Add a line to the policy, and take it away again."""
    rules = policy / "rules.csv"
    before = rules.read_text()
    async with httpx.AsyncClient(base_url=server.url) as client:

        async def version() -> Json:
            headers = {"Authorization": f"Bearer {server.issuer.token('admin')}"}
            body = {"query": "{policy {id}}"}
            return (await client.post("/graphql", json=body, headers=headers)).json()["data"]

        async def turned(found: Json) -> None:
            async with asyncio.timeout(30):
                while await version() == found:
                    pass

        found = await version()
        rules.write_text(f"{before}{line}\n")
        await turned(found)
        try:
            yield
        finally:
            found = await version()
            rules.write_text(before)
            await turned(found)


async def test_an_element_that_is_closed_between_two_events_is_null_in_the_second(
    server: Serving, archive: Archive, load: Load, bearer: Bearer, policy: Path
) -> None:
    after = await archive.changes.newest()
    headers = bearer("radiologist")
    async with (
        talk(server.url, headers) as one,
        listen(server.url, SHOWN, headers, after=after) as stream,
    ):
        await one.ask(SHOWN, after=after)
        study = await load("before", StudyDescription="Said")
        whole = {"kind": "CREATED", "id": study}
        seen = whole | {"study": {"id": study, "description": "Said", "numberOfInstances": 1}}
        for told in (await one.told(), (await stream.told())[1]):
            assert told["data"] == {"studyChanged": seen}
            assert "errors" not in told
        async with edited(server, policy, "p, radiologist, ImagingStudy.description, *, any, deny"):
            study = await load("after", StudyDescription="Unsaid")
            cut = {"id": study, "description": None, "numberOfInstances": 1}
            for told in (await one.told(), (await stream.told())[1]):
                assert told["data"] == {"studyChanged": whole | {"id": study, "study": cut}}
                [error] = told["errors"]
                assert error["extensions"] == {
                    "code": "FORBIDDEN",
                    "coordinate": "ImagingStudy.description",
                    "paths": ["studyChanged.study.description"],
                }
        study = await load("open again", StudyDescription="Said again")
        for told in (await one.told(), (await stream.told())[1]):
            assert told["data"]["studyChanged"]["study"]["description"] == "Said again"


async def test_a_role_that_is_closed_as_a_whole_hears_no_more(
    server: Serving, archive: Archive, load: Load, bearer: Bearer, policy: Path
) -> None:
    after = await archive.changes.newest()
    headers = bearer("technologist")
    async with (
        talk(server.url, headers) as one,
        listen(server.url, STUDIES, headers, after=after) as stream,
    ):
        await one.ask(STUDIES, after=after)
        study = await load("heard")
        assert (await one.told())["data"]["studyChanged"]["id"] == study
        async with edited(server, policy, "p, technologist, ImagingStudy.*, *, any, deny"):
            await load("not heard")
            frame = await one.hear()
            assert (frame["type"], frame["id"]) == ("error", "1")
            for [error] in (frame["payload"], await stream.ended()):
                assert error["extensions"] == {
                    "code": "FORBIDDEN",
                    "coordinate": "ImagingStudy.id",
                    "paths": ["studyChanged"],
                }
            await one.ask("{__typename}", "2")
            assert (await one.told("2"))["data"] == {"__typename": "Query"}


async def test_a_session_that_is_ended_ends_what_is_listened_to(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    headers = bearer("radiologist", subject="Ended")
    async with (
        talk(server.url, headers) as one,
        listen(server.url, STUDIES, headers, after=after) as stream,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await one.ask(STUDIES, after=after)
        study = await load("while it lasts")
        assert (await one.told())["data"]["studyChanged"]["id"] == study
        listed = (await client.get("/postdicom/sessions", headers=headers)).json()["data"]
        [session] = [each["id"] for each in listed]
        ended = await client.delete(f"/postdicom/sessions/{session}", headers=bearer("admin"))
        assert ended.status_code == 200, ended.text
        await load("when it is over")
        assert await one.closed() == (4401, "this session was ended; sign in again")
        told = await stream.told()
        assert told[1]["data"]["studyChanged"]["id"] == study
        [error] = await stream.ended()
        assert error["extensions"] == {"code": "INVALID_CREDENTIALS"}
        again = await client.post("/graphql", json={"query": "{__typename}"}, headers=headers)
        assert again.status_code == 401


async def test_whoever_does_not_look_after_somebody_any_more_does_not_hear_who_it_is(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    patient = {"PatientID": "Cared For", "PatientName": "Cared^For"}
    query = """subscription($after: Integer64) {studyChanged(after: $after) {
        id study {numberOfInstances patient {name {family}}}}}"""
    study = await load("cared for", **patient)
    link = await look_after(archive, "Nurse", await patient_of(archive, study))
    async with (
        talk(server.url, bearer("nurse", subject="Nurse")) as one,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await one.ask(query, after=0)
        while (told := await one.told())["data"]["studyChanged"]["id"] != study:
            pass
        shown = {"numberOfInstances": 1, "patient": {"name": [{"family": "Cared"}]}}
        assert told["data"]["studyChanged"]["study"] == shown
        await take_off(client, bearer("admin"), link)
        await load("cared for", **patient)
        while (shown := (told := await one.told())["data"]["studyChanged"]["study"]) is None or (
            shown["numberOfInstances"] != 2
        ):
            pass
        assert shown == {"numberOfInstances": 2, "patient": {"name": None}}
        [error] = told["errors"]
        assert error["extensions"]["coordinate"] == "Patient.name"


async def test_whoever_may_not_know_whose_studies_are_cannot_listen_to_those_of_somebody(
    server: Serving, bearer: Bearer, policy: Path
) -> None:
    query = 'subscription {studyChanged(patient: "somebody") {id}}'
    async with (
        edited(server, policy, "p, technologist, ImagingStudy.subject, *, any, deny"),
        talk(server.url, bearer("technologist")) as one,
    ):
        await one.ask(query)
        frame = await one.hear()
        assert (frame["type"], frame["id"]) == ("error", "1")
        [error] = frame["payload"]
        assert error["extensions"]["coordinate"] == "ImagingStudy.subject"
        await one.ask("{__schema {subscriptionType {fields {name args {name}}}}}", "2")
        [kind] = [
            field
            for field in (await one.told("2"))["data"]["__schema"]["subscriptionType"]["fields"]
            if field["name"] == "studyChanged"
        ]
        assert sorted(argument["name"] for argument in kind["args"]) == ["after", "study", "until"]
