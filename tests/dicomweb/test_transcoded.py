"""Instances and frames in other transfer syntaxes than they are stored in, through HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import httpx
import imagecodecs
import numpy as np
import pytest
from pydicom import uid as uids
from pydicom.pixels.utils import pixel_array

from app.archive import Archive
from app.imaging.ingest import Outcome
from app.imaging.pictures import Pictures
from app.main import create_app
from fhir.pseudonyms import Pseudonyms
from tests import hostile
from tests.build import dicom, multipart, ramp
from tests.dicomweb.parts import address, parts_of, read, shipped
from tests.stored import Counting

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
LOSSLESS = [
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
    uids.HTJ2KLossless,
    uids.RLELossless,
]
NAMES: dict[str, str] = {
    uids.JPEGLSLossless: "image/jls",
    uids.JPEG2000Lossless: "image/jp2",
    uids.HTJ2KLossless: "image/jphc",
    uids.RLELossless: "image/dicom-rle",
}


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


@pytest.mark.parametrize("accept", ["", "*/*", 'multipart/related; type="application/dicom"'])
@pytest.mark.parametrize(
    "stored",
    [
        uids.ImplicitVRLittleEndian,
        uids.ExplicitVRBigEndian,
        uids.DeflatedExplicitVRLittleEndian,
        *LOSSLESS,
    ],
)
async def test_an_instance_is_explicit_little_endian_for_who_names_no_syntax(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, stored: str, accept: str
) -> None:
    data = dicom(frames=2, transfer_syntax=stored)
    await load(data)
    answer = await client.get(address(data), headers=radiologist | {"Accept": accept})
    [(headers, content)] = parts_of(answer)
    syntax = uids.ExplicitVRLittleEndian
    assert headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"
    assert int(answer.headers["content-length"]) == len(answer.content)
    dataset = read(content)
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(pixel_array(dataset), ramp(2))


@pytest.mark.parametrize(
    ("stored", "pixels"),
    [
        (uids.JPEG2000, None),
        (uids.JPEGExtended12Bit, None),
        (uids.MPEG4HP41, b"\0\0\0\x18ftypmp42"),
        (uids.JPEGLSLossless, b"\xff\xd8\xff\xf7 damaged"),
        (uids.RLELossless, bytes(64)),
    ],
)
async def test_what_was_lossy_or_cannot_be_decoded_comes_as_stored(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    stored: str,
    pixels: bytes | None,
) -> None:
    data = dicom(pixels=None if pixels is None else [pixels], transfer_syntax=stored)
    await load(data)
    answer = await client.get(address(data), headers=radiologist)
    [(headers, content)] = parts_of(answer)
    assert content == data
    assert headers["Content-Type"] == f"application/dicom; transfer-syntax={stored}"
    accept = {"Accept": f"application/dicom; transfer-syntax={uids.ExplicitVRLittleEndian}"}
    named = await client.get(address(data), headers=radiologist | accept)
    assert named.status_code == (200 if pixels is None else 406)


@pytest.mark.parametrize("in_query", [False, True])
@pytest.mark.parametrize("wanted", [*LOSSLESS, uids.ExplicitVRLittleEndian])
async def test_an_instance_comes_in_the_syntax_that_is_named(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    wanted: str,
    in_query: bool,
) -> None:
    data = dicom(frames=3, transfer_syntax=uids.JPEGLosslessSV1)
    await load(data)
    accept = f"application/dicom; transfer-syntax={wanted}"
    answer = await client.get(
        address(data),
        params={"accept": accept} if in_query else {},
        headers=radiologist | {"Accept": "text/html" if in_query else accept},
    )
    assert answer.headers["content-type"] == accept
    assert answer.headers["content-length"] == str(len(answer.content))
    dataset = read(answer.content)
    assert dataset.file_meta.TransferSyntaxUID == wanted
    assert np.array_equal(pixel_array(dataset), ramp(3))
    known = {"If-None-Match": answer.headers["etag"], "Accept": accept}
    again = await client.get(address(data), headers=radiologist | known)
    assert (again.status_code, again.content) == (304, b"")


async def test_what_is_wanted_most_comes_even_if_it_has_to_be_made(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(transfer_syntax=uids.JPEGLSLossless)
    await load(data)
    parts = 'multipart/related; type="application/dicom"'
    accept = (
        f"{parts}; transfer-syntax={uids.JPEGLSLossless}; q=0.3, "
        f"{parts}; transfer-syntax={uids.JPEG2000}; q=1, "
        f"{parts}; transfer-syntax={uids.HTJ2KLossless}; q=0.9"
    )
    answer = await client.get(address(data), headers=radiologist | {"Accept": accept})
    [(_, content)] = parts_of(answer)
    assert read(content).file_meta.TransferSyntaxUID == uids.HTJ2KLossless


@pytest.mark.parametrize("wanted", LOSSLESS)
@pytest.mark.parametrize("stored", [uids.ExplicitVRLittleEndian, uids.JPEGLosslessSV1])
async def test_frames_come_in_the_syntax_that_is_named(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, stored: str, wanted: str
) -> None:
    data = dicom(frames=4, transfer_syntax=stored)
    await load(data)
    name = NAMES[wanted]
    accept = {"Accept": f'multipart/related; type="{name}"; transfer-syntax={wanted}'}
    answer = await client.get(f"{address(data)}/frames/4,2", headers=radiologist | accept)
    found = parts_of(answer)
    assert [headers["Content-Type"] for headers, _ in found] == [
        f"{name}; transfer-syntax={wanted}"
    ] * 2
    accept = {"Accept": f"application/dicom; transfer-syntax={wanted}"}
    whole = pixel_array(
        read((await client.get(address(data), headers=radiologist | accept)).content)
    )
    for number, (headers, content) in zip((4, 2), found, strict=True):
        assert headers["Content-Location"].endswith(f"/frames/{number}")
        alone = await client.get(
            f"{address(data)}/frames/{number}", headers=radiologist | {"Accept": name}
        )
        assert alone.content == content
        if wanted != uids.RLELossless:
            decoder = (
                imagecodecs.jpegls_decode
                if wanted == uids.JPEGLSLossless
                else imagecodecs.jpeg2k_decode
            )
            assert np.array_equal(decoder(content), ramp(4)[number - 1])
        assert np.array_equal(whole[number - 1], ramp(4)[number - 1])


async def test_a_frame_of_8_bits_is_a_jpeg_for_who_asks_for_one(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = shipped("examples_rgb_color.dcm")
    await load(data)
    answer = await client.get(
        f"{address(data)}/frames/1", headers=radiologist | {"Accept": "image/jpeg"}
    )
    syntax = uids.JPEGBaseline8Bit
    assert answer.headers["content-type"] == f"image/jpeg; transfer-syntax={syntax}"
    near = np.abs(imagecodecs.jpeg8_decode(answer.content).astype(int) - pixel_array(read(data)))
    assert near.mean() < 3
    deep = dicom()
    await load(deep)
    refused = await client.get(
        f"{address(deep)}/frames/1", headers=radiologist | {"Accept": "image/jpeg"}
    )
    assert refused.status_code == 406


async def test_a_researcher_gets_nothing_but_clean_objects_in_every_syntax(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data = dicom(PatientName="Secret^Name", transfer_syntax=uids.JPEGLSLossless)
    await load(data)
    researcher = acting_as("researcher", project="trial-9")
    made = Pseudonyms(archive.pseudonym_key, "trial-9")
    dataset = read(data)
    names = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    study, series, instance = (made.uid(str(name)) for name in names)
    await client.get("/fhir/ImagingStudy?_count=200", headers=researcher)
    path = f"/dicomweb/studies/{study}"
    for syntax in ("*", uids.ExplicitVRLittleEndian, uids.HTJ2KLossless):
        accept = {
            "Accept": f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
        }
        for address_of in (path, f"{path}/series/{series}/instances/{instance}"):
            answer = await client.get(address_of, headers=researcher | accept)
            [(headers, content)] = parts_of(answer)
            assert headers["Content-Location"].endswith(
                f"{study}/series/{series}/instances/{instance}"
            )
            assert b"Secret" not in answer.content
            assert not any(str(name).encode() in answer.content for name in names)
            assert np.array_equal(pixel_array(read(content)), ramp()[0])
            assert headers["Content-Length"] == str(len(content))


async def test_20000_sequences_in_each_other_are_refused_and_nothing_else_happens(
    client: httpx.AsyncClient, radiologist: dict[str, str], acting_as: ActingAs, load: Load
) -> None:
    [case] = [one for one in hostile.CASES if one.name == "depth 20000"]
    deep = case.make()
    good = dicom()
    body, content_type = multipart([deep, good])
    answer = await client.post(
        "/dicomweb/studies",
        content=body,
        headers=acting_as("technologist") | {"Content-Type": content_type},
    )
    assert answer.status_code == 202
    failed = answer.json().keys() & {"00081198", "0008119A"}
    assert [len(answer.json()[key]["Value"]) for key in failed] == [1]
    assert (await client.get(address(good), headers=radiologist)).status_code == 200


async def test_jpeg_2000_may_be_asked_of_everything_that_is_shipped(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    for name in ("CT_small.dcm", "MR_small_RLE.dcm", "examples_palette.dcm", "liver.dcm"):
        data = shipped(name)
        await load(data)
        for syntax in (uids.JPEG2000Lossless, uids.JPEG2000):
            accept = {"Accept": f"application/dicom; transfer-syntax={syntax}"}
            answer = await client.get(address(data), headers=radiologist | accept)
            made = syntax == uids.JPEG2000Lossless and name != "liver.dcm"
            assert answer.status_code == (200 if made else 406)
            if made:
                assert np.array_equal(pixel_array(read(answer.content)), pixel_array(read(data)))


@pytest.fixture
async def counted(archive: Archive) -> AsyncIterator[tuple[httpx.AsyncClient, Counting]]:
    objects = Counting(archive.settings.data_dir / "objects")
    seen = replace(archive, objects=objects, pictures=Pictures(objects, 2))
    transport = httpx.ASGITransport(create_app(archive.settings, seen))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client, objects


@pytest.mark.parametrize(
    "transfer_syntax",
    [uids.ExplicitVRLittleEndian, uids.ExplicitVRBigEndian, uids.JPEGLSLossless],
)
@pytest.mark.parametrize("listed", ["1,2,3,4,5", "5,4,3,2,1", "2,2,9", "20,1,7"])
async def test_near_frames_of_a_list_are_one_read(
    counted: tuple[httpx.AsyncClient, Counting],
    radiologist: dict[str, str],
    load: Load,
    transfer_syntax: str,
    listed: str,
) -> None:
    data = dicom(frames=20, transfer_syntax=transfer_syntax)
    await load(data)
    client, objects = counted
    answer = await client.get(f"{address(data)}/frames/{listed}", headers=radiologist)
    numbers = [int(one) for one in listed.split(",")]
    expected = [ramp(20)[number - 1].tobytes() for number in numbers]
    assert [content for _, content in parts_of(answer)] == expected
    assert len(objects.reads) == 1


async def test_far_frames_of_a_list_are_one_read_each(
    counted: tuple[httpx.AsyncClient, Counting], radiologist: dict[str, str], load: Load
) -> None:
    pixels = np.zeros((40, 256, 256), np.uint16)
    pixels[:, 0, 0] = np.arange(40)
    data = dicom(pixels=pixels)
    await load(data)
    client, objects = counted
    answer = await client.get(f"{address(data)}/frames/1,20,40,2", headers=radiologist)
    found = [int.from_bytes(content[:2], "little") for _, content in parts_of(answer)]
    assert found == [0, 19, 39, 1]
    assert [end - start for start, end in objects.reads] == [2**17] * 4
