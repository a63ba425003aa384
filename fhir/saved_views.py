"""Searches that people keep for themselves: what a view looks for is nobody else's to see.

A view is stored as it is written and only checked in form: running it is a search like any other,
which the policy decides about then.
"""

import unicodedata
import uuid
from datetime import UTC, datetime
from typing import Any, Final, Literal

from fhir.access import Entry
from fhir.dates import instant
from fhir.errors import Conflict, Invalid
from fhir.guarded import GuardedRepository
from fhir.parameters import spelled
from fhir.search import Has

Json = Any
Kind = Literal["studies", "patients"]

MOST_VIEWS: Final = 100  # of one person
MOST_NAME: Final = 80  # characters
MOST_QUERY: Final = 4096  # bytes of UTF-8
_RESOURCE: Final = "SavedView"


async def save_view(
    guarded: GuardedRepository,
    identifier: str | None,
    name: str,
    kind: Kind,
    query: str,
    sort: list[str],
) -> str:
    """Keep a view of the caller, a new one or in place of what one of theirs was.

    Args:
        guarded: Repository of the caller.
        identifier: Which one is replaced; None: a new one is made.
        name: 1 to 80 characters, the only one of its kind that the caller calls so.
        kind: What it lists.
        query: Its criteria, as JSON; whoever calls this has checked them.
        sort: Its order.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not.
        NotFound: There is none of this id, or it is not theirs.
        Conflict: They have one of this name, or as many as they may.
        Invalid: The name or the query is too long or has control characters.
    """
    said: dict[str, Json] = {
        "name": _name(name),
        "kind": kind,
        "query": _query(query),
        "sort": sort,
        "recorded": instant(datetime.now(UTC)),
    }
    if identifier is not None:
        await guarded.change(_RESOURCE, identifier, lambda view: {**view, **said}, action="update")
        return identifier
    owner = guarded.access.caller.subject
    # past the guard: what is counted are the caller's own
    if await guarded.repository.count(_RESOURCE, _of(owner)) >= MOST_VIEWS:
        raise Conflict(f"you have {MOST_VIEWS} views; delete one first")
    made = str(uuid.uuid4())
    await guarded.create({"resourceType": _RESOURCE, "id": made, "agent": owner, **said})
    return made


async def delete_view(guarded: GuardedRepository, identifier: str) -> str:
    """Delete a view of the caller for good.

    Returns:
        Its id.

    Raises:
        AccessDenied: The caller may not.
        NotFound: There is none of this id, or it is not theirs.
    """
    found = await guarded.permitted(_RESOURCE, identifier, "delete")
    await guarded.repository.remove(_RESOURCE, found.id)
    guarded.access.note(Entry("delete", _RESOURCE, "allowed", ids=(found.id,), total=1))
    return found.id


def _of(owner: str) -> Has:
    return Has("agent", spelled(owner))


def _name(name: str) -> str:
    written = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(written) <= MOST_NAME or not written.isprintable():
        raise Invalid(f"name: 1 to {MOST_NAME} characters, on one line")
    return written


def _query(query: str) -> str:
    if len(query.encode(errors="replace")) > MOST_QUERY:
        raise Invalid(f"query: at most {MOST_QUERY:,} bytes")
    return query
