"""Somebody who is told of emergency access: an HTTP server on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Receiver:
    """What came in.

    Attributes:
        statuses: Answers, in turn; when there are no more it is 204.
        tried: Requests so far, whatever the answer.
        told: Bodies of requests that were answered 204.
    """

    url: str
    statuses: list[int]
    tried: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def hears(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many were told."""
        while len(self.told) < count:
            self._came.clear()
            await self._came.wait()
        return self.told

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(lines["content-length"])))
        assert head.startswith("POST /alerts HTTP/1.1")
        assert lines["content-type"] == "application/json"
        self.tried += 1
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 204:
            self.told.append(body)
        self._came.set()
        writer.write(
            f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[Receiver]:
    """Listen on a free port of this machine."""
    found = Receiver("", list(statuses))
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alerts"
    async with server:
        yield found
