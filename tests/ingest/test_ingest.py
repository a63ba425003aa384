"""Taking objects in: what is kept, what is told, what the counts say."""

from collections.abc import Awaitable, Callable

from app.archive import Archive
from app.imaging.ingest import Outcome
from tests.build import dicom, study, uid

Load = Callable[..., Awaitable[list[Outcome]]]


async def test_a_study_counts_its_series_and_instances(archive: Archive, load: Load) -> None:
    objects = study(series=2, instances=3)
    outcomes = await load(*objects)
    assert [one.status for one in outcomes] == ["stored"] * 6
    stored = await archive.ledger.study(str(outcomes[0].study))
    assert stored is not None
    assert stored["resource"]["numberOfSeries"] == 2
    assert stored["resource"]["numberOfInstances"] == 6
    assert [one["numberOfInstances"] for one in stored["resource"]["series"]] == [3, 3]


async def test_the_same_bytes_again_are_a_duplicate_and_change_nothing(
    archive: Archive, load: Load
) -> None:
    data = dicom()
    [first] = await load(data)
    before = await archive.ledger.study(str(first.study))
    [second] = await load(data)
    assert (second.status, second.reason) == ("duplicate", "duplicate")
    assert await archive.ledger.study(str(first.study)) == before


async def test_other_bytes_under_a_known_uid_are_refused_and_the_first_ones_stay(
    archive: Archive, load: Load
) -> None:
    known = uid()
    [first] = await load(dicom(SOPInstanceUID=known, PatientID="1"))
    [second] = await load(dicom(SOPInstanceUID=known, PatientID="1", InstanceNumber=99))
    assert (second.status, second.reason) == ("conflict", "different-bytes")
    stored = await archive.repository.stored_image(known)
    assert stored is not None
    assert stored.study == first.study
