"""From a stored object to one frame of it, over every kind of storage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from threading import Barrier, Event, Lock
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import uid as uids

from app.imaging.layout import Undecodable
from app.imaging.part10 import Part10Parser
from app.imaging.pictures import MAX_FRAME_BYTES, Pictures, Rendering, frame_table
from app.store.ports import ObjectStore
from fhir.errors import NotFound
from fhir.repository import StoredImage
from tests.build import dicom, ramp

KEY = "aa/bb/object"
PNG = Rendering("image/png")


async def kept(objects: ObjectStore, data: bytes) -> StoredImage:
    """Store an object and describe it as the index does."""
    parser = Part10Parser()
    parser.feed(data)
    part10 = parser.close()

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    await objects.put(KEY, chunks())
    return StoredImage(
        id=part10.sop_instance_uid,
        study=part10.study_instance_uid,
        series=part10.series_instance_uid,
        transfer_syntax=part10.transfer_syntax,
        object_key=KEY,
        size=part10.size,
        sha256=part10.sha256,
        frames=part10.frames.to_record() if part10.frames else None,
        attributes=part10.attributes,
    )


@pytest.mark.parametrize(
    "transfer_syntax",
    [
        uids.ExplicitVRLittleEndian,
        uids.ExplicitVRBigEndian,
        uids.DeflatedExplicitVRLittleEndian,
        uids.JPEGLSLossless,
        "1.2.840.10008.1.2.1.98",
    ],
)
async def test_native_frames_are_the_pixels_whatever_is_stored(
    objects: ObjectStore, transfer_syntax: str
) -> None:
    pixels = ramp(4, 15, 17)
    image = await kept(objects, dicom(pixels=pixels, transfer_syntax=transfer_syntax))
    pictures = Pictures(objects, 2)
    found = await asyncio.gather(*(pictures.native(image, number) for number in (1, 2, 3, 4)))
    assert found == [frame.astype("<u2").tobytes() for frame in pixels]


async def test_frames_of_odd_bytes_have_no_padding_between_or_behind(
    objects: ObjectStore,
) -> None:
    pixels = np.arange(3 * 9, dtype=np.uint8).reshape(3, 3, 3)
    for transfer_syntax in (uids.ExplicitVRLittleEndian, "1.2.840.10008.1.2.1.98"):
        image = await kept(objects, dicom(pixels=pixels, transfer_syntax=transfer_syntax))
        assert await Pictures(objects, 1).native(image, 3) == pixels[2].tobytes()
        await objects.delete(KEY)


async def test_a_frame_deep_in_a_deflated_object_is_found(objects: ObjectStore) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (40, 128, 128), np.uint16)
    data = dicom(pixels=pixels, transfer_syntax=uids.DeflatedExplicitVRLittleEndian)
    assert len(data) > 2**20  # more than one piece of storage
    image = await kept(objects, data)
    pictures = Pictures(objects, 1)
    assert await pictures.stored(image, 40) == pixels[39].tobytes()
    assert await pictures.stored(image, 1) == pixels[0].tobytes()


async def test_a_deflated_object_without_preamble_is_read_too(objects: ObjectStore) -> None:
    data = dicom(transfer_syntax=uids.DeflatedExplicitVRLittleEndian, preamble=None)
    image = await kept(objects, data)
    assert await Pictures(objects, 1).stored(image, 1) == ramp()[0].tobytes()


@pytest.mark.parametrize(
    "transfer_syntax", [uids.ExplicitVRLittleEndian, uids.DeflatedExplicitVRLittleEndian]
)
async def test_palettes_too_long_for_the_header_are_read_from_the_object(
    objects: ObjectStore, transfer_syntax: str
) -> None:
    table = (np.arange(4096) * 16).astype("<u2")
    colours = {"Red": table, "Green": table[::-1], "Blue": table}
    palette: dict[str, Any] = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, entries in colours.items()
        for part, value in (("Descriptor", [4096, 0, 16]), ("Data", entries.tobytes()))
    }
    pixels = np.array([[0, 4095], [256, 2048]], np.uint16)
    image = await kept(
        objects,
        dicom(
            pixels=pixels,
            transfer_syntax=transfer_syntax,
            PhotometricInterpretation="PALETTE COLOR",
            **palette,
        ),
    )
    assert "BulkDataURI" in image.attributes["00281201"]
    picture = await Pictures(objects, 1).rendered(image, 1, PNG)
    shown = imagecodecs.png_decode(picture)
    assert shown[..., 0].tolist() == [[0, 255], [16, 128]]
    assert shown[..., 1].tolist() == [[255, 0], [239, 127]]


async def test_a_frame_that_is_not_there_is_not_found(objects: ObjectStore) -> None:
    image = await kept(objects, dicom(frames=2))
    pictures = Pictures(objects, 1)
    for number in (0, 3):
        with pytest.raises(NotFound):
            await pictures.stored(image, number)
        with pytest.raises(NotFound):
            await pictures.native(image, number)
        with pytest.raises(NotFound):
            await pictures.rendered(image, number, PNG)
    with pytest.raises(NotFound):
        frame_table(replace(image, frames=None))


async def test_bytes_that_are_gone_are_not_found_and_the_key_is_not_told(
    objects: ObjectStore,
) -> None:
    image = await kept(objects, dicom())
    await objects.delete(KEY)
    with pytest.raises(NotFound) as refusal:
        await Pictures(objects, 1).stored(image, 1)
    assert KEY not in refusal.value.message


@pytest.mark.parametrize(
    "lie",
    [
        {
            "attributes": {
                "00280010": {"vr": "US", "Value": [65535]},
                "00280011": {"vr": "US", "Value": [65535]},
            }
        },
        {"frames": {"count": 1, "offset": 0, "bits": 8 * (MAX_FRAME_BYTES + 1)}},
        {
            "attributes": {
                "00280004": {"vr": "CS", "Value": ["PALETTE COLOR"]},
                "00281201": {"vr": "OW", "BulkDataURI": f"?offset=0&length={2**30}"},
            }
        },
    ],
)
async def test_sizes_that_cannot_be_are_refused_before_anything_is_read(
    objects: ObjectStore, lie: dict[str, Any]
) -> None:
    image = await kept(objects, dicom())
    # Whoever reads it now notices: nothing is there.
    await objects.delete(KEY)
    lying = replace(
        image, **lie | {"attributes": {**image.attributes, **lie.get("attributes", {})}}
    )
    with pytest.raises(Undecodable):
        await Pictures(objects, 1).rendered(lying, 1, PNG)


async def test_no_more_than_the_workers_work_at_the_same_time(objects: ObjectStore) -> None:
    pictures = Pictures(objects, 2)
    both = Barrier(2)
    count = Lock()
    active: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        with count:
            active.append(1)
            most = max(most, len(active))
        both.wait(60)
        with count:
            active.pop()

    await asyncio.gather(*(pictures._work(work) for _ in range(10)))
    assert most == 2


async def test_a_request_that_is_cancelled_keeps_its_worker_until_the_work_is_done(
    objects: ObjectStore,
) -> None:
    pictures = Pictures(objects, 1)
    begun, go_on, order = Event(), Event(), []

    def slow() -> None:
        begun.set()
        go_on.wait(60)
        order.append("slow")

    cancelled = asyncio.create_task(pictures._work(slow))
    await asyncio.to_thread(begun.wait, 60)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    waiting = asyncio.create_task(pictures._work(lambda: order.append("next")))
    await asyncio.sleep(0)
    go_on.set()
    await waiting
    assert order == ["slow", "next"]
