"""Listing sessions and ending them: the queries of `/postdicom/sessions`, and what they answer."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.identity.sessions import Sessions, end_session, end_sessions_of
from app.rest.envelope import Described, Envelope, PageMetadata, Paging, Shape
from app.rest.study import coordinates, member, refused_members
from fhir.guarded import GuardedRepository, Page, Row
from fhir.repository import Sort
from fhir.search import criteria, escape

Json = Any


class SessionQuery(Paging):
    """What `/postdicom/sessions` may be asked; criteria are joined by AND."""

    user_id: str | None = Field(
        None,
        alias="userId",
        min_length=1,
        max_length=1024,
        description="issuer#subject of the token, as `userId` has it",
    )
    ended: bool = Field(
        False, description="false: those that go on; true: those that were ended lately"
    )


class WhoseSessions(BaseModel):
    """Whose sessions are to be ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: str = Field(
        alias="userId",
        min_length=1,
        max_length=1024,
        description="issuer#subject of the token, as `userId` has it",
    )


class End(Shape):
    """How a session ended."""

    at: str = Field(description="UTC", examples=["2024-02-29T09:15:00.123Z"])
    by: str | None = Field(description="issuer#subject; null if nobody ended it")
    why: str = Field(
        description="idle, another sign-in, signed out, or forced", examples=["forced"]
    )


class Session(Shape):
    """One sign-in and how long it lasts."""

    id: str | None = member("Session.id", about="of the session; not of a token")
    current: bool | None = member("Session.id", about="whether this request belongs to it")
    user_id: str | None = member("Session.agent", about="issuer#subject of the token")
    user_name: str | None = member("Session.name", about="as the token says")
    roles: list[str] | None = member("Session.roles", about="as the token says")
    started: str | None = member("Session.started", about="UTC", example="2024-02-29T09:15:00.123Z")
    last_seen: str | None = member("Session.seen", about="UTC, at most a minute behind")
    expires: str | None = member("Session.expires", about="UTC; when the latest token of it does")
    address: str | None = member("Session.address", about="network address of the peer")
    ended: End | None = member("Session.ended", about="null while it goes on")


class EndedSessions(Shape):
    """Sessions that go on no longer."""

    user_id: str
    ended: list[str] = Field(description="their ids")


async def list_sessions(
    guarded: GuardedRepository, query: SessionQuery, current: str, text: str
) -> Described[list[Session], PageMetadata]:
    """List a page of sessions, the latest sign-in first.

    Args:
        guarded: Repository of the caller.
        query: What is asked.
        current: Id of the session that asks.
        text: The query as the client wrote it, for the audit.

    Raises:
        AccessDenied: Sessions, or what they are searched by, are closed to the caller.
    """
    pairs = [("ended:missing", str(not query.ended).lower())]
    if query.user_id is not None:
        pairs.append(("agent", escape(query.user_id)))
    page = Page(query.limit, sort=(Sort("date", descending=True),), counted=True, skip=query.offset)
    found = await guarded.search(
        criteria("Session", pairs), page, elements=coordinates(Session), query=text
    )
    refused = found.refused.union(*(row.refused for row in found.rows))
    metadata = query.metadata(
        found.total, more=found.more, refused=refused_members(Session, refused)
    )
    data = [_session(row, current) for row in found.rows]
    return Described[list[Session], PageMetadata](data=data, metadata=metadata)


async def end_one(guarded: GuardedRepository, sessions: Sessions, identifier: str) -> Envelope[End]:
    """End one session.

    Raises:
        AccessDenied: The caller may not end this one, or none.
        NotFound: Nothing has this id, or nothing the caller may know of.
    """
    return Envelope[End](data=_end(await end_session(guarded, sessions, identifier)))


async def end_all(
    guarded: GuardedRepository, sessions: Sessions, whose: WhoseSessions
) -> Envelope[EndedSessions]:
    """End all sessions of somebody.

    Raises:
        AccessDenied: The caller may not end one of them, or none.
    """
    ended = await end_sessions_of(guarded, sessions, whose.user_id)
    return Envelope[EndedSessions](data=EndedSessions(user_id=whose.user_id, ended=ended))


def _session(row: Row, current: str) -> Session:
    said = row.resource
    ended = said.get("ended")
    shown = said.get("id")
    return Session(
        id=shown,
        current=None if shown is None else shown == current,
        user_id=said.get("agent"),
        user_name=said.get("name"),
        roles=said.get("roles"),
        started=said.get("started"),
        last_seen=said.get("seen"),
        expires=said.get("expires"),
        address=said.get("address"),
        ended=_end(ended) if ended else None,
    )


def _end(ended: Mapping[str, Json]) -> End:
    return End(at=ended["at"], by=ended.get("by"), why=ended["why"])
