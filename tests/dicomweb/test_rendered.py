"""Pictures through HTTP: what they show, in which form, and what cannot be asked."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid as uids

from app.archive import Archive
from app.imaging.ingest import Outcome
from app.imaging.layout import PixelLayout
from app.imaging.render import Rendering, render
from app.imaging.viewport import Viewport
from app.imaging.windows import Window
from tests.build import LOSSLESS_SYNTAXES, dicom, ramp, study, uid
from tests.care import TREATING
from tests.dicomweb.parts import address, parts_of, read, shipped
from tests.imaging import reference

ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
PNG = {"Accept": "image/png"}


@pytest.fixture
def technologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("technologist")


def levels(picture: bytes) -> NDArray[Any]:
    return imagecodecs.imread(picture).astype(int)


def shown(stored: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """Grey levels of `tests.build` images, which have an intercept of -1024."""
    share = ((stored - 1024.0) - (center - 0.5)) / (width - 1) + 0.5
    return np.asarray(share.clip(0, 1) * 255)


def far(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


async def test_the_default_is_a_jpeg_of_the_first_frame_with_the_window_of_the_header(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    pixels = np.tile(np.arange(700, 1600, 7, dtype=np.uint16), (64, 1))
    data = dicom(pixels=np.stack([pixels, pixels + 9]))
    await load(data)
    answer = await client.get(f"{address(data)}/rendered", headers=technologist)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-location"] == f"{BASE}{address(data)}/rendered"
    assert far(levels(answer.content), shown(pixels, 40, 400)) < 8


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/png", "image/png"),
        ("image/png;q=0.8, image/jpeg;q=0.9", "image/jpeg"),
        ("text/html,image/avif,image/webp,image/apng,*/*;q=0.8", "image/jpeg"),
    ],
)
async def test_the_media_type_is_the_one_that_is_wanted_most(
    client: httpx.AsyncClient,
    technologist: dict[str, str],
    load: Load,
    accept: str,
    media_type: str,
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(
        f"{address(data)}/rendered", headers=technologist | {"Accept": accept}
    )
    assert answer.headers["content-type"] == media_type
    again = await client.get(
        f"{address(data)}/rendered",
        params={"accept": accept},
        headers=technologist | {"Accept": "text/html"},
    )
    assert again.headers["content-type"] == media_type


@pytest.mark.parametrize("accept", ["image/bmp", "application/dicom", "video/mp4"])
async def test_another_media_type_is_406(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, accept: str
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(
        f"{address(data)}/rendered", headers=technologist | {"Accept": accept}
    )
    assert answer.status_code == 406
    assert "image/jpeg or image/png" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CT_small.dcm", 1),
        ("MR_small_RLE.dcm", 1),
        ("MR_small_bigendian.dcm", 1),
        ("image_dfl.dcm", 1),
        ("JPEG2000.dcm", 1),
        ("emri_small_jpeg_ls_lossless.dcm", 4),
        ("examples_palette.dcm", 1),
        ("US1_J2KI.dcm", 1),
        ("SC_rgb_rle_2frame.dcm", 2),
        ("liver.dcm", 3),
    ],
)
async def test_pictures_of_real_files_are_what_pydicom_makes_of_them(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, name: str, number: int
) -> None:
    data = shipped(name)
    await load(data)
    path = f"{address(data)}/frames/{number}/rendered"
    answer = await client.get(path, headers=technologist | PNG)
    assert answer.status_code == 200
    dataset = reference.read(name)
    expected = reference.picture(dataset, reference.stored(dataset)[number - 1], number)
    assert far(levels(answer.content), expected.astype(int)) <= 1


@pytest.mark.parametrize(
    "transfer_syntax", [one for one in LOSSLESS_SYNTAXES if one != uids.ExplicitVRLittleEndian]
)
async def test_a_picture_is_the_same_in_every_lossless_syntax(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, transfer_syntax: str
) -> None:
    pixels = ramp(3, 33, 17)
    plain = dicom(pixels=pixels)
    data = dicom(pixels=pixels, transfer_syntax=transfer_syntax)
    await load(plain, data)
    pictures = [
        await client.get(f"{address(one)}/frames/3/rendered", headers=technologist | PNG)
        for one in (plain, data)
    ]
    assert [one.status_code for one in pictures] == [200, 200]
    assert pictures[0].content == pictures[1].content


async def test_the_answer_is_what_the_renderer_gives(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, archive: Archive
) -> None:
    data = dicom(pixels=ramp(1, 40, 60))
    [outcome] = await load(data)
    image = await archive.repository.stored_image(str(outcome.instance))
    assert image is not None
    answer = await client.get(
        f"{address(data)}/rendered?window=-100%2C900%2Csigmoid&viewport=30,30&quality=40",
        headers=technologist,
    )
    assert answer.content == render(
        ramp(1, 40, 60)[0].tobytes(),
        image.attributes,
        PixelLayout.read(image.attributes, image.transfer_syntax),
        Rendering("image/jpeg", Window(-100, 900, "SIGMOID"), Viewport(30, 30), 40),
    )


@pytest.mark.parametrize(
    ("window", "center", "width"),
    [
        ("40%2C400%2Clinear", 40, 400),
        ("40,400,LINEAR", 40, 400),
        ("-600,1500", -600, 1500),
        ("-6e2,%201500.0", -600, 1500),
    ],
)
async def test_a_window_may_be_asked_for(
    client: httpx.AsyncClient,
    technologist: dict[str, str],
    load: Load,
    window: str,
    center: float,
    width: float,
) -> None:
    pixels = ramp(1, 64, 64)[0]
    data = dicom(pixels=pixels, WindowCenter=2000, WindowWidth=3)
    await load(data)
    answer = await client.get(
        f"{address(data)}/rendered?window={window}", headers=technologist | PNG
    )
    assert far(levels(answer.content), shown(pixels, center, width)) <= 0.5 + 1e-6


async def test_linear_exact_is_not_linear(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom(pixels=np.array([[1022, 1023, 1024, 1025]], np.uint16))
    await load(data)
    found = []
    for function in ("linear", "linear-exact"):
        path = f"{address(data)}/rendered?window=0,2,{function}"
        answer = await client.get(path, headers=technologist | PNG)
        found.append(levels(answer.content).tolist())
    assert found == [[[0, 0, 255, 255]], [[0, 0, 128, 255]]]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("window=40", 400),
        ("window=40,400,linear,1", 400),
        ("window=a,b", 400),
        ("window=nan,400", 400),
        ("window=1_0,400", 400),
        ("window=40,0", 400),
        ("window=40,-5", 400),
        ("window=40,1e999", 400),
        ("window=40,400,cubic", 400),
        ("window=", 400),
        ("quality=0", 400),
        ("quality=101", 400),
        ("quality=1.5", 400),
        ("quality=", 400),
        ("viewport=100", 400),
        ("viewport=0,100", 400),
        ("viewport=-5,100", 400),
        ("viewport=a,b", 400),
        ("viewport=", 400),
        ("viewport=100,100,0,0,50,50,1", 400),
        ("viewport=100,100,16,0", 400),
        ("viewport=100,100,-9,0,9,9", 400),
        ("viewport=100,100,0,0,0,9", 400),
        ("viewport=100,100,a", 400),
        ("viewport=99999,99999", 400),
        ("annotation=doctor", 400),
        ("annotation=", 400),
        ("annotation=patient", 200),
        ("iccprofile=cmyk", 400),
        ("iccprofile=rommrgb", 400),
        ("iccprofile=no", 200),
    ],
)
async def test_a_query_that_cannot_be_is_400(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, query: str, status: int
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(f"{address(data)}/rendered?{query}", headers=technologist)
    assert answer.status_code == status
    if status == 400:
        assert set(answer.json()) == {"title", "status", "detail"}


async def test_a_profile_that_is_not_made_is_named_as_not_supported(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(f"{address(data)}/rendered?iccprofile=ROMMRGB", headers=technologist)
    assert answer.json() == {
        "title": "NOT_SUPPORTED",
        "status": 400,
        "detail": "iccprofile takes no, yes, srgb, adobergb here; rommrgb is not made",
    }


@pytest.mark.parametrize(
    ("viewport", "shape"),
    [("40,40", (20, 40)), ("100,10", (10, 20)), ("1000,1000", (500, 1000)), ("1,1", (1, 1))],
)
async def test_a_picture_is_as_large_as_its_viewport_lets_it_be(
    client: httpx.AsyncClient,
    technologist: dict[str, str],
    load: Load,
    viewport: str,
    shape: tuple[int, int],
) -> None:
    data = dicom(pixels=ramp(1, 50, 100))
    await load(data)
    path = f"{address(data)}/rendered?viewport={viewport}"
    answer = await client.get(path, headers=technologist | PNG)
    assert levels(answer.content).shape == shape


async def test_a_worse_quality_is_fewer_bytes(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom(pixels=ramp(1, 64, 64))
    await load(data)
    sizes = [
        len(
            (
                await client.get(f"{address(data)}/rendered?quality={one}", headers=technologist)
            ).content
        )
        for one in (1, 50, 100)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2


async def test_several_frames_come_in_parts(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom(frames=3)
    await load(data)
    answer = await client.get(f"{address(data)}/frames/3,1/rendered", headers=technologist)
    parts = parts_of(answer)
    alone = [
        (
            await client.get(f"{address(data)}/frames/{number}/rendered", headers=technologist)
        ).content
        for number in (3, 1)
    ]
    assert [content for _, content in parts] == alone
    assert alone[0] != alone[1]
    assert parts[0][0] == {
        "Content-Type": "image/jpeg",
        "Content-Length": str(len(alone[0])),
        "Content-Location": f"{BASE}{address(data)}/frames/3/rendered",
    }
    single = await client.get(
        f"{address(data)}/frames/3,1/rendered", headers=technologist | {"Accept": "image/jpeg"}
    )
    assert single.status_code == 406


@pytest.mark.parametrize(
    ("resource", "status"),
    [("rendered", 406), ("thumbnail", 406), ("frames/1/rendered", 404)],
)
async def test_an_instance_without_pixels_has_no_picture(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, resource: str, status: int
) -> None:
    data = dicom(image=False)
    await load(data)
    answer = await client.get(f"{address(data)}/{resource}", headers=technologist)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith("This instance has no pixel data")


@pytest.mark.parametrize(
    "lie",
    [
        {"pixels": [b"\xff\xd8\xff\xe0 damaged"], "transfer_syntax": uids.JPEGBaseline8Bit},
        {"pixels": [bytes(50)], "transfer_syntax": uids.RLELossless},
        {"pixels": [bytes(50)], "transfer_syntax": uids.MPEG4HP41},
        {
            "pixels": [bytes(50)],
            "transfer_syntax": uids.RLELossless,
            "Rows": 65535,
            "Columns": 65535,
        },
        {"BitsAllocated": 12},
        {"PhotometricInterpretation": "CMYK"},
        {"SamplesPerPixel": 2, "frames": 2},
    ],
)
async def test_what_cannot_be_decoded_is_406_with_words(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, lie: dict[str, Any]
) -> None:
    data = dicom(**{"Rows": 16, "Columns": 16} | lie)
    await load(data)
    for resource in ("rendered", "thumbnail"):
        answer = await client.get(f"{address(data)}/{resource}", headers=technologist)
        assert (answer.status_code, answer.json()["title"]) == (406, "UNDECODABLE")


async def test_rows_and_columns_that_lie_about_native_pixels_leave_no_frame(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom(Rows=65535, Columns=65535)
    await load(data)
    answer = await client.get(f"{address(data)}/rendered", headers=technologist)
    assert answer.status_code == 404


async def test_a_thumbnail_is_a_jpeg_of_256_pixels_at_most_of_the_middle_frame(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    pixels = np.zeros((5, 300, 600), np.uint16)
    pixels[2] = 4095
    data = dicom(pixels=pixels)
    await load(data)
    answer = await client.get(f"{address(data)}/thumbnail", headers=technologist)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-location"] == f"{BASE}{address(data)}/frames/3/thumbnail"
    picture = levels(answer.content)
    assert picture.shape == (128, 256)
    assert picture.min() > 250
    first = await client.get(f"{address(data)}/frames/1/thumbnail", headers=technologist)
    assert levels(first.content).max() < 5


async def test_a_thumbnail_shows_the_frame_that_the_header_calls_representative(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom(frames=5, RepresentativeFrameNumber=5)
    await load(data)
    answer = await client.get(f"{address(data)}/thumbnail", headers=technologist)
    assert answer.headers["content-location"].endswith("/frames/5/thumbnail")


@pytest.mark.parametrize(
    ("viewport", "shape"), [("64,64", (64, 64)), ("9999,9999", (256, 256)), ("64,10", (10, 10))]
)
async def test_a_thumbnail_may_be_smaller_but_not_larger(
    client: httpx.AsyncClient,
    technologist: dict[str, str],
    load: Load,
    viewport: str,
    shape: tuple[int, int],
) -> None:
    data = dicom(pixels=ramp(1, 512, 512))
    await load(data)
    path = f"{address(data)}/thumbnail?viewport={viewport}"
    assert levels((await client.get(path, headers=technologist)).content).shape == shape


async def test_a_study_and_a_series_show_the_middle_image_of_the_longest_series(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    root = uid()
    scan = study(2, 5, StudyInstanceUID=root)
    report = dicom(
        StudyInstanceUID=root, SeriesInstanceUID=f"{root}.1", InstanceNumber=3, image=False
    )
    scout = dicom(StudyInstanceUID=root, SeriesInstanceUID=f"{root}.9", InstanceNumber=1)
    await load(*scan[:8], report, scout)
    places = [
        (
            await client.get(f"/dicomweb/studies/{root}{path}/thumbnail", headers=technologist)
        ).headers["content-location"]
        for path in ("", f"/series/{root}.1", f"/series/{root}.2", f"/series/{root}.9")
    ]
    assert places == [
        f"{BASE}{address(one)}/frames/1/thumbnail" for one in (scan[2], scan[2], scan[6], scout)
    ]


async def test_a_study_without_pictures_has_no_thumbnail(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load
) -> None:
    data = dicom(image=False)
    await load(data)
    dataset = read(data)
    path = f"/dicomweb/studies/{dataset.StudyInstanceUID}"
    assert (await client.get(f"{path}/thumbnail", headers=technologist)).status_code == 406
    unknown = await client.get(f"{path}/series/1.2.3/thumbnail", headers=technologist)
    assert unknown.status_code == 404
    assert (
        await client.get("/dicomweb/studies/1.2.3/thumbnail", headers=technologist)
    ).status_code == 404


async def test_each_picture_has_a_tag_of_its_own_and_is_sent_once(
    client: httpx.AsyncClient, technologist: dict[str, str], load: Load, acting_as: ActingAs
) -> None:
    data = dicom(frames=2)
    await load(data)
    paths = (
        "rendered",
        "frames/2/rendered",
        "rendered?window=1,2",
        "rendered?quality=3",
        "thumbnail",
    )
    tags = []
    for path in paths:
        url = f"{address(data)}/{path}"
        first = await client.get(url, headers=technologist)
        tags.append(first.headers["etag"])
        assert first.headers["cache-control"] == "private, no-cache"
        again = await client.get(url, headers=technologist | {"If-None-Match": tags[-1]})
        assert (again.status_code, again.content) == (304, b"")
        refused = await client.get(url, headers=acting_as("admin") | {"If-None-Match": tags[-1]})
        assert refused.status_code == 403
    assert len(set(tags)) == len(paths)


@pytest.mark.parametrize("role", ["billing", "admin", "auditor", *TREATING])
async def test_whoever_may_not_see_pixels_sees_no_picture_of_any_kind(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load, archive: Archive, role: str
) -> None:
    data = dicom()
    await load(data)
    instance = address(data)
    series = instance.rpartition("/instances/")[0]
    root = series.rpartition("/series/")[0]
    for path in (
        f"{instance}/rendered",
        f"{instance}/frames/1/rendered",
        f"{instance}/thumbnail",
        f"{instance}/frames/1/thumbnail",
        f"{series}/thumbnail",
        f"{root}/thumbnail",
    ):
        answer = await client.get(path, headers=acting_as(role))
        assert (answer.status_code, answer.json()["coordinates"]) == (403, ["Image.pixels"])
        request = {"requestId": answer.headers["x-request-id"]}
        written = [one async for one in archive.database["audit_events"].find(request)]
        # whoever sees which images there are has looked first for the one to show
        *_, last = sorted(written, key=lambda one: one["recorded"])
        assert (last["resource"], last["action"]) == ("Image", "read")
        assert (last["outcome"], last["refused"]) == ("refused", ["Image.pixels"])
