"""Deleting studies, having them back, and legal holds on them. Ours, not FHIR's."""

import strawberry

from fhir.deleting import Custody, delete_study, hold_study, lift_hold, restore_study
from fhir.errors import NotSupported
from schema.arguments import ID, REASON, STUDY, relay_arguments
from schema.context import Change
from schema.coordinates import Right, element, linked, part
from schema.datatypes import Period, Reference
from schema.imaging_study import ImagingStudy
from schema.paging import Connection
from schema.payload import changes
from schema.scalars import Instant


@strawberry.type(description="A study that is deleted and can still be restored.")
class DeletedStudy:
    """Says nothing of what is in it."""

    id: strawberry.ID = element("DeletedStudy.id", "Study Instance UID.")
    patient: Reference | None = element("DeletedStudy.patient", "Whom it is about.")
    recorded: Instant | None = element("DeletedStudy.recorded", "When it was deleted.")
    recorder: str | None = element("DeletedStudy.recorder", "Who deleted it, as issuer#subject.")
    reason: str | None = element("DeletedStudy.reason", "Why, if somebody said so.")
    until: Instant | None = element(
        "DeletedStudy.until", "When it is removed for good, unless a hold is in force on it."
    )
    numberOfInstances: int | None = element(
        "DeletedStudy.numberOfInstances", "How many objects were in it."
    )


@strawberry.type(description="How a hold ended.")
class Lift:
    """When, by whom and why."""

    at: Instant | None = part("When.")
    by: str | None = part("Who, as issuer#subject.")
    reason: str | None = part("Why.")


@strawberry.type(description="A legal hold: while it is in force its study is kept.")
class Hold:
    """Several may be in force on one study."""

    id: strawberry.ID = element("Hold.id", "Logical id.")
    study: strawberry.ID | None = element("Hold.study", "Study Instance UID.")
    patient: Reference | None = element("Hold.patient", "Whom the study is about.")
    reason: str | None = element("Hold.reason", "Why.")
    recorder: str | None = element("Hold.recorder", "Who placed it, as issuer#subject.")
    period: Period | None = element("Hold.period", "From when on.")
    revoked: Lift | None = element("Hold.revoked", "Null while it is in force.")


@strawberry.type
class DeletionRoots:
    """Lists of what is deleted, and of what is held."""

    deletedStudies = linked(
        "DeletedStudy.id",
        Connection[DeletedStudy] | None,
        "Studies that are deleted and can still be restored, page by page.",
        fetch="page",
        arguments=relay_arguments("DeletedStudy"),
    )
    holds = linked(
        "Hold.id",
        Connection[Hold] | None,
        "Legal holds on studies, page by page; lifted ones too.",
        fetch="page",
        arguments=relay_arguments("Hold"),
    )


def _custody(change: Change) -> Custody:
    if change.context.custody is None:
        raise NotSupported("nothing is deleted here")
    return change.context.custody


async def _delete(change: Change) -> str:
    study: str = change.arguments["study"]
    await delete_study(change.guarded, _custody(change), study, change.arguments["reason"])
    return study


async def _restore(change: Change) -> str:
    study: str = change.arguments["study"]
    await restore_study(change.guarded, _custody(change), study)
    return study


async def _hold(change: Change) -> str:
    given = change.arguments
    return await hold_study(change.guarded, _custody(change), given["study"], given["reason"])


async def _lift(change: Change) -> str:
    given = change.arguments
    return await lift_hold(change.guarded, _custody(change), given["id"], given["reason"])


@strawberry.type
class DeletionMutations:
    """What happens to a study as a whole."""

    # the answer is the record of the deletion, for the study is out of sight by then
    deleteStudy = changes(
        "DeletedStudy.id",
        "read",
        DeletedStudy | None,
        "Deletes a study: it is out of sight at once, at every door, and can be restored for as "
        "long as the server is set to keep it. Where that is no time at all, it is done and there "
        "is no record to show. Refused while a legal hold is in force: COMPLIANCE_VIOLATION.",
        arguments=[STUDY, REASON],
        also=[Right("ImagingStudy.id", "delete")],
        tells=["ImagingStudy.id"],
        perform=_delete,
    )
    restoreStudy = changes(
        "ImagingStudy.id",
        "read",
        ImagingStudy | None,
        "Brings a deleted study back as it was, with its labels.",
        arguments=[STUDY],
        also=[Right("DeletedStudy.id", "update")],
        tells=["DeletedStudy.id"],
        perform=_restore,
    )
    holdStudy = changes(
        "Hold.id",
        "create",
        Hold | None,
        "Puts a legal hold on a study, deleted or not: until it is lifted the study is neither "
        "deleted nor, if it is deleted already, removed for good.",
        arguments=[STUDY, REASON],
        tells=["ImagingStudy.id"],
        perform=_hold,
    )
    liftHold = changes(
        "Hold.id",
        "delete",
        Hold | None,
        "Lifts a legal hold.",
        arguments=[ID, REASON],
        perform=_lift,
    )
