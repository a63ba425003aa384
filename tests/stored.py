"""Objects in storage, described as the archive's index does."""

from collections.abc import AsyncIterator
from pathlib import Path

from app.imaging.part10 import Part10Parser
from app.store.local import LocalObjects
from app.store.ports import ObjectStore
from fhir.repository import StoredImage

KEY = "aa/bb/object"


def described(data: bytes, key: str = KEY) -> StoredImage:
    """Say of an object what the archive would."""
    parser = Part10Parser()
    parser.feed(data)
    part10 = parser.close()
    return StoredImage(
        id=part10.sop_instance_uid,
        study=part10.study_instance_uid,
        series=part10.series_instance_uid,
        transfer_syntax=part10.transfer_syntax,
        object_key=key,
        size=part10.size,
        sha256=part10.sha256,
        frames=part10.frames.to_record() if part10.frames else None,
        attributes=part10.attributes,
    )


async def kept(objects: ObjectStore, data: bytes, key: str = KEY) -> StoredImage:
    """Store an object, whatever was there, and describe it."""
    await objects.delete(key)
    await objects.put(key, _whole(data))
    return described(data, key)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Counting(LocalObjects):
    """Real storage that remembers what was read of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[tuple[int, int]] = []

    async def read(self, key: str, start: int, end: int) -> bytes:
        self.reads.append((start, end))
        return await super().read(key, start, end)
