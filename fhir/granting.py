"""Letting people in and shutting them out: links, release requests and the labels of studies.

Every effect goes through the guarded repository, which asks the policy and notes it. A link that
has ended stays as it was, with its end.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from fhir.dates import instant, interval
from fhir.errors import AccessDenied, Conflict, Invalid, NotFound
from fhir.guarded import GuardedRepository
from fhir.labels import with_confidentiality, with_release
from fhir.parameters import spelled
from fhir.search import During, Filter, Has, Not, Present, all_of, any_of
from fhir.texts import check_text

Json = Any
Urgency = Literal["routine", "urgent", "emergency"]

MOST_REASON = 500  # characters
LEAST_REASON = 10  # of whoever breaks the glass
LEAST_BREAK_GLASS = timedelta(minutes=5)
MOST_OPEN_REQUESTS = 20  # of one person at once
_MOST_AGENT = 1024
_MILLISECOND = timedelta(milliseconds=1)  # what a moment is kept to

# An issuer has no fragment, so the first # parts the two.
_AGENT = re.compile(r"[^\s#]+#\S(?:.*\S)?")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_MOST_UID = 64


def in_force(now: datetime) -> Filter:
    """Give the links that open something at a moment: begun, not over, not revoked."""
    low = now.replace(microsecond=now.microsecond // 1000 * 1000)
    high = low + _MILLISECOND
    return all_of(
        (
            Not(Present("revoked")),
            Present("date"),
            Not(During("date", "sa", low, high)),
            any_of((Not(Present("end")), During("end", "sa", low, high))),
        )
    )


async def break_glass(
    guarded: GuardedRepository,
    patient: str,
    reason: str,
    length: timedelta,
    *,
    longest: timedelta,
    opened: Callable[[str], None],
) -> str:
    """Open a patient's records to the caller for a while, in an emergency.

    Args:
        guarded: Repository of the caller.
        patient: Id of the Patient, whom the caller has to be able to find.
        reason: For those who look into it afterwards.
        length: How long it lasts, from now.
        longest: How long it can last at most.
        opened: Is told the id as soon as the record is stored.

    Returns:
        Id of the BreakGlass record; one for each time, what was opened before stays as it is.

    Raises:
        AccessDenied: The caller may not.
        NotFound: There is no such patient, or none the caller may know of.
        Invalid: The reason or the length will not do.
    """
    check_reason(reason, LEAST_REASON)
    if not LEAST_BREAK_GLASS <= length <= longest:
        least, most = (int(one.total_seconds()) // 60 for one in (LEAST_BREAK_GLASS, longest))
        raise Invalid(f"minutes: {least} to {most}")
    agent = guarded.access.caller.subject
    about = await _of_patient(guarded, patient)
    identifier = await _link(guarded, "BreakGlass", agent, about, _now() + length, reason)
    opened(identifier)
    return identifier


async def let_in(
    guarded: GuardedRepository,
    kind: Literal["CareTeam", "Proxy"],
    patient: str,
    agent: str,
    *,
    until: str | None = None,
    reason: str | None = None,
) -> str:
    """Put somebody on a patient's care team, or let them act for a patient.

    Args:
        guarded: Repository of the caller.
        kind: Which of the two.
        patient: Id of the Patient, whom the caller has to be able to find.
        agent: Who is let in, `iss#sub`.
        until: FHIR date, included, or a moment; None: until it is revoked.
        reason: For the record.

    Returns:
        Id of the link.

    Raises:
        AccessDenied: The caller may not.
        NotFound: There is no such patient, or none the caller may know of.
        Invalid: Agent, end or reason will not do.
    """
    _agent(agent)
    end = end_of(until)
    if reason is not None:
        check_reason(reason)
    about = await _of_patient(guarded, patient)
    return await _link(guarded, kind, agent, about, end, reason)


async def assign(
    guarded: GuardedRepository,
    study: str,
    agent: str,
    *,
    until: str | None = None,
    reason: str | None = None,
) -> str:
    """Give a study to somebody to work on.

    Args:
        guarded: Repository of the caller.
        study: Id of the ImagingStudy, which the caller has to be able to find.
        agent: Who gets it, `iss#sub`.
        until: FHIR date, included, or a moment; None: until it is taken back.
        reason: For the record.

    Returns:
        Id of the link.

    Raises:
        AccessDenied: The caller may not.
        NotFound: There is no such study, or none the caller may know of.
        Invalid: Agent, end or reason will not do.
    """
    _agent(agent)
    end = end_of(until)
    if reason is not None:
        check_reason(reason)
    check_identified(guarded, "ImagingStudy")
    row = await guarded.read("ImagingStudy", study, frozenset({"ImagingStudy.id"}))
    patients = row.record.index.get("patient", ())
    about: dict[str, Json] = {"study": study}
    if patients:
        about["patient"] = {"reference": patients[0]}
    return await _link(guarded, "Assignment", agent, about, end, reason)


async def revoke(guarded: GuardedRepository, kind: str, identifier: str) -> str:
    """End a link now; one that was revoked before stays as it was.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not end this one, or none.
        NotFound: Nothing has this id, or nothing the caller may know of.
    """

    def revoked(link: dict[str, Json]) -> dict[str, Json]:
        end = {"at": instant(_now()), "by": guarded.access.caller.subject}
        return {**link, "revoked": link.get("revoked", end)}

    check_identified(guarded, kind)
    await guarded.change(kind, identifier, revoked, action="delete")
    return identifier


async def release(guarded: GuardedRepository, study: str, *, released: bool) -> str:
    """Show a study to its patient, or no longer.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not label this study, or none.
        NotFound: There is no such study, or none the caller may know of.
    """
    return await _labelled(guarded, study, lambda one: with_release(one, released=released))


async def label(guarded: GuardedRepository, study: str, code: str) -> str:
    """Say how sensitive a study is: U, N, R or V.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not label this study, or none.
        NotFound: There is no such study, or none the caller may know of.
    """
    return await _labelled(guarded, study, lambda one: with_confidentiality(one, code))


async def request_release(
    guarded: GuardedRepository, patient: str, study: str, reason: str, urgency: Urgency
) -> str:
    """Ask for a study to be shown to its patient.

    Nothing is learnt of the study: one that is not there can be asked for as well.

    Args:
        guarded: Repository of the caller.
        patient: Id of the Patient, whom the caller has to be able to find.
        study: Study Instance UID.
        reason: For whoever decides.
        urgency: How soon.

    Returns:
        Id of the ReleaseRequest.

    Raises:
        AccessDenied: The caller may not ask, or not for this patient.
        NotFound: There is no such patient, or none the caller may know of.
        Conflict: The caller has so many requests open already.
        Invalid: Reason or study will not do.
    """
    check_reason(reason)
    check_uid(study)
    about = await _of_patient(guarded, patient)
    requester = guarded.access.caller.subject
    # past the guard: what is counted are the caller's own
    mine = all_of((Has("requester", spelled(requester)), Has("status", "pending")))
    if await guarded.repository.count("ReleaseRequest", mine) >= MOST_OPEN_REQUESTS:
        raise Conflict(f"{MOST_OPEN_REQUESTS} of your requests are open; wait for an answer")
    identifier = str(uuid.uuid4())
    await guarded.create(
        {
            "resourceType": "ReleaseRequest",
            "id": identifier,
            **about,
            "study": study,
            "reason": reason.strip(),
            "urgency": urgency,
            "requester": requester,
            "recorded": instant(_now()),
            "status": "pending",
        }
    )
    return identifier


async def answer_request(
    guarded: GuardedRepository, identifier: str, *, accepted: bool, reason: str | None
) -> str:
    """Accept a release request, which shows its study to the patient, or decline it.

    The answer is stored first and the study is released then: what is declined is never shown.
    Were the server to stop between the two, `release` does what is left.

    Returns:
        Id of the request.

    Raises:
        AccessDenied: The caller may not answer this one, or not release its study.
        NotFound: There is no such request, or none the caller may know of; or its study is not
            one of the patient's.
        Conflict: It is answered already.
        Invalid: The reason will not do.
    """
    if reason is not None:
        check_reason(reason)
    check_identified(guarded, "ReleaseRequest")
    found = await guarded.permitted("ReleaseRequest", identifier, "update", whole=True)
    _pending(found.resource)
    study = found.resource["study"]
    if accepted:
        await _releasable(guarded, study, found.resource["patient"]["reference"])

    def answered(request: dict[str, Json]) -> dict[str, Json]:
        _pending(request)
        decision = {"at": instant(_now()), "by": guarded.access.caller.subject}
        if reason is not None:
            decision["reason"] = reason.strip()
        status = "accepted" if accepted else "declined"
        return {**request, "status": status, "decision": decision}

    await guarded.change("ReleaseRequest", identifier, answered, action="update")
    if accepted:
        await release(guarded, study, released=True)
    return identifier


async def _releasable(guarded: GuardedRepository, study: str, patient: str) -> None:
    """Look before the request is answered: nothing shall be accepted that is not then released."""
    record = await guarded.permitted("ImagingStudy", study, "update", element="meta")
    if patient not in record.index.get("patient", ()):
        raise NotFound("the study that is asked for is none of this patient; decline the request")


def _pending(request: Mapping[str, Json]) -> None:
    if request["status"] != "pending":
        raise Conflict("this request is answered already")


async def _labelled(
    guarded: GuardedRepository, study: str, edit: Callable[[dict[str, Json]], dict[str, Json]]
) -> str:
    check_identified(guarded, "ImagingStudy")
    await guarded.change("ImagingStudy", study, edit, action="update", element="meta")
    return study


async def _link(
    guarded: GuardedRepository,
    kind: str,
    agent: str,
    about: Mapping[str, Json],
    end: datetime | None,
    reason: str | None,
) -> str:
    period = {"start": instant(_now())} | ({"end": instant(end)} if end else {})
    said = {"reason": reason.strip()} if reason else {}
    link = {
        "resourceType": kind,
        "id": str(uuid.uuid4()),
        "agent": agent,
        **about,
        **said,
        "period": period,
        "recorder": guarded.access.caller.subject,
    }
    await guarded.create(link)
    return str(link["id"])


async def _of_patient(guarded: GuardedRepository, patient: str) -> dict[str, Json]:
    check_identified(guarded, "Patient")
    row = await guarded.read("Patient", patient, frozenset({"Patient.id"}))
    return {"patient": {"reference": f"Patient/{row.id}"}}


def check_identified(guarded: GuardedRepository, resource: str) -> None:
    """Refuse to change anything about anybody in the de-identified view.

    Raises:
        AccessDenied: The caller is in it; `resource` is what would be changed.
    """
    # a pseudonym must not become part of a record that is about somebody
    if guarded.access.view != "identified":
        raise AccessDenied(
            "In the de-identified view nothing about anybody can be changed.",
            frozenset({f"{resource}.id"}),
        )


def _agent(agent: str) -> None:
    if len(agent) > _MOST_AGENT or not agent.isprintable() or not _AGENT.fullmatch(agent):
        raise Invalid("agent: write issuer#subject, both exactly as the person's token has them")


def check_reason(reason: str, least: int = 1) -> None:
    """Refuse a reason that is too short or long, or has control characters.

    Raises:
        Invalid: It will not do.
    """
    check_text("reason", reason, least, MOST_REASON)


def check_uid(study: str) -> None:
    """Refuse what cannot be a Study Instance UID.

    Raises:
        Invalid: It is none.
    """
    if len(study) > _MOST_UID or not _UID.fullmatch(study):
        raise Invalid("study: write a Study Instance UID, digits and dots")


def end_of(until: str | None) -> datetime | None:
    """Give the moment at which what lasts until a FHIR date or time is over.

    Args:
        until: A date is included, a moment is not; None: there is no end.

    Raises:
        Invalid: It is none, or lies in the past.
    """
    if until is None:
        return None
    first, after = interval(until)
    end = first if "T" in until else after
    if end <= _now():
        raise Invalid("until: lies in the past")
    return end


def _now() -> datetime:
    return datetime.now(UTC)
