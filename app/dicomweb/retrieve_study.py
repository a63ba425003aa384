"""WADO-RS (PS3.18 10.4): every instance of a study or a series, as stored, in one answer."""

import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.dicomweb.envelope import END_OF_PART, Envelope
from app.dicomweb.media_types import Offer, choose
from app.dicomweb.retrieve import DICOM, Address, accept, archive_of
from app.doors import guarded
from app.imaging.deidentify import outgoing
from fhir.errors import NotFound
from fhir.study_files import StudyFile, study_files

_ANY_SYNTAX: Final = "*"
_BOUNDARY_BYTES: Final = 16


async def study_instances(request: Request, study: str, series: str | None = None) -> Response:
    """Give every DICOM object of a study or series, part by part as it is read from storage.

    Whatever fails after the answer has begun breaks the connection off: a part of a study never
    looks like all of it.

    Raises:
        AccessDenied: They are closed to the caller.
        NotFound: There is no such study or series, or none the caller may know of.
        Withheld: The caller sees no identities, and one of the objects may not leave without.
        NotAcceptable: The client does not accept the instances as they are stored.
    """
    files = await study_files(guarded(request), study, series)
    choose(accept(request), [_offer(files)])
    boundary = secrets.token_hex(_BOUNDARY_BYTES)
    parts = _parts(request, study, files, boundary)
    first = await anext(parts)  # before the answer begins, so that errors show
    return StreamingResponse(
        _joined(first, parts), media_type=Envelope(boundary, DICOM).content_type
    )


def _offer(files: Sequence[StudyFile]) -> Offer:
    """Say in which form they can be given: whoever wants one syntax gets it if all have it."""
    syntaxes = {one.transfer_syntax for one in files}
    syntax = syntaxes.pop() if len(syntaxes) == 1 else _ANY_SYNTAX
    return Offer((DICOM,), syntax, multipart=True, as_stored=True)


async def _parts(
    request: Request, study: str, files: Sequence[StudyFile], boundary: str
) -> AsyncIterator[bytes]:
    repository, objects = guarded(request).repository, archive_of(request).objects
    for file in files:
        image = await repository.stored_image(file.id)
        if image is None or image.study != study:
            raise NotFound("an instance of this study is being deleted")
        envelope = Envelope(boundary, Offer((DICOM,), image.transfer_syntax).media_type)
        location = Address(study, image.series, image.id).url(request)
        sent = await outgoing(image, objects)
        yield envelope.opening(location, sent.size) + await anext(sent.chunks, b"")
        async for chunk in sent.chunks:
            yield chunk
        yield END_OF_PART
    yield Envelope(boundary, DICOM).closing


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
