"""Notices, inside the guard, what requests were answered with success, and when they begin."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.prefetch.events import event
from app.prefetch.prefetch import Prefetch

_OK = 200
_REDIRECT = 300
_UNCHANGED = 304


class Watch:
    """ASGI middleware; what the guard refuses does not come so far."""

    def __init__(self, app: ASGIApp, prefetch: Callable[[], Prefetch]) -> None:
        self._app = app
        self._prefetch = prefetch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prefetch = self._prefetch()
        prefetch.lull.begin()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, watched)
        guarded = scope.get("state", {}).get("guarded")
        succeeded = _OK <= status < _REDIRECT or status == _UNCHANGED
        if guarded is None or scope["method"] != "GET" or not succeeded:
            return
        found = event(scope["path"])
        if found is not None:
            prefetch.noticed(guarded.access.caller, found)
