"""Bulk data through HTTP: the values that metadata names, and never another byte."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import Dataset
from pydicom import uid as uids

from app.archive import Archive
from app.imaging.ingest import Outcome
from app.imaging.part10 import Part10Parser
from fhir.bulk_values import bulk_values
from tests.build import dicom, ramp, study, uid
from tests.care import look_after, patient_of
from tests.dicomweb.parts import address, parts_of, read

Json = Any
ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
WORDS = np.arange(1500, dtype="<u2")
OCTETS = 'multipart/related; type="application/octet-stream"'
OPEN = 0x00281201  # a palette, which is an attribute like many others
PRIVATE = 0x00091001


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


async def header(client: httpx.AsyncClient, data: bytes, who: dict[str, str]) -> dict[str, Json]:
    [found] = (await client.get(f"{address(data)}/metadata", headers=who)).json()
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("accept", "in_parts"),
    [
        ("", True),
        ("*/*", True),
        (OCTETS, True),
        ('multipart/related; type="*/*"', True),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", True),
        ("application/octet-stream", False),
        ("application/*", False),
    ],
)
async def test_a_value_comes_byte_for_byte_in_the_form_that_is_accepted(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    accept: str,
    in_parts: bool,
) -> None:
    data = dicom(elements={OPEN: ("OW", WORDS.tobytes())})
    await load(data)
    uri = (await header(client, data, radiologist))["00281201"]["BulkDataURI"]
    answer = await client.get(uri, headers=radiologist | {"Accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-cache"
    if in_parts:
        [(headers, content)] = parts_of(answer)
        assert headers == {
            "Content-Type": "application/octet-stream",
            "Content-Length": "3000",
            "Content-Location": uri,
        }
    else:
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-location"] == uri
        content = answer.content
    assert content == WORDS.tobytes()
    tag = {"If-None-Match": answer.headers["etag"]}
    again = await client.get(uri, headers=radiologist | {"Accept": accept} | tag)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("accept", ["image/png", "application/pdf", "text/html"])
async def test_a_value_that_is_nothing_that_is_accepted_is_406(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, accept: str
) -> None:
    data = dicom(elements={OPEN: ("OW", WORDS.tobytes())})
    await load(data)
    uri = (await header(client, data, radiologist))["00281201"]["BulkDataURI"]
    answer = await client.get(uri, headers=radiologist | {"Accept": accept})
    assert answer.status_code == 406


@pytest.mark.parametrize(
    "syntax",
    [
        uids.ExplicitVRLittleEndian,
        uids.ExplicitVRBigEndian,
        uids.DeflatedExplicitVRLittleEndian,
        uids.RLELossless,
    ],
)
@pytest.mark.parametrize(
    ("vr", "word"), [("OB", 1), ("OW", 2), ("OL", 4), ("OF", 4), ("OD", 8), ("OV", 8)]
)
async def test_values_are_little_endian_whatever_they_are_stored_as(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    syntax: str,
    vr: str,
    word: int,
) -> None:
    content = bytes(range(256)) * 10
    big = syntax == uids.ExplicitVRBigEndian
    stored = np.frombuffer(content, f"u{word}").byteswap().tobytes() if big else content
    data = dicom(elements={PRIVATE: (vr, stored)}, transfer_syntax=syntax)
    await load(data)
    uri = (await header(client, data, radiologist))["00091001"]["BulkDataURI"]
    alone = radiologist | {"Accept": "application/octet-stream"}
    assert (await client.get(uri, headers=alone)).content == content
    for start, end in ((0, 0), (1, 1), (3, 17), (5, 1000), (2559, 2559), (11, 2559)):
        part = await client.get(uri, headers=alone | {"Range": f"bytes={start}-{end}"})
        assert part.status_code == 206
        assert part.content == content[start : end + 1], (start, end)
        assert part.headers["content-range"] == f"bytes {start}-{end}/2560"


async def test_ranges_of_bytes_are_those_of_the_value(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    content = bytes(range(250)) * 8
    data = dicom(elements={OPEN: ("OW", content)})
    await load(data)
    uri = (await header(client, data, radiologist))["00281201"]["BulkDataURI"]
    for asked, status, expected in (
        ("bytes=0-9", 206, content[:10]),
        ("bytes=1990-", 206, content[1990:]),
        ("bytes=-10", 206, content[-10:]),
        ("bytes=1990-5000", 206, content[1990:]),
        ("bytes=-5000", 206, content),
        ("bytes=2000-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=0-1,5-6", 200, content),
        ("bytes=9-3", 200, content),
        ("lines=1-2", 200, content),
    ):
        answer = await client.get(uri, headers=radiologist | {"Range": asked})
        assert answer.status_code == status, asked
        assert expected is None or answer.content == expected, asked
        if status == 416:
            assert answer.headers["content-range"] == "bytes */2000"
    tag = (await client.get(uri, headers=radiologist | {"Range": "bytes=0-1"})).headers["etag"]
    for condition, status in ((tag, 206), ('"another"', 200)):
        asked_if = {"Range": "bytes=0-9", "If-Range": condition}
        answer = await client.get(uri, headers=radiologist | asked_if)
        assert answer.status_code == status


async def test_no_other_bytes_of_the_object_can_be_had(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(elements={OPEN: ("OW", WORDS.tobytes())}, PatientID=uid())
    await load(data)
    uri = (await header(client, data, radiologist))["00281201"]["BulkDataURI"]
    offset = int(uri.partition("offset=")[2].partition("&")[0])
    assert data[offset : offset + 3000] == WORDS.tobytes()
    url = uri.partition("?")[0]
    for query, status in (
        (f"offset={offset}&length=2999", 404),
        (f"offset={offset + 1}&length=2999", 404),
        (f"offset={offset - 8}&length=3008", 404),
        (f"offset=0&length={len(data)}", 404),
        ("offset=0&length=0", 404),
        (f"offset={2**80}&length=3000", 404),
        (f"offset={offset}", 400),
        ("length=3000", 400),
        (f"offset=-1&length={offset}", 400),
        (f"offset={offset}&length=x", 400),
        (f"offset={offset}&length=3000", 200),
        (f"offset={offset}&length=3000&offset={offset}", 200),
        (f"offset=0&length=3000&offset={offset + 4}", 404),
    ):
        answer = await client.get(f"{url}?{query}", headers=radiologist)
        assert answer.status_code == status, query
        assert b"Doe" not in answer.content
    elsewhere = dicom()
    await load(elsewhere)
    other = f"{address(elsewhere)}/bulkdata?offset={offset}&length=3000"
    assert (await client.get(other, headers=radiologist)).status_code == 404
    mixed = address(data).replace(
        str(read(data).StudyInstanceUID), str(read(elsewhere).StudyInstanceUID)
    )
    answer = await client.get(f"{mixed}/{uri.rpartition('/')[2]}", headers=radiologist)
    assert answer.status_code == 404


async def test_a_value_that_is_closed_is_not_there_whoever_guesses_its_place(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    inner = Dataset()
    inner.add_new(0x00281201, "OW", WORDS.tobytes())
    data = dicom(
        PatientID=uid(),
        elements={
            OPEN: ("OW", WORDS.tobytes()),
            PRIVATE: ("OB", bytes(2000)),
            0x00880200: ("SQ", [inner]),
        },
    )
    await load(data)
    parser = Part10Parser()
    parser.feed(data)
    values = list(bulk_values(parser.close().attributes))
    assert [one.path for one in values] == [
        ("00091001",),
        ("00281201",),
        ("00880200", "00281201"),
    ]
    opened = {"nurse": [], "provider": [*values], "radiologist": [*values], "billing": []}
    patient = await patient_of(archive, str(read(data).StudyInstanceUID))
    for role in ("provider", "nurse"):
        await look_after(archive, role, patient)
    for role, expected in opened.items():
        who = acting_as(role)
        for one in values:
            url = f"{address(data)}/bulkdata?offset={one.offset}&length={one.length}"
            answer = await client.get(url, headers=who)
            if one in expected:
                assert answer.status_code == 200, (role, one)
                continue
            assert answer.status_code == (403 if role == "billing" else 404), (role, one)
            if role == "nurse":
                event = await archive.database["audit_events"].find_one(
                    {"requestId": answer.headers["x-request-id"]}
                )
                assert event is not None
                assert (event["outcome"], event["total"]) == ("refused", 0)
                assert set(event["refused"]) <= one.coordinates
        assert (await client.get(f"{address(data)}/bulkdata?offset=1&length=2")).status_code == 401


async def test_a_value_is_one_access_in_the_audit(
    client: httpx.AsyncClient, archive: Archive, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(elements={OPEN: ("OW", WORDS.tobytes())})
    await load(data)
    uri = (await header(client, data, radiologist))["00281201"]["BulkDataURI"]
    answer = await client.get(uri, headers=radiologist)
    events = archive.database["audit_events"]
    found = {"requestId": answer.headers["x-request-id"]}
    [event] = await events.find(found).to_list(None)
    assert (event["action"], event["outcome"], event["total"]) == ("read", "allowed", 1)
    assert (event["ids"], event["query"]) == ([str(read(data).SOPInstanceUID)], "bulkdata")


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("application/pdf", "application/pdf"),
        ("Application/PDF ", "application/pdf"),
        ("text/XML", "text/XML"),
        ("model/stl", "model/stl"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
async def test_an_encapsulated_document_comes_under_its_own_type_if_it_is_one_of_dicom(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    said: str | None,
    given: str,
) -> None:
    document = b"%PDF-1.4\n" + bytes(2001) + b"\n%%EOF\n"
    data = dicom(
        image=False,
        SOPClassUID=uids.EncapsulatedPDFStorage,
        MIMETypeOfEncapsulatedDocument=said,
        EncapsulatedDocument=document,
    )
    await load(data)
    uri = (await header(client, data, radiologist))["00420011"]["BulkDataURI"]
    [(headers, content)] = parts_of(await client.get(uri, headers=radiologist))
    assert headers["Content-Type"] == given
    assert content.startswith(document)
    for accept in {given, "application/octet-stream"}:
        answer = await client.get(uri, headers=radiologist | {"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            given,
        )


async def test_all_bulk_data_of_a_place_is_what_its_metadata_names(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    files = study(
        2, 2, elements={OPEN: ("OW", WORDS.tobytes()), PRIVATE: ("OB", bytes(range(256)) * 8)}
    )
    await load(*files)
    instance = address(files[3])
    series = instance.partition("/instances/")[0]
    for place, some in (
        (series.partition("/series/")[0], files),
        (series, files[2:]),
        (instance, files[3:]),
    ):
        answer = await client.get(f"{place}/bulkdata", headers=radiologist)
        assert answer.status_code == 200, answer.text
        expected = []
        for data in some:
            found = await header(client, data, radiologist)
            expected += [
                (found["00091001"]["BulkDataURI"], bytes(range(256)) * 8),
                (found["00281201"]["BulkDataURI"], WORDS.tobytes()),
                (found["7FE00010"]["BulkDataURI"], read(data).PixelData),
            ]
        parts = parts_of(answer)
        assert [(one["Content-Location"], content) for one, content in parts] == expected
        tag = {"If-None-Match": answer.headers["etag"]}
        again = await client.get(f"{place}/bulkdata", headers=radiologist | tag)
        assert again.status_code == 304


async def test_of_all_bulk_data_only_what_is_open_is_given(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    data = dicom(
        PatientID=uid(),
        elements={OPEN: ("OW", WORDS.tobytes()), PRIVATE: ("OB", bytes(2000))},
    )
    await load(data)
    nurse = acting_as("nurse")
    path = f"{address(data)}/bulkdata"
    assert (await client.get(path, headers=nurse)).status_code == 404
    await look_after(archive, "nurse", await patient_of(archive, str(read(data).StudyInstanceUID)))
    [(headers, content)] = parts_of(await client.get(path, headers=nurse))
    assert headers["Content-Location"] == f"{BASE}{address(data)}/pixeldata"
    assert content == read(data).PixelData
    assert (await client.get(path, headers=acting_as("billing"))).status_code == 403


async def test_where_there_is_no_bulk_data_there_is_nothing(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(image=False)
    await load(data)
    for resource in ("bulkdata", "pixeldata"):
        for place in (address(data), address(data).partition("/series/")[0]):
            answer = await client.get(f"{place}/{resource}", headers=radiologist)
            assert answer.status_code == 404, (place, resource)


@pytest.mark.parametrize(
    ("syntax", "frames"),
    [
        (uids.ExplicitVRLittleEndian, 1),
        (uids.ExplicitVRLittleEndian, 3),
        (uids.ImplicitVRLittleEndian, 2),
        (uids.ExplicitVRBigEndian, 2),
        (uids.DeflatedExplicitVRLittleEndian, 2),
        (uids.RLELossless, 3),
        (uids.JPEGLSLossless, 2),
    ],
)
async def test_pixel_data_is_uncompressed_in_one_piece(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, syntax: str, frames: int
) -> None:
    data = dicom(transfer_syntax=syntax, frames=frames)
    await load(data)
    pixels = read(data).pixel_array.astype("<u2").tobytes()
    uri = (await header(client, data, radiologist))["7FE00010"]["BulkDataURI"]
    for accept in ("*/*", OCTETS, 'multipart/related; type="*/*"'):
        answer = await client.get(uri, headers=radiologist | {"Accept": accept})
        assert answer.status_code == 200, answer.text
        [(headers, content)] = parts_of(answer)
        assert content == pixels
        assert headers["Content-Type"] == (
            f"application/octet-stream; transfer-syntax={uids.ExplicitVRLittleEndian}"
        )
        assert headers["Content-Location"] == uri
    alone = radiologist | {"Accept": "application/octet-stream"}
    assert (await client.get(uri, headers=alone)).content == pixels
    part = await client.get(uri, headers=alone | {"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, pixels[100:300])


async def test_pixel_data_of_an_odd_length_is_padded_as_its_value_is(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(pixels=np.arange(15, dtype=np.uint8).reshape(3, 5))
    await load(data)
    alone = radiologist | {"Accept": "application/octet-stream"}
    answer = await client.get(f"{address(data)}/pixeldata", headers=alone)
    assert answer.content == bytes(range(15)) + b"\0"
    part = await client.get(f"{address(data)}/pixeldata", headers=alone | {"Range": "bytes=14-15"})
    assert (part.status_code, part.content) == (206, b"\x0e\0")


async def test_compressed_pixel_data_comes_as_stored_for_whoever_asks_frame_by_frame(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(transfer_syntax=uids.JPEGLSLossless, frames=3)
    await load(data)
    url = f"{BASE}{address(data)}"
    frames = [
        parts_of(
            await client.get(
                f"{url}/frames/{number}",
                headers=radiologist | {"Accept": "multipart/related; type=image/jls"},
            )
        )[0][1]
        for number in (1, 2, 3)
    ]
    for path, accept in (
        (url, 'multipart/related; type="*/*"; transfer-syntax=*'),
        (url, f'multipart/related; type="image/jls"; transfer-syntax={uids.JPEGLSLossless}'),
        (url.partition("/instances/")[0], 'multipart/related; type="*/*"; transfer-syntax=*'),
        (url.partition("/series/")[0], f"{OCTETS}; transfer-syntax=*"),
    ):
        answer = await client.get(f"{path}/pixeldata", headers=radiologist | {"Accept": accept})
        assert answer.status_code == 200, answer.text
        parts = parts_of(answer)
        assert [content for _, content in parts] == frames
        for number, (headers, _) in enumerate(parts, 1):
            assert headers["Content-Location"] == f"{url}/frames/{number}"
            assert headers["Content-Type"] == (f"image/jls; transfer-syntax={uids.JPEGLSLossless}")


async def test_pixel_data_of_a_study_is_that_of_each_image(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    root = uid()
    files = study(2, 2, StudyInstanceUID=root)
    document = dicom(StudyInstanceUID=root, image=False)
    await load(*files, document)
    series = address(files[2]).partition("/instances/")[0]
    for place, some in ((series.partition("/series/")[0], files), (series, files[2:])):
        answer = await client.get(f"{place}/pixeldata", headers=radiologist)
        assert {one["Content-Location"]: content for one, content in parts_of(answer)} == {
            f"{BASE}{address(data)}/pixeldata": read(data).PixelData for data in some
        }
        tag = {"If-None-Match": answer.headers["etag"]}
        again = await client.get(f"{place}/pixeldata", headers=radiologist | tag)
        assert again.status_code == 304


async def test_pixel_data_needs_the_right_to_the_pixels(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    data = dicom(PatientID=uid())
    await load(data)
    instance = address(data)
    places = (instance, instance.partition("/instances/")[0], instance.partition("/series/")[0])
    nurse = acting_as("nurse")
    for place in places:
        answer = await client.get(f"{place}/pixeldata", headers=nurse)
        assert answer.status_code == 403, place
        assert answer.json()["coordinates"] == ["Image.pixels"]
    await look_after(archive, "nurse", await patient_of(archive, str(read(data).StudyInstanceUID)))
    for place in places:
        assert (await client.get(f"{place}/pixeldata", headers=nurse)).status_code == 200, place


async def test_frames_of_single_bits_are_given_as_they_follow_each_other(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    bits = ramp(2).astype(bool).reshape(2, -1)[:, :15]
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    data = dicom(
        pixels=[packed + bytes(len(packed) % 2)],
        Rows=3,
        Columns=5,
        NumberOfFrames=2,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
    )
    await load(data)
    alone = radiologist | {"Accept": "application/octet-stream"}
    answer = await client.get(f"{address(data)}/pixeldata", headers=alone)
    assert answer.content == packed
