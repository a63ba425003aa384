"""Making changes, and following them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from app.archive import Archive
from fhir.changes import Change, Changes


async def store(archive: Archive, *objects: bytes) -> None:
    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for one in objects:
        outcome = await archive.ingest.store(chunks(one))
        assert outcome.status == "stored", outcome


async def until(changes: Changes, after: int, *last: tuple[str, str]) -> list[Change]:
    """Follow until each of these changes, by kind and id, has come; give everything up to then."""
    found: list[Change] = []
    missing = set(last)
    async with asyncio.timeout(30), aclosing(changes.follow(after)) as followed:
        async for some in followed:
            for one in some:
                found.append(one)
                missing.discard((one.kind, one.id))
                if not missing:
                    return found
    raise AssertionError("it does not end by itself")


def of_study(changes: Sequence[Change], study: str) -> list[str]:
    """List the kinds of changes of a study."""
    return [one.kind for one in changes if (one.resource, one.id) == ("ImagingStudy", study)]


def assert_whole(changes: Sequence[Change], after: int) -> None:
    """Check that no number is missing, or there twice."""
    assert [one.sequence for one in changes] == [
        *range(after + 1, after + 1 + len(changes)),
    ]


def assert_told_once(changes: Sequence[Change], studies: Sequence[str]) -> None:
    """Check that each of some studies was created once, before it was changed."""
    for study in studies:
        kinds = of_study(changes, study)
        assert kinds[0] == "created"
        assert set(kinds[1:]) <= {"changed"}
