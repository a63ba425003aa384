"""How bytes leave: entity tags, conditions, one representation or several in parts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app import __version__
from app.chunks import resumed
from app.dicomweb.envelope import END_OF_PART, Envelope
from app.dicomweb.media_types import Offer
from app.imaging.deidentify import Outgoing
from app.ranges import RangeNotSatisfiable, asked_range
from app.refusals import respond_dicomweb
from fhir.errors import NotFound
from fhir.repository import StoredImage

_TAG_CHARACTERS = 32
_AT_ONCE_BYTES = 2**20


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
        return cls.among(image.sha256, offer, location, *parameters)

    @classmethod
    def among(cls, state: str, offer: Offer, location: str, *parameters: object) -> "Form":
        """Derive the form of something made of what has this state."""
        # Boundaries follow from it: bytes cannot be made to hold a digest that they determine.
        said = repr((__version__, state, str(offer), location, parameters))
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


@dataclass(frozen=True, slots=True)
class _Cut:
    """The part of a representation, alone in its answer, that a client asks for."""

    start: int
    end: int
    status: int
    headers: Mapping[str, str]


def _cut(request: Request | None, form: Form, size: int) -> _Cut:
    """Read which bytes are asked for.

    Args:
        request: Whose `Range` is honoured; None: there are no ranges of this.
        form: Of the answer.
        size: Of the whole.

    Raises:
        RangeNotSatisfiable: There are no such bytes.
    """
    headers = form.headers | {"Content-Location": form.location}
    if request is None:
        return _Cut(0, size, 200, headers)
    headers["Accept-Ranges"] = "bytes"
    # RFC 9110 13.1.5: a range of something else would not fit what the client has
    fits = request.headers.get("if-range") in {None, f'"{form.tag}"'}
    part = asked_range(request.headers.get("range"), size) if fits else None
    if part is None:
        return _Cut(0, size, 200, headers)
    start, end = part
    return _Cut(start, end, 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"})


def _beyond(error: RangeNotSatisfiable) -> Response:
    response = respond_dicomweb(error)
    response.headers["Content-Range"] = f"bytes */{error.size}"
    return response


def whole(form: Form, content: bytes, request: Request | None = None) -> Response:
    """Answer with one representation, alone or as the only part.

    Args:
        form: Of the answer.
        content: The representation.
        request: Whose `Range` is honoured, if it comes alone; None: there are no ranges of it.
    """
    if form.offer.multipart:
        opening, closing = _around(form, len(content))
        return Pieces((opening, content, closing), form.headers, form.envelope.content_type)
    try:
        cut = _cut(request, form, len(content))
    except RangeNotSatisfiable as error:
        return _beyond(error)
    piece = content[cut.start : cut.end]
    return Pieces((piece,), cut.headers, form.offer.media_type, cut.status)


def _around(form: Form, size: int) -> tuple[bytes, bytes]:
    """Give what stands before and behind the only part of an answer."""
    return form.envelope.opening(form.location, size), END_OF_PART + form.envelope.closing


class Pieces(Response):
    """An answer whose body is there, in pieces that nobody puts together."""

    def __init__(
        self,
        pieces: Sequence[bytes],
        headers: Mapping[str, str],
        media_type: str,
        status_code: int = 200,
    ) -> None:
        length = {"Content-Length": str(sum(map(len, pieces)))}
        super().__init__(
            status_code=status_code, headers={**headers, **length}, media_type=media_type
        )
        self._pieces = pieces

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        for piece in self._pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": self._pieces[-1]})


async def streamed(request: Request, form: Form, sent: Outgoing) -> Response:
    """Answer with one representation that is read from storage while it is sent.

    Args:
        request: Whose `Range` is honoured, if it comes alone.
        form: Alone or as the only part.
        sent: Its bytes; the first are read before the answer begins, so that errors show.
    """
    if form.offer.multipart:
        opening, closing = _around(form, sent.size)
        size = len(opening) + sent.size + len(closing)
        chunks = _enclosed(opening, sent.chunks, closing)
        return await _sent(chunks, size, 200, form.headers, form.envelope.content_type)
    try:
        cut = _cut(request, form, sent.size)
    except RangeNotSatisfiable as error:
        return _beyond(error)
    chunks = sent.between(cut.start, cut.end)
    size = cut.end - cut.start
    return await _sent(chunks, size, cut.status, cut.headers, form.offer.media_type)


async def _sent(
    chunks: AsyncIterator[bytes],
    size: int,
    status: int,
    headers: Mapping[str, str],
    media_type: str,
) -> Response:
    """Send bytes as they are read; a few are all read first, which is quicker."""
    if size <= _AT_ONCE_BYTES:
        pieces = [chunk async for chunk in chunks if chunk]
        if sum(map(len, pieces)) != size:
            raise NotFound("The bytes of this instance are not there as a whole.")
        return Pieces(pieces or (b"",), headers, media_type, status)
    headers = {**headers, "Content-Length": str(size)}
    body = await begun(chunks)
    return StreamingResponse(body, status_code=status, headers=headers, media_type=media_type)


async def in_parts(form: Form, parts: AsyncIterator[tuple[str, bytes]]) -> Response:
    """Answer with several representations, each made when the one before has left.

    Args:
        form: In parts.
        parts: Location and bytes; the first is made before the answer begins.
    """
    return StreamingResponse(
        await begun(_each(form.envelope, parts)),
        headers=form.headers,
        media_type=form.envelope.content_type,
    )


async def begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Give the same bytes, of which the first two pieces are there: what encloses, and what is in.

    So whoever cannot be given anything learns it before the answer begins.
    """
    first = await anext(chunks, b"")
    second = await anext(chunks, b"")
    return resumed((first, second), chunks)


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
        yield envelope.opening(location, len(content))
        yield content
        yield END_OF_PART
    yield envelope.closing
