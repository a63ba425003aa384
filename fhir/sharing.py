"""Sharing a study with whoever holds a token, for a while and for so many people.

What whoever shares may see is looked at when they share, and not again: a share ends by itself or
is revoked. The token is told once; what is kept of it is its SHA-256, and not in the record.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from fhir.access import Entry
from fhir.dates import instant
from fhir.errors import Conflict, Invalid, NotFound
from fhir.granting import check_identified, check_reason, end_of, in_force
from fhir.guarded import GuardedRepository, patients_of
from fhir.images import file_elements, opened, refuse_closed, study_record
from fhir.parameters import index
from fhir.repository import Record, Wanted
from fhir.search import Has, all_of, matches

Json = Any
Access = Literal["VIEW", "DOWNLOAD"]

MOST_USES = 100
MOST_SHARES = 50  # in force at once, of one study
_TOKEN_BYTES = 32
_VIEWED = frozenset({"ImagingStudy.id", "Image.id", "Image.pixels"})


class Shares(Protocol):
    """What is kept of the tokens of shares."""

    async def keep(self, identifier: str, digest: str) -> None:
        """Keep the SHA-256 of the token of a stored share."""
        ...

    async def find(self, digest: str) -> str | None:
        """Give the id of the share whose token has this SHA-256; by one look-up in an index."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """What is to be shared.

    Attributes:
        study: Study Instance UID.
        access: VIEW: the record and the pictures; DOWNLOAD: the files too.
        until: FHIR date, included, or a moment.
        uses: By how many people.
        reason: For the record.
    """

    study: str
    access: Access
    until: str
    uses: int
    reason: str | None = None


async def share(
    guarded: GuardedRepository, shares: Shares, offer: Offer, *, longest: timedelta
) -> tuple[str, str]:
    """Share a study.

    Args:
        guarded: Repository of the caller, who has to see themselves what is shared.
        shares: Keeps what the token is recognised by.
        offer: What is shared.
        longest: How long it lasts at most.

    Returns:
        Id of the Share, and its token, which nobody can be told again.

    Raises:
        AccessDenied: The caller may not share, or does not see all of it.
        NotFound: There is no such study, or none the caller may know of.
        Conflict: So many shares of the study are in force already.
        Invalid: End, number of uses or reason will not do.
    """
    end = _end(offer, longest)
    check_identified(guarded, "ImagingStudy")
    guarded.access.require("Share.id", "create")
    study = await _shareable(guarded, offer)
    now = datetime.now(UTC)
    # past the guard: nothing is told of them but that there are many
    there = all_of((Has("study", offer.study), in_force(now)))
    if await guarded.repository.count("Share", there) >= MOST_SHARES:
        raise Conflict(f"{MOST_SHARES} shares of this study are in force; revoke one first")
    identifier, token = str(uuid.uuid4()), secrets.token_urlsafe(_TOKEN_BYTES)
    patients = study.index.get("patient", ())
    await guarded.create(
        {
            "resourceType": "Share",
            "id": identifier,
            "study": offer.study,
            **({"patient": {"reference": patients[0]}} if patients else {}),
            "agent": [],
            "access": offer.access,
            **({"reason": offer.reason.strip()} if offer.reason else {}),
            "period": {"start": instant(now), "end": instant(end)},
            "recorder": guarded.access.caller.subject,
            "maxUses": offer.uses,
            "uses": 0,
        }
    )
    # the share opens nothing before its token is known, and never if this process ends here
    await shares.keep(identifier, digest(token))
    return identifier, token


async def accept(guarded: GuardedRepository, shares: Shares, token: str) -> str:
    """Take what somebody shares; to take it again is no further use of it.

    Returns:
        Id of the Share.

    Raises:
        AccessDenied: The caller may not be shared anything with.
        NotFound: The token is of no share, or of one that is used up, over or revoked; which of
            them is not told.
    """
    check_identified(guarded, "Share")
    guarded.access.require("Share.id", "update")
    identifier = await shares.find(digest(token))
    while identifier is not None:
        record = await _acceptable(guarded, identifier)
        if record is None:
            break
        edited = _with_agent(record.resource, guarded.access.caller.subject)
        _require(guarded, edited)
        done = record
        if edited != record.resource:
            replaced = await guarded.repository.replace(edited, record.version)
            if replaced is None:
                continue  # somebody else was quicker: is there still a use left?
            done = replaced
        guarded.access.note(
            Entry(
                "update",
                "Share",
                "allowed",
                ids=(done.id,),
                patients=patients_of([done]),
                total=1,
            )
        )
        return done.id
    guarded.access.note(Entry("update", "Share", "failed", total=0))
    raise NotFound("this token opens nothing; ask whoever sent it for another one")


def digest(token: str) -> str:
    """Give what a token is recognised by: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _end(offer: Offer, longest: timedelta) -> datetime:
    if not 1 <= offer.uses <= MOST_USES:
        raise Invalid(f"maxUses: 1 to {MOST_USES}")
    if offer.reason is not None:
        check_reason(offer.reason)
    end = end_of(offer.until)
    if end is None or end > datetime.now(UTC) + longest:
        raise Invalid(f"until: at most {longest.days} days from now")
    return end


async def _shareable(guarded: GuardedRepository, offer: Offer) -> Record:
    """Give the study, if the caller sees themselves what they share of it."""
    needed = _VIEWED | (file_elements(guarded) if offer.access == "DOWNLOAD" else frozenset())
    for coordinate in ("ImagingStudy.id", "Image.pixels"):
        guarded.access.require(coordinate, "read")
    plan = guarded.plan("ImagingStudy", needed)
    study = await study_record(guarded, offer.study, plan)
    if study is None:
        guarded.access.note(Entry("read", "ImagingStudy", "failed", ids=(offer.study,), total=0))
        raise NotFound("no ImagingStudy of this id is open to you")
    refuse_closed(guarded, needed - opened(guarded, study, plan))
    return study


async def _acceptable(guarded: GuardedRepository, identifier: str) -> Record | None:
    """Give a share that is in force and not used up by others; past the guard, by its token."""
    tree = all_of((Has("_id", identifier), in_force(datetime.now(UTC))))
    found = await guarded.repository.find("Share", tree, wanted=Wanted(None), limit=1)
    if not found:
        return None
    said = found[0].resource
    known = guarded.access.caller.subject in said["agent"]
    return found[0] if known or said["uses"] < said["maxUses"] else None


def _with_agent(share: dict[str, Json], agent: str) -> dict[str, Json]:
    if agent in share["agent"]:
        return share
    return {**share, "agent": [*share["agent"], agent], "uses": share["uses"] + 1}


def _require(guarded: GuardedRepository, share: dict[str, Json]) -> None:
    """Ask the policy about the share as it will be: the caller is among its agents then."""
    access = guarded.access
    asked = access.rows(access.grant.decision("Share.id", "update"), "Share")
    within = access.within_scopes("Share", "update", "Share.id")
    if not matches(all_of((asked, within)), index(share)):
        access.refuse("update", "Share", {"Share.id"})
