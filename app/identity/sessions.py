"""Sessions: how long a sign-in lasts, how many there are at once, and how they are ended.

The record of a session is read from the database at every request, so that whatever ends it, in
any process, holds from the next request on.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.identity.signin import SignIn
from app.store.sessions import Kept, SessionStore
from fhir.access import Entry
from fhir.errors import NotFound, Unauthenticated
from fhir.guarded import GuardedRepository, Page
from fhir.search import criteria, escape

Json = Any
Clock = Callable[[], datetime]

IDLE: Final = "idle"
CROWDED: Final = "another sign-in"
SIGNED_OUT: Final = "signed out"
FORCED: Final = "forced"

_PAGE: Final = 100
SEEN_EVERY: Final = timedelta(minutes=1)
KEPT: Final = timedelta(days=1)  # a record, once its last token is void
KEPT_ENDED: Final = timedelta(days=30)  # issuers renew tokens of a sign-in that was ended here
_CLOCKS: Final = timedelta(minutes=2)  # processes on several machines agree to within this
_TEXTS: Final = {
    IDLE: "this session was not used for too long and has ended; sign in again",
    CROWDED: "this session has ended because you signed in elsewhere; sign in again",
}
_ENDED: Final = "this session was ended; sign in again"


def _now() -> datetime:
    return datetime.now(UTC)


class Sessions:
    """The sessions of everybody, shared by all processes on one database."""

    def __init__(
        self,
        store: SessionStore,
        *,
        idle: timedelta,
        per_user: int,
        clock_skew: timedelta,
        clock: Clock = _now,
    ) -> None:
        """Set the rules.

        Args:
            store: Where they are.
            idle: A session that is not seen for longer is ended.
            per_user: How many one person may have at once.
            clock_skew: For how long a token holds after it has expired.
            clock: Tells the time, in UTC.
        """
        self._store = store
        self._idle = idle
        self._per_user = per_user
        self._skew = clock_skew
        self._clock = clock

    async def enter(self, sign_in: SignIn, address: str | None) -> None:
        """Let a request into its session, which begins if it is the first one.

        Beyond the limit a new session ends the one of the same person that was seen least
        recently. However many processes let somebody in at once, no more sessions than the limit
        are ever let in.

        Args:
            sign_in: Of the token.
            address: Network address of the peer.

        Raises:
            Unauthenticated: The session has ended.
        """
        now = self._clock()
        while True:
            kept = await self._store.read(sign_in.id)
            if kept is None:
                await self._store.create(self._begun(sign_in, address, now))
            elif await self._passes(kept, sign_in, address, now):
                return

    async def remain(self, sign_in: SignIn) -> None:
        """See that a session still goes on, without using it.

        Raises:
            Unauthenticated: It has ended, or was not used for too long.
        """
        now = self._clock()
        kept = await self._store.read(sign_in.id)
        if kept is None or (kept.void is not None and sign_in.issued <= kept.void):
            raise Unauthenticated(_ENDED)
        if ended := kept.resource.get("ended"):
            raise Unauthenticated(_TEXTS.get(ended["why"], _ENDED))
        if now - _read(kept.resource["seen"]) > self._idle and not kept.program:
            await self._end(kept, None, IDLE, now)
            raise Unauthenticated(_TEXTS[IDLE])

    async def end(self, identifier: str, by: str | None, why: str) -> Mapping[str, Json] | None:
        """End a session for good, in every process, whatever happens to it meanwhile.

        Returns:
            `{at, by, why}` of its end, which may have been before; None if there is no such.
        """
        while kept := await self._store.read(identifier):
            if ended := kept.resource.get("ended"):
                found: Mapping[str, Json] = ended
                return found
            await self._end(kept, by, why, self._clock())
        return None

    async def _passes(
        self, kept: Kept, sign_in: SignIn, address: str | None, now: datetime
    ) -> bool:
        """Let the request in, or change the session and say that it has to be looked at again."""
        if ended := kept.resource.get("ended"):
            return await self._return(kept, ended, sign_in, address, now)
        if kept.void is not None and sign_in.issued <= kept.void:
            raise Unauthenticated(_ENDED)
        seen, expires = (_read(kept.resource[name]) for name in ("seen", "expires"))
        if now - seen > self._idle and not kept.program:
            await self._end(kept, None, IDLE, now)
            return False
        if kept.pending:
            await self._make_room(kept, now)
            return await self._store.replace(replace(kept, pending=False))
        renewed = sign_in.expires > expires or sign_in.issued > kept.issued
        # who did not count while no token held has to find room again
        lapsed = expires + self._skew < now and not kept.program
        if lapsed or renewed or now - seen >= SEEN_EVERY:
            await self._store.replace(
                replace(self._seen(kept, sign_in, address, now), pending=lapsed)
            )
            return False
        return True

    async def _return(
        self,
        kept: Kept,
        ended: Mapping[str, Json],
        sign_in: SignIn,
        address: str | None,
        now: datetime,
    ) -> bool:
        """Refuse a session that was ended; a program may begin anew with a token issued since."""
        void = max(kept.issued, _read(ended["at"]))
        if kept.program and sign_in.issued > void:
            fresh = self._begun(sign_in, address, now)
            again = replace(
                fresh, void=void, vanish=max(fresh.vanish, kept.vanish), version=kept.version
            )
            await self._store.replace(again)
            return False
        vanish = self._vanish(sign_in.expires, KEPT_ENDED)
        if vanish > kept.vanish:  # a token that outlives those seen before
            await self._store.replace(replace(kept, vanish=vanish))
        raise Unauthenticated(_TEXTS.get(ended["why"], _ENDED))

    async def _make_room(self, kept: Kept, now: datetime) -> None:
        """End whatever is too much beside a session, before it is let in.

        Each session is stored before it looks for others: of two that look at the same time, the
        one that looks last sees both.
        """
        others = [
            one
            for one in await self._store.of(kept.resource["agent"])
            if one.id != kept.id and self._counts(one, now)
        ]
        others.sort(key=lambda one: (one.resource["seen"], one.id), reverse=True)
        for one in others[self._per_user - 1 :]:
            await self.end(one.id, kept.resource["agent"], CROWDED)

    def _counts(self, kept: Kept, now: datetime) -> bool:
        seen, expires = (_read(kept.resource[name]) for name in ("seen", "expires"))
        return now - seen <= self._idle + _CLOCKS and now <= expires + self._skew + _CLOCKS

    async def _end(self, kept: Kept, by: str | None, why: str, now: datetime) -> None:
        said = {"at": _written(now), "by": by, "why": why}
        ended = {name: value for name, value in said.items() if value is not None}
        last = max(now, _read(kept.resource["expires"]))
        await self._store.replace(
            replace(
                kept,
                resource={**kept.resource, "ended": ended},
                vanish=max(kept.vanish, self._vanish(last, KEPT_ENDED)),
            )
        )

    def _begun(self, sign_in: SignIn, address: str | None, now: datetime) -> Kept:
        begun = Kept(
            resource={
                "resourceType": "Session",
                "id": sign_in.id,
                "agent": sign_in.agent,
                "started": _written(now),
                "expires": _written(sign_in.expires),
            },
            program=sign_in.program,
            pending=not sign_in.program,
            issued=sign_in.issued,
            void=None,
            vanish=self._vanish(sign_in.expires, KEPT),
        )
        return self._seen(begun, sign_in, address, now)

    def _seen(self, kept: Kept, sign_in: SignIn, address: str | None, now: datetime) -> Kept:
        said = {
            "name": sign_in.name,
            "roles": list(sign_in.roles),
            "seen": _written(now),
            "expires": max(kept.resource["expires"], _written(sign_in.expires)),
            "address": address,
        }
        known = {name: value for name, value in said.items() if value is not None}
        return replace(
            kept,
            resource={**kept.resource, **known},
            issued=max(kept.issued, sign_in.issued),
            vanish=max(kept.vanish, self._vanish(sign_in.expires, KEPT)),
        )

    def _vanish(self, last: datetime, margin: timedelta) -> datetime:
        return last + self._skew + margin


async def end_session(
    guarded: GuardedRepository, sessions: Sessions, identifier: str
) -> Mapping[str, Json]:
    """End a session for a caller who may, and note it for the audit.

    Returns:
        `{at, by, why}` of its end; of the first one, if it had ended before.

    Raises:
        AccessDenied: The caller may not end this one, or none.
        NotFound: Nothing has this id, or nothing the caller may know of.
    """
    record = await guarded.permitted("Session", identifier, "delete", whole=True)
    ended = await _ended(guarded, sessions, identifier, record.resource["agent"])
    if ended is None:
        raise NotFound("no Session of this id is open to you")  # it vanished a moment ago
    return ended


async def end_sessions_of(guarded: GuardedRepository, sessions: Sessions, agent: str) -> list[str]:
    """End every session of somebody that the caller sees: all, or none if one is closed to them.

    Args:
        guarded: Repository of the caller.
        sessions: Where they are.
        agent: `iss#sub` of whose.

    Returns:
        The ids of those that had not ended before.

    Raises:
        AccessDenied: The caller may not end one of these, or none.
    """
    guarded.access.require("Session.id", "delete")
    search = criteria("Session", [("agent", escape(agent)), ("ended:missing", "true")])
    elements = frozenset({"Session.id"})
    found = await guarded.search(search, Page(_PAGE), elements=elements)
    identifiers = [row.id for row in found.rows]
    while found.more:
        after = Page(_PAGE, after=found.rows[-1].record.position)
        found = await guarded.search(search, after, elements=elements)
        identifiers += [row.id for row in found.rows]
    for identifier in identifiers:
        await guarded.permitted("Session", identifier, "delete")
    for identifier in identifiers:
        await _ended(guarded, sessions, identifier, agent)
    return identifiers


async def _ended(
    guarded: GuardedRepository, sessions: Sessions, identifier: str, agent: str
) -> Mapping[str, Json] | None:
    by = guarded.access.caller.subject
    ended = await sessions.end(identifier, by, SIGNED_OUT if by == agent else FORCED)
    if ended is not None:
        guarded.access.note(Entry("delete", "Session", "allowed", ids=(identifier,), total=1))
    return ended


def _read(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
