"""Objects that arrive for a study that is deleted, or is being deleted, restored and purged."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.archive import open_archive
from app.imaging.ingest import Ingest, Outcome
from app.imaging.sweep import sweep
from app.store.local import LocalObjects
from fhir.from_dicom.site import Site
from tests.build import dicom, multipart, study, uid
from tests.contents import assert_true, contents
from tests.deletion.desk import Desk
from tests.rest.forms import FORM, form, pieces, put, statuses

WEEK = timedelta(days=7)


async def test_each_object_of_a_deleted_study_is_refused_and_the_answer_says_why(
    desk: Desk,
) -> None:
    root = uid()
    known, fresh = study(instances=2, StudyInstanceUID=root)
    await put(desk.archive, known)
    await desk.delete(root)
    document, before = await desk.document(root), await desk.everything()
    until = f"{document['deleted']['until']:%Y-%m-%d %H:%M} UTC"
    other = dicom()
    for outcome in await put(desk.archive, known, fresh):
        assert (outcome.status, outcome.reason) == ("conflict", "study-deleted")
        assert outcome.message == (
            f"its study is deleted, and kept until {until}; have it restored, or send this again "
            "once it is purged"
        )
    admin = desk.acting_as("admin")
    answer = await desk.client.post(
        "/postdicom/studies", content=form(known, fresh), headers=admin | FORM
    )
    results = answer.json()["data"]["results"]
    assert statuses(results) == [("conflict", "study-deleted")] * 2
    body, kind = multipart([known, fresh])
    answer = await desk.client.post(
        "/dicomweb/studies", content=body, headers=admin | {"Content-Type": kind}
    )
    assert answer.status_code == 409
    failed = answer.json()["00081198"]["Value"]
    assert [one["00081197"]["Value"] for one in failed] == [[0x0110]] * 2
    assert await desk.everything() == before
    [stored] = await put(desk.archive, other)
    assert stored.status == "stored"


class Interrupted(LocalObjects):
    """A local store before whose writes something else happens."""

    root: str
    desk: Desk
    steps: str

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        deleted = self.desk.archive.ledger.deleted
        for step in self.steps:
            if step == "d":
                await self.desk.archive.custody.delete(self.root, by="somebody", reason=None)
            elif step == "r":
                assert await self.desk.archive.custody.restore(self.root)
            else:
                await self.desk.let_time_pass(self.root)
                assert await self.desk.retention().purge() == 1
                assert await deleted.unsettled() == []
        return await super().put(key, chunks)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("d", "study-deleted"),
        ("dr", ""),
        ("drd", "study-deleted"),
        ("drdr", ""),
        ("dp", "being-deleted"),
    ],
)
async def test_what_happens_between_claiming_and_entering_decides(
    desk: Desk, steps: str, reason: str
) -> None:
    root = uid()
    first, second = study(instances=2, StudyInstanceUID=root)
    await put(desk.archive, first)
    objects = await Interrupted.open(desk.archive.settings.data_dir.absolute() / "objects")
    objects.root, objects.desk, objects.steps = root, desk, steps
    ingest = Ingest(objects, desk.archive.ledger, Site(), release=True, max_bytes=2**20)
    outcome = await ingest.store(pieces(second))
    await ingest.close()
    assert (outcome.reason, outcome.kept) == (reason, not reason)
    if steps.endswith("d"):
        assert (await contents(desk.archive)).instances == {f"{root}.1.1"}
        await desk.restore(root)
    await assert_true(desk.archive)
    expected = {"dp": 0, "dr": 2, "drdr": 2}.get(steps, 1)
    assert len((await contents(desk.archive)).instances) == expected


async def test_an_object_that_was_acknowledged_before_a_deletion_comes_back_with_its_study(
    desk: Desk,
) -> None:
    root = uid()
    first, second = study(instances=2, StudyInstanceUID=root)
    await put(desk.archive, first)
    assert (await desk.archive.ingest.add(pieces(second))).status == "stored"
    await desk.delete(root)  # it was counted nowhere yet
    await desk.archive.ingest.settle(root)
    assert "resource" not in await desk.document(root)
    await desk.restore(root)
    assert (await desk.document(root))["resource"]["numberOfInstances"] == 2
    await assert_true(desk.archive)


async def test_whatever_is_done_at_once_ends_with_the_truth(desk: Desk) -> None:
    objects = study(series=2, instances=25)
    root = str((await put(desk.archive, objects[0]))[0].study)
    kept = await desk.load()
    chosen = random.Random(7)
    async with open_archive(desk.archive.settings) as other:
        acknowledged: set[str] = {f"{root}.1.1"}
        purges = 0

        async def send(ingest: Ingest, these: list[bytes]) -> list[Outcome]:
            outcomes = []
            for data in these:
                while not (outcome := await ingest.store(pieces(data))).kept:
                    assert outcome.reason in {"study-deleted", "being-deleted"}
                acknowledged.add(str(outcome.instance))
                outcomes.append(outcome)
            return outcomes

        async def meddle() -> None:
            nonlocal purges
            while True:
                archive = chosen.choice((desk.archive, other))
                put_away = await archive.ledger.deleted.put_away(
                    root, by="somebody", reason=None, window=WEEK
                )
                if put_away:
                    await archive.custody.settle(root)
                if chosen.random() < 0.15:
                    await desk.archive.database["studies"].update_one(
                        {"_id": root, "deleted": {"$exists": True}},
                        [{"$set": {"deleted.until": "$$NOW"}}],
                    )
                    gone = await desk.retention(archive).purge()
                    purges += gone
                    if gone:
                        acknowledged.clear()
                else:
                    await chosen.choice((desk.archive, other)).custody.restore(root)
                await asyncio.sleep(0)

        meddling = asyncio.create_task(meddle())
        await asyncio.gather(
            send(desk.archive.ingest, objects[1:25]), send(other.ingest, objects[25:])
        )
        meddling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await meddling
        await desk.retention().purge()
        await desk.archive.custody.restore(root)
        await sweep(desk.archive.ingest)
        await assert_true(desk.archive)
        found = await contents(desk.archive)
        if not purges:
            assert {one for one in found.instances if one.startswith(f"{root}.")} == acknowledged
        await send(other.ingest, objects)
        await assert_true(desk.archive)
        assert (await contents(desk.archive)).studies == {root, kept}
        assert len((await contents(desk.archive)).instances) == 52
