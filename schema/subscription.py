"""The roots of subscriptions: what changes, told to those who may know of it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import strawberry

from fhir.changes import Change
from fhir.dates import instant
from fhir.errors import AccessDenied, NotFound
from fhir.guarded import Page, Row
from fhir.repository import Record
from fhir.search import Has, Search, criteria, escape
from schema.arguments import argument
from schema.coordinates import element, linked
from schema.imaging_study import ImagingStudy
from schema.jobs import Job
from schema.loading import Loader
from schema.scalars import Instant, Integer64
from schema.selection import Place

Json = Any

_AT = "ImagingStudy.meta"
_SUBJECT = "ImagingStudy.subject"
_RECORDED = "Job.recorded"
_AFTER = argument(
    "after",
    Integer64 | None,
    "`sequence` of the last event that was received: everything behind it comes first. Left out: "
    "from now on.",
)
_UNTIL = argument(
    "until",
    Integer64 | None,
    "It ends with the last event up to this `sequence`. Left out: it goes on.",
)


@strawberry.enum(description="What happened to a record.")
class ChangeKind(Enum):
    """Values are those of `fhir.changes`."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"


@strawberry.type(description="A study that came, changed or went.")
class StudyChange:
    """One event."""

    id: strawberry.ID | None = element("ImagingStudy.id", "Study Instance UID.", home=False)
    sequence: Integer64 | None = element(
        "ImagingStudy.id", "Orders all events; `after` takes it.", home=False
    )
    kind: ChangeKind | None = element("ImagingStudy.id", "What happened.", home=False)
    at: Instant | None = element(_AT, "When.", home=False)
    study: ImagingStudy | None = linked(
        "ImagingStudy.id", ImagingStudy | None, "As it is now; null if it is gone.", fetch="one"
    )


@strawberry.type(description="A job that was announced, or is further than before.")
class JobChange:
    """One event."""

    id: strawberry.ID | None = element("Job.id", "Of the job.", home=False)
    sequence: Integer64 | None = element(
        "Job.id", "Orders all events; `after` takes it.", home=False
    )
    at: Instant | None = element("Job.recorded", "When.", home=False)
    job: Job | None = linked("Job.id", Job | None, "As it is now.", fetch="one")


@strawberry.type(description="Another policy came into force.")
class PolicyChange:
    """One event."""

    version: strawberry.ID | None = element("Policy.id", "Of the policy.", home=False)
    sequence: Integer64 | None = element(
        "Policy.id", "Orders all events; `after` takes it.", home=False
    )
    at: Instant | None = element("Policy.id", "When.", home=False)


@dataclass(frozen=True, slots=True)
class Told:
    """One change that a subscription may be about.

    Attributes:
        loader: Of whom it is for.
        place: The root of the subscription.
        change: One that they may know of, under the id that they know.
    """

    loader: Loader
    place: Place
    change: Change


async def study_changed(told: Told) -> dict[str, Json] | None:
    """Give what a change of a study is to whoever subscribed; None if it is not for them."""
    change, place = told.change, told.place
    if place.arguments.get("study") not in {None, change.id}:
        return None
    value = {"id": change.id, **_said(change)}
    if change.kind == "deleted":
        return _gone(told, value)
    if _AT in place.elements or place.arguments.get("patient") is not None:
        row = await _row(told)
        if row is None:
            return None
        _refuse(told, row.refused)
        if _AT in row.refused or row.record.last_updated is None:
            value["at"] = None
    try:
        return value | await _linked(told)
    except NotFound:
        return None


async def _row(told: Told) -> Row | None:
    """Find the study of a change, if it is of the patient who was asked for."""
    search = Search("ImagingStudy", Has("_id", told.change.id))
    if (patient := told.place.arguments.get("patient")) is not None:
        search = search.and_also(criteria("ImagingStudy", [("patient", escape(patient))]))
    found = await told.loader.guarded.search(
        search, Page(1), elements=told.place.elements, query="changes"
    )
    return found.rows[0] if found.rows else None


def _gone(told: Told, value: dict[str, Json]) -> dict[str, Json] | None:
    """Tell of a study of which little is remembered: what that cannot open is closed."""
    patient = told.place.arguments.get("patient")
    if patient is not None:
        whose = told.change.index.get("patient", ())
        if f"Patient/{patient}" not in whose or not _open(told, _SUBJECT):
            return None
    if _AT in told.place.elements and not _open(told, _AT):
        _refuse(told, frozenset({_AT}))
        value["at"] = None
    return value


def _open(told: Told, coordinate: str) -> bool:
    guarded = told.loader.guarded
    plan = guarded.plan("ImagingStudy", frozenset({coordinate}))
    if coordinate in plan.granted:
        return True
    index = told.change.index
    if plan.anchor.never or plan.refused or not guarded.deciding(plan) <= index.keys():
        return False
    record = Record(told.change.id, {}, 0, None, index)
    return coordinate not in guarded.closed_on(record, plan)


async def job_changed(told: Told) -> dict[str, Json] | None:
    """Give what a change of a job is to whoever subscribed; None if it is not for them."""
    change, place = told.change, told.place
    if change.kind == "deleted" or place.arguments.get("id") not in {None, change.id}:
        return None
    value = {"id": change.id, **_said(change)}
    try:
        if _RECORDED in place.elements:
            row = await told.loader.guarded.read("Job", change.id, place.elements)
            _refuse(told, row.refused)
            if _RECORDED in row.refused:
                value["at"] = None
        return value | await _linked(told)
    except NotFound:
        return None


async def _linked(told: Told) -> dict[str, Json]:
    """Give the record itself wherever it is asked for.

    Raises:
        NotFound: It is gone since, or not for them any more: that is another event's to tell.
    """
    found: dict[str, Json] = {}
    for inner in told.place.links:
        try:
            found[inner.path] = await told.loader.answer(inner, told.change.id)
        except AccessDenied as denial:
            told.loader.noted(inner, denial)
            found[inner.path] = None
    return found


async def policy_changed(told: Told) -> dict[str, Json]:
    """Give what a change of the policy is to whoever may read which one is in force."""
    return {"version": told.change.id, **_said(told.change)}


def _said(change: Change) -> dict[str, Json]:
    return {
        "sequence": change.sequence,
        "kind": ChangeKind(change.kind),
        "at": instant(change.at),
    }


def _refuse(told: Told, coordinates: frozenset[str]) -> None:
    for coordinate in coordinates & told.place.elements:
        told.loader.refusals.add(coordinate, told.place.asked[coordinate])


@strawberry.type(description="What can be listened to.")
class Subscription:
    """Each event is cut to what the policy in force lets its listener see at that moment."""

    studyChanged = linked(
        "ImagingStudy.id",
        StudyChange | None,
        "Studies that come, change or go, of those that you may know of.",
        fetch="event",
        perform=study_changed,
        arguments=[
            _AFTER,
            _UNTIL,
            argument("patient", strawberry.ID | None, "Only those of this Patient."),
            argument("study", strawberry.ID | None, "Only this one, by its UID."),
        ],
    )
    jobProgress = linked(
        "Job.id",
        JobChange | None,
        "Jobs, of those that you may know of, each time one of them is further.",
        fetch="event",
        perform=job_changed,
        arguments=[_AFTER, _UNTIL, argument("id", strawberry.ID | None, "Only this one.")],
    )
    policyChanged = linked(
        "Policy.id",
        PolicyChange | None,
        "The policy, each time another one comes into force.",
        fetch="event",
        perform=policy_changed,
        arguments=[_AFTER, _UNTIL],
    )
