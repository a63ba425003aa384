"""What is put into the sequence: each change once, in order, without gaps."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.imaging.deletion import delete_study, finish_deletion
from app.live.sequencer import Sequencer
from app.settings import Settings
from app.store.change_events import ChangeEvents
from app.store.change_log import SEQUENCING, ChangeLog
from app.store.database import open_database
from app.store.duties import Duties
from app.store.policy_versions import PolicyVersions, Version
from fhir.changes import HistoryLost
from fhir.labels import with_release
from fhir.repository import Wanted
from fhir.search import Has
from tests.build import study, uid
from tests.changes.told import assert_told_once, assert_whole, of_study, store, until


async def withheld(archive: Archive, identifier: str) -> None:
    """Change a study."""
    [found] = await archive.repository.find(
        "ImagingStudy", Has("_id", identifier), wanted=Wanted(None), limit=1
    )
    edited = with_release(found.resource, released=False)
    assert await archive.repository.replace(edited, found.version)


async def test_a_study_is_created_changed_and_deleted_in_this_order(archive: Archive) -> None:
    one = uid("sequence", "order")
    after = await archive.changes.newest()
    await store(archive, *study(2, 2, StudyInstanceUID=one))
    seen = await until(archive.changes, after, ("created", one))
    await withheld(archive, one)
    seen += await until(archive.changes, seen[-1].sequence, ("changed", one))
    assert await delete_study(archive.ledger, archive.objects, one)
    seen += await until(archive.changes, seen[-1].sequence, ("deleted", one))
    kinds = of_study(seen, one)
    assert (kinds[0], kinds[-2], kinds[-1]) == ("created", "changed", "deleted")
    assert kinds.count("created") == kinds.count("deleted") == 1
    assert_whole(seen, after)
    gone = seen[-1]
    assert "CT" in gone.index["modality"]
    assert not {"patient-name", "description", "identifier", "accession"} & gone.index.keys()
    assert all(change.index == {} for change in seen[:-1])


async def test_what_is_deleted_and_restored_is_deleted_and_created_and_a_purge_is_no_change(
    archive: Archive,
) -> None:
    one, last = uid("sequence", "restored"), uid("sequence", "after the purge")
    after = await archive.changes.newest()
    await store(archive, *study(StudyInstanceUID=one))
    deleted = archive.ledger.deleted
    day = timedelta(days=1)
    assert await deleted.put_away(one, by="somebody", reason=None, window=day)
    assert await deleted.take_back(one)
    assert await deleted.put_away(one, by="somebody", reason="wrong", window=timedelta(0))
    assert await deleted.begin_purge() == 1
    [purged] = await deleted.purging()
    await finish_deletion(archive.ledger, archive.objects, one, purged.claim)
    assert await archive.database["studies"].find_one({"_id": one}) is None
    await store(archive, *study(StudyInstanceUID=last))
    seen = await until(archive.changes, after, ("created", last))
    kinds = [kind for kind in of_study(seen, one) if kind != "changed"]
    assert kinds == ["created", "deleted", "created", "deleted"]
    assert_whole(seen, after)
    assert all(change.index["patient"] for change in seen if change.kind == "deleted")


async def test_what_is_gone_is_remembered_even_if_its_other_changes_are_not_kept_any_more(
    archive: Archive,
) -> None:
    one = uid("sequence", "remembered")
    after = await archive.changes.newest()
    await store(archive, *study(StudyInstanceUID=one))
    await until(archive.changes, after, ("created", one))
    await ChangeLog(archive.database, timedelta(0)).trim()
    newest = await archive.changes.newest()
    assert await delete_study(archive.ledger, archive.objects, one)
    [*_, gone] = await until(archive.changes, newest, ("deleted", one))
    assert gone.index["_id"] == [one]
    assert gone.index["patient"]


async def test_what_is_only_claimed_is_nobodys_news(archive: Archive) -> None:
    claimed, last = uid("sequence", "claimed"), uid("sequence", "after the claim")
    after = await archive.changes.newest()
    claim = await archive.ledger.claim(claimed, "key of nobody", "lease of nobody")
    await archive.ledger.remove_claim(claimed, claim.id, "lease of nobody")
    await store(archive, *study(StudyInstanceUID=last))
    assert of_study(await until(archive.changes, after, ("created", last)), claimed) == []


async def test_many_at_once_are_each_created_once_and_no_number_is_missing(
    archive: Archive,
) -> None:
    studies = [uid("sequence", "at once", number) for number in range(12)]
    after = await archive.changes.newest()
    await asyncio.gather(*(store(archive, *study(2, 4, StudyInstanceUID=one)) for one in studies))
    seen = await until(archive.changes, after, *(("created", one) for one in studies))
    assert_told_once(seen, studies)
    assert_whole(seen, after)
    assert await archive.changes.page(after, 1000) == [
        *seen,
        *await archive.changes.page(seen[-1].sequence, 1000),
    ]


async def test_two_that_append_at_once_make_neither_a_gap_nor_a_change_twice(
    archive: Archive,
) -> None:
    log = ChangeLog(archive.database, timedelta(days=1))

    async def append() -> None:
        while True:
            await Sequencer(log, ChangeEvents(archive.database, log)).work("nobody")

    after = await archive.changes.newest()
    studies = [uid("sequence", "two", number) for number in range(10)]
    others = [asyncio.create_task(append()) for _ in range(2)]
    try:
        await asyncio.gather(*(store(archive, *study(StudyInstanceUID=one)) for one in studies))
        seen = await until(archive.changes, after, *(("created", one) for one in studies))
    finally:
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    assert_told_once(seen, studies)
    assert_whole(seen, after)


async def test_whoever_comes_back_goes_on_where_they_were(archive: Archive) -> None:
    first, second = uid("sequence", "before"), uid("sequence", "meanwhile")
    await store(archive, *study(StudyInstanceUID=first))
    after = await archive.changes.newest()
    await store(archive, *study(StudyInstanceUID=second))
    [*_, last] = await until(archive.changes, after, ("created", second))
    again = await until(archive.changes, last.sequence - 1, ("created", second))
    assert again == [last]
    assert await archive.changes.page(last.sequence - 1, 1) == [last]


async def test_a_policy_that_two_processes_notice_is_one_change(archive: Archive) -> None:
    desk, other = (PolicyVersions(archive.database) for _ in range(2))
    after = await archive.changes.newest()
    edited = Version("edition 2", "decides 2", {})
    await asyncio.gather(*(one.seen(edited) for one in (desk, other) for _ in range(3)))
    number = await desk.announce(Version("edition 3", "decides 3", {}, by="somebody"))
    assert [row["version"] for row in await desk.newest(1)] == ["decides 2"]
    await asyncio.gather(other.seen(Version("edition 3", "decides 3", {})), desk.confirm(number))
    withdrawn = await desk.announce(Version("edition 4", "decides 4", {}))
    await desk.withdraw(withdrawn)
    await desk.seen(Version("edition 5", "decides 5", {}))
    seen = await until(archive.changes, after, ("changed", "decides 5"))
    told = [(one.kind, one.id) for one in seen if one.resource == "Policy"]
    assert told == [("changed", f"decides {number}") for number in (2, 3, 5)]


async def test_what_is_kept_for_long_enough_goes_and_the_latest_number_stays(
    archive: Archive,
) -> None:
    one = uid("sequence", "trimmed")
    after = await archive.changes.newest()
    await store(archive, *study(StudyInstanceUID=one))
    await until(archive.changes, after, ("created", one))
    await ChangeLog(archive.database, timedelta(days=1)).trim()
    assert len(await archive.changes.page(after, 1)) == 1
    await ChangeLog(archive.database, timedelta(0)).trim()
    newest = await archive.changes.newest()
    assert await archive.changes.oldest() == newest > after
    assert await archive.database["changes"].count_documents({}) == 1
    with pytest.raises(HistoryLost, match="read again what you keep"):
        await archive.changes.page(after - 1, 10)
    assert [change.sequence for change in await archive.changes.page(newest - 1, 10)] == [newest]
    assert await archive.changes.page(newest, 10) == []


async def test_a_number_that_was_never_given_is_of_another_history(archive: Archive) -> None:
    newest = await archive.changes.newest()
    with pytest.raises(HistoryLost):
        await archive.changes.page(newest + 1000, 10)


def settings(mongod: EmbeddedDatabase, folder: Path) -> Settings:
    return Settings.model_validate(
        {"database_url": mongod.url, "database_name": f"test-{uuid4().hex}", "data_dir": folder}
    )


async def test_where_history_is_lost_nothing_false_is_told_and_followers_are_told_so(
    mongod: EmbeddedDatabase, tmp_path: Path
) -> None:
    said = settings(mongod, tmp_path)
    missed, later = uid("sequence", "missed"), uid("sequence", "later")
    async with open_archive(said) as opened:
        await store(opened, *study(StudyInstanceUID=missed))
        [*_, last] = await until(opened.changes, 0, ("created", missed))
        stored = await opened.database["changes"].find_one({"_id": last.sequence})
        assert stored is not None
    async with open_archive(said) as opened:
        # the time in the position is one that the database's history does not reach back to
        gone = f"{stored['position'][:2]}5F000000{stored['position'][10:]}"
        for collection, number in (("duties", SEQUENCING), ("changes", last.sequence)):
            await opened.database[collection].update_one(
                {"_id": number}, {"$set": {"position": gone}}
            )
        log = ChangeLog(opened.database, timedelta(days=1))
        await Sequencer(log, ChangeEvents(opened.database, log)).work("nobody")
        newest = await opened.changes.newest()
        assert newest == last.sequence + 1
        assert await opened.changes.oldest() == newest + 1
        for after in (0, last.sequence - 1):
            found = await opened.changes.page(after, 100)
            assert found[-1].sequence <= last.sequence
        with pytest.raises(HistoryLost):
            await opened.changes.page(last.sequence, 100)
        with pytest.raises(HistoryLost):
            await until(opened.changes, last.sequence, ("created", later))
        await store(opened, *study(StudyInstanceUID=later))
        [*_, change] = await until(opened.changes, newest, ("created", later))
        assert change.sequence == newest + 1
        await opened.database.client.drop_database(said.database_name)


async def test_what_happens_while_nobody_puts_it_in_order_is_told_afterwards(
    mongod: EmbeddedDatabase, tmp_path: Path
) -> None:
    said = settings(mongod, tmp_path)
    one, other = uid("sequence", "first"), uid("sequence", "while away")
    async with open_archive(said) as opened:
        await store(opened, *study(StudyInstanceUID=one))
        [*_, last] = await until(opened.changes, 0, ("created", one))
    database = open_database(mongod.url, said.database_name, said.request_timeout)
    duties = Duties(database)
    assert await duties.take(SEQUENCING, "somebody who does nothing", timedelta(minutes=5))
    async with open_archive(said) as opened:
        await store(opened, *study(StudyInstanceUID=other))
        assert await opened.changes.newest() == last.sequence
    await duties.give_back(SEQUENCING, "somebody who does nothing")
    async with open_archive(said) as opened:
        seen = await until(opened.changes, last.sequence, ("created", other))
        assert_whole(seen, last.sequence)
        assert_told_once(seen, [other])
        await opened.database.client.drop_database(said.database_name)
    database.client.close()
