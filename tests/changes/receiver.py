"""Somebody who is told of changes: an HTTP server on this machine."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

SECRET = b"0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What came in.

    Attributes:
        statuses: Answers, in turn; when there are no more it is `otherwise`.
    """

    statuses: list[int]
    url: str = ""
    otherwise: int = 204
    attempts: list[Attempt] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def told(self) -> list[Any]:
        """Bodies of those that were answered 204."""
        return [one.said for one in self.attempts if one.status == 204]

    async def hears(self, study: str, kind: str = "created") -> list[Any]:
        """Wait until a change of a study was told; give all that was."""
        return await self._until(lambda: any(_is(one, study, kind) for one in self.told))

    async def tried(self, count: int) -> list[Any]:
        """Wait until there were so many attempts."""
        return await self._until(lambda: len(self.attempts) >= count)

    async def _until(self, reached: Any) -> list[Any]:
        async with asyncio.timeout(30):
            while not reached():
                self._came.clear()
                await self._came.wait()
        return self.told

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {
            name.lower(): value for name, value in (one.split(": ", 1) for one in lines if one)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.statuses.pop(0) if self.statuses else self.otherwise
        self.attempts.append(Attempt(first.split(" ")[1], headers, body, status))
        self._came.set()
        where = f"Location: {self.url}/elsewhere\r\n" if status == 302 else ""
        rest = "Content-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {status} Said\r\n{where}{rest}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _is(said: Any, study: str, kind: str) -> bool:
    return (said["id"], said["kind"]) == (study, kind)


def assert_signed(attempt: Attempt, secret: bytes = SECRET) -> None:
    """Check a signature as Standard Webhooks 1.0 asks its receivers to."""
    identifier = attempt.headers["webhook-id"]
    timestamp = attempt.headers["webhook-timestamp"]
    content = b".".join((identifier.encode(), timestamp.encode(), attempt.body))
    expected = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    assert attempt.headers["webhook-signature"].split(" ") == [f"v1,{expected}"]


@asynccontextmanager
async def receiver(*statuses: int, otherwise: int = 204) -> AsyncIterator[Receiver]:
    """Listen on a free port of this machine."""
    found = Receiver(list(statuses), otherwise=otherwise)
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/changes"
    async with server:
        yield found
