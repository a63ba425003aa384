"""Instances and frames through HTTP: the bytes, their labels, and who gets them."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import numpy as np
import pytest
from pydicom import uid as uids
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array

from app.archive import Archive
from app.imaging.ingest import Outcome
from app.imaging.pictures import Pictures
from app.main import create_app
from fhir.pseudonyms import Pseudonyms
from tests.build import LOSSLESS_SYNTAXES, dicom, ramp, uid
from tests.care import label, look_after, patient_of, take_off
from tests.dicomweb.parts import address, parts_of, read, shipped
from tests.stored import Counting

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
OCTETS = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


async def test_an_instance_comes_as_stored_in_one_part_by_default(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(address(data), headers=radiologist)
    assert answer.status_code == 200
    [(headers, content)] = parts_of(answer)
    assert content == data
    assert headers == {
        "Content-Type": f"application/dicom; transfer-syntax={uids.ExplicitVRLittleEndian}",
        "Content-Length": str(len(data)),
        "Content-Location": BASE + address(data),
    }
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom"')
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        "multipart/related; type=application/dicom; transfer-syntax=*",
        'multipart/related; type="*/*"; transfer-syntax=*',
        f'multipart/related; type="application/dicom"; transfer-syntax={uids.RLELossless}',
    ],
)
async def test_an_instance_comes_in_one_part_for_every_spelling_of_as_stored(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, accept: str
) -> None:
    data = dicom(transfer_syntax=uids.RLELossless)
    await load(data)
    answer = await client.get(address(data), headers=radiologist | {"Accept": accept})
    assert [content for _, content in parts_of(answer)] == [data]


async def test_an_instance_comes_alone_if_so_accepted(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(frames=3000)  # several pieces of storage
    await load(data)
    answer = await client.get(address(data), headers=radiologist | {"Accept": "application/dicom"})
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-type"] == (
        f"application/dicom; transfer-syntax={uids.ExplicitVRLittleEndian}"
    )
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["content-location"] == BASE + address(data)


@pytest.mark.parametrize(
    "accept",
    [
        "image/jpeg",
        "application/dicom+json",
        f"application/dicom; transfer-syntax={uids.JPEG2000}",
    ],
)
async def test_an_instance_in_another_form_is_406_and_the_message_lists_what_there_is(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, accept: str
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(address(data), headers=radiologist | {"Accept": accept})
    assert answer.status_code == 406
    parts = 'multipart/related; type="application/dicom"'
    syntaxes = [
        uids.JPEGLSLossless,
        uids.JPEG2000Lossless,
        uids.HTJ2KLossless,
        uids.RLELossless,
    ]
    forms = [
        f"{parts}; transfer-syntax={uids.ExplicitVRLittleEndian}",
        f"application/dicom; transfer-syntax={uids.ExplicitVRLittleEndian}",
        *(f"{parts}; transfer-syntax={one}" for one in syntaxes),
        *(f"application/dicom; transfer-syntax={one}" for one in syntaxes),
    ]
    assert answer.json()["detail"] == (
        f"Not available in what you accept, but as {' or '.join(forms)}."
    )


async def test_an_address_with_another_study_or_series_is_404(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data, other = dicom(), dicom()
    await load(data, other)
    dataset, strange = read(data), read(other)
    answers = [
        await client.get(wrong, headers=radiologist)
        for wrong in (
            address(data).replace(dataset.StudyInstanceUID, strange.StudyInstanceUID),
            address(data).replace(dataset.SeriesInstanceUID, strange.SeriesInstanceUID),
            address(data).replace(dataset.SOPInstanceUID, uid()),
            address(data).replace(dataset.SeriesInstanceUID, strange.SeriesInstanceUID)
            + "/frames/1",
        )
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert {answer.json()["detail"] for answer in answers} == {
        "no instance of this UID is open to you"
    }


def native(dataset_bytes: bytes, number: int) -> bytes:
    """A frame as pydicom decodes it, uncompressed and little-endian."""
    pixels = pixel_array(read(dataset_bytes), index=number - 1)
    return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


@pytest.mark.parametrize("transfer_syntax", LOSSLESS_SYNTAXES)
async def test_frames_are_uncompressed_by_default_whatever_is_stored(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, transfer_syntax: str
) -> None:
    pixels = ramp(3, 15, 17)
    data = dicom(pixels=pixels, transfer_syntax=transfer_syntax)
    await load(data)
    accept = {"Accept": 'multipart/related; type="application/octet-stream"'}
    answer = await client.get(f"{address(data)}/frames/3,1", headers=radiologist | accept)
    assert answer.status_code == 200
    third, first = (pixels[index].astype("<u2").tobytes() for index in (2, 0))
    assert parts_of(answer) == [
        (
            {
                "Content-Type": OCTETS,
                "Content-Length": "510",
                "Content-Location": f"{BASE}{address(data)}/frames/{number}",
            },
            content,
        )
        for number, content in ((3, third), (1, first))
    ]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CT_small.dcm", 1),
        ("MR_small_RLE.dcm", 1),
        ("MR_small_bigendian.dcm", 1),
        ("emri_small_big_endian.dcm", 10),
        ("image_dfl.dcm", 1),
        ("emri_small_jpeg_ls_lossless.dcm", 7),
        ("SC_rgb_rle_2frame.dcm", 2),
        ("SC_rgb_32bit.dcm", 1),
        ("US1_J2KI.dcm", 1),
    ],
)
async def test_uncompressed_frames_of_real_files_are_what_pydicom_decodes(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, name: str, number: int
) -> None:
    data = shipped(name)
    await load(data)
    accept = {"Accept": "application/octet-stream"}
    answer = await client.get(f"{address(data)}/frames/{number}", headers=radiologist | accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == OCTETS
    expected = np.frombuffer(native(data, number), np.uint8)
    assert len(answer.content) == len(expected)
    off = np.abs(np.frombuffer(answer.content, np.uint8).astype(int) - expected)
    assert off.max() <= (1 if name == "US1_J2KI.dcm" else 0)


async def test_native_colour_by_plane_stays_as_the_header_says(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = shipped("ExplVR_BigEnd.dcm")
    await load(data)
    accept = {"Accept": "application/octet-stream"}
    answer = await client.get(f"{address(data)}/frames/1", headers=radiologist | accept)
    assert read(data).PlanarConfiguration == 1
    assert answer.content == read(data).PixelData


@pytest.mark.parametrize(
    ("name", "number", "media_type"),
    [
        ("MR_small_RLE.dcm", 1, "image/dicom-rle"),
        ("JPEG-LL.dcm", 1, "image/jpeg"),
        ("JPGExtended.dcm", 1, "image/jpeg"),
        ("JPEG2000.dcm", 1, "image/jp2"),
        ("emri_small_jpeg_ls_lossless.dcm", 10, "image/jls"),
        ("examples_ybr_color.dcm", 30, "image/jpeg"),
    ],
)
async def test_compressed_frames_come_as_stored_with_any_transfer_syntax(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    name: str,
    number: int,
    media_type: str,
) -> None:
    data = shipped(name)
    await load(data)
    dataset = read(data)
    syntax = dataset.file_meta.TransferSyntaxUID
    frames = list(
        generate_frames(
            dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1) or 1)
        )
    )
    path = f"{address(data)}/frames/{number}"
    for accept in (
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="*/*"; transfer-syntax=*',
        f'multipart/related; type="{media_type}"; transfer-syntax={syntax}',
        'multipart/related; type="image/*"',
    ):
        answer = await client.get(path, headers=radiologist | {"Accept": accept})
        [(headers, content)] = parts_of(answer)
        assert headers["Content-Type"] == f"{media_type}; transfer-syntax={syntax}"
        assert content == frames[number - 1]
    alone = await client.get(path, headers=radiologist | {"Accept": media_type})
    assert alone.headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"
    assert alone.content == frames[number - 1]


async def test_native_frames_have_one_form_for_any_transfer_syntax(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(transfer_syntax=uids.ExplicitVRBigEndian)
    await load(data)
    accept = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
    answer = await client.get(f"{address(data)}/frames/1", headers=radiologist | accept)
    [(headers, content)] = parts_of(answer)
    assert headers["Content-Type"] == OCTETS
    assert content == ramp()[0].tobytes()


async def test_packed_bits_of_later_frames_begin_at_the_lowest_bit(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = shipped("liver.dcm")
    await load(data)
    answer = await client.get(
        f"{address(data)}/frames/2", headers=radiologist | {"Accept": "application/octet-stream"}
    )
    bits = np.unpackbits(np.frombuffer(answer.content, np.uint8), bitorder="little")
    expected = pixel_array(read(data), index=1)
    assert np.array_equal(bits.reshape(512, 512), expected)


@pytest.mark.parametrize(
    "listed", ["0", "1,", ",1", "1,,2", "a", "1-3", "-1", "1.0", "01", "9" * 10]
)
async def test_a_list_that_is_none_is_400(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, listed: str
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(f"{address(data)}/frames/{listed}", headers=radiologist)
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "Frames are listed as numbers from 1 with commas between them."
    )


async def test_a_frame_that_is_not_there_is_404_and_says_how_many_are(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(frames=2)
    await load(data)
    answer = await client.get(f"{address(data)}/frames/1,3", headers=radiologist)
    assert answer.status_code == 404
    assert answer.json()["detail"] == (
        "This instance has 2 frames, and not all that are asked for."
    )


async def test_frames_of_an_instance_without_pixels_are_404(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(image=False)
    await load(data)
    answer = await client.get(f"{address(data)}/frames/1", headers=radiologist)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "This instance has no pixel data."


async def test_several_frames_do_not_come_alone(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(frames=2)
    await load(data)
    answer = await client.get(
        f"{address(data)}/frames/1,2", headers=radiologist | {"Accept": "application/octet-stream"}
    )
    assert answer.status_code == 406


async def test_a_syntax_that_is_not_made_here_is_406(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(transfer_syntax=uids.JPEGLSLossless)
    await load(data)
    accept = {"Accept": 'multipart/related; type="image/jxl"'}
    answer = await client.get(f"{address(data)}/frames/1", headers=radiologist | accept)
    assert answer.status_code == 406
    assert "image/jls" in answer.json()["detail"]


async def test_a_damaged_frame_is_406_uncompressed_and_comes_as_stored(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    damaged = b"\xff\xd8\xff\xf7" + bytes(96)
    data = dicom(pixels=[damaged], transfer_syntax=uids.JPEGLSLossless, Rows=16, Columns=16)
    await load(data)
    path = f"{address(data)}/frames/1"
    answer = await client.get(path, headers=radiologist)
    assert (answer.status_code, answer.json()["title"]) == (406, "UNDECODABLE")
    as_stored = await client.get(path, headers=radiologist | {"Accept": "image/jls"})
    assert as_stored.content == damaged


async def test_a_video_is_one_frame_that_comes_as_stored_only(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    syntax = uids.MPEG4HP41
    data = dicom(pixels=[b"\0\0\0\x18ftypmp42"], transfer_syntax=syntax, NumberOfFrames=99)
    await load(data)
    answer = await client.get(f"{address(data)}/frames/1", headers=radiologist)
    [(headers, content)] = parts_of(answer)
    assert headers["Content-Type"] == f"video/mp4; transfer-syntax={syntax}"
    assert content == b"\0\0\0\x18ftypmp42"


async def test_the_query_goes_before_the_accept_header(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(
        f"{address(data)}/frames/1",
        params={"accept": "application/octet-stream"},
        headers=radiologist | {"Accept": "text/html"},
    )
    assert answer.content == ramp()[0].tobytes()


async def test_an_accept_header_that_cannot_be_understood_is_400(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(address(data), headers=radiologist | {"Accept": 'a/b; type="c'})
    assert answer.status_code == 400


async def test_bytes_that_the_client_has_are_not_sent_again(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, acting_as: ActingAs
) -> None:
    data = dicom(frames=2)
    await load(data)
    tags = set()
    for path in ("", "/frames/1", "/frames/2", "/frames/1,2"):
        first = await client.get(address(data) + path, headers=radiologist)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"
        assert first.headers["vary"] == "Accept, Authorization"
        assert (
            await client.get(address(data) + path, headers=radiologist)
        ).content == first.content
        again = await client.get(
            address(data) + path, headers=radiologist | {"If-None-Match": f'"other", W/{tag}'}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        changed = await client.get(
            address(data) + path, headers=radiologist | {"If-None-Match": '"other"'}
        )
        assert changed.content == first.content
        refused = await client.get(
            address(data) + path, headers=acting_as("billing") | {"If-None-Match": tag}
        )
        assert refused.status_code == 403
        tags.add(tag)
    assert len(tags) == 4


@contextmanager
def counted(archive: Archive) -> Iterator[tuple[httpx.AsyncClient, Counting]]:
    """A client of the same archive, whose reads of storage are counted."""
    objects = Counting(archive.settings.data_dir / "objects")
    seen = replace(archive, objects=objects, pictures=Pictures(objects, 1))
    transport = httpx.ASGITransport(create_app(archive.settings, seen))
    yield httpx.AsyncClient(transport=transport, base_url=BASE), objects


@pytest.mark.parametrize("transfer_syntax", [uids.ExplicitVRLittleEndian, uids.JPEG2000Lossless])
@pytest.mark.parametrize("resource", ["", "/rendered", "/thumbnail"])
async def test_a_frame_is_one_ranged_read(
    archive: Archive, radiologist: dict[str, str], load: Load, transfer_syntax: str, resource: str
) -> None:
    data = dicom(frames=20, transfer_syntax=transfer_syntax, fragments=3, table="none")
    await load(data)
    with counted(archive) as (client, objects):
        async with client:
            answer = await client.get(f"{address(data)}/frames/13{resource}", headers=radiologist)
    assert answer.status_code == 200
    [(start, end)] = objects.reads
    assert 0 < end - start <= 600


async def test_an_answer_304_reads_nothing(
    archive: Archive, client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    path = f"{address(data)}/frames/1"
    tag = (await client.get(path, headers=radiologist)).headers["etag"]
    with counted(archive) as (counting, objects):
        async with counting:
            answer = await counting.get(path, headers=radiologist | {"If-None-Match": tag})
    assert answer.status_code == 304
    assert objects.reads == []


@pytest.mark.parametrize(
    ("role", "file", "pixels"),
    [
        ("radiologist", 200, 200),
        ("technologist", 403, 200),
        ("provider", 403, 403),
        ("attending", 403, 403),
        ("fellow", 403, 403),
        ("resident", 403, 403),
        ("nurse", 403, 403),
        ("admin", 403, 403),
        ("billing", 403, 403),
        ("auditor", 403, 403),
    ],
)
async def test_files_and_pixels_go_to_whom_the_policy_gives_them(
    client: httpx.AsyncClient,
    acting_as: ActingAs,
    load: Load,
    role: str,
    file: int,
    pixels: int,
) -> None:
    data = dicom(PatientName="Secret^Name")
    await load(data)
    for path, status in (("", file), ("/frames/1", pixels)):
        answer = await client.get(address(data) + path, headers=acting_as(role))
        assert answer.status_code == status
        if status == 403:
            assert set(answer.json()) == {"title", "status", "detail", "coordinates"}
            assert b"Secret" not in answer.content


@pytest.mark.parametrize(
    ("role", "file"),
    [("provider", 200), ("attending", 200), ("fellow", 200), ("resident", 403), ("nurse", 403)],
)
async def test_whoever_treats_patients_gets_what_is_of_those_they_look_after(
    client: httpx.AsyncClient,
    acting_as: ActingAs,
    load: Load,
    archive: Archive,
    role: str,
    file: int,
) -> None:
    data, other = dicom(PatientID=uid()), dicom(PatientID=uid(), PatientName="Secret^Name")
    await load(data, other)
    headers = acting_as(role, subject=f"retrieving-{role}")

    async def statuses(of: bytes) -> tuple[int, int]:
        answers = [
            await client.get(address(of) + path, headers=headers) for path in ("", "/frames/1")
        ]
        assert all(b"Secret" not in one.content for one in answers)
        return answers[0].status_code, answers[1].status_code

    assert await statuses(data) == (403, 403)
    patient = await patient_of(archive, str(read(data).StudyInstanceUID))
    link = await look_after(archive, f"retrieving-{role}", patient)
    assert (await statuses(data), await statuses(other)) == ((file, 200), (403, 403))
    await take_off(client, acting_as("admin"), link)
    assert await statuses(data) == (403, 403)


async def test_a_refusal_names_what_a_file_would_have_told(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    data = dicom()
    await load(data)
    file = await client.get(address(data), headers=acting_as("provider"))
    assert {"Image.file", "Image.pixels", "Patient.name"} <= set(file.json()["coordinates"])
    # nothing of what anybody who finds the study reads
    assert not {"Image.id", "Patient.id", "ImagingStudy.started"} & set(file.json()["coordinates"])
    frame = await client.get(f"{address(data)}/frames/1", headers=acting_as("provider"))
    assert frame.json()["coordinates"] == ["Image.pixels"]


async def test_a_researcher_gets_files_and_pixels_under_pseudonyms_alone(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data = dicom(PatientName="Secret^Name")
    await load(data)
    researcher = acting_as("researcher", project="trial-1")
    made = Pseudonyms(archive.pseudonym_key, "trial-1")
    dataset = read(data)
    names = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    study, series, instance = (made.uid(str(name)) for name in names)
    given = f"/dicomweb/studies/{study}/series/{series}/instances/{instance}"
    # a pseudonym can be asked by once it was given out
    await client.get("/fhir/ImagingStudy?_count=200", headers=researcher)
    for path in ("", "/frames/1"):
        answer = await client.get(given + path, headers=researcher)
        assert answer.status_code == 200
        assert b"Secret" not in answer.content
        assert (await client.get(address(data) + path, headers=researcher)).status_code == 404
        nobody = await client.get(address(data) + path, headers=acting_as("researcher"))
        assert (nobody.status_code, set(nobody.json())) == (403, {"title", "status", "detail"})


@pytest.mark.parametrize("path", ["", "/frames/1", "/rendered", "/thumbnail"])
async def test_a_restricted_study_gives_its_patient_not_even_the_uids_in_it(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive, path: str
) -> None:
    data = dicom(PatientID=uid())
    await load(data)
    study = str(read(data).StudyInstanceUID)
    headers = acting_as("patient", patient=await patient_of(archive, study))
    assert (await client.get(address(data) + path, headers=headers)).status_code == 200
    await label(archive, study, "R")
    for there, status in ((study, 200), (f"{study}.1", 404)):
        found = await client.get(f"/fhir/ImagingStudy/{there}", headers=headers)
        assert found.status_code == status
    closed = await client.get(address(data) + path, headers=headers)
    absent = await client.get(f"{address(data)}.9{path}", headers=headers)
    assert (closed.status_code, absent.status_code) == (404, 404)
    assert closed.json() == absent.json()


async def test_a_patient_gets_their_own_files_and_learns_of_no_others(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    own, other = dicom(PatientID="own"), dicom(PatientID="other")
    await load(own, other)
    document = await archive.ledger.study(str(read(own).StudyInstanceUID))
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    headers = acting_as("patient", patient=patient)
    accept = {"Accept": "application/dicom"}
    assert (await client.get(address(own), headers=headers | accept)).content == own
    absent = await client.get(f"{address(own)}.9", headers=headers)
    closed = await client.get(address(other), headers=headers)
    assert (absent.status_code, closed.status_code) == (404, 404)
    assert absent.json() == closed.json()


async def test_what_was_given_out_and_what_was_not_is_audited(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data = dicom()
    [outcome] = await load(data)
    document = await archive.ledger.study(str(outcome.study))
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    found = []
    for role in ("technologist", "billing"):
        answer = await client.get(f"{address(data)}/frames/1", headers=acting_as(role))
        request = {"requestId": answer.headers["x-request-id"]}
        async for entry in archive.database["audit_events"].find(request):
            names = ("door", "roles", "action", "outcome", "ids", "patients", "query", "refused")
            found.append([entry[name] for name in names])
    assert found == [
        [
            "dicomweb",
            ["technologist"],
            "read",
            "allowed",
            [outcome.instance],
            [patient],
            "Image.pixels",
            [],
        ],
        ["dicomweb", ["billing"], "read", "refused", [], [], None, ["Image.pixels"]],
    ]


async def test_a_deleted_file_behind_a_record_is_404_not_half_an_answer(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, archive: Archive
) -> None:
    data = dicom()
    [outcome] = await load(data)
    image = await archive.repository.stored_image(str(outcome.instance))
    assert image is not None
    await archive.objects.delete(image.object_key)
    for path in ("", "/frames/1", "/rendered"):
        answer = await client.get(address(data) + path, headers=radiologist)
        assert answer.status_code == 404
        assert image.object_key not in answer.text
