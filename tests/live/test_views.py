"""Who may know of a change hears of it, in the form in which they see records; nobody else."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.archive import Archive
from tests.care import look_after, patient_of
from tests.live.talking import talk
from tests.serving import Serving

Load = Callable[..., Awaitable[str]]
Bearer = Callable[..., dict[str, str]]
Json = Any
QUERY = """subscription($after: Integer64) {studyChanged(after: $after) {
    sequence kind id at study {id description patient {id name {family}}}}}"""


async def delete(server: Serving, bearer: Bearer, study: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        address = f"/postdicom/studies/{study}"
        answer = await client.delete(address, headers=bearer("admin"), params={"reason": "test"})
        assert answer.status_code == 200, answer.text


async def test_a_researcher_hears_of_pseudonyms_and_of_no_time(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    study = await load("pseudonym", PatientName="Real^Name", StudyDescription="Free text")
    patient = await patient_of(archive, study)
    async with talk(server.url, bearer("researcher", project="trial")) as one:
        await one.ask(QUERY, after=after)
        frame = await one.hear()
        told = frame["payload"]["data"]["studyChanged"]
        assert (told["sequence"], told["kind"], told["at"]) == (after + 1, "CREATED", None)
        assert told["id"] == told["study"]["id"] != study
        for secret in (study, patient, "Real", "Free text"):
            assert secret not in str(frame)
        async with httpx.AsyncClient(base_url=server.url) as client:
            query = {"query": f'{{study(uid: "{told["id"]}") {{id}}}}'}
            headers = bearer("researcher", project="trial")
            found = (await client.post("/graphql", json=query, headers=headers)).json()
            assert found["data"] == {"study": {"id": told["id"]}}
        shown = told["id"]
    narrowed = QUERY.replace("after: $after)", f'after: $after, study: "{shown}")')
    async with talk(server.url, bearer("researcher", project="trial")) as one:
        await one.ask(narrowed, after=after)
        assert (await one.told())["data"]["studyChanged"]["id"] == shown
        await one.say(type="complete", id="1")
        by_real_id = QUERY.replace("after: $after)", f'after: $after, study: "{study}")')
        await one.ask(by_real_id, "real", after=after)
        await one.ask(QUERY, "all", after=after)
        assert (await one.told("all"))["data"]["studyChanged"]["id"] == shown


async def test_a_study_that_goes_is_told_to_those_who_could_see_it(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    study = await load("goes", PatientID="Goes")
    patient = await patient_of(archive, study)
    await look_after(archive, "Near", patient)
    query = "subscription($after: Integer64) {studyChanged(after: $after) {kind id study {id}}}"
    after = await archive.changes.newest()
    await delete(server, bearer, study)
    last = await load("comes after", PatientID="Comes After")
    await look_after(archive, "Near", await patient_of(archive, last))
    await look_after(archive, "Far", await patient_of(archive, last))
    people = {
        "radiologist": (bearer("radiologist"), True),
        "near": (bearer("provider", subject="Near"), True),
        "patient": (bearer("patient", patient=patient), True),
        "stranger": (bearer("patient", patient=await patient_of(archive, last)), False),
        "researcher": (bearer("researcher", project="trial"), False),
    }
    went = {"kind": "DELETED", "id": study, "study": None}
    for who, (headers, heard) in people.items():
        async with talk(server.url, headers) as one:
            await one.ask(query, after=after)
            if who == "patient":
                assert (await one.told())["data"]["studyChanged"] == went
                continue
            kinds: list[str] = []
            while not kinds or kinds[-1] != "CREATED":
                told = (await one.told())["data"]["studyChanged"]
                kinds.append(told["kind"])
                if told["kind"] == "DELETED":
                    assert told == went
            assert ("DELETED" in kinds) == heard, who


async def test_only_what_a_role_sees_is_in_the_schema_it_is_shown(
    server: Serving, bearer: Bearer
) -> None:
    query = """{__schema {subscriptionType {fields {name args {name}}}}}"""
    found = {}
    for role in ("radiologist", "admin", "auditor"):
        async with talk(server.url, bearer(role)) as one:
            await one.ask(query)
            kind = (await one.told())["data"]["__schema"]["subscriptionType"]
            found[role] = {
                field["name"]: sorted(argument["name"] for argument in field["args"])
                for field in kind["fields"]
            }
    assert found["auditor"] == {"policyChanged": ["after", "until"]}
    assert found["radiologist"] == {
        "studyChanged": ["after", "patient", "study", "until"],
        "jobProgress": ["after", "id", "until"],
    }
    assert found["admin"] == {
        "studyChanged": ["after", "study", "until"],
        "jobProgress": ["after", "id", "until"],
        "policyChanged": ["after", "until"],
    }
