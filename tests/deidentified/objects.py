"""DICOM objects on their way out without identity, straight from storage."""

from collections.abc import AsyncIterator

from app.imaging.deidentify import outgoing
from app.imaging.part10 import Part10Parser
from app.store.ports import ObjectStore
from fhir.pseudonyms import Disguise, Pseudonyms
from fhir.repository import StoredImage

MASTER = bytes(range(32))
PATIENT = "7d6dc7a5-5b0d-4b43-a0be-7f3c0cbb6c1e"


def pseudonyms(project: str = "A", days: int | None = None) -> Pseudonyms:
    """Give the pseudonyms of a project."""
    return Pseudonyms(MASTER, project, days)


async def released(objects: ObjectStore, data: bytes, days: int | None = None) -> bytes:
    """Store an object, and give what leaves of it in the de-identified view."""
    image = described(data, days)
    await objects.put(image.object_key, _whole(data))
    sent = await outgoing(image, objects)
    content = b"".join([chunk async for chunk in sent.chunks])
    assert len(content) == sent.size
    return content


def described(data: bytes, days: int | None = None) -> StoredImage:
    """Say of an object what the archive would."""
    parser = Part10Parser()
    parser.feed(data)
    found = parser.close()
    return StoredImage(
        id=found.sop_instance_uid,
        study=found.study_instance_uid,
        series=found.series_instance_uid,
        transfer_syntax=found.transfer_syntax,
        object_key=found.sha256,
        size=found.size,
        sha256=found.sha256,
        frames=found.frames.to_record() if found.frames else None,
        attributes=found.attributes,
        disguise=Disguise(pseudonyms(days=days), PATIENT),
    )


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
