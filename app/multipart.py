"""Multipart bodies read part by part as they arrive, for any door that takes uploads."""

import re
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fhir.errors import Invalid, TooLarge, UnsupportedMedia

MAX_PARTS = 10_000
_MAX_PREAMBLE = 64 * 1024
# RFC 2046 5.1.1 allows less; what is printable does no harm.
_BOUNDARY = re.compile(rb"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body.

    Attributes:
        number: Its place in the body, from 1.
        headers: By lower-case name; of repeated ones the last.
        chunks: Its bytes, to be read before the next part is asked for; what is left then is
            skipped.
    """

    number: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


def boundary(content_type: str, kind: str) -> bytes:
    """Give the boundary that a Content-Type header announces.

    Args:
        content_type: Value of the header; empty if there is none.
        kind: Media type that the door takes, `multipart/form-data` or another multipart type.

    Raises:
        UnsupportedMedia: It is of another type.
        Invalid: No boundary stands in it, or one that cannot be.
    """
    media_type, options = parse_options_header(content_type)
    if media_type.decode("latin-1").lower() != kind:
        raise UnsupportedMedia(f"this address takes {kind}")
    found = options.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(found):
        raise Invalid(f"Content-Type names no usable boundary; write {kind}; boundary=…")
    return found


async def parts(stream: AsyncIterable[bytes], boundary: bytes) -> AsyncIterator[Part]:
    """Read a body part by part; memory holds one piece of the stream, however long a part is.

    Args:
        stream: The body as it arrives.
        boundary: As `boundary` gave it.

    Raises:
        Invalid: While a part is read or asked for: the body is malformed there, or ends too soon.
        TooLarge: It has more than `MAX_PARTS` parts.
    """
    reader = _Reader(stream, boundary)
    number = 0
    while (headers := await reader.headers()) is not None:
        number += 1
        if number > MAX_PARTS:
            raise TooLarge(f"a body may have {MAX_PARTS:,} parts; send the rest in another")
        yield Part(number, headers, reader.chunks())


@dataclass(frozen=True, slots=True)
class _Began:
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Ended:
    last: bool


_Event = _Began | _Ended | bytes | Invalid


class _Reader:
    """Turns pieces of the stream into events, a piece at a time."""

    def __init__(self, stream: AsyncIterable[bytes], boundary: bytes) -> None:
        self._pieces = aiter(_from_first_boundary(stream, b"--" + boundary))
        self._events: deque[_Event] = deque()
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[str, str] = {}
        self._inside = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_begin,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header,
                "on_headers_finished": lambda: self._events.append(_Began(self._headers)),
                "on_part_data": self._on_data,
                "on_part_end": lambda: self._events.append(_Ended(last=False)),
                "on_end": lambda: self._events.append(_Ended(last=True)),
            },
        )

    async def headers(self) -> dict[str, str] | None:
        """Go to the next part, past what is left of this one; None after the last."""
        while True:
            match await self._next():
                case _Began(headers):
                    self._inside = True
                    return headers
                case _Ended(last):
                    self._inside = False
                    if last:
                        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the rest of the part."""
        while self._inside:
            event = await self._next()
            if isinstance(event, bytes):
                yield event
            else:
                self._inside = False

    async def _next(self) -> _Began | _Ended | bytes:
        while not self._events:
            piece = await anext(self._pieces, None)
            if piece is None:
                raise Invalid("the body ends before its last boundary; send it whole")
            try:
                self._parser.write(piece)
            except FormParserError:
                # parts that ended before this place are good
                self._events.append(Invalid("the body is no well-formed multipart body"))
        event = self._events[0]
        if isinstance(event, Invalid):
            raise event  # again, whenever somebody tries to read on
        self._events.popleft()
        return event

    def _on_begin(self) -> None:
        self._headers = {}

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(bytes(data[start:end]))

    def _on_header(self) -> None:
        # RFC 7578 5.1: UTF-8 is what browsers send in file names
        name = self._name.decode("latin-1").lower()
        self._headers[name] = self._value.decode("utf-8", "replace").strip()
        self._name.clear()
        self._value.clear()


async def _from_first_boundary(stream: AsyncIterable[bytes], mark: bytes) -> AsyncIterator[bytes]:
    """Leave out a preamble (RFC 2046 5.1.1)."""
    waiting: bytes | None = b""
    async for piece in stream:
        if waiting is None:
            if piece:
                yield piece
            continue
        waiting += piece
        at = 0 if waiting.startswith(mark) else waiting.find(b"\r\n" + mark)
        if at >= 0:
            found, waiting = waiting[at:], None
            yield found
        elif len(waiting) > _MAX_PREAMBLE:
            raise Invalid("the body does not begin with the boundary of its Content-Type")


async def limited(body: AsyncIterator[bytes], most: int, refusal: TooLarge) -> AsyncIterator[bytes]:
    """Pass a body on as it arrives, up to so many bytes.

    Raises:
        TooLarge: The refusal given, at the first byte too many.
    """
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > most:
            raise refusal
        if chunk:
            yield chunk
