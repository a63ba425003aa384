"""Uploads that were announced: what each may bring, how far it is, and how it ended.

What an upload may still bring is counted beside its record (`Tickets`), atomically and before
anything of a file is stored; the record tells how far it is, and lags a little.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from fhir.access import Entry
from fhir.dates import instant
from fhir.errors import Conflict, Invalid, NotFound
from fhir.granting import check_identified, check_uid
from fhir.guarded import GuardedRepository
from fhir.parameters import spelled
from fhir.repository import Repository, Wanted
from fhir.search import During, Filter, Has, all_of, any_of

Json = Any

MOST_FILES = 100_000  # of one upload
MOST_BYTES = 2**40
MOST_OPEN = 20  # of one person at once
_AT_ONCE = 100  # of those that are over, in one round
_MILLISECOND = timedelta(milliseconds=1)
_OPEN = ("waiting", "active")
OVER = "this upload has ended; announce another one with createUpload"


@dataclass(frozen=True, slots=True)
class Left:
    """What an upload may still bring."""

    files: int
    bytes: int


class Tickets(Protocol):
    """What uploads may still bring, for every process."""

    async def open(self, job: str, left: Left, until: datetime) -> None:
        """Let an upload bring something, until a moment."""
        ...

    async def close(self, job: str) -> None:
        """Let it bring nothing more."""
        ...

    async def take(self, job: str, files: int, size: int, now: datetime) -> bool:
        """Count files and bytes, all of them or none: say whether there was room."""
        ...

    async def give_back(self, job: str, files: int, size: int) -> None:
        """Count again what was taken and did not come."""
        ...

    async def left(self, job: str, now: datetime) -> Left | None:
        """Say what it may still bring; None if it is closed, or over."""
        ...

    async def patient_key(self, patient: str) -> str | None:
        """Give what headers of a Patient's objects say, as `fhir.from_dicom.patient_key` has it."""
        ...


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is to be uploaded.

    Attributes:
        patient: Id of the Patient that every object has to be of; None: of anybody.
        study: Study Instance UID that every object has to be of, stored yet or not; None: of any.
        files: At most so many objects.
        bytes: At most so many bytes in all; of zip files, what they hold.
    """

    patient: str | None
    study: str | None
    files: int
    bytes: int


@dataclass(slots=True)
class Progress:
    """What came since it was last told."""

    done: int = 0
    refused: int = 0
    bytes: int = 0
    problems: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.done or self.refused)


async def announce(
    guarded: GuardedRepository, tickets: Tickets, said: Announcement, *, lasting: timedelta
) -> str:
    """Announce an upload.

    Args:
        guarded: Repository of the caller.
        tickets: Counts what it brings.
        said: What it is to bring.
        lasting: How long there is time for it.

    Returns:
        Id of the Job.

    Raises:
        AccessDenied: The caller may not store objects, or not announce them.
        NotFound: There is no such patient, or none the caller may know of.
        Conflict: The caller has so many uploads open already.
        Invalid: The study, or a number, will not do.
    """
    for name, number, most in (
        ("files", said.files, MOST_FILES),
        ("bytes", said.bytes, MOST_BYTES),
    ):
        if not 1 <= number <= most:
            raise Invalid(f"{name}: 1 to {most:,}")
    if said.study is not None:
        check_uid(said.study)
    check_identified(guarded, "Job")
    guarded.access.require("Image.file", "create")
    about: dict[str, Json] = {} if said.study is None else {"study": said.study}
    if said.patient is not None:
        row = await guarded.read("Patient", said.patient, frozenset({"Patient.id"}))
        about["patient"] = {"reference": f"Patient/{row.id}"}
    agent = guarded.access.caller.subject
    # past the guard: what is counted are the caller's own
    if await guarded.repository.count("Job", _open_of(agent)) >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} of your uploads are open; complete or cancel one first")
    identifier, now = str(uuid.uuid4()), datetime.now(UTC)
    await guarded.create(
        {
            "resourceType": "Job",
            "id": identifier,
            "kind": "upload",
            "agent": agent,
            **about,
            "recorded": instant(now),
            "expires": instant(now + lasting),
            "status": "waiting",
            "total": said.files,
            "done": 0,
            "refused": 0,
            "bytes": 0,
            "maxFiles": said.files,
            "maxBytes": said.bytes,
            "problems": [],
        }
    )
    # nothing can be brought before; if this process ends here, it fails when it is over
    await tickets.open(identifier, Left(said.files, said.bytes), now + lasting)
    return identifier


async def own_upload(guarded: GuardedRepository, identifier: str) -> Mapping[str, Json]:
    """Give an upload of the caller's that still may bring something.

    Raises:
        AccessDenied: The caller may not go on with it, or may not store objects.
        NotFound: There is none of this id, or it is somebody else's.
        Conflict: It has ended.
    """
    check_identified(guarded, "Job")
    guarded.access.require("Image.file", "create")
    await _own(guarded, identifier)
    record = await guarded.permitted("Job", identifier, "update", whole=True)
    if record.resource["status"] not in _OPEN or _over(record.resource):
        raise Conflict(OVER)
    return record.resource


async def tell(repository: Repository, identifier: str, progress: Progress) -> None:
    """Add to a job's record what came; numbers only grow, whoever else adds to them."""

    def further(job: dict[str, Json]) -> dict[str, Json]:
        problems = Counter({one["reason"]: one["count"] for one in job["problems"]})
        problems.update(progress.problems)
        return {
            **job,
            "status": "active" if job["status"] == "waiting" else job["status"],
            "done": job["done"] + progress.done,
            "refused": job["refused"] + progress.refused,
            "bytes": job["bytes"] + progress.bytes,
            "problems": [
                {"reason": reason, "count": problems[reason]} for reason in sorted(problems)
            ],
        }

    await _edit(repository, identifier, further)


async def complete(guarded: GuardedRepository, tickets: Tickets, identifier: str) -> str:
    """Say that an upload is complete; to say it again changes nothing.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not say so.
        NotFound: There is none of this id, or it is somebody else's.
        Conflict: It has ended otherwise.
    """
    return await _end(guarded, tickets, identifier, "completed")


async def cancel(guarded: GuardedRepository, tickets: Tickets, identifier: str) -> str:
    """Let an upload bring nothing more; what it brought stays. To do it again changes nothing.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not.
        NotFound: There is none of this id, or it is somebody else's.
        Conflict: It has ended otherwise.
    """
    return await _end(guarded, tickets, identifier, "cancelled")


async def fail_over(repository: Repository, tickets: Tickets, now: datetime) -> int:
    """Let the uploads fail whose time is over; give how many.

    Args:
        repository: Unguarded.
        tickets: Of the same uploads.
        now: The time.
    """
    low = now.replace(microsecond=now.microsecond // 1000 * 1000)
    over = all_of((_status(), During("expires", "eb", low, low + _MILLISECOND)))
    failed = 0
    while found := await repository.find(
        "Job", over, wanted=Wanted(frozenset({"id"})), limit=_AT_ONCE
    ):
        for record in found:
            await tickets.close(record.id)
            failed += await _edit(repository, record.id, _failed)
    return failed


async def _end(guarded: GuardedRepository, tickets: Tickets, identifier: str, status: str) -> str:
    def ended(job: dict[str, Json]) -> dict[str, Json]:
        if job["status"] == status:
            return job
        if job["status"] not in _OPEN or _over(job):
            raise Conflict(OVER)
        return {**job, "status": status}

    check_identified(guarded, "Job")
    guarded.access.require("Job.id", "update")
    await _own(guarded, identifier)
    found = await guarded.permitted("Job", identifier, "update", whole=True)
    ended(found.resource)
    # first of all nothing more is let in: the record must not say so too early
    await tickets.close(identifier)
    await guarded.change("Job", identifier, ended, action="update")
    return identifier


async def _own(guarded: GuardedRepository, identifier: str) -> None:
    """Let nobody go on with what somebody else announced, whatever else they see of it."""
    mine = all_of((Has("_id", identifier), Has("agent", spelled(guarded.access.caller.subject))))
    if not await guarded.repository.count("Job", mine):
        guarded.access.note(Entry("update", "Job", "failed", ids=(identifier,), total=0))
        raise NotFound("no upload of this id is yours")


async def _edit(
    repository: Repository, identifier: str, edit: Callable[[dict[str, Json]], dict[str, Json]]
) -> bool:
    """Edit a job past the guard, whatever happens to it meanwhile; say whether it changed."""
    while True:
        found = await repository.find("Job", Has("_id", identifier), wanted=Wanted(None), limit=1)
        if not found:
            return False
        edited = edit(found[0].resource)
        if edited == found[0].resource:
            return False
        if await repository.replace(edited, found[0].version) is not None:
            return True


def note_upload(guarded: GuardedRepository, job: Mapping[str, Json]) -> None:
    """Record that somebody brought something to an upload."""
    patients = (job["patient"]["reference"].removeprefix("Patient/"),) if "patient" in job else ()
    guarded.access.note(
        Entry("update", "Job", "allowed", ids=(job["id"],), patients=patients, total=1)
    )


def _failed(job: dict[str, Json]) -> dict[str, Json]:
    return {**job, "status": "failed"} if job["status"] in _OPEN else job


def _over(job: Mapping[str, Json]) -> bool:
    return datetime.fromisoformat(job["expires"]) <= datetime.now(UTC)


def _status() -> Filter:
    return any_of(Has("status", one) for one in _OPEN)


def _open_of(agent: str) -> Filter:
    return all_of((Has("agent", spelled(agent)), _status()))
