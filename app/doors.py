"""The register of doors, and what happens at every one: who is it, may they, write it down.

A door that is not in `DOORS` does not get a caller, and so reaches no record.
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.archive import Archive
from app.audit import Circumstances
from app.logs import place
from app.refusals import (
    Respond,
    respond_dicomweb,
    respond_fhir,
    respond_graphql,
    respond_rest,
)
from app.store.database import is_outage
from fhir.access import Access, Entry, Outcome
from fhir.errors import Broken, ResourceError, Unavailable
from fhir.guarded import GuardedRepository
from policies.caller import Caller

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.

    Attributes:
        prefix: Of the path.
        respond: How it says no.
        public: Paths that need no token and show no record.
        browsable: Whether a browser that goes to the prefix gets a page, without a token, as
            browsers have none; it shows no record either.
        personal: Public paths that tell the bearer of a token what is theirs; a token that is
            sent there has to hold.
    """

    name: str
    prefix: str
    respond: Respond
    public: frozenset[str] = frozenset()
    browsable: bool = False
    personal: frozenset[str] = frozenset()

    def is_open(self, scope: Scope) -> bool:
        """Say whether a request needs no token."""
        headers = Headers(scope=scope)
        if scope["path"] in self.personal and "authorization" in headers:
            return False
        return scope["path"] in self.public or (
            self.browsable
            and scope["path"] == self.prefix
            and scope["method"] in {"GET", "HEAD"}
            and "text/html" in headers.get("accept", "")
        )


_FHIR_PUBLIC = frozenset({"/fhir/metadata", "/fhir/.well-known/smart-configuration"})
DOORS = (
    Door("graphql", "/graphql", respond_graphql, browsable=True),
    Door("fhir", "/fhir", respond_fhir, _FHIR_PUBLIC, personal=frozenset({"/fhir/metadata"})),
    Door("dicomweb", "/dicomweb", respond_dicomweb),
    Door("rest", "/postdicom", respond_rest, frozenset({"/postdicom/health"})),
)


def door_of(path: str) -> Door | None:
    """Give the door that a path leads through."""
    return next(
        (door for door in DOORS if path == door.prefix or path.startswith(f"{door.prefix}/")), None
    )


class Guard:
    """ASGI middleware: authenticates, gives the request its guarded repository, audits.

    It is also the edge: what nobody expected is logged here, without its text, and answered 500.
    """

    def __init__(self, app: ASGIApp, archive: Callable[[], Archive]) -> None:
        self._app = app
        self._archive = archive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(self._archive(), scope, send)
        try:
            if visit.door and not visit.door.is_open(scope):
                await visit.begin()
            await self._app(scope, receive, visit.send)
        except ResourceError as error:
            await visit.refuse(error)
        except Exception as error:  # noqa: BLE001 -- the edge
            if is_outage(error):
                log.warning("database does not answer", error=type(error).__name__)
                await visit.refuse(Unavailable("the database does not answer; try again later"))
            else:
                log.error("request failed", **place(error))  # noqa: TRY400 -- texts may hold PHI
                await visit.refuse(Broken())


class _Visit:
    """One request: what it accessed is written down before the first byte of its answer."""

    def __init__(self, archive: Archive, scope: Scope, send: Send) -> None:
        self.door = door_of(scope["path"])
        self._archive = archive
        self._scope = scope
        self._send = send
        self._caller: Caller | None = None
        self._access: Access | None = None
        self._entries: list[Entry] = []
        self._failed = False
        self._started = False
        client = scope.get("client")
        self._address: str | None = client[0] if client else None
        headers = Headers(scope=scope)
        self._request_id = _request_id(headers.get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = self._request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self._request_id)

    async def begin(self) -> None:
        """Find out who is calling and give the request what it may use."""
        authorization = Headers(scope=self._scope).get("authorization")
        try:
            self._caller, sign_in = await self._archive.identity.signed_in(authorization)
            await self._archive.sessions.enter(sign_in, self._address)
            access = await self._archive.access(self._caller)
            guarded = GuardedRepository(self._archive.view_of(access), access)
        except ResourceError as error:
            outcome: Outcome = "failed" if isinstance(error, Unavailable) else "refused"
            self._entries.append(Entry("login", "", outcome, query=error.code))
            raise
        self._access = access
        self._entries = access.entries
        self._scope["state"] |= {"guarded": guarded, "session": sign_in.id}

    async def send(self, message: Message) -> None:
        """Pass an answer on, once what it tells is in the audit."""
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

    async def refuse(self, error: ResourceError) -> None:
        """Answer with an error, or break off an answer that has begun."""
        if self._started:
            raise ConnectionAbortedError("failed after the answer began")
        respond = self.door.respond if self.door else respond_rest
        await respond(error)(self._scope, _nothing, self.send)

    async def _write_down(self) -> None:
        entries = list(self._entries)
        if entries and self.door:
            circumstances = Circumstances(self.door.name, self._request_id, self._address)
            await self._archive.audit.write(entries, self._caller, circumstances)
            del self._entries[: len(entries)]

    async def _give_nothing_out(self) -> None:
        if self._started or self.door is None:
            raise ConnectionAbortedError("audit not written")
        error = Unavailable("this access could not be written to the audit; try again later")
        await self.door.respond(error)(self._scope, _nothing, self._send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _request_id(given: str | None) -> str:
    """Keep a client's request id if it is harmless in logs and headers; else make one."""
    if given and re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", given):
        return given
    return str(uuid.uuid4())


def session(request: Request) -> str:
    """Give the id of a request's session; there is one wherever the door asked for a token."""
    identifier: str = request.state.session
    return identifier


def guarded(request: Request) -> GuardedRepository:
    """Give a request's repository; there is one wherever the door asked for a token."""
    repository: GuardedRepository = request.state.guarded
    return repository
