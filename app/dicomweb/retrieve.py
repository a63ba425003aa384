"""WADO-RS (PS3.18 10.4): an instance, and its frames, as stored or in another transfer syntax."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.archive import Archive
from app.dicomweb.answers import Form, in_parts, streamed, unchanged, whole
from app.dicomweb.media_types import COMPRESSED, EXPLICIT, OCTETS, Offer, choose
from app.doors import guarded
from app.imaging.deidentify import Outgoing, outgoing
from app.imaging.encode import ENCODED
from app.imaging.layout import Undecodable
from app.imaging.pictures import frame_table
from app.imaging.transcode import syntaxes, transcoded
from app.store.ports import ObjectMissing
from fhir.access import Entry
from fhir.errors import Invalid, NotFound
from fhir.images import stored_image
from fhir.repository import StoredImage

DICOM: Final = "application/dicom"
_LOSSLESS: Final = frozenset(
    f"1.2.840.10008.1.2{rest}"
    for rest in (
        *("", ".1.98", ".1.99", ".2", ".5", ".8.1"),
        *(f".4.{number}" for number in ("57", "70", "80", "90", "92", "110", "201", "202")),
    )
)
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


@dataclass(frozen=True, slots=True)
class Giving:
    """How objects leave."""

    archive: Archive

    @classmethod
    def of(cls, request: Request) -> "Giving":
        """Give how the objects of an answer leave."""
        return cls(archive_of(request))

    @property
    def parameters(self) -> tuple[object, ...]:
        """What the bytes depend on besides the object and its transfer syntax."""
        return (self.archive.settings.zero_preamble,)

    async def outgoing(self, image: StoredImage, offer: Offer) -> tuple[Outgoing, str]:
        """Give an object as it may leave, and the transfer syntax that it is in.

        Args:
            image: The instance.
            offer: What was negotiated for it and, maybe, for others.

        Raises:
            Undecodable: It cannot be had in this transfer syntax.
            Withheld: It may not leave.
            NotFound: It is gone.
        """
        archive = self.archive
        if is_made_anew(image, offer):
            try:
                return await self._anew(image, offer.transfer_syntax or EXPLICIT)
            except Undecodable:
                if not offer.unnamed:
                    raise
        zeroed = archive.settings.zero_preamble
        sent = await outgoing(image, archive.objects, zero_preamble=zeroed)
        return sent, image.transfer_syntax

    async def _anew(self, image: StoredImage, syntax: str) -> tuple[Outgoing, str]:
        if syntax not in syntaxes(image):
            raise Undecodable("An instance cannot be had in this transfer syntax.")
        archive = self.archive
        return await transcoded(image, syntax, archive.objects, archive.pictures), syntax


def is_made_anew(image: StoredImage, offer: Offer) -> bool:
    """Say whether an object is to be given in another transfer syntax than it is stored in.

    Who names none gets Explicit VR Little Endian (PS3.18 8.7.3.4), where nothing is lost by it.
    """
    if offer.unnamed:
        return image.transfer_syntax in _LOSSLESS
    return not offer.as_stored and offer.transfer_syntax != image.transfer_syntax


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
    """Give the DICOM object, byte for byte or in another transfer syntax.

    In the de-identified view it comes without identity.
    """
    image = await addressed(request, address, "Image.file")
    giving = Giving.of(request)
    offer = choose(accept(request), _stored(image), lambda: _anew(image))
    form = Form.of(image, offer, address.url(request), giving.parameters)
    if known := unchanged(request, form):
        return known
    try:
        sent, syntax = await giving.outgoing(image, offer)
        form = replace(form, offer=replace(offer, transfer_syntax=syntax))
        return await streamed(request, form, sent)
    except ObjectMissing as error:
        raise NotFound("The bytes of this instance are gone: it is being deleted.") from error


async def frames(request: Request, address: Address, listed: str) -> Response:
    """Give frames, uncompressed unless the client asks for what is stored, or another form."""
    numbers = frame_numbers(listed)
    image = await addressed(request, address, "Image.pixels")
    frame_table(image, numbers)
    offer = choose(accept(request), _offers(image, numbers), lambda: _encodings(image, numbers))
    url = address.url(request)
    form = Form.of(image, offer, f"{url}/frames/{listed}")
    if known := unchanged(request, form):
        return known
    if len(numbers) == 1:
        frame = await _frame(request, image, offer, numbers[0])
        return whole(form, frame, request)

    async def parts() -> AsyncIterator[tuple[str, bytes]]:
        found = _each(request, image, offer, numbers)
        for number in numbers:
            yield f"{url}/frames/{number}", await anext(found)

    return await in_parts(form, parts())


async def _frame(request: Request, image: StoredImage, offer: Offer, number: int) -> bytes:
    pictures = archive_of(request).pictures
    if offer.transfer_syntax == image.transfer_syntax and offer.as_stored:
        return await pictures.stored(image, number)
    if offer.transfer_syntax in ENCODED:
        return await pictures.encoded(image, number, offer.transfer_syntax)
    return await pictures.native(image, number)


def _each(
    request: Request, image: StoredImage, offer: Offer, numbers: Sequence[int]
) -> AsyncIterator[bytes]:
    pictures = archive_of(request).pictures
    if offer.transfer_syntax == image.transfer_syntax and offer.as_stored:
        return pictures.stored_each(image, numbers)
    if offer.transfer_syntax in ENCODED:
        return pictures.encoded_each(image, numbers, offer.transfer_syntax)
    return pictures.native_each(image, numbers)


_BOTH = (True, False)


def _stored(image: StoredImage) -> list[Offer]:
    """List the forms of an instance that need no encoding: as it is, and the default."""
    found = [Offer((DICOM,), image.transfer_syntax, many, as_stored=True) for many in _BOTH]
    if image.transfer_syntax == EXPLICIT:
        return found
    return [*(Offer((DICOM,), None, many, unnamed=True) for many in _BOTH), *found]


def _anew(image: StoredImage) -> list[Offer]:
    """List the other transfer syntaxes of an instance."""
    return [Offer((DICOM,), syntax, many) for many in _BOTH for syntax in syntaxes(image)]


def _offers(image: StoredImage, numbers: Sequence[int]) -> list[Offer]:
    """List the forms of a frame: uncompressed is the default (PS3.18 8.7.3.3.2)."""
    names = COMPRESSED.get(image.transfer_syntax)
    forms = [Offer((OCTETS,), EXPLICIT, as_stored=names is None)]
    if names:
        # Whoever accepts any syntax, or this one, in plain bytes gets it under its own name.
        as_stored = Offer((*names, OCTETS), image.transfer_syntax, as_stored=True)
        is_video = names[0].startswith("video/")
        forms = [as_stored] if is_video else [*forms, as_stored]
    return _alone_or_not(forms, numbers)


def _encodings(image: StoredImage, numbers: Sequence[int]) -> list[Offer]:
    """List the forms of a frame that are made by encoding it anew."""
    return _alone_or_not(
        [Offer(COMPRESSED[one], one) for one in syntaxes(image) if one in ENCODED], numbers
    )


def _alone_or_not(forms: Sequence[Offer], numbers: Sequence[int]) -> list[Offer]:
    return [
        Offer(form.names, form.transfer_syntax, multipart, form.as_stored)
        for multipart in (_BOTH if len(numbers) == 1 else (True,))
        for form in forms
    ]
