"""The change feed of `/postdicom`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.archive import Archive
from fhir.changes import Change, Changes
from policies.book import Book
from tests.build import study, uid
from tests.changes.told import store, until
from tests.changes.world import RULES, policy
from tests.policy import ADMINISTERING, doors

Json = Any
ActingAs = Callable[..., dict[str, str]]
FEED = "/postdicom/changes"


@pytest.fixture
def under(tmp_path: Path) -> Book:
    return policy(tmp_path)


@pytest.fixture
async def http(archive: Archive, under: Book) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(archive, under) as client:
        yield client


async def ask(http: httpx.AsyncClient, headers: dict[str, str], **query: object) -> Json:
    answer = await http.get(
        FEED, params={name: str(value) for name, value in query.items()}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def created(archive: Archive, *studies: str) -> None:
    after = await archive.changes.newest()
    for one in studies:
        await store(archive, *study(StudyInstanceUID=one))
    await until(archive.changes, after, *(("created", one) for one in studies))


async def test_whoever_begins_is_told_where_to_go_on_and_then_what_happened(
    archive: Archive, http: httpx.AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("radiologist")
    begun = await ask(http, headers)
    newest = await archive.changes.newest()
    assert begun["data"] == []
    assert begun["metadata"] == {
        "newest": newest,
        "oldest": await archive.changes.oldest(),
        "next": newest,
        "more": False,
    }
    one = uid("feed", "first")
    await created(archive, one)
    found = await ask(http, headers, after=newest)
    [first, *_] = found["data"]
    assert first.keys() == {"sequence", "at", "kind", "resource", "id"}
    assert (first["kind"], first["resource"], first["id"]) == ("created", "ImagingStudy", one)
    assert first["sequence"] == newest + 1
    assert found["metadata"]["next"] == found["data"][-1]["sequence"]
    assert (await ask(http, headers, after=found["metadata"]["next"]))["data"] == []


async def test_page_by_page_gives_the_same_as_all_at_once(
    archive: Archive, http: httpx.AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("admin")
    await created(archive, *(uid("feed", "pages", number) for number in range(5)))
    whole = await ask(http, headers, after=0)
    pages: list[Json] = []
    after, more = 0, True
    while more:
        page = await ask(http, headers, after=after, limit=2)
        assert len(page["data"]) <= 2
        pages += page["data"]
        after, more = page["metadata"]["next"], page["metadata"]["more"]
    assert pages == whole["data"]
    assert {one["resource"] for one in pages} == {"ImagingStudy", "Policy"}
    only = await ask(http, headers, after=0, resource="Policy")
    assert only["data"] == [one for one in pages if one["resource"] == "Policy"]


async def test_whoever_waits_is_told_when_it_happens(
    archive: Archive, http: httpx.AsyncClient, acting_as: ActingAs
) -> None:
    headers = acting_as("radiologist")
    newest = await archive.changes.newest()
    waiting = asyncio.create_task(ask(http, headers, after=newest, wait=30))
    # somebody who knows of nothing is not woken by it
    idle = asyncio.create_task(ask(http, acting_as("patient"), after=newest, wait=1))
    one = uid("feed", "awaited")
    await store(archive, *study(StudyInstanceUID=one))
    async with asyncio.timeout(20):
        found = await waiting
        [first, *_] = found["data"]
        assert (first["kind"], first["id"]) == ("created", one)
        unaware = await idle
    assert unaware["data"] == []
    assert unaware["metadata"]["next"] >= first["sequence"]


@dataclass(frozen=True, slots=True)
class Noticing:
    """The sequence, and whether somebody follows it yet."""

    changes: Changes
    followed: asyncio.Event = field(default_factory=asyncio.Event)

    async def newest(self) -> int:
        return await self.changes.newest()

    async def oldest(self) -> int:
        return await self.changes.oldest()

    async def page(self, after: int, limit: int) -> Sequence[Change]:
        return await self.changes.page(after, limit)

    async def follow(self, after: int) -> AsyncGenerator[Sequence[Change]]:
        self.followed.set()
        async with aclosing(self.changes.follow(after)) as followed:
            async for some in followed:
                yield some


async def test_the_policy_of_the_moment_decides_what_is_told_not_that_of_the_beginning(
    archive: Archive, acting_as: ActingAs, under: Book, tmp_path: Path
) -> None:
    newest = await archive.changes.newest()
    noticing = Noticing(archive.changes)
    async with asyncio.timeout(20), doors(replace(archive, changes=noticing), under) as http:
        waiting = asyncio.create_task(ask(http, acting_as("radiologist"), after=newest, wait=3))
        await noticing.followed.wait()
        before = under.current.version
        lines = [one.strip() for one in RULES.strip().splitlines() if "radiologist" not in one]
        (tmp_path / "rules.csv").write_text("\n".join([*lines, ADMINISTERING]) + "\n")
        await asyncio.to_thread(under.reload)
        assert under.current.version != before
        await created(archive, uid("feed", "revoked"))
        seen = await ask(http, acting_as("admin"), after=newest)
        assert seen["data"][0]["id"] == uid("feed", "revoked")
        found = await waiting
    assert found["data"] == []
    assert found["metadata"]["next"] >= seen["data"][0]["sequence"]


async def test_whoever_may_know_of_nothing_is_refused_and_it_is_in_the_audit(
    archive: Archive, http: httpx.AsyncClient, acting_as: ActingAs
) -> None:
    answer = await http.get(FEED, headers=acting_as("billing"))
    assert answer.status_code == 403
    assert answer.json()["error"]["details"]["coordinates"] == [
        "ImagingStudy.id",
        "Job.id",
        "Policy.id",
    ]
    answer = await http.get(f"{FEED}?resource=Policy", headers=acting_as("radiologist"))
    assert answer.json()["error"]["details"]["coordinates"] == ["Policy.id"]
    refused = await archive.database["audit_events"].find_one({"roles": "billing"})
    assert refused is not None
    assert refused["outcome"] == "refused"
    assert (refused["action"], refused["resource"]) == ("search", "ImagingStudy")


async def test_what_was_told_is_in_the_audit_before_the_answer_leaves(
    archive: Archive, http: httpx.AsyncClient, acting_as: ActingAs
) -> None:
    newest = await archive.changes.newest()
    waiting = asyncio.create_task(ask(http, acting_as("radiologist"), after=newest, wait=30))
    one = uid("feed", "audited")
    await store(archive, *study(StudyInstanceUID=one))
    async with asyncio.timeout(20):
        await waiting
    found = await archive.database["audit_events"].find_one(
        {"ids": one, "roles": "radiologist", "query": "changes"}
    )
    assert found is not None
    assert (found["door"], found["action"], found["outcome"]) == ("rest", "search", "allowed")


async def test_whoever_comes_too_late_is_told_to_begin_anew(
    archive: Archive, http: httpx.AsyncClient, acting_as: ActingAs
) -> None:
    newest = await archive.changes.newest()
    answer = await http.get(
        FEED, params={"after": str(newest + 1000)}, headers=acting_as("radiologist")
    )
    assert answer.status_code == 410
    assert answer.json()["error"]["code"] == "CHANGES_LOST"
    assert "read again" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=101", "wait=31", "resource=Patient", "x=1"]
)
async def test_what_cannot_be_understood_is_refused(
    http: httpx.AsyncClient, acting_as: ActingAs, query: str
) -> None:
    answer = await http.get(f"{FEED}?{query}", headers=acting_as("radiologist"))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"
