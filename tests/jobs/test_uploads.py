"""Announced uploads: what they bring, what they may not, how far they are and how they end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.store.jobs import JobTickets
from fhir.dates import instant
from fhir.jobs import fail_over
from tests.build import dicom, study, uid
from tests.granting.world import subject
from tests.jobs.asking import Uploads, zipped
from tests.rest.forms import FORM, form, large, opening, pieces, statuses

FRESH = {"status": "waiting", "total": 10, "done": 0, "refused": 0, "bytes": 0, "problems": []}


async def patient_of(uploads: Uploads, **keywords: Any) -> str:
    """Store a study of a patient; give the id of the Patient."""
    root = uid()
    data = dicom(StudyInstanceUID=root, **keywords)
    outcome = await uploads.archive.ingest.store(pieces(data))
    assert outcome.status == "stored", outcome
    stored = await uploads.archive.ledger.study(root)
    assert stored is not None
    return str(stored["resource"]["subject"]["reference"]).removeprefix("Patient/")


async def test_an_upload_is_announced(uploads: Uploads) -> None:
    patient = await patient_of(uploads, PatientID="1")
    reply = await uploads.announce(patient=patient, study="1.2.3", files=7, bytes=2**33)
    made = reply.data["it"]
    record = made["record"]
    assert made["url"] == f"/postdicom/uploads/{record['id']}"
    assert record == {
        "id": record["id"],
        "kind": "upload",
        "agent": subject("technologist"),
        "patient": {"reference": f"Patient/{patient}"},
        "study": "1.2.3",
        "recorded": record["recorded"],
        "expires": record["expires"],
        "status": "waiting",
        "total": 7,
        "done": 0,
        "refused": 0,
        "bytes": 0,
        "maxFiles": 7,
        "maxBytes": 2**33,
        "problems": [],
    }
    begun, over = (datetime.fromisoformat(record[one]) for one in ("recorded", "expires"))
    assert over - begun == timedelta(hours=24)


@pytest.mark.parametrize("form_of", ["form", "zip in a form", "zip", "dicom"])
async def test_files_come_in_every_form_and_are_counted(uploads: Uploads, form_of: str) -> None:
    first, second = study(instances=2, StudyInstanceUID=uid())
    job = await uploads.announced()
    sent = {
        "form": [(form(first, second), FORM["Content-Type"])],
        "zip in a form": [(form(zipped(first, second)), FORM["Content-Type"])],
        "zip": [(zipped(first, second), "application/zip")],
        "dicom": [(first, "application/dicom"), (second, "Application/DICOM")],
    }[form_of]
    stored = 0
    for content, kind in sent:
        answer = await uploads.post(job, content, kind)
        assert answer.status_code == 201, answer.text
        stored += answer.json()["data"]["stored"]
    assert stored == 2
    size = len(first) + len(second)
    assert await uploads.told(job) == FRESH | {"status": "active", "done": 2, "bytes": size}
    left = await JobTickets(uploads.archive.database).left(job, datetime.now(UTC))
    assert left is not None
    assert (left.files, left.bytes) == (8, 10**6 - size)


async def test_each_file_is_told_and_what_is_refused_is_counted_by_reason(uploads: Uploads) -> None:
    good = dicom()
    job = await uploads.announced()
    answer = await uploads.send(job, good, b"hello", good, b"", b"other")
    assert answer.status_code == 207
    assert [one[0] for one in statuses(answer.json()["data"]["results"])] == [
        "stored",
        "refused",
        "duplicate",
        "refused",
        "refused",
    ]
    told = await uploads.told(job)
    assert (told["done"], told["refused"]) == (2, 3)
    assert sum(one["count"] for one in told["problems"]) == 3
    reasons = {one["reason"] for one in answer.json()["data"]["results"]} - {"", "duplicate"}
    assert {one["reason"] for one in told["problems"]} == reasons


async def test_files_beyond_those_announced_are_refused_before_they_are_stored(
    uploads: Uploads,
) -> None:
    job = await uploads.announced(files=2)
    before = await uploads.held()
    answer = await uploads.send(job, *study(instances=3, StudyInstanceUID=uid()))
    assert answer.status_code == 207
    assert answer.json()["error"]["code"] == "TOO_LARGE"
    assert answer.json()["data"]["received"] == 2
    assert (await uploads.held())[0] == before[0] + 2
    again = await uploads.send(job, dicom())
    assert (again.status_code, again.json()["error"]["code"]) == (413, "TOO_LARGE")
    assert (await uploads.held())[0] == before[0] + 2
    told = await uploads.told(job)
    assert (told["done"], told["refused"]) == (2, 0)


async def test_bytes_beyond_those_announced_are_refused_before_they_are_stored(
    uploads: Uploads,
) -> None:
    data = dicom()
    exact = await uploads.announced(bytes=len(data))
    short = await uploads.announced(bytes=len(data) - 1)
    before = await uploads.held()
    for content, kind in (
        (form(data), FORM["Content-Type"]),
        (data, "application/dicom"),
        (pieces(data), "application/dicom"),
        (zipped(data), "application/zip"),
    ):
        answer = await uploads.post(short, content, kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")
    assert await uploads.held() == before
    # what did not come is not counted
    left = await JobTickets(uploads.archive.database).left(short, datetime.now(UTC))
    assert left is not None
    assert (left.files, left.bytes) == (10, len(data) - 1)
    assert (await uploads.send(exact, data)).status_code == 201


async def test_a_large_file_is_counted_as_it_comes_and_nothing_of_it_stays_if_it_is_too_large(
    uploads: Uploads,
) -> None:
    names = {f"{one}InstanceUID": uid() for one in ("Study", "Series", "SOP")}
    size = sum(len(one) for one in large(12, **names))
    before = await uploads.held()
    short = await uploads.announced(bytes=size - 1)
    data = pieces(large(12, **names))
    answer = await uploads.post(short, data, "application/dicom")
    assert answer.status_code == 413
    assert await uploads.held() == before
    assert await uploads.archive.objects.sweep(timedelta()) == 0
    exact = await uploads.announced(bytes=size)
    data = pieces(large(12, **names))
    answer = await uploads.post(exact, data, "application/dicom")
    assert answer.status_code == 201, answer.text
    assert (await uploads.told(exact))["bytes"] == size


async def test_many_requests_at_once_bring_no_more_than_was_announced(uploads: Uploads) -> None:
    files = study(instances=12, StudyInstanceUID=uid())
    job = await uploads.announced(files=7)
    before = await uploads.held()
    answers = await asyncio.gather(*(uploads.send(job, one) for one in files))
    assert sorted(one.status_code for one in answers) == [201] * 7 + [413] * 5
    assert (await uploads.held())[0] == before[0] + 7
    told = await uploads.told(job)
    sizes = {len(one) for one in files}
    assert told["done"] == 7
    assert min(sizes) * 7 <= told["bytes"] <= max(sizes) * 7

    data = [dicom(StudyInstanceUID="1.2.9", PatientID="9") for _ in range(6)]
    room = max(len(one) for one in data) * 3
    job = await uploads.announced(bytes=room)
    answers = await asyncio.gather(*(uploads.send(job, one) for one in data))
    assert [one.status_code for one in answers].count(201) == 3
    assert (await uploads.told(job))["bytes"] <= room


async def test_objects_of_another_patient_are_refused_and_the_others_are_stored(
    uploads: Uploads,
) -> None:
    patient = await patient_of(uploads, PatientID="MRN-7", PatientName="Right^A")
    await patient_of(uploads, PatientID="MRN-8", PatientName="Wrong^B")
    job = await uploads.announced(patient=patient, bytes=10**7)
    before = await uploads.held()
    answer = await uploads.send(
        job,
        dicom(PatientID="MRN-8"),
        dicom(PatientID="MRN-9"),
        dicom(PatientID=None),
        dicom(PatientID="MRN-7", IssuerOfPatientID="elsewhere"),
        dicom(PatientID="MRN-7"),
        b"".join(large(2, PatientID="MRN-8")),
    )
    wrong = ("conflict", "wrong-patient")
    assert statuses(answer.json()["data"]["results"]) == [*[wrong] * 4, ("stored", ""), wrong]
    assert answer.status_code == 207
    assert "MRN" not in answer.text
    after = await uploads.held()
    assert tuple(now - then for now, then in zip(after, before, strict=True)) == (1, 1, 0, 1)
    told = await uploads.told(job)
    assert (told["done"], told["refused"]) == (1, 5)
    assert told["problems"] == [{"reason": "wrong-patient", "count": 5}]


async def test_what_names_nobody_is_of_the_patient_whose_study_it_is_in(uploads: Uploads) -> None:
    root = uid()
    await uploads.archive.ingest.store(pieces(dicom(StudyInstanceUID=root, PatientID="MRN-70")))
    stored = await uploads.archive.ledger.study(root)
    assert stored is not None
    patient = stored["resource"]["subject"]["reference"].removeprefix("Patient/")
    job = await uploads.announced(patient=patient)
    answer = await uploads.send(job, dicom(StudyInstanceUID=root, PatientID=None))
    assert statuses(answer.json()["data"]["results"]) == [("stored", "")]


async def test_what_is_stored_already_for_another_patient_is_refused_all_the_same(
    uploads: Uploads,
) -> None:
    patient = await patient_of(uploads, PatientID="MRN-71")
    known = dicom(PatientID="MRN-72")
    await uploads.archive.ingest.store(pieces(known))
    answer = await uploads.send(await uploads.announced(patient=patient), known)
    assert statuses(answer.json()["data"]["results"]) == [("conflict", "wrong-patient")]
    assert answer.status_code == 409


async def test_objects_of_another_study_are_refused_and_the_others_are_stored(
    uploads: Uploads,
) -> None:
    root = uid()
    job = await uploads.announced(study=root)
    before = await uploads.held()
    answer = await uploads.send(job, dicom(PatientID="3"), dicom(StudyInstanceUID=root))
    assert statuses(answer.json()["data"]["results"]) == [
        ("refused", "wrong-study"),
        ("stored", ""),
    ]
    after = await uploads.held()
    assert tuple(now - then for now, then in zip(after, before, strict=True))[:2] == (1, 1)


async def test_nobody_else_sends_to_it_or_ends_it(uploads: Uploads) -> None:
    job = await uploads.announced(subject="tess")
    before = await uploads.held()
    for role in ("technologist", "radiologist", "admin"):
        answer = await uploads.send(job, dicom(), role=role)
        assert answer.status_code == 404, answer.text
        for how in ("completeUpload", "cancelUpload"):
            payload = await uploads.end(how, job, role)
            assert [one["code"] for one in payload["errors"]] == ["NOT_FOUND"]
    assert (await uploads.send(job, dicom(), role="nurse")).status_code == 403
    assert (await uploads.send("absent", dicom())).status_code == 404
    assert await uploads.held() == before
    assert (await uploads.record(job)).resource["status"] == "waiting"


@pytest.mark.parametrize(
    ("how", "status"), [("completeUpload", "completed"), ("cancelUpload", "cancelled")]
)
async def test_once_it_has_ended_nothing_more_is_taken_in_and_it_ends_no_other_way(
    uploads: Uploads, how: str, status: str
) -> None:
    job = await uploads.announced()
    await uploads.send(job, dicom())
    ended = {"record": {"id": job, "status": status, "done": 1}, "errors": []}
    assert await uploads.end(how, job) == ended
    before, record = await uploads.held(), await uploads.record(job)
    answer = await uploads.send(job, dicom())
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    assert await uploads.end(how, job) == ended
    [other] = {"completeUpload", "cancelUpload"} - {how}
    payload = await uploads.end(other, job)
    assert [one["code"] for one in payload["errors"]] == ["CONFLICT"]
    assert await uploads.held() == before
    assert await uploads.record(job) == record


async def test_what_is_under_way_stops_when_it_is_cancelled(uploads: Uploads) -> None:
    job = await uploads.announced()
    first, second = study(instances=2, StudyInstanceUID=uid())
    before = await uploads.held()

    async def body() -> AsyncIterator[bytes]:
        yield form(first, second)[: len(opening("image.dcm")) + len(first) + 20]
        await uploads.end("cancelUpload", job)
        yield form(first, second)[len(opening("image.dcm")) + len(first) + 20 :]

    answer = await uploads.post(job, body(), FORM["Content-Type"])
    assert answer.json()["error"]["code"] == "CONFLICT"
    kept = answer.json()["data"]["stored"]
    assert kept <= 1
    assert (await uploads.held())[0] == before[0] + kept
    told = await uploads.told(job)
    assert (told["status"], told["done"]) == ("cancelled", kept)


async def test_an_upload_whose_time_is_over_takes_nothing_in_and_fails(uploads: Uploads) -> None:
    waiting, active, completed = [await uploads.announced() for _ in range(3)]
    await uploads.send(active, dicom())
    await uploads.end("completeUpload", completed)
    archive = uploads.archive
    later = datetime.now(UTC) + timedelta(hours=25)
    tickets = JobTickets(archive.database)
    assert not await tickets.take(active, 1, 1, later)
    assert await fail_over(archive.repository, tickets, datetime.now(UTC)) == 0
    assert await fail_over(archive.repository, tickets, later) == 2
    assert await fail_over(archive.repository, tickets, later) == 0
    found = [(await uploads.record(one)).resource["status"] for one in (waiting, active, completed)]
    assert found == ["failed", "failed", "completed"]
    before = await uploads.held()
    assert (await uploads.send(active, dicom())).status_code == 409
    assert await uploads.held() == before


async def test_an_upload_that_is_over_is_refused_before_it_is_said_to_have_failed(
    uploads: Uploads,
) -> None:
    job = await uploads.announced()
    found = await uploads.record(job)
    past = instant(datetime.now(UTC) - timedelta(seconds=1))
    await uploads.archive.repository.replace({**found.resource, "expires": past}, found.version)
    before = await uploads.held()
    assert (await uploads.send(job, dicom())).status_code == 409
    payload = await uploads.end("completeUpload", job)
    assert [one["code"] for one in payload["errors"]] == ["CONFLICT"]
    assert await uploads.held() == before


async def test_a_broken_transfer_is_not_counted_and_can_be_sent_again(uploads: Uploads) -> None:
    data = dicom()
    job = await uploads.announced(files=1, bytes=len(data))
    cut = form(data)[:-40]
    answer = await uploads.post(job, cut, FORM["Content-Type"])
    assert answer.status_code == 400
    assert (await uploads.send(job, data)).status_code == 201
    told = await uploads.told(job)
    assert (told["done"], told["refused"]) == (1, 0)


async def test_what_is_told_only_grows_while_files_come(uploads: Uploads) -> None:
    job = await uploads.announced(files=40, bytes=10**7)
    files = study(instances=12, StudyInstanceUID=uid())
    seen: list[tuple[int, int]] = []
    ended = asyncio.Event()

    async def watch() -> None:
        while not ended.is_set():
            said = (await uploads.record(job)).resource
            seen.append((said["done"] + said["refused"], said["bytes"]))

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(uploads.send(job, *files[at::3], b"none") for at in range(3)))
    ended.set()
    await watching
    assert seen == sorted(seen)
    told = await uploads.told(job)
    assert (told["done"], told["refused"]) == (12, 3)


async def test_a_body_of_another_type_is_not_taken(uploads: Uploads) -> None:
    job = await uploads.announced()
    for kind in ("application/json", "text/plain", "", "multipart/related; boundary=x"):
        answer = await uploads.post(job, b"x", kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        )
    assert await uploads.told(job) == FRESH


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"files": 0}, "files: 1 to 100,000"),
        ({"files": 100_001}, "files: 1 to 100,000"),
        ({"bytes": 0}, "bytes: 1 to 1,099,511,627,776"),
        ({"bytes": 2**40 + 1}, "bytes: 1 to 1,099,511,627,776"),
        ({"study": "x"}, "study: write a Study Instance UID, digits and dots"),
    ],
)
async def test_what_makes_no_sense_is_not_announced(
    uploads: Uploads, wrong: dict[str, Any], said: str
) -> None:
    refused = (await uploads.announce(**wrong)).data["it"]
    assert refused == {
        "url": None,
        "record": None,
        "errors": [{"__typename": "InvalidError", "code": "INVALID_REQUEST", "message": said}],
    }
    assert await uploads.archive.database["jobs"].count_documents({}) == 0


async def test_an_upload_for_somebody_who_is_not_there_is_not_announced(uploads: Uploads) -> None:
    refused = (await uploads.announce(patient="nobody")).data["it"]
    assert [one["code"] for one in refused["errors"]] == ["NOT_FOUND"]
    assert await uploads.archive.database["jobs"].count_documents({}) == 0


async def test_twenty_uploads_of_one_person_are_open_at_once_and_no_more(uploads: Uploads) -> None:
    made = [await uploads.announced() for _ in range(20)]
    refused = (await uploads.announce()).data["it"]
    assert [one["code"] for one in refused["errors"]] == ["CONFLICT"]
    await uploads.announced(subject="other")
    await uploads.end("cancelUpload", made[0])
    await uploads.announced()


@pytest.mark.parametrize("role", ["nurse", "provider", "patient", "auditor", "billing"])
async def test_whoever_may_not_store_announces_nothing(uploads: Uploads, role: str) -> None:
    reply = await uploads.announce(role)
    assert list(reply.body) == ["errors"]
    assert {"Job.id", "Image.file"} <= set(reply.forbidden)
    assert await uploads.archive.database["jobs"].count_documents({}) == 0


async def test_everybody_finds_their_own_and_an_administrator_all(uploads: Uploads) -> None:
    one = await uploads.announced(subject="a")
    two = await uploads.announced(subject="b")
    await uploads.end("cancelUpload", two, subject="b")
    for criteria, role, name, wanted in (
        ("", "technologist", "a", {one}),
        ("", "technologist", "c", set()),
        ("", "admin", "boss", {one, two}),
        ('(status: ["cancelled"])', "admin", "boss", {two}),
        (f'(agent: ["{subject("a")}"])', "admin", "boss", {one}),
        ('(recorded: {to: "2001-01-01"})', "admin", "boss", set()),
    ):
        reply = await uploads.ask(
            f"{{jobs{criteria} {{edges {{node {{id}}}}}}}}", role, subject=name
        )
        assert {edge["node"]["id"] for edge in reply.data["jobs"]["edges"]} == wanted


async def test_what_is_done_about_uploads_is_in_the_audit(uploads: Uploads) -> None:
    patient = await patient_of(uploads, PatientID="MRN-90")
    job = await uploads.announced(patient=patient)
    await uploads.send(job, dicom(PatientID="MRN-90"))
    await uploads.end("completeUpload", job)
    events = uploads.archive.database["audit_events"]
    cursor = events.find({"resource": "Job", "action": {"$ne": "read"}}, sort=[("recorded", 1)])
    found = [one async for one in cursor]
    assert [(one["action"], one["door"], one["ids"], one["patients"]) for one in found] == [
        ("create", "graphql", [job], [patient]),
        ("update", "rest", [job], [patient]),
        ("update", "graphql", [job], [patient]),
    ]
    assert await events.count_documents({"resource": "Image", "action": "create"}) == 1
