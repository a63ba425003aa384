"""Sharing studies: who was let in to which by a token. Ours, not FHIR's."""

from enum import Enum

import strawberry

from fhir.errors import NotSupported
from fhir.granting import revoke
from fhir.sharing import MOST_SHARES, MOST_USES, Offer, Shares, accept, share
from schema.arguments import ID, STUDY, WHY, argument, relay_arguments
from schema.context import Change
from schema.coordinates import Right, element, linked, plumbing
from schema.datatypes import Period, Reference
from schema.links import Revocation
from schema.paging import Connection
from schema.payload import Done, Payload, changes
from schema.scalars import DateTime


@strawberry.enum(description="What a share opens.")
class ShareAccess(Enum):
    """Values are as stored."""

    VIEW = strawberry.enum_value("VIEW", description="The study with its pictures.")
    DOWNLOAD = strawberry.enum_value("DOWNLOAD", description="Its DICOM files too.")


@strawberry.type(description="A study that somebody shared with whoever has a token.")
class Share:
    """Fills the scope variables `shared`, `shared-patient`, `shared-file` and its patient's."""

    id: strawberry.ID = element("Share.id", "Logical id.")
    study: strawberry.ID | None = element("Share.study", "Study Instance UID.")
    patient: Reference | None = element("Share.patient", "Whom the study is about.")
    agent: list[str] | None = element("Share.agent", "Who took it, each as issuer#subject.")
    access: str | None = element("Share.access", "VIEW or DOWNLOAD.")
    reason: str | None = element("Share.reason", "Why, if somebody said so.")
    period: Period | None = element("Share.period", "From when until when.")
    recorder: str | None = element("Share.recorder", "Who shared it, as issuer#subject.")
    maxUses: int | None = element("Share.maxUses", "By how many people it can be taken.")
    uses: int | None = element("Share.uses", "By how many it was taken.")
    revoked: Revocation | None = element("Share.revoked", "Null unless it was ended early.")


@strawberry.type(description="A study that is shared, with what it is taken by.")
class ShareStudyPayload(Payload[Share]):
    """The token is told here and nowhere else."""

    token: str | None = plumbing(
        "Give it to whom you share with, for `acceptShare`. It is told this once: it is kept "
        "nowhere, and an idempotencyKey does not bring it back."
    )


async def _share(change: Change) -> Done:
    given = change.arguments
    offer = Offer(
        given["study"],
        given["access"].value,
        given["until"],
        given["maxUses"],
        given.get("reason"),
    )
    identifier, token = await share(
        change.guarded, _shares(change), offer, longest=change.context.longest_share
    )
    return Done(identifier, {"token": token})


async def _accept(change: Change) -> str:
    return await accept(change.guarded, _shares(change), change.arguments["token"])


async def _revoke(change: Change) -> str:
    return await revoke(change.guarded, "Share", change.arguments["id"])


def _shares(change: Change) -> Shares:
    if change.context.shares is None:
        raise NotSupported("nothing can be shared here")
    return change.context.shares


@strawberry.type
class ShareRoots:
    """What can be read of shares."""

    shares = linked(
        "Share.id",
        Connection[Share] | None,
        "Which studies are shared, page by page; what has ended too.",
        fetch="page",
        arguments=relay_arguments("Share"),
    )


@strawberry.type
class ShareMutations:
    """What can be done about shares."""

    shareStudy = changes(
        "Share.id",
        "create",
        ShareStudyPayload | None,
        "Shares a study that you see yourself with whoever has the token, until an end and for so "
        f"many people. {MOST_SHARES} shares of one study may be in force at once. It lasts, "
        "whatever becomes of your own rights, until it is over or revoked.",
        arguments=[
            STUDY,
            argument("access", ShareAccess, "What is shared."),
            argument(
                "until",
                DateTime,
                "Last day, included, or the moment it ends; the server says how far off at most.",
            ),
            argument("maxUses", int, f"By how many people it can be taken, 1 to {MOST_USES}."),
            WHY,
        ],
        also=[
            Right("Image.pixels", "read"),
            Right("Image.file", "read", given=("access", ShareAccess.DOWNLOAD)),
        ],
        tells=["ImagingStudy.id"],
        perform=_share,
    )
    acceptShare = changes(
        "Share.id",
        "update",
        Share | None,
        "Takes what somebody shares, by its token. To take it again uses it up no further.",
        arguments=[argument("token", str, "As you were given it.")],
        perform=_accept,
    )
    revokeShare = changes(
        "Share.id",
        "delete",
        Share | None,
        "Ends a share at once, for all who took it.",
        arguments=[ID],
        perform=_revoke,
    )
