"""Asking for a study to be shown to its patient. Ours, not FHIR's."""

from enum import Enum

import strawberry

from schema.coordinates import element, part
from schema.datatypes import Reference
from schema.scalars import Instant


@strawberry.enum(description="How soon an answer is needed.")
class Urgency(Enum):
    """Values are as stored."""

    routine = "routine"
    urgent = "urgent"
    emergency = "emergency"


@strawberry.type(description="The answer to a request.")
class Decision:
    """When, by whom and why."""

    at: Instant | None = part("When.")
    by: str | None = part("Who, as issuer#subject.")
    reason: str | None = part("Why, if somebody said so.")


@strawberry.type(description="A request to show a study to its patient.")
class ReleaseRequest:
    """`study` may name one that is not there: whoever asks cannot know."""

    id: strawberry.ID = element("ReleaseRequest.id", "Logical id.")
    patient: Reference | None = element("ReleaseRequest.patient", "To whom.")
    study: strawberry.ID | None = element("ReleaseRequest.study", "Study Instance UID.")
    reason: str | None = element("ReleaseRequest.reason", "Why.")
    urgency: str | None = element("ReleaseRequest.urgency", "routine, urgent or emergency.")
    requester: str | None = element("ReleaseRequest.requester", "Who asks, as issuer#subject.")
    recorded: Instant | None = element("ReleaseRequest.recorded", "When it was asked.")
    status: str | None = element("ReleaseRequest.status", "pending, accepted or declined.")
    decision: Decision | None = element("ReleaseRequest.decision", "The answer; null if pending.")
