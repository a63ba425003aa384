"""Deleting studies, having them back, and legal holds that keep them.

What is deleted is out of sight at once, at every door, and can be restored for a while. Every
effect is asked of the policy and noted, whatever the door.
"""

import uuid
from datetime import UTC, datetime
from typing import Any, Protocol

from fhir.access import Access, Action, Entry, Outcome
from fhir.dates import instant
from fhir.errors import ComplianceViolation, NotFound
from fhir.granting import check_identified, check_reason
from fhir.guarded import GuardedRepository, patients_of
from fhir.repository import Record, Wanted
from fhir.search import Has
from policies.rules import ROLES

Json = Any


class Held(Exception):
    """A legal hold is in force on the study."""


class Custody(Protocol):
    """Where studies are: each step is one atomic write, so that of two at once one is first."""

    async def delete(self, study: str, *, by: str, reason: str | None) -> datetime | None:
        """Put a study out of sight, or remove it where nothing is kept.

        Returns:
            Until when it can be restored; None: it is gone for good.

        Raises:
            NotFound: It is not there, or deleted already.
            Held: A hold is in force on it.
        """
        ...

    async def restore(self, study: str) -> bool:
        """Bring a deleted study back as it was; say False if there is none, or it is too late."""
        ...

    async def hold(self, study: str, hold: str) -> bool:
        """Keep a study, deleted or not, from being deleted and purged; False if it is gone.

        Then the record of the hold is gone, too.
        """
        ...

    async def lift(self, study: str, hold: str) -> None:
        """Let go of a study; nothing happens if the hold is not on it."""
        ...


async def delete_study(
    guarded: GuardedRepository, custody: Custody, study: str, reason: str | None
) -> datetime | None:
    """Delete a study.

    Args:
        guarded: Repository of the caller.
        custody: Where studies are.
        study: Study Instance UID.
        reason: For the record.

    Returns:
        Until when it can be restored; None: it is gone for good.

    Raises:
        AccessDenied: The caller may not delete this study, or none.
        NotFound: There is no such study, or none the caller may know of.
        ComplianceViolation: A legal hold is in force on it.
        Invalid: The reason will not do.
    """
    if reason is not None:
        check_reason(reason)
        reason = reason.strip()
    check_identified(guarded, "ImagingStudy")
    record = await guarded.permitted("ImagingStudy", study, "delete")
    access = guarded.access
    try:
        until = await custody.delete(study, by=access.caller.subject, reason=reason)
    except Held as held:
        _note(access, "delete", record, "refused")
        raise ComplianceViolation(_kept(access)) from held
    except NotFound:
        _note(access, "delete", record, "failed")
        raise
    _note(access, "delete", record, "allowed")
    return until


async def restore_study(guarded: GuardedRepository, custody: Custody, study: str) -> None:
    """Bring a deleted study back, with everything in it as it was.

    Raises:
        AccessDenied: The caller may not restore this study, or none.
        NotFound: It is not deleted, or none the caller may know of, or its time is up.
    """
    check_identified(guarded, "DeletedStudy")
    record = await guarded.permitted("DeletedStudy", study, "update")
    if not await custody.restore(study):
        _note(guarded.access, "update", record, "failed")
        raise NotFound("this study cannot be restored any more")
    _note(guarded.access, "update", record, "allowed")


async def hold_study(guarded: GuardedRepository, custody: Custody, study: str, reason: str) -> str:
    """Put a legal hold on a study: it is neither deleted nor purged until every hold is lifted.

    Args:
        guarded: Repository of the caller.
        custody: Where studies are.
        study: Study Instance UID, of a deleted one that can still be restored, too.
        reason: For the record.

    Returns:
        Id of the Hold.

    Raises:
        AccessDenied: The caller may not hold studies.
        NotFound: There is no such study, or none the caller may know of.
        Invalid: The reason will not do.
    """
    check_reason(reason)
    check_identified(guarded, "Hold")
    identifier = str(uuid.uuid4())
    hold: dict[str, Json] = {
        "resourceType": "Hold",
        "id": identifier,
        "study": study,
        **await _whose(guarded, study),
        "reason": reason.strip(),
        "recorder": guarded.access.caller.subject,
        "period": {"start": _now()},
    }
    await guarded.create(hold)
    if not await custody.hold(study, identifier):
        note = Entry("delete", "Hold", "allowed", ids=(identifier,), total=1, query="withdrawn")
        guarded.access.note(note)
        raise NotFound("the study went before it could be held")
    return identifier


async def lift_hold(
    guarded: GuardedRepository, custody: Custody, identifier: str, reason: str
) -> str:
    """Lift a hold; one that was lifted before stays as it was.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not lift this one, or none.
        NotFound: Nothing has this id, or nothing the caller may know of.
        Invalid: The reason will not do.
    """
    check_reason(reason)
    check_identified(guarded, "Hold")
    study = ""

    def lifted(hold: dict[str, Json]) -> dict[str, Json]:
        nonlocal study
        study = hold["study"]
        end = {"at": _now(), "by": guarded.access.caller.subject, "reason": reason.strip()}
        return {**hold, "revoked": hold.get("revoked", end)}

    await guarded.change("Hold", identifier, lifted, action="delete")
    await custody.lift(study, identifier)
    return identifier


async def _whose(guarded: GuardedRepository, study: str) -> dict[str, Json]:
    """Name the patient of a study that the caller may know of, deleted or not."""
    try:
        row = await guarded.read("ImagingStudy", study, frozenset({"ImagingStudy.id"}))
        about = row.record.index.get("patient", ())
    except NotFound:
        if not guarded.access.allows("DeletedStudy.id"):
            raise
        row = await guarded.read("DeletedStudy", study, frozenset({"DeletedStudy.id"}))
        [record] = await guarded.repository.find(
            "DeletedStudy", Has("_id", study), wanted=Wanted(None, frozenset({"patient"})), limit=1
        )
        about = record.index.get("patient", ())
    return {"patient": {"reference": about[0]}} if about else {}


def _kept(access: Access) -> str:
    roles = [
        role
        for role in sorted(ROLES)
        if not access.policy.grant(frozenset({role})).decision("Hold.id", "delete").never
    ]
    return (
        "A legal hold is in force on this study, so it stays. Roles that may lift it: "
        f"{', '.join(roles) or 'none'}."
    )


def _note(access: Access, action: Action, record: Record, outcome: Outcome) -> None:
    access.note(
        Entry(
            action,
            record.resource["resourceType"],
            outcome,
            ids=(record.id,),
            patients=patients_of([record]),
            total=1 if outcome == "allowed" else 0,
        )
    )


def _now() -> str:
    return instant(datetime.now(UTC))
