"""Multipart/related (RFC 2387) as it arrives and as it leaves, piece by piece."""

import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from app.dicomweb.media_types import RELATED
from fhir.errors import Invalid

END_OF_PART: Final = b"\r\n"

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_MAX_HEADERS = 32


class Malformed(Invalid):
    """The body is not made of parts, or ends before its closing boundary."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an arriving body.

    Attributes:
        headers: Names in lower case.
        chunks: Its bytes; what is not read of them is passed over when the next part is asked for.
    """

    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


async def parts(body: AsyncIterator[bytes], boundary: str) -> AsyncIterator[Part]:
    """Cut a body into its parts as it arrives.

    Raises:
        Malformed: Here or while a part is read: the body is broken from this point on.
    """
    reader = _Reader(body, boundary)
    while (headers := await reader.headers()) is not None:
        yield Part(headers, reader.data())


class _Reader:
    """Turns what the parser calls back into what a reader asks for."""

    def __init__(self, body: AsyncIterator[bytes], boundary: str) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise Malformed("Content-Type names no boundary of 1 to 70 characters.")
        self._body = body
        self._events: deque[Mapping[str, str] | bytes | None] = deque()
        self._headers: dict[str, str] = {}
        self._name = self._value = b""
        self._inside = self._ended = self._broken = False
        self._parser = MultipartParser(
            boundary.encode(),
            {
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=_MAX_HEADERS,
        )

    async def headers(self) -> Mapping[str, str] | None:
        """Give the headers of the next part; None after the last one."""
        while self._inside:
            await self._next_data()
        event = await self._next()
        if event is None:
            async for _ in self._body:  # an epilogue says nothing (RFC 2046 5.1.1)
                pass
            return None
        self._inside = True
        return event if isinstance(event, Mapping) else {}

    async def data(self) -> AsyncIterator[bytes]:
        """Give what is left of the part that `headers` began."""
        while self._inside:
            if chunk := await self._next_data():
                yield chunk

    async def _next_data(self) -> bytes:
        event = await self._next()
        if isinstance(event, bytes):
            return event
        self._inside = False
        return b""

    async def _next(self) -> Mapping[str, str] | bytes | None:
        while not self._events:
            if self._ended:
                return None
            if self._broken:
                raise Malformed("The body does not keep to the form of multipart/related.")
            chunk = await anext(self._body, None)
            if chunk is None:
                raise Malformed("The body ends before its closing boundary; send it whole.")
            try:
                self._parser.write(chunk)
            except FormParserError:
                # What was complete before is given out first.
                self._broken = True
        return self._events.popleft()

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name = self._value = b""

    def _on_headers(self) -> None:
        self._events.append(self._headers)
        self._headers = {}

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(None)

    def _on_end(self) -> None:
        self._ended = True


@dataclass(frozen=True, slots=True)
class Envelope:
    """The form of a multipart answer.

    Attributes:
        boundary: Must not occur in what is sent.
        media_type: Of every part, with its parameters.
    """

    boundary: str
    media_type: str

    @property
    def content_type(self) -> str:
        """Content-Type of the whole."""
        inner = self.media_type.partition(";")[0]
        return f'{RELATED}; type="{inner}"; boundary={self.boundary}'

    def opening(self, location: str, length: int | None = None) -> bytes:
        """Give what stands before the bytes of a part."""
        lines = [f"--{self.boundary}", f"Content-Type: {self.media_type}"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return "\r\n".join((*lines, f"Content-Location: {location}", "\r\n")).encode()

    @property
    def closing(self) -> bytes:
        """Give what stands after the last part and its `END_OF_PART`."""
        return f"--{self.boundary}--\r\n".encode()
