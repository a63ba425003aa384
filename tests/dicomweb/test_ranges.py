"""Ranges of instances and frames that come alone (RFC 9110 14), and preambles."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
from pydicom import uid as uids

from app.archive import Archive
from app.imaging.ingest import Outcome
from app.main import create_app
from app.ranges import RangeNotSatisfiable, asked_range
from fhir.pseudonyms import Pseudonyms
from tests.build import dicom, ramp
from tests.dicomweb.parts import address, parts_of, read

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
ALONE = {"Accept": "application/dicom"}
STORED = {"Accept": "application/dicom; transfer-syntax=*"}
OCTETS = {"Accept": "application/octet-stream"}


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=3-5", (3, 6)),
        ("bytes=3-99", (3, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-99", (0, 10)),
        ("BYTES=3-5", (3, 6)),
        (None, None),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=1-" + "9" * 40, None),
    ],
)
def test_one_range_is_understood_and_everything_else_ignored(
    header: str | None, expected: tuple[int, int] | None
) -> None:
    assert asked_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_beyond_the_end_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        asked_range(header, 10)


@pytest.mark.parametrize("start", [0, 1, 127, 130, 5000])
async def test_a_range_of_an_instance_is_a_part_of_it(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, start: int
) -> None:
    data = dicom(frames=20)
    await load(data)
    whole = await client.get(address(data), headers=radiologist | ALONE)
    assert whole.headers["accept-ranges"] == "bytes"
    asked = {"Range": f"bytes={start}-{start + 499}", "If-Range": whole.headers["etag"]}
    answer = await client.get(address(data), headers=radiologist | ALONE | asked)
    assert answer.status_code == 206
    assert answer.content == data[start : start + 500]
    assert answer.headers["content-range"] == f"bytes {start}-{start + 499}/{len(data)}"
    assert answer.headers["content-length"] == "500"
    assert answer.headers["etag"] == whole.headers["etag"]


async def test_ranges_put_together_are_the_whole_in_every_syntax(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(frames=5, transfer_syntax=uids.JPEGLSLossless)
    await load(data)
    for syntax in ("*", uids.ExplicitVRLittleEndian, uids.HTJ2KLossless):
        accept = {"Accept": f"application/dicom; transfer-syntax={syntax}"}
        whole = (await client.get(address(data), headers=radiologist | accept)).content
        found = b""
        for start in range(0, len(whole), 1000):
            asked = {"Range": f"bytes={start}-{start + 999}"}
            part = await client.get(address(data), headers=radiologist | accept | asked)
            assert part.status_code == 206
            found += part.content
        assert found == whole


async def test_a_range_of_what_the_client_has_not_is_ignored(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    asked = {"Range": "bytes=0-9", "If-Range": '"another"'}
    answer = await client.get(address(data), headers=radiologist | ALONE | asked)
    assert (answer.status_code, answer.content) == (200, data)
    parts = await client.get(address(data), headers=radiologist | {"Range": "bytes=0-9"})
    assert (parts.status_code, parts_of(parts)[0][1]) == (200, data)


async def test_a_range_beyond_the_end_is_416_and_says_how_many_bytes_there_are(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    for path, accept, size in (("", ALONE, len(data)), ("/frames/1", OCTETS, 512)):
        asked = {"Range": f"bytes={size}-"}
        answer = await client.get(address(data) + path, headers=radiologist | accept | asked)
        assert (answer.status_code, answer.json()["title"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize("stored", [uids.ExplicitVRLittleEndian, uids.JPEGLSLossless])
async def test_a_range_of_a_frame_is_a_part_of_it(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, stored: str
) -> None:
    data = dicom(frames=2, transfer_syntax=stored)
    await load(data)
    asked = {"Range": "bytes=100-199"}
    answer = await client.get(f"{address(data)}/frames/2", headers=radiologist | OCTETS | asked)
    assert answer.status_code == 206
    assert answer.content == ramp(2)[1].tobytes()[100:200]
    assert answer.headers["content-range"] == "bytes 100-199/512"


async def test_a_range_of_what_leaves_without_identity_is_a_part_of_that(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data = dicom(PatientName="Secret^Name")
    await load(data)
    researcher = acting_as("researcher", project="ranged")
    made = Pseudonyms(archive.pseudonym_key, "ranged")
    dataset = read(data)
    names = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    study, series, instance = (made.uid(str(name)) for name in names)
    path = f"/dicomweb/studies/{study}/series/{series}/instances/{instance}"
    await client.get("/fhir/ImagingStudy?_count=200", headers=researcher)
    whole = (await client.get(path, headers=researcher | ALONE)).content
    assert b"Secret" not in whole
    asked = {"Range": "bytes=200-999"}
    part = await client.get(path, headers=researcher | ALONE | asked)
    assert (part.status_code, part.content) == (206, whole[200:1000])


@pytest.fixture
async def zeroing(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same archive, which gives out no preamble."""
    settings = archive.settings.model_copy(update={"zero_preamble": True})
    transport = httpx.ASGITransport(create_app(settings, replace(archive, settings=settings)))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def test_a_preamble_leaves_as_zeros_if_so_configured(
    client: httpx.AsyncClient,
    zeroing: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
) -> None:
    preamble = b"MZ" + bytes(range(126))
    data = dicom(preamble=preamble)
    expected = bytes(128) + data[128:]
    await load(data)
    stored = await client.get(address(data), headers=radiologist | STORED)
    assert stored.content == data
    study = address(data).partition("/series/")[0]
    answer = await zeroing.get(address(data), headers=radiologist | STORED)
    assert answer.content == expected
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["etag"] != stored.headers["etag"]
    assert parts_of(await zeroing.get(study, headers=radiologist))[0][1] == expected
    for start, end in ((0, 10), (100, 140), (127, 129), (128, 200)):
        asked = {"Range": f"bytes={start}-{end - 1}"}
        part = await zeroing.get(address(data), headers=radiologist | STORED | asked)
        assert part.content == expected[start:end]
    file = await zeroing.get(
        f"/postdicom/images/{read(data).SOPInstanceUID}/data", headers=radiologist
    )
    assert file.content == expected


async def test_an_object_without_preamble_loses_nothing(
    zeroing: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(preamble=None)
    [outcome] = await load(data)
    assert outcome.status == "stored"
    answer = await zeroing.get(address(data), headers=radiologist | STORED)
    assert answer.content == data
