"""One exchange over HTTP without a framework between: the body that comes, the answer that goes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Message, Receive, Send

from fhir.errors import TooLarge

MAX_BODY_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, send: Send, method: str) -> None:
        """Send it; to HEAD, what comes before the body."""
        headers: Iterable[tuple[str, str]] = (
            ("content-type", self.media_type),
            ("content-length", str(len(self.body))),
            *self.headers.items(),
        )
        start: Message = {
            "type": "http.response.start",
            "status": self.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
        await send(start)
        body = b"" if method == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


async def body_of(receive: Receive, announced: str) -> bytes | None:
    """Read a body; None if the client has gone meanwhile.

    Args:
        receive: Of the request.
        announced: `Content-Length`; empty if there is none.

    Raises:
        TooLarge: It has more than `MAX_BODY_BYTES`; no more than these are read.
    """
    too_large = TooLarge(f"a request has at most {MAX_BODY_BYTES:,} bytes")
    if announced.isdecimal() and int(announced[:12]) > MAX_BODY_BYTES:
        raise too_large
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise too_large
        if not message.get("more_body", False):
            return body
