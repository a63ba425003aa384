"""The change feed: the query of `/postdicom/changes`, and what of the sequence it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Any, Generic, Literal, get_args

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.archive import Archive
from app.doors import guarded
from app.rest.envelope import Data, Envelope, Shape
from fhir.access import Access
from fhir.changes import Change, Changes, HistoryLost, Kind, known_to, told_of
from fhir.dates import instant
from fhir.guarded import GuardedRepository

Failures = Callable[..., dict[int | str, dict[str, Any]]]
Resource = Literal["ImagingStudy", "Job", "Policy"]

_PAGES = 10
"""So many are looked through for something that the caller may know of."""


class ChangeQuery(BaseModel):
    """What `/postdicom/changes` may be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: int | None = Field(
        None,
        ge=0,
        description="`metadata.next` of the answer before; absent: what happens from now on",
    )
    limit: int = Field(100, ge=1, le=100, description="changes at most")
    wait: int = Field(
        0, ge=0, le=30, description="seconds to wait for a change where there is none yet"
    )
    resource: tuple[Resource, ...] = Field((), description="only of these types")


class ToldChange(Shape):
    """One change of a record that you may know of."""

    sequence: int = Field(description="of two changes the greater one is later", examples=[57])
    at: str = Field(description="UTC", examples=["2024-02-29T09:15:00.123Z"])
    kind: Kind
    resource: Resource
    id: str = Field(description="of the record; of the policy, its version", examples=["2.25.7"])


class FeedMetadata(Shape):
    """Where in the sequence an answer ends. Numbers are counted over everybody's changes."""

    newest: int = Field(description="number of the latest change of all", examples=[57])
    oldest: int = Field(description="`after` can be one less, and no less than that", examples=[1])
    next: int = Field(description="send it as `after` to go on", examples=[57])
    more: bool = Field(description="whether there is more already")


class Feed(Envelope[Data], Generic[Data]):
    """Part of the sequence."""

    metadata: FeedMetadata


def add_changes(router: APIRouter, failures: Failures) -> None:
    """Add the route.

    Args:
        router: Behind the guard.
        failures: Documents how a route fails.
    """

    @router.get("/changes", responses=failures(400, 403, 410))
    async def read_changes(
        request: Request, query: Annotated[ChangeQuery, Query()]
    ) -> Feed[list[ToldChange]]:
        """List what was created, changed and deleted, in its order, as far as you may know of it.

        Begin without `after`, read what you want to keep, then go on from `metadata.next` again
        and again; with `wait` the answer comes when something happens. Whoever comes too late is
        told so with 410, and begins anew. What leaves your sight without being deleted is not
        told.
        """
        archive: Archive = request.app.state.archive
        repository = guarded(request)

        async def again() -> GuardedRepository:
            # the policy that is in force then, and the same record of accesses
            fresh = await archive.begin(repository.access.caller)
            fresh.access.noted = repository.access.note
            return fresh

        return await list_changes(repository, query, archive.changes, again)


async def list_changes(
    repository: GuardedRepository,
    query: ChangeQuery,
    changes: Changes,
    again: Callable[[], Awaitable[GuardedRepository]],
) -> Feed[list[ToldChange]]:
    """Give a part of the sequence as the caller may know of it.

    Args:
        repository: Of the caller.
        query: What is asked.
        changes: The sequence.
        again: Gives the repository anew, after a while of waiting.

    Raises:
        AccessDenied: Every type that is asked for is closed to the caller.
        HistoryLost: What follows on `after` is not known any more.
        Unavailable: There is no sequence.
    """
    asked = query.resource or get_args(Resource)
    _require(repository.access, asked)
    newest, oldest = await changes.newest(), await changes.oldest()
    after = newest if query.after is None else query.after
    if not oldest - 1 <= after <= newest:
        raise HistoryLost
    known: list[Change] = []
    for _ in range(_PAGES):
        page = await changes.page(after, query.limit)
        if not page:
            after, known = await _waited(changes, after, query, again)
            break
        known = await known_to(repository, [one for one in page if one.resource in asked])
        after = page[-1].sequence
        if known:
            break
    newest = await changes.newest()
    return Feed[list[ToldChange]](
        data=[_told(one) for one in known],
        metadata=FeedMetadata(newest=newest, oldest=oldest, next=after, more=after < newest),
    )


async def _waited(
    changes: Changes,
    after: int,
    query: ChangeQuery,
    again: Callable[[], Awaitable[GuardedRepository]],
) -> tuple[int, list[Change]]:
    """Wait for what the caller may know of; give how far that was looked for."""
    if not query.wait:
        return after, []
    asked = query.resource or get_args(Resource)
    with suppress(TimeoutError):
        async with asyncio.timeout(query.wait), aclosing(changes.follow(after)) as followed:
            async for some in followed:
                page = some[: query.limit]
                if not page:
                    continue
                wanted = [one for one in page if one.resource in asked]
                known = await known_to(await again(), wanted) if wanted else []
                after = page[-1].sequence
                if known or len(page) < len(some):
                    return after, known
    return after, []


def _require(access: Access, asked: Sequence[str]) -> None:
    if told_of(access).isdisjoint(asked):
        access.refuse("search", asked[0], {f"{one}.id" for one in asked})


def _told(change: Change) -> ToldChange:
    return ToldChange.model_validate(
        {
            "sequence": change.sequence,
            "at": instant(change.at),
            "kind": change.kind,
            "resource": change.resource,
            "id": change.id,
        }
    )
