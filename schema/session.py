"""Sign-ins and how long they last. Ours, not FHIR's."""

import strawberry

from schema.coordinates import element, part
from schema.scalars import Instant


@strawberry.type(description="How a session ended.")
class SessionEnd:
    """When, by whom and why."""

    at: Instant | None = part("When.")
    by: str | None = part("Who ended it, as issuer#subject; null if nobody did.")
    why: str | None = part("idle, another sign-in, signed out, or forced.")


@strawberry.type(description="A sign-in.")
class Session:
    """What an administrator sees of it; no token."""

    id: strawberry.ID = element("Session.id", "Of the session; not of a token.")
    agent: str | None = element("Session.agent", "Who, as issuer#subject.")
    name: str | None = element("Session.name", "What the token calls them.")
    roles: list[str] | None = element("Session.roles", "As the token says.")
    started: Instant | None = element("Session.started", "When it began.")
    seen: Instant | None = element("Session.seen", "Last use, at most a minute behind.")
    expires: Instant | None = element("Session.expires", "When its latest token does.")
    address: str | None = element("Session.address", "Network address of the peer.")
    ended: SessionEnd | None = element("Session.ended", "Null while it goes on.")
