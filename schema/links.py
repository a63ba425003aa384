"""Who was let in to what: care teams, proxies, assignments and broken glass. Ours, not FHIR's."""

import strawberry

from schema.coordinates import element, part
from schema.datatypes import Period, Reference
from schema.scalars import Instant


@strawberry.type(description="How something was ended before its time.")
class Revocation:
    """When and by whom."""

    at: Instant | None = part("When.")
    by: str | None = part("Who, as issuer#subject.")


@strawberry.type(description="Somebody looks after a patient.")
class CareTeam:
    """Fills the scope variable `care-team`."""

    id: strawberry.ID = element("CareTeam.id", "Logical id.")
    agent: str | None = element("CareTeam.agent", "Who, as issuer#subject.")
    patient: Reference | None = element("CareTeam.patient", "After whom.")
    study: strawberry.ID | None = element("CareTeam.study", "Always null: it is about all studies.")
    reason: str | None = element("CareTeam.reason", "Why, if somebody said so.")
    period: Period | None = element("CareTeam.period", "From when until when.")
    recorder: str | None = element("CareTeam.recorder", "Who said so, as issuer#subject.")
    revoked: Revocation | None = element("CareTeam.revoked", "Null unless it was ended early.")


@strawberry.type(description="Somebody acts for a patient.")
class Proxy:
    """Fills the scope variable `proxied`."""

    id: strawberry.ID = element("Proxy.id", "Logical id.")
    agent: str | None = element("Proxy.agent", "Who, as issuer#subject.")
    patient: Reference | None = element("Proxy.patient", "For whom.")
    study: strawberry.ID | None = element("Proxy.study", "Always null: it is about all studies.")
    reason: str | None = element("Proxy.reason", "Why, if somebody said so.")
    period: Period | None = element("Proxy.period", "From when until when.")
    recorder: str | None = element("Proxy.recorder", "Who said so, as issuer#subject.")
    revoked: Revocation | None = element("Proxy.revoked", "Null unless it was ended early.")


@strawberry.type(description="Somebody has been given a study to work on.")
class Assignment:
    """Fills the scope variables `assigned` and `assigned-patient`."""

    id: strawberry.ID = element("Assignment.id", "Logical id.")
    agent: str | None = element("Assignment.agent", "Who, as issuer#subject.")
    patient: Reference | None = element("Assignment.patient", "Whom the study is about.")
    study: strawberry.ID | None = element("Assignment.study", "Study Instance UID.")
    reason: str | None = element("Assignment.reason", "Why, if somebody said so.")
    period: Period | None = element("Assignment.period", "From when until when.")
    recorder: str | None = element("Assignment.recorder", "Who gave it, as issuer#subject.")
    revoked: Revocation | None = element("Assignment.revoked", "Null unless it was taken back.")


@strawberry.type(description="Somebody opened a patient's records to themselves, in an emergency.")
class BreakGlass:
    """Fills the scope variable `break-glass`."""

    id: strawberry.ID = element("BreakGlass.id", "Logical id.")
    agent: str | None = element("BreakGlass.agent", "Who, as issuer#subject.")
    patient: Reference | None = element("BreakGlass.patient", "Whose records.")
    study: strawberry.ID | None = element("BreakGlass.study", "Always null: it opens all studies.")
    reason: str | None = element("BreakGlass.reason", "Why.")
    period: Period | None = element("BreakGlass.period", "From when until when.")
    recorder: str | None = element("BreakGlass.recorder", "The same as `agent`.")
    revoked: Revocation | None = element("BreakGlass.revoked", "Null unless it was ended early.")
