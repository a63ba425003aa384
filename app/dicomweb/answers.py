"""How bytes leave: entity tags, conditions, one representation or several in parts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import __version__
from app.dicomweb.envelope import END_OF_PART, Envelope
from app.dicomweb.media_types import Offer
from fhir.repository import StoredImage

_TAG_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one answer, known before a byte of it is.

    Attributes:
        offer: What was negotiated.
        tag: Names exactly these bytes: the same request gets the same ones until we change.
        location: URL of what is given.
    """

    offer: Offer
    tag: str
    location: str

    @classmethod
    def of(cls, image: StoredImage, offer: Offer, location: str, *parameters: object) -> "Form":
        """Derive the form of something made of a stored instance with these parameters."""
        # Boundaries follow from it: bytes cannot be made to hold a digest that they determine.
        said = repr((__version__, image.sha256, str(offer), location, parameters))
        return cls(offer, sha256(said.encode()).hexdigest()[:_TAG_CHARACTERS], location)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer; a copy may be kept, and is used only after asking here again."""
        return {
            "ETag": f'"{self.tag}"',
            "Cache-Control": "private, no-cache",
            "Vary": "Accept, Authorization",
        }

    @property
    def envelope(self) -> Envelope:
        """What the parts are sent in."""
        return Envelope(self.tag, self.offer.media_type)


def unchanged(request: Request, form: Form) -> Response | None:
    """Answer 304 if the client says that it has these bytes already."""
    known = request.headers.get("if-none-match", "")
    tags = {one.strip().removeprefix("W/") for one in known.split(",")}
    if tags & {f'"{form.tag}"', "*"}:
        return Response(status_code=304, headers=form.headers)
    return None


def whole(form: Form, content: bytes) -> Response:
    """Answer with one representation."""
    headers = form.headers | {"Content-Location": form.location}
    return Response(content, headers=headers, media_type=form.offer.media_type)


async def streamed(form: Form, chunks: AsyncIterator[bytes], size: int) -> Response:
    """Answer with one representation that is read from storage while it is sent.

    Args:
        form: Alone or as the only part.
        chunks: Its bytes; the first are read before the answer begins, so that errors show.
        size: How many bytes that will be.
    """
    begun = await _begun(chunks)
    if not form.offer.multipart:
        headers = form.headers | {
            "Content-Location": form.location,
            "Content-Length": str(size),
        }
        return StreamingResponse(begun, headers=headers, media_type=form.offer.media_type)
    opening = form.envelope.opening(form.location, size)
    closing = END_OF_PART + form.envelope.closing
    length = len(opening) + size + len(closing)
    return StreamingResponse(
        _enclosed(opening, begun, closing),
        headers=form.headers | {"Content-Length": str(length)},
        media_type=form.envelope.content_type,
    )


async def in_parts(form: Form, parts: AsyncIterator[tuple[str, bytes]]) -> Response:
    """Answer with several representations, each made when the one before has left.

    Args:
        form: In parts.
        parts: Location and bytes; the first is made before the answer begins.
    """
    return StreamingResponse(
        await _begun(_each(form.envelope, parts)),
        headers=form.headers,
        media_type=form.envelope.content_type,
    )


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    first = await anext(chunks, b"")
    return _enclosed(first, chunks, b"")


async def _enclosed(
    opening: bytes, chunks: AsyncIterator[bytes], closing: bytes
) -> AsyncIterator[bytes]:
    yield opening
    async for chunk in chunks:
        yield chunk
    yield closing


async def _each(
    envelope: Envelope, parts: AsyncIterator[tuple[str, bytes]]
) -> AsyncIterator[bytes]:
    async for location, content in parts:
        yield envelope.opening(location, len(content)) + content + END_OF_PART
    yield envelope.closing
