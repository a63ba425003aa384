"""DICOM objects on their way out without identity, straight from storage."""

from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

from app.imaging.deidentify import outgoing
from app.store.ports import ObjectStore
from fhir.pseudonyms import Disguise, Pseudonyms
from fhir.repository import StoredImage
from tests import stored

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
    """Say of an object what the archive would in the de-identified view."""
    image = stored.described(data, sha256(data).hexdigest())
    return replace(image, disguise=Disguise(pseudonyms(days=days), PATIENT))


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
