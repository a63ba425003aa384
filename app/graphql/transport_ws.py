"""`graphql-transport-ws`: the operations of one client over one WebSocket.

https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md
"""

import asyncio
from contextlib import ExitStack, aclosing, suppress
from typing import Any, Final, NoReturn

import orjson
from starlette.types import Message, Receive, Send

from app.graphql.frames import (
    Close,
    Code,
    Frame,
    Start,
    authorization,
    closing,
    identifier,
    parsed,
    start_of,
    unknown,
)
from app.graphql.listeners import Listeners
from app.graphql.refused import TooManyListeners, TooSlow
from app.presence import Presence, TurnedAway, expected
from schema.errors import Refused, described

Json = Any
SUBPROTOCOL: Final = "graphql-transport-ws"
_FAREWELL_SECONDS: Final = 60
_REASON_BYTES: Final = 123  # RFC 6455 5.5


class _Left(Exception):
    """The client is gone."""


class Connection:
    """One client that was accepted; it has shown nobody's token yet."""

    def __init__(
        self, listeners: Listeners, presence: Presence, receive: Receive, send: Send
    ) -> None:
        self._listeners = listeners
        self._presence = presence
        self._receive = receive
        self._send = send
        self._speaking = asyncio.Lock()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._patience = listeners.settings.live_patience.total_seconds()

    async def serve(self) -> None:
        """Serve until the client leaves, or has to."""
        close: Close | None = None
        try:
            with ExitStack() as stack:
                async with asyncio.TaskGroup() as group:
                    await self._begin(stack)
                    group.create_task(self._look_after())
                    while True:
                        await self._take(await self._message(), group)
        except* _Left:
            pass
        except* Close as closes:
            close = _first(closes)
        if close is not None:
            await self._farewell(close)

    async def _begin(self, stack: ExitStack) -> None:
        """Find out who it is, from the first message that is more than a sign of life."""
        try:
            async with asyncio.timeout(self._patience):
                while (frame := await self._message())["type"] != "connection_init":
                    await self._before(frame)
        except TimeoutError:
            raise Close(Code.NOT_BEGUN_IN_TIME, "connection_init did not come in time") from None
        self._presence.authorization = authorization(frame) or self._presence.authorization
        try:
            await self._presence.begin()
            stack.enter_context(self._listeners.connected(self._presence))
        except TurnedAway as away:
            raise closing(away.why) from None
        except TooManyListeners as error:
            raise Close(Code.TOO_MANY, error.message) from None
        except Exception as error:  # noqa: BLE001 -- the edge of a connection
            raise closing(expected(error)) from None
        await self._say({"type": "connection_ack"})

    async def _before(self, frame: Frame) -> None:
        match frame["type"]:
            case "ping":
                await self._pong(frame)
            case "pong" | "complete":
                pass
            case "subscribe":
                raise Close(Code.UNAUTHORIZED, "send connection_init first")
            case _:
                raise unknown()

    async def _take(self, frame: Frame, group: asyncio.TaskGroup) -> None:
        match frame["type"]:
            case "ping":
                await self._pong(frame)
            case "pong":
                pass
            case "subscribe":
                await self._start(start_of(frame), group)
            case "complete":
                operation = self._operations.pop(identifier(frame), None)
                if operation is not None:
                    operation.cancel()
            case "connection_init":
                raise Close(Code.TOO_MANY, "connection_init comes once; open another connection")
            case _:
                raise unknown()

    async def _start(self, start: Start, group: asyncio.TaskGroup) -> None:
        if start.id in self._operations:
            raise Close(Code.SUBSCRIBER_EXISTS, "this id is taken; complete it first")
        most = self._listeners.settings.live_subscriptions
        if len(self._operations) >= most:
            error = TooManyListeners(
                f"You have {most} operations here already; complete one of them."
            )
            await self._say({"id": start.id, "type": "error", "payload": [described(error)]})
            return
        self._operations[start.id] = group.create_task(self._operate(start))

    async def _operate(self, start: Start) -> None:
        """Run one operation to its end."""
        last: dict[str, Json] = {"id": start.id, "type": "complete"}
        try:
            async with aclosing(self._listeners.events(self._presence, start.asked)) as events:
                async for event in events:
                    if event.body is not None:
                        await self._next(start.id, event.body)
        except (Close, _Left):
            raise
        except TurnedAway as away:
            raise closing(away.why) from None
        except TooSlow as error:
            raise Close(Code.TOO_MANY, error.message) from None
        except Refused as refused:
            last |= {"type": "error", "payload": refused.errors}
        except Exception as error:  # noqa: BLE001 -- the edge of an operation
            last |= {"type": "error", "payload": [described(expected(error))]}
        del self._operations[start.id]
        await self._say(last)

    async def _next(self, identifier: str, body: dict[str, Json]) -> None:
        if "data" not in body:
            raise Refused(body["errors"])
        await self._say({"id": identifier, "type": "next", "payload": body})

    async def _look_after(self) -> NoReturn:
        try:
            await self._listeners.look_after(self._presence)
        except TurnedAway as away:
            raise closing(away.why) from None

    async def _message(self) -> Frame:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise _Left
        return parsed(message.get("text"))

    async def _pong(self, frame: Frame) -> None:
        payload = frame.get("payload")
        await self._say({"type": "pong"} | ({} if payload is None else {"payload": payload}))

    async def _say(self, frame: dict[str, Json]) -> None:
        """Send a message; who does not take it in time has to leave."""
        text = orjson.dumps(frame).decode()
        try:
            async with asyncio.timeout(self._patience), self._speaking:
                await self._tell({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise Close(Code.TOO_MANY, TooSlow().message) from None

    async def _tell(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # ASGI 2.4: the client is gone
            raise _Left from None

    async def _farewell(self, close: Close) -> None:
        """Say why it has to leave, if it listens."""
        reason = close.reason.encode()[:_REASON_BYTES].decode(errors="ignore")
        with suppress(_Left, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._tell(
                    {"type": "websocket.close", "code": int(close.code), "reason": reason}
                )


def _first(closes: BaseExceptionGroup[Close]) -> Close:
    """Give the first of several reasons."""
    one: BaseException = closes
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    assert isinstance(one, Close)  # noqa: S101 -- there is nothing else in it
    return one
