"""Hostile, broken and odd objects through STOW-RS: each is judged alone, none harms another."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx

from app.archive import Archive
from app.dicomweb.store_answer import CANNOT_UNDERSTAND, FAILURE_REASONS
from tests.build import dicom, multipart
from tests.contents import assert_true
from tests.dicomweb.parts import read
from tests.hostile import CASES, Case

KNOWN_REASONS = {CANNOT_UNDERSTAND, *FAILURE_REASONS.values()}
AT_ONCE = 40


async def judged(
    client: httpx.AsyncClient, headers: dict[str, str], cases: Sequence[Case]
) -> tuple[int, set[str], set[str]]:
    """Send cases in one request; give the status, and the names of what was stored and refused."""
    body, content_type = multipart([case.make() for case in cases])
    answer = await client.post(
        "/dicomweb/studies", content=body, headers=headers | {"Content-Type": content_type}
    )
    content = answer.json()
    failed = [
        one
        for sequence in ("00081198", "0008119A")
        for one in content.get(sequence, {}).get("Value", [])
    ]
    assert {one["00081197"]["Value"][0] for one in failed} <= KNOWN_REASONS
    places = {one["00091002"]["Value"][0] for one in failed}
    refused = {case.name for place, case in enumerate(cases, 1) if place in places}
    stored = content.get("00081199", {}).get("Value", [])
    assert len(stored) + len(failed) == len(cases)
    warned = [one for one in stored if "00081196" in one]
    assert all(one["00081196"]["Value"] == [0xB007] for one in warned)
    return answer.status_code, {case.name for case in cases} - refused, refused


def expected(cases: Sequence[Case], *expectations: str) -> set[str]:
    return {case.name for case in cases if case.expect in expectations}


async def test_each_hostile_object_gets_what_it_deserves_beside_all_others(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]], archive: Archive
) -> None:
    technologist = acting_as("technologist")
    first = [case for case in CASES if not case.after]
    # by turns, so that every request holds good ones and bad ones
    for start in range(-(-len(first) // AT_ONCE)):
        cases = first[start :: -(-len(first) // AT_ONCE)]
        status, stored, refused = await judged(client, technologist, cases)
        assert status == 202
        assert stored == expected(cases, "accept", "warn")
        assert refused == expected(cases, "refuse")
    after = [case for case in CASES if case.after]
    _, stored, refused = await judged(client, technologist, after)
    assert (stored, refused) == (expected(after, "accept"), expected(after, "refuse"))
    await assert_true(archive)


async def test_refused_objects_alone_are_409_and_leave_nothing(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]], archive: Archive
) -> None:
    async def counts() -> tuple[int, int]:
        indexed = await archive.database["instances"].count_documents({})
        return indexed, len([entry async for entry in archive.objects.list()])

    before = await counts()
    refused = [case for case in CASES if case.expect == "refuse" and not case.after]
    status, stored, _ = await judged(client, acting_as("technologist"), refused)
    assert (status, stored) == (409, set())
    assert await counts() == before
    assert list((archive.settings.data_dir / "objects").glob(".partial/*")) == []


async def test_no_answer_holds_a_value_of_a_refused_header(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]
) -> None:
    planted = dicom(PatientName="Planted^Name", PatientID="planted-id", StudyInstanceUID="1.x")
    body, content_type = multipart([planted, dicom(meta={"TransferSyntaxUID": "9.9.9.9"})])
    headers: dict[str, Any] = acting_as("technologist") | {"Content-Type": content_type}
    answer = await client.post("/dicomweb/studies", content=body, headers=headers)
    assert answer.status_code == 409
    assert read(planted).PatientID == "planted-id"
    assert not any(word in answer.text for word in ("Planted", "planted-id", "1.x", "9.9.9.9"))
