"""Events come in the order of the sequence, from wherever a listener wants them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.archive import Archive
from fhir.changes import Change
from tests.care import patient_of
from tests.live.talking import STUDIES, Stream, Talk, listen, talk
from tests.serving import Serving

Load = Callable[..., Awaitable[str]]
Bearer = Callable[..., dict[str, str]]
Json = Any


async def between(archive: Archive, after: int, newest: int) -> list[Change]:
    """Give what is in the sequence behind one number up to another."""
    found: list[Change] = []
    while after < newest:
        page = await archive.changes.page(after, 100)
        found += [one for one in page if one.sequence <= newest]
        after = page[-1].sequence
    return found


async def up_to(one: Talk, study: str) -> list[Json]:
    """Give events until one is about a study."""
    found = []
    while True:
        found.append((await one.told())["data"]["studyChanged"])
        if found[-1]["id"] == study:
            return found


async def test_a_study_is_told_as_it_is_when_it_comes_and_changes_and_goes(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    query = """subscription($after: Integer64) {studyChanged(after: $after) {
        sequence kind id at study {id numberOfInstances series {modality {code}}}}}"""
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(query, after=after)
        study = await load("comes", Modality="MR", SeriesInstanceUID="2.25.1")
        came = (await one.told())["data"]["studyChanged"]
        assert (came["kind"], came["id"]) == ("CREATED", study)
        assert came["study"] == {
            "id": study,
            "numberOfInstances": 1,
            "series": [{"modality": {"code": "MR"}}],
        }
        await load("comes", Modality="MR", SeriesInstanceUID="2.25.1")
        changed = (await one.told())["data"]["studyChanged"]
        assert (changed["kind"], changed["study"]["numberOfInstances"]) == ("CHANGED", 2)
        await gone(server, bearer, study)
        while (went := (await one.told())["data"]["studyChanged"])["kind"] == "CHANGED":
            pass
        assert (went["kind"], went["id"], went["study"]) == ("DELETED", study, None)
    numbers = [one["sequence"] for one in (came, changed, went)]
    at = {one.sequence: one.at for one in await between(archive, after, numbers[-1])}
    assert numbers == [*sorted(at)[:2], max(at)]
    assert came["at"] == at[numbers[0]].isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def gone(server: Serving, bearer: Bearer, study: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        address = f"/postdicom/studies/{study}"
        answer = await client.delete(address, headers=bearer("admin"), params={"reason": "test"})
        assert answer.status_code == 200, answer.text


async def test_what_was_missed_and_what_comes_join_without_gap_or_repetition(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    for number in range(5):
        await load(f"missed {number}")

    async def more() -> str:
        for number in range(20):
            await load(f"more {number}")
        return await load("last")

    async with talk(server.url, bearer("radiologist")) as one, asyncio.TaskGroup() as group:
        coming = group.create_task(more())
        await asyncio.sleep(0)
        await one.ask(STUDIES, after=after)
        last = await load("the very last") if coming.done() else (await coming)
        told = await up_to(one, last)
    kept = await between(archive, after, told[-1]["sequence"])
    assert [change["sequence"] for change in told] == [
        change.sequence for change in kept if change.resource == "ImagingStudy"
    ]
    assert len({change["id"] for change in told}) == 26


async def test_a_listener_goes_on_from_any_event(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    studies = [await load(f"goes on {number}") for number in range(4)]
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(STUDIES, after=after)
        told = await up_to(one, studies[-1])
    for number, change in enumerate(told[:-1]):
        async with talk(server.url, bearer("radiologist")) as one:
            await one.ask(STUDIES, after=change["sequence"])
            assert await up_to(one, studies[-1]) == told[number + 1 :]


async def test_one_patient_or_one_study_can_be_listened_to(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    first = await load("of one", PatientID="One")
    other = await load("of the other", PatientID="Other")
    query = """subscription($after: Integer64, $patient: ID, $study: ID) {
        studyChanged(after: $after, patient: $patient, study: $study) {id}}"""
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(query, "of", after=after, patient=await patient_of(archive, other))
        assert (await one.told("of"))["data"]["studyChanged"] == {"id": other}
        await one.say(type="complete", id="of")
        await one.ask(query, "just", after=after, study=other)
        assert (await one.told("just"))["data"]["studyChanged"] == {"id": other}
        await one.say(type="complete", id="just")
        await one.ask(query, "both", after=after, study=first)
        assert (await one.told("both"))["data"]["studyChanged"] == {"id": first}


@pytest.mark.parametrize("behind", [0, 1, 3])
async def test_a_listener_may_want_no_more_than_what_was_missed(
    behind: int, server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(STUDIES, "all", after=after)
        for number in range(3):
            await load(f"missed by {behind}, {number}")
        told = [(await one.told("all"))["data"]["studyChanged"] for _ in range(3)]
        await one.say(type="complete", id="all")
        until = told[behind - 1]["sequence"] if behind else after
        query = STUDIES.replace("after: $after", f"after: $after, until: {until}")
        await one.ask(query, after=after)
        frames = [await one.hear() for _ in range(behind + 1)]
    found = [frame["payload"]["data"]["studyChanged"] for frame in frames[:-1]]
    assert (found, frames[-1]) == (told[:behind], {"type": "complete", "id": "1"})


async def test_aliases_fragments_and_conditions_are_those_of_any_operation(
    server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    study = await load("aliases")
    query = """subscription Changes($after: Integer64, $no: Boolean = false) {
        it: studyChanged(after: $after) {
            ...Number
            a: study {id patient {id} again: studyless @include(if: $no)}
            b: study {key: id} __typename}}
        fragment Number on StudyChange {number: sequence}"""
    query = query.replace("again: studyless @include(if: $no)", "status @include(if: $no)")
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(query, after=after)
        told = (await one.told())["data"]["it"]
    patient = await patient_of(archive, study)
    assert told == {
        "number": after + 1,
        "a": {"id": study, "patient": {"id": patient}},
        "b": {"key": study},
        "__typename": "StudyChange",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stream_of_events_resumes_where_it_broke_off(
    method: str, server: Serving, archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    studies = [await load(f"{method} {number}") for number in range(3)]
    headers = bearer("radiologist")
    async with listen(server.url, STUDIES, headers, method=method, after=after) as stream:
        assert (stream.response.status_code, stream.response.headers["content-type"]) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        assert await stream.event() == {"id": str(after)}
        told = [await stream.told() for _ in studies]
    assert [told["data"]["studyChanged"]["id"] for _, told in told] == studies
    numbers = [number for number, _ in told]
    assert numbers == [told["data"]["studyChanged"]["sequence"] for _, told in told]
    resumed = {**headers, "Last-Event-ID": str(numbers[0])}
    async with listen(server.url, STUDIES, resumed, method=method, after=after) as stream:
        assert [await stream.told() for _ in studies[1:]] == told[1:]
        studies.append(await load(f"{method} more"))
        assert (await told_id(stream)) == studies[-1]


async def told_id(stream: Stream) -> str:
    _, told = await stream.told()
    return str(told["data"]["studyChanged"]["id"])


async def test_a_listener_who_is_too_far_behind_has_to_read_again(
    archive: Archive, server: Serving, bearer: Bearer
) -> None:
    newest = await archive.changes.newest()
    filler = [
        {
            "_id": newest + number,
            "kind": "changed",
            "resource": "Job",
            "id": "filler",
            "position": f"filler{number:06}",
            "at": None,
        }
        for number in range(1, 10_002)
    ]
    assert newest < len(filler)
    await archive.database["changes"].insert_many(filler)
    async with talk(server.url, bearer("radiologist")) as one:
        await one.ask(STUDIES, "lost", after=newest)
        frame = await one.hear()
        assert (frame["type"], frame["id"]) == ("error", "lost")
        [error] = frame["payload"]
        assert error["extensions"] == {"code": "CHANGES_LOST"}
        assert "read again" in error["message"]
        await one.ask(STUDIES, "kept", after=newest + 1)
        await one.say(type="ping")
        assert await one.hear() == {"type": "pong"}
    async with listen(server.url, STUDIES, bearer("radiologist"), after=newest) as stream:
        [error] = await stream.ended()
        assert error["extensions"] == {"code": "CHANGES_LOST"}
