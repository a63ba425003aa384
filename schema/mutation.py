"""What can be done: each mutation is declared in one place, with the function that does it.

A function takes a `Change` and gives the id of the record that the mutation's answer shows. It
raises what keeps it from being done, before anything is changed.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum
from typing import Literal

import strawberry

from fhir.errors import NotSupported
from fhir.granting import (
    LEAST_REASON,
    MOST_OPEN_REQUESTS,
    MOST_REASON,
    answer_request,
    assign,
    break_glass,
    label,
    let_in,
    release,
    request_release,
    revoke,
)
from schema.administration import MOST_NOTE, save_policy
from schema.annotation import AnnotationMutations
from schema.arguments import ID, REASON, STUDY, WHY, argument
from schema.context import Change
from schema.coordinates import Right
from schema.deletion import DeletionMutations
from schema.imaging_study import ImagingStudy
from schema.jobs import JobMutations
from schema.links import Assignment, BreakGlass, CareTeam, Proxy
from schema.payload import changes
from schema.policy import Policy, PolicyFileInput
from schema.release_request import ReleaseRequest, Urgency
from schema.saved_view import SavedViewMutations
from schema.scalars import DateTime
from schema.session import Session
from schema.sharing import ShareMutations

Perform = Callable[[Change], Awaitable[str]]


@strawberry.enum(description="Confidentiality label of a study, the least sensitive first.")
class Confidentiality(Enum):
    """HL7 v3-Confidentiality."""

    U = strawberry.enum_value("U", description="Unrestricted.")
    N = strawberry.enum_value("N", description="Normal.")
    R = strawberry.enum_value(
        "R", description="Restricted: as shipped, its patient sees that it is there."
    )
    V = strawberry.enum_value(
        "V", description="Very restricted: as shipped, not there for its patient."
    )


_PATIENT = argument("patient", strawberry.ID, "Id of the Patient.")
_AGENT = argument("agent", str, "Who: issuer#subject, both exactly as their token has them.")
_UNTIL = argument(
    "until",
    DateTime | None,
    "Last day, included, or the moment it ends; absent: until it is ended by hand.",
)


async def _break_glass(change: Change) -> str:
    given = change.arguments
    return await break_glass(
        change.guarded,
        given["patient"],
        given["reason"],
        timedelta(minutes=given["minutes"]),
        longest=change.context.longest_break_glass,
        opened=change.context.opened,
    )


def _letting_in(kind: Literal["CareTeam", "Proxy"]) -> Perform:
    async def perform(change: Change) -> str:
        return await let_in(change.guarded, kind, **change.arguments)

    return perform


async def _assign(change: Change) -> str:
    return await assign(change.guarded, **change.arguments)


def _revoking(kind: str) -> Perform:
    async def perform(change: Change) -> str:
        return await revoke(change.guarded, kind, change.arguments["id"])

    return perform


def _releasing(*, released: bool) -> Perform:
    async def perform(change: Change) -> str:
        return await release(change.guarded, change.arguments["study"], released=released)

    return perform


async def _label(change: Change) -> str:
    code = change.arguments["confidentiality"].value
    return await label(change.guarded, change.arguments["study"], code)


async def _request_release(change: Change) -> str:
    given = change.arguments
    return await request_release(
        change.guarded, given["patient"], given["study"], given["reason"], given["urgency"].value
    )


async def _answer_release_request(change: Change) -> str:
    given = change.arguments
    return await answer_request(
        change.guarded, given["id"], accepted=given["accepted"], reason=given.get("reason")
    )


async def _end_session(change: Change) -> str:
    end = change.context.end_session
    if end is None:
        raise NotSupported("there are no sessions here")
    identifier: str = change.arguments["id"]
    await end(change.guarded, identifier)
    return identifier


@strawberry.type(
    description="What can be done. Mutations are done in their order; if any of what an operation "
    "does or shows is closed to you altogether, nothing is done. After one that fails no other is. "
    "What fails as expected is told in `errors` of its payload."
)
class Mutation(
    AnnotationMutations, DeletionMutations, JobMutations, ShareMutations, SavedViewMutations
):
    """Each is null, with a coded error, where it was not done."""

    breakGlass = changes(
        "BreakGlass.id",
        "create",
        BreakGlass | None,
        "Opens a patient's records to you for a while, in an emergency. It is looked into "
        "afterwards. Doing it again extends nothing; it is one more record.",
        arguments=[
            _PATIENT,
            argument("reason", str, f"{LEAST_REASON} to {MOST_REASON} characters."),
            argument("minutes", int, "How long, 5 at least; the server says how many at most."),
        ],
        tells=["Patient.id"],
        perform=_break_glass,
    )
    endBreakGlass = changes(
        "BreakGlass.id",
        "delete",
        BreakGlass | None,
        "Closes at once what `breakGlass` opened.",
        arguments=[ID],
        perform=_revoking("BreakGlass"),
    )
    addToCareTeam = changes(
        "CareTeam.id",
        "create",
        CareTeam | None,
        "Says that somebody looks after a patient.",
        arguments=[_PATIENT, _AGENT, _UNTIL, WHY],
        tells=["Patient.id"],
        perform=_letting_in("CareTeam"),
    )
    removeFromCareTeam = changes(
        "CareTeam.id",
        "delete",
        CareTeam | None,
        "Says that somebody no longer looks after a patient.",
        arguments=[ID],
        perform=_revoking("CareTeam"),
    )
    addProxy = changes(
        "Proxy.id",
        "create",
        Proxy | None,
        "Lets somebody act for a patient.",
        arguments=[_PATIENT, _AGENT, _UNTIL, WHY],
        tells=["Patient.id"],
        perform=_letting_in("Proxy"),
    )
    removeProxy = changes(
        "Proxy.id",
        "delete",
        Proxy | None,
        "Lets somebody no longer act for a patient.",
        arguments=[ID],
        perform=_revoking("Proxy"),
    )
    assignStudy = changes(
        "Assignment.id",
        "create",
        Assignment | None,
        "Gives a study to somebody to work on.",
        arguments=[STUDY, _AGENT, _UNTIL, WHY],
        tells=["ImagingStudy.id"],
        perform=_assign,
    )
    unassignStudy = changes(
        "Assignment.id",
        "delete",
        Assignment | None,
        "Takes a study back from whom it was given to.",
        arguments=[ID],
        perform=_revoking("Assignment"),
    )
    releaseStudy = changes(
        "ImagingStudy.meta",
        "update",
        ImagingStudy | None,
        "Shows a study to its patient.",
        arguments=[STUDY],
        perform=_releasing(released=True),
    )
    withholdStudy = changes(
        "ImagingStudy.meta",
        "update",
        ImagingStudy | None,
        "Shows a study to its patient no longer.",
        arguments=[STUDY],
        perform=_releasing(released=False),
    )
    labelStudy = changes(
        "ImagingStudy.meta",
        "update",
        ImagingStudy | None,
        "Says how sensitive a study is.",
        arguments=[STUDY, argument("confidentiality", Confidentiality, "The label.")],
        perform=_label,
    )
    requestRelease = changes(
        "ReleaseRequest.id",
        "create",
        ReleaseRequest | None,
        "Asks for a study to be shown to its patient; it need not be one that you can see. "
        f"{MOST_OPEN_REQUESTS} may be open at once.",
        arguments=[_PATIENT, STUDY, REASON, argument("urgency", Urgency, "How soon.")],
        tells=["Patient.id"],
        perform=_request_release,
    )
    answerReleaseRequest = changes(
        "ReleaseRequest.id",
        "update",
        ReleaseRequest | None,
        "Accepts a request, which shows the study to its patient, or declines it; once.",
        arguments=[ID, argument("accepted", bool, "Whether it is accepted."), WHY],
        also=[Right("ImagingStudy.meta", "update", given=("accepted", True))],
        perform=_answer_release_request,
    )
    endSession = changes(
        "Session.id",
        "delete",
        Session | None,
        "Signs somebody out, from their next request on.",
        arguments=[ID],
        perform=_end_session,
    )
    savePolicy = changes(
        "Policy.text",
        "update",
        Policy | None,
        "Replaces files of the policy, all at once or not at all; they are in force with the "
        "answer, and in every process of the server two seconds later. Refused: CONFLICT, "
        "POLICY_UNUSABLE with the problems, POLICY_LOCKS_OUT.",
        fetch="given",
        arguments=[
            argument(
                "files",
                list[PolicyFileInput],
                "Those that are to be others; the rest stays as it is.",
            ),
            argument("expectedEdition", str, "`edition` of the policy that you began with."),
            argument("note", str | None, f"Why, at most {MOST_NOTE} characters."),
        ],
        tells=["Policy.text"],
        perform=save_policy,
    )
