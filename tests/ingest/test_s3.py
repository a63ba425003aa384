"""The whole way in with objects in S3."""

from collections.abc import AsyncIterator
from pathlib import Path

from app.imaging.deletion import delete_study
from app.settings import Settings
from tests.build import dicom, ramp, study, uid
from tests.command import Installation, write
from tests.contents import assert_true, contents

NAMES = (
    "storage_url",
    "storage_endpoint",
    "storage_region",
)


async def test_objects_go_to_s3_are_deduplicated_swept_and_deleted(
    installation: Installation, s3_settings: Settings, tmp_path: Path
) -> None:
    access, secret = s3_settings.storage_access_key, s3_settings.storage_secret_key
    assert access is not None
    assert secret is not None
    values = {name: str(getattr(s3_settings, name)) for name in NAMES}
    values |= {
        "storage_access_key": access.get_secret_value(),
        "storage_secret_key": secret.get_secret_value(),
    }
    in_s3 = Installation(installation.data_dir, {**installation.settings, **values})
    large = dicom(StudyInstanceUID=uid(), pixels=ramp(12, 1024, 1024))
    objects = [*study(series=2, instances=10), large, large[:-7], b"no DICOM", dicom()[:-7]]
    write(tmp_path / "in", objects)
    ran = await in_s3.run("ingest", tmp_path / "in")
    assert ran.lines[-1] == "24 files: 21 stored, 0 duplicate, 0 conflict, 3 refused"
    again = await in_s3.run("ingest", tmp_path / "in")
    assert again.lines[-1] == "24 files: 0 stored, 21 duplicate, 0 conflict, 3 refused"
    async with in_s3.opened() as archive:
        assert len((await contents(archive)).objects) == 21
        await assert_true(archive)
        await archive.objects.put(f"ab/cd/{'0' * 32}", _chunks())
        first, *others = (await contents(archive)).studies
        assert await delete_study(archive.ledger, archive.objects, first)
    swept = await in_s3.run("sweep")
    assert "1 objects without instance removed, 0 interrupted" in swept.out
    async with in_s3.opened() as archive:
        assert (await contents(archive)).studies == set(others)
        await assert_true(archive)


async def _chunks() -> AsyncIterator[bytes]:
    yield b"of nobody"
