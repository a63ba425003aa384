"""The application called in process by a client that takes what is sent, or lets it wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

Json = Any
PROTOCOL = "graphql-transport-ws"


@dataclass(slots=True)
class Line:
    """Between the application and its client.

    Attributes:
        sent: By the application, and taken.
        said: By the client.
        taking: Whether the client takes what is sent.
        waits: Released each time that the application has to wait for the client.
    """

    sent: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    said: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    waits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def send(self, message: Message) -> None:
        if not self.taking.is_set():
            self.waits.release()
            await self.taking.wait()
        self.sent.put_nowait(message)

    def say(self, **frame: Json) -> None:
        text = orjson.dumps(frame).decode()
        self.said.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> tuple[str, Json]:
        """Give the next message, as text and as what it says."""
        message = await self.sent.get()
        assert message["type"] == "websocket.send", message
        return message["text"], orjson.loads(message["text"])


@asynccontextmanager
async def connected(app: ASGIApp, scope: dict[str, Json]) -> AsyncIterator[Line]:
    """Connect, for as long as the block lasts."""
    line = Line()
    line.taking.set()
    whole: dict[str, Json] = {"path": "/graphql", "raw_path": b"/graphql", "query_string": b""}
    whole |= {"root_path": "", "http_version": "1.1", "asgi": {"version": "3.0"}, **scope}
    serving = asyncio.ensure_future(app(whole, line.said.get, line.send))
    try:
        yield line
    finally:
        line.said.put_nowait({"type": f"{scope['type']}.disconnect", "code": 1001})
        await serving


@asynccontextmanager
async def socket(app: ASGIApp, payload: Json) -> AsyncIterator[Line]:
    """Open a WebSocket and say who it is, for as long as the block lasts."""
    scope = {"type": "websocket", "subprotocols": [PROTOCOL], "headers": []}
    async with connected(app, scope) as line:
        line.said.put_nowait({"type": "websocket.connect"})
        line.say(type="connection_init", payload=payload)
        assert (await line.sent.get())["type"] == "websocket.accept"
        assert await line.hear() == ('{"type":"connection_ack"}', {"type": "connection_ack"})
        yield line
