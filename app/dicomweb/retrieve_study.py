"""WADO-RS (PS3.18 10.4): every instance of a study or a series in one answer, or none of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.dicomweb.answers import Form, begun, unchanged
from app.dicomweb.envelope import END_OF_PART, Envelope
from app.dicomweb.media_types import EXPLICIT, Offer, choose
from app.dicomweb.retrieve import DICOM, Address, Giving, accept, archive_of, is_made_anew
from app.doors import guarded
from app.imaging.deidentify import Outgoing
from app.imaging.encode import ENCODED
from app.imaging.zipped import ZIP, zipped
from app.store.ports import ObjectMissing, ObjectStore
from fhir.errors import NotFound
from fhir.repository import StoredImage
from fhir.study_files import StudyFiles, study_files

_ANY_SYNTAX: Final = "*"
_CHECKED_AT_ONCE: Final = 16


async def study_instances(request: Request, study: str, series: str | None = None) -> Response:
    """Give every DICOM object of a study or series, part by part as it is read from storage.

    That all of them are there is seen before the answer begins. Whatever fails after that breaks
    the connection off: a part of a study never looks like all of it.

    Raises:
        AccessDenied: They are closed to the caller.
        NotFound: There is no such study or series, or none the caller may know of.
        Withheld: The caller sees no identities, and one of the objects may not leave without.
        NotAcceptable: The client does not accept the instances in any form they can be given in.
    """
    files = await study_files(guarded(request), study, series)
    offer = choose(accept(request), _offers(files), _anew)
    within = f"/series/{series}" if series is not None else ""
    location = f"{archive_of(request).settings.base_url}/dicomweb/studies/{study}{within}"
    giving = Giving.of(request)
    form = Form.among(files.state, offer, location, giving.parameters)
    if known := unchanged(request, form):
        return known
    images = files.images
    if any(is_made_anew(one, offer) for one in images):
        again = await guarded(request).repository.stored_images(study, series, headers=True)
        if [one.id for one in again] != [one.id for one in images]:
            raise NotFound("this study is being changed; ask again")
        images = again
    await _all_there(images, archive_of(request).objects)
    if offer.names == (ZIP,):
        entries = (
            (f"{one.series}/{one.id}.dcm", partial(_alone, giving, one, offer)) for one in images
        )
        body = await begun(zipped(entries))
        return StreamingResponse(body, headers=form.headers, media_type=ZIP)
    envelope = Envelope(form.tag, DICOM)
    headers = form.headers | _length(request, envelope, images, offer)
    parts = _parts(request, envelope, images, offer)
    return StreamingResponse(await begun(parts), headers=headers, media_type=envelope.content_type)


def _offers(files: StudyFiles) -> list[Offer]:
    """Say in which forms they can be given without naming one: the default, and as stored."""
    syntaxes = {one.transfer_syntax for one in files.images}
    stored = syntaxes.pop() if len(syntaxes) == 1 else _ANY_SYNTAX
    default = Offer((DICOM,), None, multipart=True, unnamed=True)
    return [
        *([default] if stored != EXPLICIT else []),
        Offer((DICOM,), stored, multipart=True, as_stored=True),
        Offer((ZIP,), None, unnamed=True),
        Offer((ZIP,), stored, as_stored=True),
    ]


def _anew() -> list[Offer]:
    return [Offer((DICOM,), one, multipart=True) for one in (EXPLICIT, *ENCODED)]


async def _all_there(images: Sequence[StoredImage], objects: ObjectStore) -> None:
    """Make sure that every object is there, and whole.

    Raises:
        NotFound: One is not.
    """

    async def check(some: Sequence[StoredImage]) -> None:
        for image in some:
            if await objects.size(image.object_key) != image.size:
                raise NotFound("an instance of this study is not there as a whole")

    try:
        await asyncio.gather(
            *(check(images[first::_CHECKED_AT_ONCE]) for first in range(_CHECKED_AT_ONCE))
        )
    except ObjectMissing as error:
        raise NotFound("an instance of this study is being deleted") from error


def _length(
    request: Request, envelope: Envelope, images: Sequence[StoredImage], offer: Offer
) -> dict[str, str]:
    """Give the length of the whole answer as a header, where it follows from the records."""
    if any(one.disguise is not None or is_made_anew(one, offer) for one in images):
        return {}
    length = len(envelope.closing)
    for image in images:
        opening = _opening(request, envelope, image, image.transfer_syntax, image.size)
        length += len(opening) + image.size + len(END_OF_PART)
    return {"Content-Length": str(length)}


def _opening(
    request: Request, envelope: Envelope, image: StoredImage, syntax: str, size: int
) -> bytes:
    location = Address(image.study, image.series, image.id).url(request)
    media_type = Offer((DICOM,), syntax).media_type
    return Envelope(envelope.boundary, media_type).opening(location, size)


async def _alone(giving: Giving, image: StoredImage, offer: Offer) -> Outgoing:
    sent, _ = await giving.outgoing(image, offer)
    return sent


async def _parts(
    request: Request, envelope: Envelope, images: Sequence[StoredImage], offer: Offer
) -> AsyncIterator[bytes]:
    giving = Giving.of(request)
    for image in images:
        sent, syntax = await giving.outgoing(image, offer)
        yield _opening(request, envelope, image, syntax, sent.size)
        left = sent.size
        async for chunk in sent.chunks:
            left -= len(chunk)
            yield chunk
        if left:
            raise NotFound("an instance of this study was not there as a whole")
        yield END_OF_PART
    yield envelope.closing
