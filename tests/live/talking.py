"""Talking to the GraphQL door over a WebSocket, or listening to its stream of events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

Json = Any
PROTOCOL = "graphql-transport-ws"
STUDIES = "subscription($after: Integer64) {studyChanged(after: $after) {sequence kind id at}}"
ENOUGH = 2**24


@dataclass(frozen=True, slots=True)
class Talk:
    """One connection."""

    connection: ClientConnection

    async def say(self, **frame: Json) -> None:
        await self.connection.send(orjson.dumps(frame).decode())

    async def hear(self) -> Json:
        return orjson.loads(await self.connection.recv())

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Say who it is, and wait until that is believed."""
        await self.say(type="connection_init", payload=dict(headers))
        assert await self.hear() == {"type": "connection_ack"}

    async def ask(self, query: str, identifier: str = "1", **variables: Json) -> None:
        payload = {"query": query, "variables": variables}
        await self.say(id=identifier, type="subscribe", payload=payload)

    async def told(self, identifier: str = "1") -> Json:
        """Give what the next event holds."""
        frame = await self.hear()
        assert (frame["type"], frame["id"]) == ("next", identifier), frame
        return frame["payload"]

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closes; whatever it still says is passed over."""
        with suppress(ConnectionClosedError):
            async for _ in self.connection:
                pass
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""


@asynccontextmanager
async def talk(
    url: str, headers: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[Talk]:
    """Open a connection, for as long as the block lasts.

    Args:
        url: Of the server.
        headers: Who it is, to be said in the first message; absent: nothing is said.
        **options: Of `websockets`.
    """
    address = f"{url.replace('http', 'ws', 1)}/graphql"
    how = {"subprotocols": [PROTOCOL], "max_size": ENOUGH, "proxy": None, **options}
    async with connect(address, **how) as connection:
        one = Talk(connection)
        if headers is not None:
            await one.begin(headers)
        yield one


@dataclass(frozen=True, slots=True)
class Stream:
    """One answer that is a stream of events."""

    response: httpx.Response
    lines: AsyncIterator[str]

    async def event(self) -> dict[str, str]:
        """Give the next event, by its fields; comments are passed over."""
        fields: dict[str, str] = {}
        async for line in self.lines:
            if not line and fields:
                return fields
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        raise EOFError

    async def told(self) -> tuple[int, Json]:
        """Give sequence and content of the next event that is more than a mark."""
        while (event := await self.event()).get("event") is None:
            pass
        assert event["event"] == "next", event
        return int(event.get("id", 0)), orjson.loads(event["data"])

    async def ended(self) -> list[Json]:
        """Wait for the end; give the errors that come before it."""
        errors: list[Json] = []
        while (event := await self.event()).get("event") != "complete":
            if "data" in event:
                errors = orjson.loads(event["data"]).get("errors", [])
        return errors


@asynccontextmanager
async def listen(
    url: str, query: str, headers: Mapping[str, str], *, method: str = "POST", **variables: Json
) -> AsyncIterator[Stream]:
    """Ask for a stream of events, for as long as the block lasts."""
    asked = {"query": query, "variables": variables}
    how: dict[str, Any] = {"json": asked}
    if method == "GET":
        how = {"params": {"query": query, "variables": orjson.dumps(variables).decode()}}
    headers = {"Accept": "text/event-stream", **headers}
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        client.stream(method, "/graphql", headers=headers, **how) as response,
    ):
        yield Stream(response, response.aiter_lines())
