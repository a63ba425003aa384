"""What is seen of a picture, what is written over it, and documents, through HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid as uids

from app.archive import Archive
from app.imaging.annotate import annotated
from app.imaging.ingest import Outcome
from app.imaging.profiles import with_profile
from fhir.pseudonyms import Pseudonyms
from tests.build import dicom, ramp, study, uid
from tests.care import TREATING, look_after, patient_of
from tests.dicomweb.parts import address, parts_of, read, shipped

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
PNG = {"Accept": "image/png"}


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


def levels(encoded: bytes) -> NDArray[Any]:
    found: NDArray[Any] = imagecodecs.imread(encoded)
    return found


PICTURE = np.arange(1000, 1000 + 12 * 16, dtype=np.uint16).reshape(12, 16)
WINDOW = "window=72,192"  # of values less 1024


async def seen(
    client: httpx.AsyncClient, headers: dict[str, str], data: bytes, query: str
) -> NDArray[Any]:
    answer = await client.get(f"{address(data)}/rendered?{query}", headers=headers | PNG)
    assert answer.status_code == 200
    return levels(answer.content)


@pytest.mark.parametrize(
    ("viewport", "part"),
    [
        ("16,12", np.s_[:, :]),
        ("8,4,4,2,8,4", np.s_[2:6, 4:12]),
        ("8,4,4,2,-8,4", np.s_[2:6, 11:3:-1]),
        ("8,4,4,2,8,-4", np.s_[5:1:-1, 4:12]),
        ("16,12,,,-16,-12", np.s_[::-1, ::-1]),
        ("12,10,4,2", np.s_[2:, 4:]),
        ("12,10,4.0,2.5", np.s_[2:, 4:]),
        ("2,1,14,11,99,99", np.s_[11:, 14:]),
        ("6,6%2C0%2C0%2C6%2C6", np.s_[:6, :6]),
    ],
)
async def test_a_part_of_the_image_is_cut_out_and_turned(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    viewport: str,
    part: Any,
) -> None:
    data = dicom(pixels=PICTURE)
    await load(data)
    whole = await seen(client, radiologist, data, WINDOW)
    found = await seen(client, radiologist, data, f"{WINDOW}&viewport={viewport}")
    assert np.array_equal(found, whole[part])


async def test_a_small_part_is_shown_large(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    pixels = np.full((8, 8), 1024, np.uint16)
    pixels[2:4, 2:4] = [[1024, 1279], [1024, 1279]]
    data = dicom(pixels=pixels)
    await load(data)
    query = "window=128,256&viewport=400,300,2,2,2,2"
    found = await seen(client, radiologist, data, query)
    assert found.shape == (300, 300)
    assert (found[:, :60] == 0).all()
    assert (found[:, 240:] >= 254).all()
    assert (np.diff(found[150].astype(int)) >= 0).all()


@pytest.mark.parametrize("kind", ["image/gif", "image/jpeg"])
async def test_grey_and_colour_come_in_every_kind_of_picture(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, kind: str
) -> None:
    for data, tolerance in (
        (dicom(pixels=ramp(1, 32, 32)), 0 if kind == "image/gif" else 60),
        (shipped("examples_rgb_color.dcm"), 26),
    ):
        await load(data)
        path = f"{address(data)}/rendered"
        exact = levels((await client.get(path, headers=radiologist | PNG)).content)
        answer = await client.get(path, headers=radiologist | {"Accept": kind})
        assert answer.headers["content-type"] == kind
        found = levels(answer.content)
        if exact.ndim == 2 and found.ndim == 3:
            found = found[..., 0]
        assert np.abs(found.astype(int) - exact).max() <= tolerance or kind == "image/jpeg"


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png"])
@pytest.mark.parametrize("profile", ["yes", "srgb", "adobergb"])
async def test_a_profile_is_written_if_it_is_asked_for(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, kind: str, profile: str
) -> None:
    own = bytes(imagecodecs.cms_profile("adobergb"))
    plain = shipped("examples_rgb_color.dcm")
    grey = dicom(ICCProfile=None)
    with_own = dicom(
        pixels=np.full((4, 4, 3), [10, 250, 10], np.uint8),
        SamplesPerPixel=3,
        elements={0x00282000: ("OB", own + bytes(len(own) % 2))},
    )
    for data in (plain, grey, with_own):
        await load(data)
        path = f"{address(data)}/rendered?iccprofile={profile}"
        answer = await client.get(path, headers=radiologist | {"Accept": kind})
        without = await client.get(
            f"{address(data)}/rendered?iccprofile=no", headers=radiologist | {"Accept": kind}
        )
        marker = b"ICC_PROFILE\0\1\1" if kind == "image/jpeg" else b"iCCPICC profile\0"
        assert marker in answer.content
        assert marker not in without.content
        assert levels(answer.content).ndim == 3


def test_colours_are_turned_into_those_of_the_profile_that_is_asked_for() -> None:
    picture = np.full((2, 2, 3), [10, 250, 10], np.uint8)
    adobe = bytes(imagecodecs.cms_profile("adobergb"))
    kept, profile = with_profile(picture, "yes", adobe)
    assert np.array_equal(kept, picture)
    assert profile == adobe
    turned, profile = with_profile(picture, "srgb", adobe)
    assert profile != adobe
    assert turned[0, 0, 0] < 10  # more saturated than sRGB can say
    back, _ = with_profile(picture, "adobergb", None)
    assert back[0, 0, 0] > 100


def test_text_is_white_on_black_and_letters_of_all_scripts_leave_something() -> None:
    grey = np.full((40, 400), 128, np.uint8)
    plain = annotated(grey, ["Muller"])
    assert {0, 128, 255} == set(np.unique(plain))
    assert np.array_equal(annotated(grey, ["Müller"]), plain)
    assert np.array_equal(annotated(grey, ["山"]), annotated(grey, ["?"]))
    assert not np.array_equal(annotated(grey, ["A"]), annotated(grey, ["B"]))
    colour = np.full((20, 20, 3), 128, np.uint8)
    assert annotated(colour, ["much too long for it"] * 99).shape == colour.shape
    assert np.array_equal(annotated(grey, []), grey)


async def test_whoever_may_read_a_name_sees_it_written_and_others_do_not(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    pixels = np.full((200, 400), 1024, np.uint16)
    data = dicom(pixels=pixels, PatientID=uid(), PatientName="Doe^Jane", KVP=120)
    other = dicom(pixels=pixels, PatientID="P2", PatientName="Xyz^Abc", KVP=120)
    await load(data, other)
    radiologist = acting_as("radiologist")
    blank = await seen(client, radiologist, data, "")
    both = await seen(client, radiologist, data, "annotation=patient,technique")
    patient = await seen(client, radiologist, data, "annotation=patient")
    technique = await seen(client, radiologist, data, "annotation=technique")
    pictures = [blank, both, patient, technique]
    assert len({one.tobytes() for one in pictures}) == 4
    lines = ["Doe, Jane", read(data).PatientID, "19700131", "F", "20240229"]
    assert np.array_equal(patient, annotated(blank, lines))
    assert np.array_equal(technique, annotated(blank, ["CT, 120 kV"]))
    # a student of pixels sees no name: what is closed is left out
    technologist = acting_as("technologist")
    answer = await client.get(
        f"{address(data)}/rendered?annotation=patient", headers=technologist | PNG
    )
    assert answer.status_code == 200


async def test_nothing_is_written_of_anybody_without_identity(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data = dicom(pixels=np.full((100, 300), 1024, np.uint16), PatientName="Secret^Name")
    await load(data)
    researcher = acting_as("researcher", project="seen")
    made = Pseudonyms(archive.pseudonym_key, "seen")
    dataset = read(data)
    names = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    study_uid, series, instance = (made.uid(str(name)) for name in names)
    path = f"/dicomweb/studies/{study_uid}/series/{series}/instances/{instance}/rendered"
    await client.get("/fhir/ImagingStudy?_count=200", headers=researcher)
    blank = await client.get(path, headers=researcher | PNG)
    answer = await client.get(f"{path}?annotation=patient", headers=researcher | PNG)
    assert (blank.status_code, answer.status_code) == (200, 200)
    assert answer.content == blank.content


async def test_what_is_written_is_in_the_audit(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data = dicom()
    [outcome] = await load(data)
    answer = await client.get(
        f"{address(data)}/rendered?annotation=patient", headers=acting_as("radiologist")
    )
    request = {"requestId": answer.headers["x-request-id"]}
    written = [one async for one in archive.database["audit_events"].find(request)]
    assert {(one["resource"], one["query"]) for one in written} == {
        ("Image", "Image.pixels"),
        ("ImagingStudy", "annotation=patient"),
    }
    patient = await patient_of(archive, str(outcome.study))
    assert all(one["patients"] == [patient] for one in written)


async def test_a_study_and_a_series_are_rendered_image_by_image(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    root = uid()
    files = study(2, 2, StudyInstanceUID=root, pixels=ramp(1, 16, 16))
    report = dicom(
        StudyInstanceUID=root, SeriesInstanceUID=f"{root}.1", InstanceNumber=9, image=False
    )
    await load(*files, report)
    for path, expected in (("", files), ("/series/" + f"{root}.2", files[2:])):
        answer = await client.get(
            f"/dicomweb/studies/{root}{path}/rendered?window=1,100", headers=radiologist
        )
        parts = parts_of(answer)
        assert [headers["Content-Location"] for headers, _ in parts] == [
            f"http://radiograph.test{address(one)}/rendered" for one in expected
        ]
        for one, (headers, content) in zip(expected, parts, strict=True):
            alone = await client.get(f"{address(one)}/rendered?window=1,100", headers=radiologist)
            assert headers["Content-Type"] == "image/jpeg"
            assert content == alone.content
        known = {"If-None-Match": answer.headers["etag"]}
        again = await client.get(
            f"/dicomweb/studies/{root}{path}/rendered?window=1,100", headers=radiologist | known
        )
        assert again.status_code == 304
    alone = await client.get(
        f"/dicomweb/studies/{root}/rendered", headers=radiologist | {"Accept": "image/jpeg"}
    )
    assert alone.status_code == 406


async def test_nothing_is_rendered_of_a_study_without_pixels_or_that_is_closed(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive
) -> None:
    data, scan = dicom(image=False), dicom(PatientID=uid())
    await load(data, scan)
    path = f"/dicomweb/studies/{read(data).StudyInstanceUID}/rendered"
    answer = await client.get(path, headers=acting_as("radiologist"))
    assert answer.status_code == 406
    path = f"/dicomweb/studies/{read(scan).StudyInstanceUID}/rendered"
    for role in ("billing", *TREATING):
        refused = await client.get(path, headers=acting_as(role, subject=f"seeing-{role}"))
        assert refused.status_code == 403
    patient = await patient_of(archive, str(read(scan).StudyInstanceUID))
    await look_after(archive, "seeing-nurse", patient)
    nurse = await client.get(path, headers=acting_as("nurse", subject="seeing-nurse"))
    assert nurse.status_code == 200


@pytest.mark.parametrize(
    "syntax", [uids.ExplicitVRLittleEndian, uids.DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("size", [100, 100_001])
async def test_an_encapsulated_pdf_is_given_as_the_document_it_is(
    client: httpx.AsyncClient,
    acting_as: ActingAs,
    load: Load,
    syntax: str,
    size: int,
) -> None:
    pdf = b"%PDF-1.7" + bytes(range(256)) * 400
    pdf = pdf[:size]
    data = dicom(
        image=False,
        transfer_syntax=syntax,
        SOPClassUID=uids.EncapsulatedPDFStorage,
        Modality="DOC",
        elements={
            0x00420011: ("OB", pdf + bytes(len(pdf) % 2)),
            0x00420012: ("LO", "application/pdf"),
            0x00420015: ("UL", len(pdf)),
        },
    )
    await load(data)
    path = f"{address(data)}/rendered"
    answer = await client.get(path, headers=acting_as("radiologist"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content == pdf
    # whoever may see pictures need not see what a document says
    refused = await client.get(path, headers=acting_as("technologist"))
    assert refused.status_code == 403
    jpeg = await client.get(path, headers=acting_as("radiologist") | {"Accept": "image/jpeg"})
    assert jpeg.status_code == 406
