"""The WebSocket of the GraphQL door: who may open one, and in which protocol."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from app.graphql.frames import Code
from app.graphql.listeners import Listeners
from app.graphql.transport_ws import SUBPROTOCOL, Connection

_PORTS = {"http": 80, "https": 443}


class Socket:
    """ASGI application for `/graphql` as a WebSocket."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open a connection, or refuse it."""
        await receive()  # websocket.connect
        headers = Headers(scope=scope)
        if not self._own(headers.get("origin"), headers.get("host", "")):
            await send({"type": "websocket.close", "code": int(Code.FORBIDDEN)})  # HTTP: 403
            return
        presence = scope["state"]["presence"]
        known = [(b"x-request-id", presence.request_id.encode())]
        if SUBPROTOCOL not in scope["subprotocols"]:
            # a browser is told why only once the connection is open
            await send({"type": "websocket.accept", "headers": known})
            code = int(Code.SUBPROTOCOL_NOT_ACCEPTABLE)
            await send({"type": "websocket.close", "code": code, "reason": f"use {SUBPROTOCOL}"})
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": known})
        await Connection(self._listeners, presence, receive, send).serve()

    def _own(self, origin: str | None, host: str) -> bool:
        """Say whether a page of our own asks, or none at all.

        No cookie is ever read, so a page of another site can do nothing in anybody's name; it has
        no business here all the same.
        """
        if origin is None:
            return True
        asks = _address(origin)
        ours = self._listeners.settings.base_url
        return asks is not None and asks in {_address(ours), _address(f"{asks[0]}://{host}")}


def _address(url: str) -> tuple[str, str, int] | None:
    """Give scheme, host and port of a URL on the web; None of anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port
