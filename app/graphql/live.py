"""What of the GraphQL door stays open: WebSockets, and answers that are streams of events."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from app.graphql.door import asked_by, headers_of
from app.graphql.events import EVENT_STREAM, sse
from app.graphql.listeners import Listeners
from app.graphql.operating import Operator
from app.graphql.socket import Socket
from app.settings import Settings

PATH: Final = "/graphql"
_METHODS: Final = frozenset({"GET", "POST"})


class Live:
    """ASGI middleware; takes what stays open, and lets everything else pass."""

    def __init__(self, app: ASGIApp, settings: Settings, operator: Operator) -> None:
        self._app = app
        self._listeners = Listeners(settings, operator)
        self._socket = Socket(self._listeners)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request or connection through."""
        if scope["type"] == "websocket" and scope["path"] == PATH:
            await self._socket(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == PATH and _streamed(scope):
            asked = await asked_by(scope, receive)
            if asked is not None:
                await sse(self._listeners, scope, receive, send, asked)
        else:
            await self._app(scope, receive, send)


def _streamed(scope: Scope) -> bool:
    accept = headers_of(scope).get(b"accept", b"").decode("latin-1")
    return scope["method"] in _METHODS and EVENT_STREAM in accept
