"""STOW-RS (PS3.18 10.5): objects are read one after the other, as they arrive, and filed at once.

What is complete before a body breaks, or before a limit is reached, stays stored and is reported,
and the rest is one more failure. Where nothing was stored the request fails as a whole.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.dicomweb.media_types import (
    DICOM_JSON,
    DICOM_XML,
    JSON,
    RELATED,
    MediaType,
    Offer,
    choose,
    media_type,
)
from app.dicomweb.native_xml import native_xml
from app.dicomweb.retrieve import DICOM, archive_of
from app.dicomweb.store_answer import response, status
from app.doors import guarded
from app.imaging.ingest import Ingest
from app.imaging.outcome import Outcome
from app.multipart import Part, boundary, limited, parts
from fhir.access import MAX_IDS, Entry
from fhir.errors import Invalid, TooLarge, UnsupportedMedia
from fhir.guarded import GuardedRepository, patients_by_study

_ANSWERS = (Offer((DICOM_JSON,)), Offer((JSON,)), Offer((DICOM_XML,)))
_METADATA = frozenset({DICOM_JSON, DICOM_XML})
_BODY_ERRORS = (Invalid, TooLarge, ClientDisconnect)


async def store(request: Request, study: str | None = None) -> Response:
    """Take objects in.

    Args:
        request: Its body is not read before the caller is known to be allowed.
        study: Study Instance UID that every object has to belong to.

    Raises:
        AccessDenied: The caller stores nothing.
        UnsupportedMedia: The body is of another type.
        Invalid: The body is broken, and nothing in it could be stored.
        TooLarge: It is too long, and nothing in it could be stored.
    """
    repository, archive = guarded(request), archive_of(request)
    repository.access.require("Image.file", "create")
    answer = choose(request.headers.get("accept", ""), _ANSWERS)
    incoming = _parts(request, archive.settings.max_request_bytes)
    upload = Upload(archive.ingest, study)
    broken: Invalid | TooLarge | None = None
    try:
        async for part in incoming:
            await upload.take(part)
    except (Invalid, TooLarge) as error:
        broken = error
    except ClientDisconnect:
        broken = Invalid("The body was broken off.")
    finally:
        await upload.finish()
        await _note(repository, upload.outcomes)
    outcomes = list(upload.outcomes)
    if broken is not None:
        if not any(one.kept for one in outcomes):
            raise broken
        reason = "too-large" if isinstance(broken, TooLarge) else "malformed"
        outcomes.append(Outcome("refused", reason, broken.message))
    if not outcomes or {one.reason for one in outcomes} == {"empty"}:
        raise Invalid("The body holds no DICOM object.")
    content = response(outcomes, f"{archive.settings.base_url}/dicomweb")
    write = native_xml if answer.media_type == DICOM_XML else orjson.dumps
    return Response(write(content), status_code=status(outcomes), media_type=answer.media_type)


@dataclass(slots=True)
class Upload:
    """The objects of one request.

    Attributes:
        outcomes: Of each part that was complete, in the order of the body; once it is finished.
    """

    ingest: Ingest
    study: str | None
    outcomes: list[Outcome] = field(default_factory=list)
    _taken: list[asyncio.Future[Outcome]] = field(default_factory=list)
    _failed: asyncio.Future[Outcome] | None = None

    async def take(self, part: Part) -> None:
        """Read one part, and go on filing it when its bytes are there.

        Raises:
            Exception: Its bytes break off, so that nothing of it stays; or one before it failed.
        """
        declared = part.headers.get("content-type", DICOM)
        if _named(declared) != DICOM:
            message = f"parts are {DICOM}; this one says that it is something else"
            self._taken.append(_known(Outcome("refused", "media-type", message)))
            return
        read = asyncio.Event()
        chunks = _told(part.chunks, read)
        filed = asyncio.create_task(self.ingest.add(chunks, study=self.study))
        filed.add_done_callback(self._ended)
        filed.add_done_callback(lambda _: read.set())
        self._taken.append(filed)
        try:
            await read.wait()
            if not filed.done():
                await self.ingest.filing.acquire()
                filed.add_done_callback(lambda _: self.ingest.filing.release())
        except asyncio.CancelledError:
            filed.cancel()
            raise
        if self._failed is not None:
            self._failed.result()

    async def finish(self) -> None:
        """Wait for what is being filed, and make the records of every study true."""
        found = await asyncio.gather(*self._taken, return_exceptions=True)
        self.outcomes = [one for one in found if isinstance(one, Outcome)]
        kept = (one.study for one in self.outcomes if one.kept)
        await self.ingest.settle_all(study for study in kept if study)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, _BODY_ERRORS):
                raise one

    def _ended(self, filed: asyncio.Future[Outcome]) -> None:
        if filed.cancelled() or filed.exception() is not None:
            self._failed = self._failed or filed


def _known(outcome: Outcome) -> asyncio.Future[Outcome]:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    future.set_result(outcome)
    return future


async def _told(chunks: AsyncIterator[bytes], end: asyncio.Event) -> AsyncIterator[bytes]:
    """Pass chunks on, and tell when there are no more."""
    async for chunk in chunks:
        yield chunk
    end.set()


def _named(content_type: str) -> str:
    try:
        return media_type(content_type).name
    except Invalid:
        return ""


def _parts(request: Request, most: int) -> AsyncIterator[Part]:
    """Read what the headers say of the body, and cut it into parts as it arrives."""
    sent = _content(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    body = limited(request.stream(), most, _too_large(most))
    if sent.name == DICOM:
        return _alone(body)
    return parts(body, boundary(request.headers["content-type"], RELATED))


def _content(request: Request) -> MediaType:
    header = request.headers.get("content-type", "")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMedia("bodies are taken as they are, without Content-Encoding")
    sent = media_type(header) if header else MediaType("", {})
    inner = sent.parameters.get("type", DICOM).lower()
    if sent.name == RELATED and inner in _METADATA:
        raise UnsupportedMedia(
            "metadata and bulk data apart are not taken; send whole objects, as "
            f'{RELATED}; type="{DICOM}"'
        )
    if sent.name not in {DICOM, RELATED} or inner != DICOM:
        raise UnsupportedMedia(f'this takes {RELATED}; type="{DICOM}", or one object as {DICOM}')
    return sent


async def _alone(body: AsyncIterator[bytes]) -> AsyncIterator[Part]:
    yield Part(1, {}, body)
    async for _ in body:  # an object refused early: some clients do not listen while they send
        pass


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"One request takes up to {most} bytes; send fewer objects at a time.")


async def _note(repository: GuardedRepository, outcomes: list[Outcome]) -> None:
    """Record what was stored and what was not, by study."""
    by_study: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        uids = by_study.setdefault((one.study or "", "" if one.kept else one.reason), [])
        uids.extend([one.instance] if one.instance else [])
    studies = [study for study, reason in by_study if study and not reason]
    patients = await patients_by_study(repository.repository, studies)
    for (study, reason), uids in by_study.items():
        for start in range(0, max(len(uids), 1), MAX_IDS):
            repository.access.note(
                Entry(
                    "create",
                    "Image",
                    "failed" if reason else "allowed",
                    ids=tuple(uids[start : start + MAX_IDS]),
                    patients=() if reason else patients.get(study, ()),
                    total=0 if reason else len(uids),
                    query=reason or None,
                )
            )
