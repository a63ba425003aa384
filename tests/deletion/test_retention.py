"""The end of the time for which a deleted study is kept."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.archive import Archive, open_archive
from app.imaging.retention import Retention
from app.imaging.sweep import sweep
from app.store.duties import Duties
from tests.contents import assert_true, contents
from tests.deletion.desk import Desk, codes


@pytest.fixture
async def other(archive: Archive) -> AsyncIterator[Archive]:
    """Another process of the same server."""
    async with open_archive(archive.settings) as opened:
        yield opened


async def entries(desk: Desk) -> list[dict[str, object]]:
    """List what retention is on record for."""
    found = desk.archive.database["audit_events"].find({"door": "retention"}, sort=[("_id", 1)])
    names = ("who", "action", "resource", "outcome", "ids", "patients", "query")
    return [{name: one[name] for name in names} async for one in found]


async def test_a_study_whose_time_is_up_goes_with_everything_and_is_in_the_audit(
    desk: Desk,
) -> None:
    kept = await desk.load()
    before = await desk.everything()
    root = await desk.load()
    patient = (await desk.document(root))["resource"]["subject"]["reference"]
    await desk.delete(root)
    assert await desk.retention().purge() == 0
    await desk.let_time_pass(root)
    assert codes(await desk.restore(root)) == ["NOT_FOUND"]
    document = await desk.document(root)
    assert await desk.retention().purge() == 1
    assert await desk.everything() == before
    [entry] = await entries(desk)
    deleted = document["deleted"]
    at = deleted["at"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert entry == {
        "who": "retention",
        "action": "delete",
        "resource": "ImagingStudy",
        "outcome": "allowed",
        "ids": [root],
        "patients": [patient.removeprefix("Patient/")],
        "query": f"deleted by {deleted['by']} at {at}",
    }
    assert codes(await desk.restore(root)) == ["NOT_FOUND"]
    assert await desk.retention().purge() == 0
    await desk.load(root)
    assert set(await desk.archive.database["studies"].distinct("_id")) == {kept, root}
    await assert_true(desk.archive)


async def test_two_processes_purge_once(desk: Desk, other: Archive) -> None:
    roots = [await desk.load(instances=1) for _ in range(6)]
    for root in roots:
        await desk.delete(root)
        await desk.let_time_pass(root)
    mine, others = desk.retention(), desk.retention(other)
    await desk.archive.database["duties"].delete_many({})
    done = await asyncio.gather(mine.look(), others.look())
    assert sorted(done, key=str) == [6, None]
    assert (await contents(desk.archive)).empty
    assert len(await entries(desk)) == 6


async def test_two_that_purge_at_the_same_time_leave_nothing_and_destroy_nothing(
    desk: Desk, other: Archive
) -> None:
    roots = [await desk.load(instances=3) for _ in range(4)]
    kept = await desk.load()
    for root in roots:
        await desk.delete(root)
        await desk.let_time_pass(root)
    await asyncio.gather(desk.retention().purge(), desk.retention(other).purge())
    assert (await contents(desk.archive)).studies == {kept}
    await assert_true(desk.archive)


async def test_a_purge_that_was_cut_short_is_finished_and_told_before(desk: Desk) -> None:
    root = await desk.load()
    await desk.delete(root)
    await desk.let_time_pass(root)
    assert await desk.archive.ledger.deleted.begin_purge() == 1
    await sweep(desk.archive.ingest)
    assert await desk.archive.ledger.study(root) is not None  # nobody has told of it yet
    assert await desk.retention().purge() == 1
    assert len(await entries(desk)) == 1
    assert (await contents(desk.archive)).empty


async def test_a_purge_that_was_cut_short_once_it_was_told_is_finished_by_a_sweep(
    desk: Desk,
) -> None:
    root = await desk.load()
    await desk.delete(root)
    await desk.let_time_pass(root)
    await desk.archive.ledger.deleted.begin_purge()
    [purged] = await desk.archive.ledger.deleted.purging()
    await desk.archive.ledger.deleted.told(purged)
    assert (await sweep(desk.archive.ingest)).deletions_finished == 1
    assert await desk.retention().purge() == 0
    assert (await contents(desk.archive)).empty


async def test_what_a_crash_left_of_a_deletion_or_a_restoration_is_mended(desk: Desk) -> None:
    hidden, back = await desk.load(), await desk.load()
    await desk.delete(back)
    deleted = desk.archive.ledger.deleted
    week = timedelta(days=7)
    assert await deleted.put_away(hidden, by="somebody", reason=None, window=week)
    assert await deleted.take_back(back)
    assert await deleted.unsettled() == sorted([hidden, back])
    await desk.retention().purge()
    assert await deleted.unsettled() == []
    assert await desk.archive.database["deleted_studies"].distinct("_id") == [hidden]
    assert await desk.archive.database["patients"].count_documents({}) == 1
    assert codes(await desk.restore(hidden)) == []
    await assert_true(desk.archive)


async def test_it_works_in_the_background(desk: Desk) -> None:
    root = await desk.load()
    await desk.delete(root)
    await desk.archive.database["duties"].delete_many({})
    async with desk.archive.database["studies"].watch(
        [{"$match": {"operationType": "delete"}}]
    ) as gone:
        await desk.let_time_pass(root)
        archive = desk.archive
        retention = Retention(archive.custody, archive.audit, Duties(archive.database))
        async with retention.working():
            assert (await anext(gone))["documentKey"] == {"_id": root}
    assert not await Duties(archive.database).held("retention")
