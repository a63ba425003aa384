"""Uploads that were announced, and how far they are. Ours, not FHIR's."""

from collections.abc import Awaitable, Callable

import strawberry

from fhir.errors import NotSupported
from fhir.jobs import MOST_FILES, MOST_OPEN, Announcement, Tickets, announce, cancel, complete
from schema.arguments import ID, argument, relay_arguments
from schema.context import Change
from schema.coordinates import Right, element, linked, part, plumbing
from schema.datatypes import Reference
from schema.paging import Connection
from schema.payload import Done, Payload, changes
from schema.scalars import Instant, Integer64


@strawberry.type(description="Why files were not taken in.")
class UploadProblem:
    """One reason."""

    reason: str | None = part("Stable slug, as the answer to the upload has it.")
    count: int | None = part("Of how many files.")


@strawberry.type(description="Something that goes on for a while, and how far it is.")
class Job:
    """Numbers only grow; they lag by half a second at most."""

    id: strawberry.ID = element("Job.id", "Logical id.")
    kind: str | None = element("Job.kind", "upload.")
    agent: str | None = element("Job.agent", "Whose it is, as issuer#subject.")
    patient: Reference | None = element("Job.patient", "Of whom every file has to be, if said.")
    study: strawberry.ID | None = element(
        "Job.study", "Study Instance UID that every file has to be of, if said."
    )
    recorded: Instant | None = element("Job.recorded", "When it was announced.")
    expires: Instant | None = element("Job.expires", "When its time is over.")
    status: str | None = element(
        "Job.status", "waiting, active, completed, cancelled, or failed: its time is over."
    )
    total: int | None = element("Job.total", "Files that are to come.")
    done: int | None = element("Job.done", "Files that are in the archive.")
    refused: int | None = element("Job.refused", "Files that were not taken in.")
    bytes: Integer64 | None = element("Job.bytes", "Bytes of the files that came.")
    maxFiles: int | None = element("Job.maxFiles", "At most so many files come.")
    maxBytes: Integer64 | None = element("Job.maxBytes", "At most so many bytes come.")
    problems: list[UploadProblem] | None = element("Job.problems", "Why files were not taken in.")


@strawberry.type(description="An upload that is announced, with where it goes.")
class CreateUploadPayload(Payload[Job]):
    """What whoever uploads needs."""

    url: str | None = plumbing(
        "Send files there by POST, with your token, in as many requests as you like."
    )


async def _announce(change: Change) -> Done:
    given = change.arguments
    said = Announcement(given.get("patient"), given.get("study"), given["files"], given["bytes"])
    identifier = await announce(
        change.guarded, _tickets(change), said, lasting=change.context.upload_lasts
    )
    return Done(identifier, {"url": f"/postdicom/uploads/{identifier}"})


def _ending(end: Callable[..., Awaitable[str]]) -> Callable[[Change], Awaitable[str]]:
    async def perform(change: Change) -> str:
        return await end(change.guarded, _tickets(change), change.arguments["id"])

    return perform


def _tickets(change: Change) -> Tickets:
    if change.context.tickets is None:
        raise NotSupported("no upload can be announced here")
    return change.context.tickets


@strawberry.type
class JobRoots:
    """What can be read of jobs."""

    job = linked("Job.id", Job | None, "One job.", fetch="one", arguments=[ID])
    jobs = linked(
        "Job.id",
        Connection[Job] | None,
        "Uploads that were announced, page by page; what has ended too.",
        fetch="page",
        arguments=relay_arguments("Job"),
    )


@strawberry.type
class JobMutations:
    """What can be done about jobs."""

    createUpload = changes(
        "Job.id",
        "create",
        CreateUploadPayload | None,
        f"Announces an upload; {MOST_OPEN} of yours may be open at once. What is of another "
        "patient or study than said here is refused, file by file.",
        arguments=[
            argument("patient", strawberry.ID | None, "Id of the Patient that all files are of."),
            argument(
                "study",
                strawberry.ID | None,
                "Study Instance UID that all files are of; it need not be there yet.",
            ),
            argument("files", int, f"How many at most, 1 to {MOST_FILES:,}."),
            argument("bytes", Integer64, "How many in all, at most; of zip files, what they hold."),
        ],
        also=[Right("Image.file", "create")],
        tells=["Patient.id"],
        perform=_announce,
    )
    completeUpload = changes(
        "Job.id",
        "update",
        Job | None,
        "Says that all files came; nothing more is taken in.",
        arguments=[ID],
        perform=_ending(complete),
    )
    cancelUpload = changes(
        "Job.id",
        "update",
        Job | None,
        "Lets nothing more be taken in; what came stays.",
        arguments=[ID],
        perform=_ending(cancel),
    )
