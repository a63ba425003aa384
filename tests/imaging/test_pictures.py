"""From a stored object to one frame of it, over every kind of storage."""

import asyncio
from dataclasses import replace
from threading import Barrier, Event, Lock
from typing import Any, cast

import imagecodecs
import numpy as np
import pytest
from pydicom import uid as uids

from app.imaging.encode import HTJ2K, JPEG_LS
from app.imaging.layout import Undecodable
from app.imaging.pictures import MAX_FRAME_BYTES, MAX_SPAN_BYTES, Pictures, frame_table
from app.imaging.render import Rendering
from app.imaging.transcode import EXPLICIT, transcoded
from app.store.ports import ObjectStore
from fhir.errors import NotFound
from tests.build import dicom, ramp
from tests.stored import KEY, kept

PNG = Rendering("image/png")


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


class Counting:
    """Remembers what was read of a real store."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.reads: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    async def read(self, key: str, start: int, end: int) -> bytes:
        self.reads.append((start, end))
        return await self._objects.read(key, start, end)


async def test_neighbours_are_read_together_but_never_too_many(objects: ObjectStore) -> None:
    pixels = np.zeros((20, 1024, 512), np.uint16)  # 1 MiB each
    pixels[:, 0, 0] = np.arange(20)
    image = await kept(objects, dicom(pixels=pixels))
    counting = Counting(objects)
    pictures = Pictures(cast(ObjectStore, counting), 1)
    found = [
        int.from_bytes(one[:2], "little") async for one in pictures.stored_each(image, range(1, 21))
    ]
    assert found == list(range(20))
    assert [end - start for start, end in counting.reads] == [2**23, 2**23, 2**22]
    assert max(end - start for start, end in counting.reads) <= MAX_SPAN_BYTES


@pytest.mark.parametrize("syntax", [uids.JPEGLSLossless, uids.ExplicitVRLittleEndian])
async def test_frames_that_are_encoded_come_in_the_order_they_are_asked_for(
    objects: ObjectStore, syntax: str
) -> None:
    pixels = ramp(9, 20, 30)
    image = await kept(objects, dicom(pixels=pixels, transfer_syntax=syntax))
    pictures = Pictures(objects, 3)
    numbers = (9, 1, 5, 5, 2)
    found = [one async for one in pictures.encoded_each(image, numbers, HTJ2K)]
    decoded = [imagecodecs.jpeg2k_decode(one) for one in found]
    assert all(
        np.array_equal(one, pixels[number - 1])
        for one, number in zip(decoded, numbers, strict=True)
    )
    assert await pictures.encoded(image, 5, HTJ2K) == found[2]


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 3, 3)])
@pytest.mark.parametrize("vr", ["OB", "OW"])
async def test_bytes_that_big_endian_words_hold_are_put_in_order(
    objects: ObjectStore, vr: str, shape: tuple[int, int, int]
) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    content = pixels.tobytes() + bytes(pixels.size % 2)
    held = np.frombuffer(content, "u2").byteswap().tobytes() if vr == "OW" else content
    image = await kept(
        objects,
        dicom(
            pixels=pixels,
            transfer_syntax=uids.ExplicitVRBigEndian,
            elements={0x7FE00010: (vr, held)},
            WindowCenter=None,
            RescaleIntercept=None,
        ),
    )
    pictures = Pictures(objects, 1)
    for number in (1, 2, 3):
        assert await pictures.native(image, number) == pixels[number - 1].tobytes()
        jls = await pictures.encoded(image, number, JPEG_LS)
        assert np.array_equal(imagecodecs.jpegls_decode(jls), pixels[number - 1])
        shown = imagecodecs.png_decode(await pictures.rendered(image, number, PNG))
        assert np.array_equal(shown, pixels[number - 1])
    sent = await transcoded(image, EXPLICIT, objects, pictures)
    assert pixels.tobytes() in b"".join([chunk async for chunk in sent.chunks])
