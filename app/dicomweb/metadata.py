"""WADO-RS metadata (PS3.18 10.4.1.1.2): the headers of a study, a series or an instance."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.chunks import resumed
from app.dicomweb.answers import Form, unchanged
from app.dicomweb.envelope import END_OF_PART
from app.dicomweb.header_text import header_text
from app.dicomweb.media_types import DATA_SETS, choose
from app.dicomweb.native_xml import native_xml
from app.dicomweb.retrieve import accept, archive_of
from app.doors import guarded
from fhir.headers import Headers, Place, headers

_AT_ONCE: Final = 50
"""So many headers are written before others have their turn."""
_WHOLE_BYTES: Final = 4 * 2**20
"""An answer that is longer is sent while it is made."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_FASTEST: Final = 1

Texts = list[tuple[str, bytes]]
"""Addresses of instances, with their headers."""


async def metadata(request: Request, place: Place) -> Response:
    """Give the headers of all the instances of a place, each without what is closed.

    Whatever fails after the answer has begun breaks the connection off: a part of a study never
    looks like all of it.

    Raises:
        AccessDenied: Images are closed to the caller.
        NotFound: There is no such study, series or instance, or none the caller may know of.
        Withheld: The caller sees no identities, and an instance may not leave without.
        NotAcceptable: The client accepts neither JSON nor XML.
    """
    offer = choose(accept(request), DATA_SETS)
    found = await headers(guarded(request), place, "metadata")
    squeezed = not offer.multipart and _takes_gzip(request)
    base_url = archive_of(request).settings.base_url
    location = f"{base_url}{request.url.path}"
    form = Form.among(found.state, offer, location, sorted(found.opened), squeezed)
    if known := unchanged(request, form):
        return known
    texts = _texts(base_url, place, found)
    pieces = _xml(form, texts) if offer.multipart else _json(texts)
    if squeezed:
        pieces = _squeezed(pieces)
    said = form.headers | {"Vary": "Accept, Accept-Encoding, Authorization"}
    said |= {"Content-Encoding": "gzip"} if squeezed else {}
    kind = form.envelope.content_type if offer.multipart else offer.media_type
    begun, ended = await _begun(pieces)
    if ended:
        return Response(begun, headers=said, media_type=kind)
    return StreamingResponse(resumed((begun,), pieces), headers=said, media_type=kind)


def _takes_gzip(request: Request) -> bool:
    """Say whether the client asks for gzip by name (RFC 9110 12.5.3)."""
    for one in request.headers.get("accept-encoding", "").lower().split(","):
        name, *parameters = [part.strip() for part in one.split(";")]
        if name == "gzip":
            return not any(part.replace(" ", "") in _NONE for part in parameters)
    return False


_NONE: Final = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


async def _texts(base_url: str, place: Place, found: Headers) -> AsyncIterator[Texts]:
    study = f"{base_url}/dicomweb/studies/{place.study}"
    async for batch in found.batches:
        for start in range(0, len(batch), _AT_ONCE):
            some = []
            for one in batch[start : start + _AT_ONCE]:
                url = f"{study}/series/{one.series}/instances/{one.id}"
                some.append((url, header_text(one, found.opened, url)))
            yield some


async def _json(texts: AsyncIterator[Texts]) -> AsyncIterator[bytes]:
    mark = b"["
    async for some in texts:
        yield mark + b",".join(text for _, text in some)
        mark = b","
    yield b"]"


async def _xml(form: Form, texts: AsyncIterator[Texts]) -> AsyncIterator[bytes]:
    async for some in texts:
        for url, text in some:
            document = native_xml(orjson.loads(text))
            yield form.envelope.opening(f"{url}/metadata", len(document)) + document + END_OF_PART
    yield form.envelope.closing


async def _squeezed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    squeeze = zlib.compressobj(_FASTEST, wbits=_GZIP)
    async for piece in pieces:
        yield await asyncio.to_thread(squeeze.compress, piece)
    yield squeeze.flush()


async def _begun(pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """Make the beginning of an answer, so that errors show; say whether it is all of it."""
    made, size = [], 0
    async for piece in pieces:
        made.append(piece)
        size += len(piece)
        if size > _WHOLE_BYTES:
            return b"".join(made), False
    return b"".join(made), True
