"""What crashes and deletions leave, and that a sweep takes that away and nothing else."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from app.archive import Archive, open_archive
from app.imaging.deletion import delete_study
from app.imaging.ingest import Ingest, Outcome
from app.imaging.lease import Lease
from app.imaging.sweep import Swept, sweep
from app.store.local import LocalObjects
from fhir.from_dicom.site import Site
from tests.build import dicom, study, uid
from tests.contents import Contents, assert_true, contents, partial_writes

Load = Callable[..., Awaitable[list[Outcome]]]
NOTHING = Swept(0, 0, 0, 0, 0)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def beginning(archive: Archive) -> Contents:
    """What is there before the test."""
    await sweep(archive.ingest)
    return await contents(archive)


async def test_where_nothing_is_left_over_nothing_is_removed(archive: Archive, load: Load) -> None:
    await load(*study(series=2, instances=3))
    before = await contents(archive)
    assert await sweep(archive.ingest) == NOTHING
    assert await contents(archive) == before


async def test_objects_that_nobody_refers_to_are_removed_once_their_process_is_gone(
    archive: Archive, beginning: Contents
) -> None:
    lease = Lease(archive.ledger.leases)
    async with lease.held() as name:
        keys = {lease.new_key(name) for _ in range(3)}
        for key in keys:
            await archive.objects.put(key, pieces(b"of a living process"))
        assert await sweep(archive.ingest) == NOTHING
        assert (await contents(archive)).objects == beginning.objects | keys
    await lease.close()
    assert (await sweep(archive.ingest)).objects_removed == 3
    assert await contents(archive) == beginning


async def test_the_lease_of_a_dead_process_lapses_and_a_sweep_waits_for_that(
    archive: Archive, beginning: Contents
) -> None:
    name = "0123456789ab"
    await archive.ledger.leases.begin(name, timedelta(seconds=1))
    await archive.objects.put(f"ab/cd/abcd{'0' * 16}{name}", pieces(b"of a dead process"))
    await archive.ledger.claim(uid(), "issuer:|dead", name)
    swept = await sweep(archive.ingest)
    assert (swept.objects_removed, swept.claims_removed) == (1, 1)
    assert await contents(archive) == beginning
    assert not await archive.ledger.leases.renew(name, timedelta(seconds=1))


async def test_an_interrupted_write_is_removed(archive: Archive, beginning: Contents) -> None:
    folder = archive.settings.data_dir / "objects" / ".partial"
    (folder / "interrupted").write_bytes(b"half of it")
    old = (folder / "interrupted").stat().st_mtime - 60
    os.utime(folder / "interrupted", (old, old))
    assert (await sweep(archive.ingest)).partial_writes_removed == 1
    assert partial_writes(archive.settings.data_dir) == []


async def test_a_claim_of_a_living_process_stays(archive: Archive) -> None:
    lease = Lease(archive.ledger.leases)
    claimed = uid()
    async with lease.held() as name:
        await archive.ledger.claim(claimed, "issuer:|living", name)
        assert (await sweep(archive.ingest)).claims_removed == 0
        assert await archive.ledger.claim_on(claimed) is not None
    await lease.close()
    assert (await sweep(archive.ingest)).claims_removed == 1
    assert await archive.ledger.claim_on(claimed) is None


async def test_instances_that_were_not_counted_are_counted(archive: Archive) -> None:
    first, second = study(series=1, instances=2)
    await archive.ingest.store(pieces(first))
    outcome = await archive.ingest.add(pieces(second))
    swept = await sweep(archive.ingest)
    assert swept.studies_settled == 1
    document = await archive.ledger.study(str(outcome.study))
    assert document is not None
    assert document["resource"]["numberOfInstances"] == 2
    await assert_true(archive)


async def test_a_patient_that_was_not_written_after_its_study_is_written(
    archive: Archive, load: Load
) -> None:
    await load(dicom(PatientID="half", PatientName="Whole^Name"))
    patients = archive.database["patients"]
    key = {"key": "issuer:|half"}
    await patients.update_one(key, {"$unset": {"spokenBy": "", "resource.name": ""}})
    await sweep(archive.ingest)
    restored = await patients.find_one(key)
    assert restored is not None
    assert restored["resource"]["name"][0]["family"] == "Whole"
    await patients.delete_one(key)
    await sweep(archive.ingest)
    await assert_true(archive)


async def test_a_deleted_study_leaves_nothing(
    archive: Archive, beginning: Contents, load: Load
) -> None:
    [outcome, *_] = await load(*study(series=2, instances=3, PatientID="deleted"))
    assert await delete_study(archive.ledger, archive.objects, str(outcome.study))
    assert await contents(archive) == beginning
    assert not await delete_study(archive.ledger, archive.objects, str(outcome.study))


async def test_a_deletion_that_was_cut_short_is_finished(
    archive: Archive, beginning: Contents, load: Load
) -> None:
    [outcome, *_] = objects = await load(*study(series=2, instances=3))
    await archive.ledger.deleted.hide(str(outcome.study))
    assert len(objects) == 6
    assert (await sweep(archive.ingest)).deletions_finished == 1
    assert await contents(archive) == beginning


async def test_nothing_is_added_to_a_study_while_it_is_deleted(
    archive: Archive, load: Load
) -> None:
    one, two = study(series=1, instances=2)
    [first] = await load(one)
    await archive.ledger.deleted.hide(str(first.study))
    before = await contents(archive)
    again, other = await load(one, two)
    assert (again.status, again.reason) == ("conflict", "being-deleted")
    assert (other.status, other.reason) == ("conflict", "being-deleted")
    assert await contents(archive) == before


async def test_what_was_deleted_can_be_taken_in_again(archive: Archive, load: Load) -> None:
    objects = study(series=2, instances=2)
    [first, *_] = await load(*objects)
    await delete_study(archive.ledger, archive.objects, str(first.study))
    assert [one.status for one in await load(*objects)] == ["stored"] * 4
    await sweep(archive.ingest)
    await assert_true(archive)


async def test_deleting_while_others_ingest_ends_with_the_truth(
    archive: Archive, beginning: Contents
) -> None:
    objects = study(series=2, instances=30)
    its_study = str((await archive.ingest.store(pieces(objects[0]))).study)
    async with open_archive(archive.settings) as other:

        async def half(one: Archive, these: list[bytes]) -> list[Outcome]:
            outcomes = []
            for data in these:
                while (outcome := await one.ingest.store(pieces(data))).reason == "being-deleted":
                    assert not outcome.kept
                outcomes.append(outcome)
            return outcomes

        halves = asyncio.gather(half(archive, objects[1:30]), half(other, objects[30:]))
        deleted = 0
        while deleted < 5 and not halves.done():
            deleted += await delete_study(archive.ledger, archive.objects, its_study)
        assert deleted > 1
        one, two = await halves
        assert [outcome.status for outcome in (*one, *two)] == ["stored"] * 59
        await sweep(archive.ingest)
        await assert_true(archive)
        again = await half(other, objects)
        assert {one.status for one in again} <= {"stored", "duplicate"}
        found = await contents(archive)
        assert len(found.instances) == len(beginning.instances) + 60
        await assert_true(archive)


class Interrupted(LocalObjects):
    """A local store before whose writes something else happens."""

    meanwhile: Callable[[], Awaitable[object]]

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        await self.meanwhile()
        return await super().put(key, chunks)


async def test_an_instance_whose_study_is_deleted_before_it_is_entered_is_not_acknowledged(
    archive: Archive, beginning: Contents
) -> None:
    its_study = uid()
    objects = await Interrupted.open(archive.settings.data_dir.absolute() / "objects")
    objects.meanwhile = lambda: delete_study(archive.ledger, archive.objects, its_study)
    ingest = Ingest(objects, archive.ledger, Site(), release=True, max_bytes=2**20)
    outcome = await ingest.store(pieces(dicom(StudyInstanceUID=its_study)))
    await ingest.close()
    assert (outcome.status, outcome.reason) == ("conflict", "being-deleted")
    assert await contents(archive) == beginning


async def test_whoever_stood_still_until_its_lease_was_taken_acknowledges_nothing(
    archive: Archive, beginning: Contents
) -> None:
    async def taken() -> None:
        await archive.database["leases"].delete_many({})
        await sweep(archive.ingest)

    objects = await Interrupted.open(archive.settings.data_dir.absolute() / "objects")
    objects.meanwhile = taken
    ingest = Ingest(objects, archive.ledger, Site(), release=True, max_bytes=2**20)
    outcome = await ingest.store(pieces(dicom()))
    await ingest.close()
    assert (outcome.status, outcome.reason) == ("conflict", "being-deleted")
    assert await contents(archive) == beginning
