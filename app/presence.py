"""Somebody who stays at a door: whatever they do begins anew, and is written down by itself."""

import re
import uuid
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.types import Scope

from app.archive import Archive
from app.audit import Circumstances
from app.logs import place
from app.store.database import is_outage
from fhir.access import Entry, Outcome
from fhir.errors import AccessDenied, Broken, ResourceError, Unauthenticated, Unavailable
from fhir.guarded import GuardedRepository
from policies.caller import Caller

log = structlog.get_logger()


class TurnedAway(Exception):
    """Somebody who was let in is not any more.

    Attributes:
        why: The token or the session does not hold, or gives no role.
    """

    def __init__(self, why: Unauthenticated | AccessDenied) -> None:
        super().__init__("turned away")
        self.why = why


@dataclass(slots=True)
class Presence:
    """One connection through which somebody asks, or is told, more than once.

    Attributes:
        door: Its name.
        address: Network address of the peer.
        authorization: What stands in the header, or in place of one.
        caller: Who it was the last time; None before they were let in.
    """

    archive: Archive
    door: str
    request_id: str
    address: str | None
    authorization: str | None = None
    caller: Caller | None = None

    async def begin(self, *, use: bool = True) -> GuardedRepository:
        """Find out who they are now, and give them what they may use now.

        Args:
            use: Whether they ask for something. What reaches them by itself is no use of their
                session, which ends when it is not used for too long.

        Raises:
            TurnedAway: They are nobody any more; that is in the audit.
            Unavailable: It cannot be said now.
        """
        try:
            await self.remain(use=use)
            assert self.caller is not None  # noqa: S101 -- it was just found out
            return await self.archive.begin(self.caller)
        except AccessDenied as error:
            await self._turn_away(error)
            raise TurnedAway(error) from error

    async def remain(self, *, use: bool = False) -> None:
        """Find out whether their token and session hold; raises as `begin` does."""
        try:
            self.caller, sign_in = await self.archive.identity.signed_in(self.authorization)
            if use:
                await self.archive.sessions.enter(sign_in, self.address)
            else:
                await self.archive.sessions.remain(sign_in)
        except (Unauthenticated, AccessDenied) as error:
            await self._turn_away(error)
            raise TurnedAway(error) from error

    async def write_down(self, guarded: GuardedRepository) -> None:
        """Write into the audit what was accessed; nothing of it may leave before.

        Raises:
            Unavailable: It cannot be written; nothing of it may leave at all.
        """
        entries = guarded.access.entries
        await self.archive.audit.write(entries, self.caller, self._circumstances)
        entries.clear()

    async def _turn_away(self, error: ResourceError) -> None:
        await self.archive.audit.write([login(error)], self.caller, self._circumstances)

    @property
    def _circumstances(self) -> Circumstances:
        return Circumstances(self.door, self.request_id, self.address)


def present(archive: Archive, door: str, scope: Scope) -> Presence:
    """Give whoever is at the other end of a connection, before anything is known of them."""
    headers, client = Headers(scope=scope), scope.get("client")
    return Presence(
        archive,
        door,
        request_id(headers.get("x-request-id")),
        client[0] if client else None,
        headers.get("authorization"),
    )


def login(error: ResourceError) -> Entry:
    """Say for the audit that somebody was not let in."""
    outcome: Outcome = "failed" if isinstance(error, Unavailable) else "refused"
    return Entry("login", "", outcome, query=error.code)


def expected(error: Exception) -> ResourceError:
    """Give the failure that a client may learn of; what nobody expected is logged."""
    if isinstance(error, ResourceError):
        return error
    if is_outage(error):
        log.warning("database does not answer", error=type(error).__name__)
        return Unavailable("the database does not answer; try again later")
    log.error("request failed", **place(error))
    return Broken()


def request_id(given: str | None) -> str:
    """Keep a client's request id if it is harmless in logs and headers; else make one."""
    if given and re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", given):
        return given
    return str(uuid.uuid4())
