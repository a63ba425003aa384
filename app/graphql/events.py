"""Server-sent events: one operation, its events one after the other (graphql-sse, distinct).

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, NoReturn

import orjson
from fastapi.sse import format_sse_event
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from app.graphql.asked import Asked
from app.graphql.listeners import Event, Listeners
from app.graphql.refused import TooSlow
from app.presence import Presence, TurnedAway, expected
from fhir.errors import Invalid
from schema.errors import Refused, described

Json = Any
EVENT_STREAM: Final = "text/event-stream"
QUIET_SECONDS: Final = 12.0
_FAREWELL_SECONDS: Final = 60
_QUIET: Final = b":\n\n"
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would wait for more
]


class _Left(Exception):
    """The client is gone."""


class _End(Exception):
    """Nothing more comes.

    Attributes:
        errors: Why, as GraphQL says it; none where the operation came to its end.
    """

    def __init__(self, errors: Sequence[Json] = ()) -> None:
        super().__init__("end")
        self.errors = list(errors)


async def sse(
    listeners: Listeners, scope: Scope, receive: Receive, send: Send, asked: Asked
) -> None:
    """Answer a request with the events of its operation.

    A header `Last-Event-ID` stands in place of the argument `after`.

    Args:
        listeners: Those of the process.
        scope: Of a request that the guard let in.
        receive: Of the same; its body was read.
        send: Of the same.
        asked: The operation.

    Raises:
        Invalid: The header is none of ours.
        TooManyListeners: The caller listens to too much already.
    """
    presence: Presence = scope["state"]["presence"]
    resume = _resume(Headers(scope=scope).get("last-event-id"))
    reading = scope["method"] == "GET"
    with listeners.connected(presence):
        stream = _Stream(listeners, presence, receive, send)
        await stream.serve(listeners.events(presence, asked, resume, reading=reading))


def _resume(given: str | None) -> int | None:
    if not given:
        return None
    if not re.fullmatch(r"[0-9]{1,16}", given):
        raise Invalid("Last-Event-ID: send the id of an event, or leave it out")
    return int(given)


class _Stream:
    """One answer."""

    def __init__(
        self, listeners: Listeners, presence: Presence, receive: Receive, send: Send
    ) -> None:
        self._listeners = listeners
        self._presence = presence
        self._receive = receive
        self._send = send
        self._speaking = asyncio.Lock()
        self._patience = listeners.settings.live_patience.total_seconds()

    async def serve(self, events: AsyncGenerator[Event, None]) -> None:
        """Serve until the operation ends, or the client leaves or has to."""
        end: _End | None = None
        await self._tell({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        try:
            async with asyncio.TaskGroup() as group:
                for one in (self._listen(), self._keep_alive(), self._look_after()):
                    group.create_task(one)
                await self._operate(events)
        except* _Left:
            pass
        except* _End as ends:
            end = _first(ends)
        if end is not None:
            await self._farewell(end)

    async def _operate(self, events: AsyncGenerator[Event, None]) -> NoReturn:
        try:
            async with aclosing(events):
                async for event in events:
                    await self._event(event)
        except (_End, _Left):
            raise
        except TurnedAway as away:
            raise _End([described(away.why)]) from None
        except Refused as refused:
            raise _End(refused.errors) from None
        except Exception as error:  # noqa: BLE001 -- the edge of an operation
            raise _End([described(expected(error))]) from None
        raise _End

    async def _event(self, event: Event) -> None:
        if event.body is not None:
            data = orjson.dumps(event.body).decode()
            mark = None if event.sequence is None else str(event.sequence)
            await self._say(format_sse_event(event="next", data_str=data, id=mark))
        elif event.sequence is not None:
            # so that who comes back before the first event misses none
            await self._say(format_sse_event(id=str(event.sequence)))

    async def _listen(self) -> NoReturn:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise _Left

    async def _keep_alive(self) -> NoReturn:
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            await self._say(_QUIET)

    async def _look_after(self) -> NoReturn:
        try:
            await self._listeners.look_after(self._presence)
        except TurnedAway as away:
            raise _End([described(away.why)]) from None

    async def _say(self, text: bytes) -> None:
        """Send a piece; whoever does not take it in time has to leave."""
        try:
            async with asyncio.timeout(self._patience), self._speaking:
                await self._tell({"type": "http.response.body", "body": text, "more_body": True})
        except TimeoutError:
            raise _End([described(TooSlow())]) from None

    async def _tell(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # ASGI 2.4: the client is gone
            raise _Left from None

    async def _farewell(self, end: _End) -> None:
        """Say that nothing more comes, and why, if the client listens."""
        last = format_sse_event(event="complete", data_str="")
        if end.errors:
            data = orjson.dumps({"errors": end.errors}).decode()
            last = format_sse_event(event="next", data_str=data) + last
        with suppress(_Left, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._tell({"type": "http.response.body", "body": last})


def _first(ends: BaseExceptionGroup[_End]) -> _End:
    """Give the first of several ends."""
    one: BaseException = ends
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    assert isinstance(one, _End)  # noqa: S101 -- there is nothing else in it
    return one
