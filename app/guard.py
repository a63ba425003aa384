"""What happens at every door: who is it, may they, write it down."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.archive import Archive
from app.audit import Circumstances
from app.doors import door_of
from app.identity.signed import NothingSigned
from app.identity.signin import SignIn
from app.logs import place
from app.presence import expected, login, present
from app.refusals import respond_rest
from fhir.access import Entry
from fhir.errors import NotFound, ResourceError, Unauthenticated, Unavailable
from fhir.guarded import GuardedRepository
from policies.caller import Caller

log = structlog.get_logger()

_FAILED = 1011  # RFC 6455 7.4.1: a condition that was not expected


class Guard:
    """ASGI middleware: authenticates, gives the request its guarded repository, audits.

    It is also the edge: what nobody expected is logged here, without its text, and answered 500.
    """

    def __init__(self, app: ASGIApp, archive: Callable[[], Archive]) -> None:
        self._app = app
        self._archive = archive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it here."""
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(self._archive(), scope, send)
        try:
            if visit.door and not visit.door.is_open(scope):
                await visit.begin()
            await self._app(scope, receive, visit.send)
        except Exception as error:  # noqa: BLE001 -- the edge
            await visit.refuse(error)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a connection through; it shows nothing before it has said who it is."""
        door = door_of(scope["path"])
        if door is not None:
            presence = present(self._archive(), door.name, scope)
            scope.setdefault("state", {})["presence"] = presence
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(request_id=presence.request_id)
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 -- the edge
            log.error("connection failed", **place(error))  # noqa: TRY400 -- may hold PHI
            with suppress(OSError, RuntimeError):  # it may be closed already
                await send({"type": "websocket.close", "code": _FAILED})


class _Visit:
    """One request: what it accessed is written down before the first byte of its answer."""

    def __init__(self, archive: Archive, scope: Scope, send: Send) -> None:
        self.door = door_of(scope["path"])
        self._archive = archive
        self._scope = scope
        self._send = send
        self._caller: Caller | None = None
        self._entries: list[Entry] = []
        self._writing: list[asyncio.Future[None]] = []
        self._entering: asyncio.Task[None] | None = None
        self._turned_away: Exception | None = None
        self._failed = False
        self._started = False
        self._presence = present(archive, self.door.name if self.door else "", scope)
        self._address, self._request_id = self._presence.address, self._presence.request_id
        scope.setdefault("state", {})["request_id"] = self._request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self._request_id)

    async def begin(self) -> None:
        """Find out who is calling and give the request what it may use."""
        token = self.door.token_in(self._scope["path"]) if self.door else None
        if token is not None:
            await self._redeem(token)
            return
        authorization = self._presence.authorization
        try:
            self._caller, sign_in = await self._archive.identity.signed_in(authorization)
            entering = self._archive.sessions.enter(sign_in, self._address)
            if self._reads_promptly:
                self._entering = asyncio.create_task(entering)
                self._entering.add_done_callback(_seen)
            else:
                await entering
            guarded = await self._archive.begin(self._caller)
        except ResourceError as error:
            self._note_login(error)
            raise
        if self._entering is not None:
            guarded.access.noted = self._noted
        self._presence.caller = self._caller
        self._let_in(guarded, sign_in, presence=self._presence)

    async def _redeem(self, token: str) -> None:
        """Let the bearer of a signed address in as whoever had it signed, as they may come now.

        Raises:
            NothingSigned: The address, or the session it was signed in, does not hold.
        """
        try:
            signed = await self._archive.signed.redeem(token)
            self._caller = signed.caller
            await self._archive.sessions.remain(signed.sign_in)
            guarded = await self._archive.begin(signed.caller)
        except ResourceError as error:
            self._note_login(error)
            if isinstance(error, NotFound | Unauthenticated):
                raise NothingSigned from error  # who only has the address learns no more
            raise
        self._let_in(guarded, signed.sign_in, signed=signed.image)

    def _let_in(self, guarded: GuardedRepository, sign_in: SignIn, **more: object) -> None:
        self._entries = guarded.access.entries
        self._scope["state"] |= {"guarded": guarded, "sign_in": sign_in, **more}

    @property
    def _reads_promptly(self) -> bool:
        return bool(self.door and self.door.prompt and self._scope["method"] in {"GET", "HEAD"})

    async def _enter(self) -> None:
        """Wait until the session is known to hold, where that is still open.

        Raises:
            Exception: It does not, or that cannot be said; what the request noted meanwhile was
                never given out.
        """
        if self._turned_away is not None:
            raise self._turned_away
        if self._entering is None:
            return
        try:
            await self._entering
        except Exception as error:
            self._turned_away = error
            self._entries.clear()
            if isinstance(error, ResourceError):
                self._note_login(error)
            raise
        self._entering = None  # only now: whatever else happens, nobody gets past

    async def send(self, message: Message) -> None:
        """Pass an answer on, once what it tells is in the audit."""
        await self._enter()
        await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        if self._failed:
            return
        starts = message["type"] == "http.response.start"
        if starts or not message.get("more_body", False):
            try:
                await self._write_down()
            except Exception as error:  # noqa: BLE001 -- whatever it is, nothing goes out
                log.error("audit not written", **place(error))  # noqa: TRY400 -- may hold PHI
                self._failed = True
                await self._give_nothing_out()
                return
        if starts:
            self._started = True
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers.setdefault("X-Content-Type-Options", "nosniff")
            if self.door:
                headers.setdefault("Cache-Control", "private, no-store")
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        """Answer with an error, or break off an answer that has begun."""
        if self._started:
            raise ConnectionAbortedError("failed after the answer began")
        try:
            await self._enter()
        except Exception as turned_away:  # noqa: BLE001 -- the edge
            error = turned_away
        respond = self.door.respond if self.door else respond_rest
        await respond(expected(error))(self._scope, _nothing, self._pass_on)

    async def _write_down(self) -> None:
        if self._entries:
            self._begin_to_write(self._entries)
            self._entries.clear()
        if self._writing:
            writing, self._writing = self._writing, []
            await asyncio.gather(*writing)

    def _noted(self, entry: Entry) -> None:
        if self._entering is not None and not _succeeded(self._entering):
            self._entries.append(entry)
        else:
            self._begin_to_write([entry])

    def _note_login(self, error: ResourceError) -> None:
        self._entries.append(login(error))

    def _begin_to_write(self, entries: Sequence[Entry]) -> None:
        if self.door:
            circumstances = Circumstances(self.door.name, self._request_id, self._address)
            begun = self._archive.audit.begin(entries, self._caller, circumstances)
            self._writing.append(begun)

    async def _give_nothing_out(self) -> None:
        if self._started or self.door is None:
            raise ConnectionAbortedError("audit not written")
        error = Unavailable("this access could not be written to the audit; try again later")
        await self.door.respond(error)(self._scope, _nothing, self._send)


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _seen(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # who is still there learns of it; whoever left does not need to


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
