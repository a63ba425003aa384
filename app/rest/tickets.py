"""Uploads that were announced: `/postdicom/uploads/{id}`, counted and told of while they run."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from app.archive import Archive
from app.doors import guarded
from app.imaging.ingest import Ingest
from app.imaging.outcome import Outcome
from app.multipart import boundary
from app.rest.receipt import Receipt, receipt
from app.rest.uploads import Upload
from app.store.jobs import JobTickets
from fhir.errors import Conflict, Invalid, NotFound, ResourceError, TooLarge, UnsupportedMedia
from fhir.jobs import OVER, Progress, Tickets, note_upload, own_upload, tell
from fhir.repository import Repository

FORM: Final = "multipart/form-data"
WHOLE: Final = ("application/dicom", "application/zip")
PIECE: Final = 4 * 2**20  # so much of an object is counted at once, before any of it goes on
_TOLD_EVERY: Final = 0.5  # seconds
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY: Mapping[str, Any] = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {"type": "array", "items": {"type": "string", "format": "binary"}}
                },
            }
        },
        **dict.fromkeys(WHOLE, _BINARY),
    },
}

Json = Any
Failures = Callable[..., dict[int | str, dict[str, Any]]]
UploadId = Annotated[str, Path(description="`id` of the Job", max_length=64)]


def add_uploads(router: APIRouter, failures: Failures) -> None:
    """Add the route.

    Args:
        router: Behind the guard.
        failures: Documents how a route fails.
    """

    @router.post(
        "/uploads/{upload_id}",
        status_code=201,
        response_model=Receipt,
        responses={
            207: {"model": Receipt, "description": "Some files are in the archive, some are not"},
            400: {"model": Receipt, "description": "None is: INVALID_DICOM_FILE, or the body"},
            409: {
                "model": Receipt,
                "description": "The upload has ended; or none is: others are under these UIDs, or "
                "they are of another patient than announced",
            },
            413: {"model": Receipt, "description": "None is: more than was announced"},
            **failures(403, 404, 415, 507),
        },
        openapi_extra={"requestBody": dict(_BODY)},
    )
    async def store_announced(request: Request, upload_id: UploadId) -> Response:
        """Store files of an upload that `createUpload` announced; several requests may run at once.

        A form of files, one DICOM object, or one zip file of them. Together they are never more
        than was announced: the file that would be is refused before any of it is stored. What is
        of another patient or study than announced is refused file by file.
        """
        return await _store(request, upload_id)


@dataclass(slots=True)
class Announced:
    """One request of an announced upload.

    Attributes:
        job: Its record, as it was when the request began.
        patient: `patient_key` that its objects have to be filed under; None: any.
    """

    job: Mapping[str, Json]
    patient: str | None
    ingest: Ingest
    tickets: Tickets
    repository: Repository
    _untold: Progress = field(default_factory=Progress)
    _unsettled: set[str] = field(default_factory=set)
    _told: float = field(default_factory=time.monotonic)

    async def add(self, chunks: AsyncIterator[bytes]) -> Outcome:
        """Take in one object, if there is room for it.

        Raises:
            TooLarge: The upload would be more than was announced.
            Conflict: It has ended meanwhile.
        """
        counting = _Counting(self.tickets, self.job["id"])
        complete = False
        try:
            async with aclosing(counting.pieces(chunks)) as pieces:
                outcome = await self.ingest.add(
                    pieces, study=self.job.get("study"), patient=self.patient
                )
            complete = True
        finally:
            if not complete and counting.files:  # broken off: it did not come
                await self.tickets.give_back(self.job["id"], counting.files, counting.size)
        await self._count(outcome, counting.size)
        return outcome

    async def tell(self) -> None:
        """Write down what came, once it is true for the studies."""
        untold, self._untold = self._untold, Progress()
        studies, self._unsettled = self._unsettled, set()
        if untold:
            await self.ingest.settle_all(studies)
            await tell(self.repository, self.job["id"], untold)
        self._told = time.monotonic()

    async def _count(self, outcome: Outcome, size: int) -> None:
        self._untold.bytes += size
        if outcome.kept:
            self._untold.done += 1
            self._unsettled |= {outcome.study} if outcome.study else set()
        else:
            self._untold.refused += 1
            self._untold.problems[outcome.reason] += 1
        if time.monotonic() - self._told >= _TOLD_EVERY:
            await self.tell()


@dataclass(slots=True)
class _Counting:
    """Counts one object against its upload, a piece before it goes on.

    Attributes:
        files: What was counted: 1 once it began.
        size: Bytes that were counted.
    """

    tickets: Tickets
    job: str
    files: int = 0
    size: int = 0

    async def pieces(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Give the object's bytes; each is counted by then."""
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= PIECE:
                await self._take(len(waiting))
                yield bytes(waiting)
                waiting.clear()
        if waiting or not self.files:
            await self._take(len(waiting))
            yield bytes(waiting)

    async def _take(self, size: int) -> None:
        files = 1 - self.files
        now = datetime.now(UTC)
        if await self.tickets.take(self.job, files, size, now):
            self.files, self.size = 1, self.size + size
            return
        if await self.tickets.left(self.job, now) is None:
            raise Conflict(OVER)
        raise TooLarge("this is more than the upload was announced for; announce another one")


async def _store(request: Request, identifier: str) -> Response:
    repository = guarded(request)
    job = await own_upload(repository, identifier)
    archive: Archive = request.app.state.archive
    announced = await _announced(archive, job)
    receive = await _body(request, announced)
    upload = Upload(archive.ingest, archive.settings.max_request_bytes, add=announced.add)
    problem: ResourceError | None = None
    try:
        await tell(archive.repository, identifier, Progress())
        await receive(upload)
    except (Invalid, TooLarge, Conflict) as error:
        problem = error
    except ClientDisconnect:
        problem = Invalid("the upload was broken off")  # for the audit; nobody reads the answer
    finally:
        await upload.settle()
        await announced.tell()
        await upload.note(repository)
        note_upload(repository, job)
    status, answer = receipt(upload, problem)
    return JSONResponse(answer.model_dump(mode="json", by_alias=True), status_code=status)


async def _announced(archive: Archive, job: Mapping[str, Json]) -> Announced:
    tickets = JobTickets(archive.database)
    key = None
    if "patient" in job:
        key = await tickets.patient_key(job["patient"]["reference"].removeprefix("Patient/"))
        if key is None:
            raise NotFound("the patient that this upload was announced for is no more")
    return Announced(job, key, archive.ingest, tickets, archive.repository)


Receive = Callable[[Upload], Any]


async def _body(request: Request, announced: Announced) -> Receive:
    """Say how the body is to be read.

    Raises:
        UnsupportedMedia: It is of a type that is not taken here.
        TooLarge: It says itself that it is more than is left.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        mark = boundary(content_type, FORM)
        return lambda upload: upload.receive(request.stream(), mark)
    if kind not in WHOLE:
        raise UnsupportedMedia(f"this address takes {FORM}, {' and '.join(WHOLE)}")
    left = await announced.tickets.left(announced.job["id"], datetime.now(UTC))
    length = request.headers.get("content-length", "")
    # a zip file may hold less, or more: what it holds is counted
    if kind == WHOLE[0] and left and length.isdecimal() and int(length) > left.bytes:
        raise TooLarge(f"this upload may bring {left.bytes:,} bytes more; announce another one")
    return lambda upload: upload.receive_file(request.stream())
