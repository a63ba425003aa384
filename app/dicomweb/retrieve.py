"""WADO-RS (PS3.18 10.4): an instance as stored, and its frames as stored or uncompressed."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.archive import Archive
from app.dicomweb.answers import Form, in_parts, streamed, unchanged, whole
from app.dicomweb.media_types import COMPRESSED, EXPLICIT, OCTETS, Offer, choose
from app.doors import guarded
from app.imaging.deidentify import outgoing
from app.imaging.pictures import frame_table
from app.store.ports import ObjectMissing
from fhir.access import Entry
from fhir.errors import Invalid, NotFound
from fhir.images import stored_image
from fhir.repository import StoredImage

DICOM: Final = "application/dicom"
_FRAMES = re.compile(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*")


@dataclass(frozen=True, slots=True)
class Address:
    """Which instance a path names."""

    study: str
    series: str
    instance: str

    def url(self, request: Request) -> str:
        """Give its full URL."""
        base_url = archive_of(request).settings.base_url
        return (
            f"{base_url}/dicomweb/studies/{self.study}/series/{self.series}"
            f"/instances/{self.instance}"
        )


def archive_of(request: Request) -> Archive:
    """Give what the service stands on."""
    archive: Archive = request.app.state.archive
    return archive


async def addressed(request: Request, address: Address, coordinate: str) -> StoredImage:
    """Find the instance of an address, if the caller may have these bytes of it.

    Raises:
        AccessDenied: They are closed to the caller.
        NotFound: There is no such instance there, or none the caller may know of.
    """
    repository = guarded(request)
    image = await stored_image(repository, address.instance, coordinate, address.study)
    if image.series != address.series:
        entry = Entry("read", "Image", "failed", ids=(image.id,), total=0, query=coordinate)
        repository.access.note(entry)
        raise NotFound("no instance of this UID is open to you")
    return image


def accept(request: Request) -> str:
    """Give what the client accepts; the query goes before the header (PS3.18 8.3.3.1)."""
    return request.query_params.get("accept") or request.headers.get("accept", "")


def frame_numbers(listed: str) -> list[int]:
    """Read a list of frame numbers.

    Raises:
        Invalid: It is none.
    """
    if not _FRAMES.fullmatch(listed):
        raise Invalid("Frames are listed as numbers from 1 with commas between them.")
    return [int(number) for number in listed.split(",")]


async def instance(request: Request, address: Address) -> Response:
    """Give the DICOM object, byte for byte or, in the de-identified view, without identity."""
    image = await addressed(request, address, "Image.file")
    offers = [
        Offer((DICOM,), image.transfer_syntax, multipart=multipart) for multipart in (True, False)
    ]
    form = Form.of(image, choose(accept(request), offers), address.url(request))
    if known := unchanged(request, form):
        return known
    try:
        sent = await outgoing(image, archive_of(request).objects)
        return await streamed(form, sent.chunks, sent.size)
    except ObjectMissing as error:
        raise NotFound("The bytes of this instance are gone: it is being deleted.") from error


async def frames(request: Request, address: Address, listed: str) -> Response:
    """Give frames, uncompressed unless the client asks for what is stored."""
    numbers = frame_numbers(listed)
    image = await addressed(request, address, "Image.pixels")
    frame_table(image, numbers)
    offer = choose(accept(request), _offers(image, numbers))
    url = address.url(request)
    form = Form.of(image, offer, f"{url}/frames/{listed}")
    if known := unchanged(request, form):
        return known
    if not offer.multipart:
        return whole(form, await _frame(request, image, offer, numbers[0]))

    async def parts() -> AsyncIterator[tuple[str, bytes]]:
        for number in numbers:
            yield f"{url}/frames/{number}", await _frame(request, image, offer, number)

    return await in_parts(form, parts())


async def _frame(request: Request, image: StoredImage, offer: Offer, number: int) -> bytes:
    pictures = archive_of(request).pictures
    if offer.transfer_syntax == image.transfer_syntax and offer.as_stored:
        return await pictures.stored(image, number)
    return await pictures.native(image, number)


def _offers(image: StoredImage, numbers: Sequence[int]) -> list[Offer]:
    """List the forms of a frame: uncompressed is the default (PS3.18 8.7.3.3.2)."""
    names = COMPRESSED.get(image.transfer_syntax)
    forms = [Offer((OCTETS,), EXPLICIT, as_stored=names is None)]
    if names:
        # Whoever accepts any syntax, or this one, in plain bytes gets it under its own name.
        as_stored = Offer((*names, OCTETS), image.transfer_syntax, as_stored=True)
        is_video = names[0].startswith("video/")
        forms = [as_stored] if is_video else [*forms, as_stored]
    return [
        Offer(form.names, form.transfer_syntax, multipart, form.as_stored)
        for multipart in ((True, False) if len(numbers) == 1 else (True,))
        for form in forms
    ]
