"""WADO-RS bulk data and pixel data (PS3.18 10.4.1.1.5 and 6): values without their headers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.dicomweb.answers import Form, begun, streamed, unchanged
from app.dicomweb.envelope import END_OF_PART, Envelope
from app.dicomweb.header_text import BULK_DATA, PIXEL_DATA
from app.dicomweb.media_types import COMPRESSED, EXPLICIT, OCTETS, Offer, choose
from app.dicomweb.retrieve import Address, accept, addressed, archive_of
from app.doors import guarded
from app.imaging.bulk import decoded_pixels, native_pixels, value
from app.imaging.deidentify import Outgoing
from app.imaging.frames import FrameTable
from app.imaging.pictures import frame_table
from app.store.ports import ObjectMissing
from fhir.attributes import Attributes, text
from fhir.bulk_values import BulkValue, bulk_value, bulk_values
from fhir.dicom_elements import PIXELS
from fhir.errors import NotFound
from fhir.headers import Place, headers
from fhir.repository import StoredHeader, StoredImage
from fhir.study_files import study_files

BULK_DATA_AS: Final = ("multipart/related", OCTETS, "application/*", "model/*")

_DOCUMENT: Final = ("00420011",)
# What PS3.3 A.45 lets be encapsulated. Whatever else an object may call itself is plain bytes.
_DOCUMENTS: Final = MappingProxyType(
    {
        one.lower(): one
        for one in ("application/pdf", "text/XML", "model/stl", "model/obj", "model/mtl")
    }
)
_ANY_SYNTAX: Final = "*"
_BAD: Final = 400
_GONE: Final = "The bytes of this instance are gone: it is being deleted."


@dataclass(frozen=True, slots=True)
class Part:
    """One representation among several.

    Attributes:
        media_type: With its parameters.
        size: In bytes; None where it is not known before they are made.
    """

    location: str
    media_type: str
    size: int | None
    chunks: AsyncIterator[bytes]


async def one_value(request: Request, address: Address, offset: int, length: int) -> Response:
    """Give a value of bulk data by its place, as the metadata of its instance names it.

    Raises:
        AccessDenied: Images are closed to the caller.
        NotFound: No value that the caller may read lies exactly there.
        NotAcceptable: The client accepts nothing that it is.
    """
    named = (address.study, address.series, address.instance)
    image, found = await bulk_value(guarded(request), named, offset, length)
    names = _names(found, image.attributes)
    # who wants a range of bytes wants them as they are
    alone_first = "range" in request.headers
    offers = [Offer(names, multipart=many) for many in (not alone_first, alone_first)]
    form = Form.of(image, choose(accept(request), offers), _location(address.url(request), found))
    if known := unchanged(request, form):
        return known
    try:
        answer = await streamed(request, form, _outgoing(request, image, found))
    except ObjectMissing as error:
        raise NotFound(_GONE) from error
    if not form.offer.multipart and "content-type" in answer.headers and answer.status_code < _BAD:
        # nothing is said of the character set, which a document states itself
        answer.headers["content-type"] = form.offer.media_type
    return answer


async def bulk_data(request: Request, place: Place) -> Response:
    """Give every value that the metadata of a place names, part by part.

    Raises:
        AccessDenied: Images are closed to the caller.
        NotFound: There is no such study, series or instance, or no bulk data in it, or none that
            the caller may know of.
        NotAcceptable: The client does not accept parts of bytes.
    """
    offer = choose(accept(request), [Offer((OCTETS,), multipart=True)])
    found = await headers(guarded(request), place, BULK_DATA)
    form = Form.among(found.state, offer, _url(request), sorted(found.opened))
    if known := unchanged(request, form):
        return known

    async def parts() -> AsyncIterator[Part]:
        async for batch in found.batches:
            for header in batch:
                async for part in _values(request, place.study, header, found.opened):
                    yield part

    return await _in_parts(form, parts())


async def pixel_data(request: Request, address: Address) -> Response:
    """Give the pixel data of an instance: uncompressed in one piece, or its frames as stored."""
    image = await addressed(request, address, "Image.pixels")
    table = frame_table(image)
    alone_first = "range" in request.headers
    names = COMPRESSED.get(image.transfer_syntax)
    offers = [
        Offer((OCTETS,), EXPLICIT, many, as_stored=names is None)
        for many in (not alone_first, alone_first)
    ]
    if names:
        as_stored = Offer(names, image.transfer_syntax, multipart=True, as_stored=True)
        offers = [as_stored] if table.video else [*offers, as_stored]
    url = address.url(request)
    form = Form.of(image, choose(accept(request), offers), f"{url}/{PIXEL_DATA}")
    if known := unchanged(request, form):
        return known
    if names and form.offer.as_stored:
        return await _in_parts(form, _frames(request, image, url))
    try:
        return await streamed(request, form, await _whole_pixels(request, image))
    except ObjectMissing as error:
        raise NotFound(_GONE) from error


async def pixel_data_within(request: Request, place: Place) -> Response:
    """Give the pixel data of every image of a study or a series, part by part.

    Raises:
        AccessDenied: It is closed to the caller.
        NotFound: There is no such study or series, or none the caller may know of, or no image.
        Withheld: The caller sees no identities, and an instance may not leave without.
        NotAcceptable: The client does not accept parts of bytes.
    """
    offers = [
        Offer((OCTETS,), EXPLICIT, multipart=True),
        Offer((OCTETS,), _ANY_SYNTAX, multipart=True, as_stored=True),
    ]
    offer = choose(accept(request), offers)
    repository = guarded(request)
    files = await study_files(repository, place.study, place.series, "Image.pixels")
    form = Form.among(files.state, offer, _url(request))
    if known := unchanged(request, form):
        return known

    async def parts() -> AsyncIterator[Part]:
        for one in files.images:
            image = await _stored(request, one.id)
            async for part in _pixels(request, place.study, image, as_stored=offer.as_stored):
                yield part

    return await _in_parts(form, parts())


async def _values(
    request: Request, study: str, header: StoredHeader, opened: frozenset[str]
) -> AsyncIterator[Part]:
    """Give the bulk data of one instance that its metadata names."""
    values: list[BulkValue] = []
    if header.disguise is None:  # without identity, it stays behind
        found = bulk_values(orjson.loads(header.text))
        values = [one for one in found if one.coordinates <= opened]
    pixels = header.pixels is not None and PIXELS in opened
    if not values and not pixels:
        return
    image = await _stored(request, header.id)
    url = Address(study, image.series, image.id).url(request)
    for one in values:
        sent = _outgoing(request, image, one)
        media_type = _names(one, image.attributes)[0]
        yield Part(_location(url, one), media_type, sent.size, sent.chunks)
    if pixels:
        async for part in _pixels(request, study, image, as_stored=False):
            yield part


async def _pixels(
    request: Request, study: str, image: StoredImage, *, as_stored: bool
) -> AsyncIterator[Part]:
    """Give the pixel data of one instance, if it has any that can be told apart into frames."""
    table = FrameTable.from_record(image.frames or {"count": 0})
    if not table.count:
        return
    url = Address(study, image.series, image.id).url(request)
    if table.video or (as_stored and image.transfer_syntax in COMPRESSED):
        async for part in _frames(request, image, url):
            yield part
        return
    sent = await _whole_pixels(request, image)
    media_type = Offer((OCTETS,), EXPLICIT).media_type
    yield Part(f"{url}/{PIXEL_DATA}", media_type, sent.size, sent.chunks)


async def _frames(request: Request, image: StoredImage, url: str) -> AsyncIterator[Part]:
    """Give each frame as it is stored (PS3.18 8.7.3.3: compressed frames are parts)."""
    media_type = Offer(COMPRESSED[image.transfer_syntax], image.transfer_syntax).media_type
    pictures = archive_of(request).pictures
    for number in range(1, frame_table(image).count + 1):
        frame = await pictures.stored(image, number)
        yield Part(f"{url}/frames/{number}", media_type, len(frame), _piece(frame))


async def _whole_pixels(request: Request, image: StoredImage) -> Outgoing:
    """Give the value of uncompressed pixel data, as Explicit VR Little Endian has it."""
    archive = archive_of(request)
    where = native_pixels(image)
    if where is None:
        return await decoded_pixels(image, archive.pictures)
    offset, length = where

    def seek(start: int, end: int) -> AsyncIterator[bytes]:
        found = value(image, archive.objects, "OB", offset, start, min(end, length))
        return found if end <= length else _padded(found)

    size = length + length % 2
    return Outgoing(size, seek(0, size), seek)


def _outgoing(request: Request, image: StoredImage, found: BulkValue) -> Outgoing:
    objects = archive_of(request).objects

    def seek(start: int, end: int) -> AsyncIterator[bytes]:
        return value(image, objects, found.vr, found.offset, start, end)

    return Outgoing(found.length, seek(0, found.length), seek)


def _names(found: BulkValue, attributes: Attributes) -> tuple[str, ...]:
    """Say what a value is: an encapsulated document has a type of its own."""
    said = text(attributes, "MIMETypeOfEncapsulatedDocument") or ""
    known = _DOCUMENTS.get(said.lower()) if found.path == _DOCUMENT else None
    return (known, OCTETS) if known else (OCTETS,)


def _location(url: str, found: BulkValue) -> str:
    return f"{url}/{BULK_DATA}?offset={found.offset}&length={found.length}"


def _url(request: Request) -> str:
    return f"{archive_of(request).settings.base_url}{request.url.path}"


async def _stored(request: Request, instance: str) -> StoredImage:
    image = await guarded(request).repository.stored_image(instance)
    if image is None:
        raise NotFound("an instance of this study is being deleted")
    return image


async def _in_parts(form: Form, parts: AsyncIterator[Part]) -> Response:
    """Answer part by part; the first is begun before the answer, so that errors show."""
    body = await begun(_written(form, parts))
    return StreamingResponse(body, headers=form.headers, media_type=form.envelope.content_type)


async def _written(form: Form, parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    found = False
    async for part in parts:
        found = True
        yield Envelope(form.tag, part.media_type).opening(part.location, part.size)
        async for chunk in part.chunks:
            yield chunk
        yield END_OF_PART
    if not found:
        raise NotFound("there is no bulk data here that is open to you")
    yield form.envelope.closing


async def _padded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
    yield b"\0"


async def _piece(content: bytes) -> AsyncIterator[bytes]:
    yield content
