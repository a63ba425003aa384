"""Metadata through HTTP: every header of a place, without what is closed, or nothing."""

import gzip
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import orjson
import pytest
from pydicom import Dataset
from pydicom import uid as uids

from app.archive import Archive
from app.dicomweb.native_xml import NAMESPACE, native_xml
from app.imaging.ingest import Outcome
from app.imaging.part10 import Part10, Part10Parser
from fhir.pseudonyms import Pseudonyms
from tests.build import dicom, study, uid
from tests.care import look_after, patient_of
from tests.dicomweb.parts import address, parts_of, read

Json = Any
ActingAs = Callable[..., dict[str, str]]
Load = Callable[..., Awaitable[list[Outcome]]]
BASE = "http://radiograph.test"
LONG = dict.fromkeys((0x001021B0, 0x00104000, 0x00204000), ("LT", "x" * 1000))
XML = 'multipart/related; type="application/dicom+xml"'


@pytest.fixture
def radiologist(acting_as: ActingAs) -> dict[str, str]:
    return acting_as("radiologist")


def parsed(data: bytes) -> Part10:
    parser = Part10Parser()
    parser.feed(data)
    return parser.close()


def complete(data: bytes, vr: str | None = "OW") -> dict[str, Json]:
    """Give the metadata that an object has to have for whoever may read all of it."""
    found = parsed(data)
    url = f"{BASE}{address(data)}"
    said = found.attributes | {"00083002": {"vr": "UI", "Value": [found.transfer_syntax]}}
    if vr:
        said["7FE00010"] = {"vr": vr, "BulkDataURI": f"{url}/pixeldata"}
    text = orjson.dumps(dict(sorted(said.items()))).decode()
    loaded: dict[str, Json] = orjson.loads(
        text.replace('"BulkDataURI":"?', f'"BulkDataURI":"{url}/bulkdata?')
    )
    return loaded


def places(data: bytes) -> tuple[str, str, str]:
    """Give the metadata resources of study, series and instance."""
    instance = address(data)
    series = instance.partition("/instances/")[0]
    return tuple(f"{one}/metadata" for one in (series.partition("/series/")[0], series, instance))  # type: ignore[return-value]  # three of three


def study_of(data: bytes) -> str:
    return str(read(data).StudyInstanceUID)


async def test_metadata_is_every_header_in_order_with_what_is_to_be_known_of_its_bytes(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    files = study(2, 3)
    await load(*reversed(files))
    of_study, of_series, of_instance = places(files[4])
    for path, expected in (
        (of_study, files),
        (of_series, files[3:]),
        (of_instance, files[4:5]),
    ):
        answer = await client.get(path, headers=radiologist)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/dicom+json"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.json() == [complete(one) for one in expected]
        for header in answer.json():
            assert list(header) == sorted(header)
            assert not [key for key in header if key.startswith("0002")]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/dicom+json"),
        ("*/*", "application/dicom+json"),
        ("application/dicom+json", "application/dicom+json"),
        ("application/dicom+json, application/json", "application/dicom+json"),
        ("application/json", "application/json"),
        ("text/html, application/json;q=0.5", "application/json"),
    ],
)
async def test_json_comes_under_the_name_that_is_accepted(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    accept: str,
    media_type: str,
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(places(data)[2], headers=radiologist | {"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.json() == [complete(data)]


async def test_xml_comes_in_parts_each_with_its_address(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    files = study(1, 2)
    await load(*files)
    answer = await client.get(places(files[0])[0], headers=radiologist | {"Accept": XML})
    assert answer.status_code == 200
    parts = parts_of(answer)
    for data, (headers, content) in zip(files, parts, strict=True):
        assert headers == {
            "Content-Type": "application/dicom+xml",
            "Content-Length": str(len(content)),
            "Content-Location": f"{BASE}{address(data)}/metadata",
        }
        assert content == native_xml(complete(data))
        assert ElementTree.fromstring(content).tag == f"{{{NAMESPACE}}}NativeDicomModel"


@pytest.mark.parametrize("accept", ["text/html", "application/dicom+xml", "image/png", XML[:-5]])
async def test_what_cannot_be_given_is_406_or_400(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load, accept: str
) -> None:
    data = dicom()
    await load(data)
    answer = await client.get(places(data)[0], headers=radiologist | {"Accept": accept})
    assert answer.status_code == (400 if accept.count('"') % 2 else 406)


async def test_no_value_can_pass_for_a_uri_of_bulk_data(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    trap = '"BulkDataURI":"?offset=0&length=9"},"00083002":{"vr":"UI"'
    item = Dataset()
    item.CodeMeaning = trap
    data = dicom(
        ImageComments=trap,
        PatientComments="BulkDataURI",
        elements={0x00081032: ("SQ", [item]), 0x00091001: ("OB", bytes(2000))},
    )
    await load(data)
    [found] = (await client.get(places(data)[2], headers=radiologist)).json()
    assert found == complete(data)
    assert found["00204000"]["Value"] == [trap]
    assert found["00081032"]["Value"][0]["00080104"]["Value"] == [trap]
    uri = found["00091001"]["BulkDataURI"]
    assert uri.startswith(f"{BASE}{address(data)}/bulkdata?offset=")
    assert (await client.get(uri, headers=radiologist)).status_code == 200


@pytest.mark.parametrize(
    ("data", "tag", "vr"),
    [
        (dicom(), "7FE00010", "OW"),
        (dicom(pixels=np.zeros((4, 4), np.uint8)), "7FE00010", "OB"),
        (dicom(transfer_syntax=uids.RLELossless), "7FE00010", "OB"),
        (dicom(transfer_syntax=uids.ExplicitVRBigEndian), "7FE00010", "OW"),
        (dicom(transfer_syntax=uids.DeflatedExplicitVRLittleEndian), "7FE00010", "OW"),
        (dicom(image=False), None, None),
        (
            dicom(
                image=False,
                Rows=2,
                Columns=2,
                SamplesPerPixel=1,
                BitsAllocated=32,
                FloatPixelData=bytes(16),
            ),
            "7FE00008",
            "OF",
        ),
        (
            dicom(
                image=False,
                Rows=2,
                Columns=2,
                SamplesPerPixel=1,
                BitsAllocated=64,
                DoubleFloatPixelData=bytes(32),
            ),
            "7FE00009",
            "OD",
        ),
    ],
)
async def test_pixel_data_is_named_where_there_is_some(
    client: httpx.AsyncClient,
    radiologist: dict[str, str],
    load: Load,
    data: bytes,
    tag: str | None,
    vr: str | None,
) -> None:
    [outcome] = await load(data)
    assert outcome.status == "stored", outcome
    [found] = (await client.get(places(data)[2], headers=radiologist)).json()
    named = {key: element for key, element in found.items() if key.startswith("7FE0")}
    uri = f"{BASE}{address(data)}/pixeldata"
    assert named == ({tag: {"vr": vr, "BulkDataURI": uri}} if tag else {})
    assert found["00083002"]["Value"] == [parsed(data).transfer_syntax]


async def test_an_entity_tag_holds_until_something_changes(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    root = uid()
    first, second = study(1, 2, StudyInstanceUID=root)
    await load(first)
    path = places(first)[0]
    tag = (await client.get(path, headers=radiologist)).headers["etag"]
    known = radiologist | {"If-None-Match": f'"other", {tag}'}
    again = await client.get(path, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    as_xml = await client.get(path, headers=known | {"Accept": XML})
    assert as_xml.status_code == 200
    await load(second)
    changed = await client.get(path, headers=known)
    assert (changed.status_code, len(changed.json())) == (200, 2)
    assert changed.headers["etag"] != tag


async def test_an_entity_tag_depends_on_what_may_be_seen(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    data = dicom(PatientID=uid())
    await load(data)
    path = places(data)[0]
    whole = (await client.get(path, headers=acting_as("radiologist"))).headers["etag"]
    nurse = acting_as("nurse")
    before = await client.get(path, headers=nurse | {"If-None-Match": whole})
    assert before.status_code == 200
    await look_after(archive, "nurse", await patient_of(archive, study_of(data)))
    tag = before.headers["etag"]
    after = await client.get(path, headers=nurse | {"If-None-Match": tag})
    assert after.status_code == 200
    assert after.headers["etag"] not in {tag, whole}


async def test_what_is_closed_has_no_value_until_somebody_looks_after_the_patient(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    data = dicom(
        PatientID=uid(),
        PatientWeight=61,
        elements={0x00091001: ("LO", "private"), 0x00091002: ("OB", bytes(2000))},
    )
    await load(data)
    path, whole = places(data)[2], complete(data)
    [found] = (await client.get(path, headers=acting_as("nurse"))).json()
    for key in ("00100010", "00101030", "00080090", "7FE00010"):
        assert found[key] == {"vr": whole[key]["vr"]}, key
    assert not {key for key in found if key.startswith("0009")}
    for key in ("0020000D", "00080018", "00280010", "00083002", "00080060"):
        assert found[key] == whole[key], key
    await look_after(archive, "nurse", await patient_of(archive, study_of(data)))
    [found] = (await client.get(path, headers=acting_as("nurse"))).json()
    for key in ("00100010", "00100020", "7FE00010"):
        assert found[key] == whole[key]
    assert not {key for key in found if key.startswith("0009")}


async def test_whoever_sees_no_image_gets_no_metadata(
    client: httpx.AsyncClient, acting_as: ActingAs, load: Load
) -> None:
    data = dicom()
    await load(data)
    for path in places(data):
        answer = await client.get(path, headers=acting_as("billing"))
        assert answer.status_code == 403
        assert answer.json()["coordinates"] == ["Image.id"]
        assert (await client.get(path)).status_code == 401


async def test_what_is_not_there_is_not_found(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data, other = dicom(), dicom()
    await load(data, other)
    one, another = read(data), read(other)
    for path in (
        "/dicomweb/studies/1.2.3/metadata",
        f"/dicomweb/studies/{one.StudyInstanceUID}/series/{another.SeriesInstanceUID}/metadata",
        f"/dicomweb/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}"
        f"/instances/{another.SOPInstanceUID}/metadata",
        f"/dicomweb/studies/{another.StudyInstanceUID}/series/{one.SeriesInstanceUID}"
        f"/instances/{one.SOPInstanceUID}/metadata",
    ):
        answer = await client.get(path, headers=radiologist)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_it_is_one_access_of_as_many_images_as_there_are(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    files = study(2, 2, PatientID=uid())
    await load(*files)
    headers = acting_as("nurse")
    answer = await client.get(places(files[0])[0], headers=headers)
    found = archive.database["audit_events"].find(
        {"requestId": answer.headers["x-request-id"]}, {"_id": 0}
    )
    [event] = await found.to_list(None)
    assert (event["action"], event["resource"], event["outcome"]) == ("read", "Image", "allowed")
    assert (event["total"], event["query"]) == (4, "metadata")
    assert event["ids"] == [str(read(one).SOPInstanceUID) for one in files]
    assert event["patients"] == [await patient_of(archive, study_of(files[0]))]
    assert {"Patient.name", "Image.private", "Image.pixels"} <= {*event["refused"]}
    missing = await client.get("/dicomweb/studies/1.2.3/metadata", headers=headers)
    [event] = (
        await archive.database["audit_events"]
        .find({"requestId": missing.headers["x-request-id"]})
        .to_list(None)
    )
    assert (event["outcome"], event["ids"], event["total"]) == ("failed", ["1.2.3"], 0)


async def test_it_is_gzipped_for_whoever_asks(
    client: httpx.AsyncClient, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom()
    await load(data)
    tags = {}
    for asked, squeezed in (
        ("identity", False),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0, *", False),
        ("", False),
        ("GZIP", True),
    ):
        request = client.build_request(
            "GET", places(data)[0], headers=radiologist | {"Accept-Encoding": asked}
        )
        answer = await client.send(request, stream=True)
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert (answer.headers.get("content-encoding") == "gzip") is squeezed, asked
        assert orjson.loads(gzip.decompress(raw) if squeezed else raw) == [complete(data)]
        assert answer.headers["vary"] == "Accept, Accept-Encoding, Authorization"
        tags[squeezed] = answer.headers["etag"]
    assert tags[True] != tags[False]


async def _multiplied(archive: Archive, data: bytes, count: int) -> None:
    """Put copies of an instance into its study, as many as nobody wants to upload in a test."""
    instances = archive.database["instances"]
    document = await instances.find_one({"_id": str(read(data).SOPInstanceUID)})
    assert document is not None
    copies = [{**document, "_id": f"{document['_id']}.{one}"} for one in range(1, count)]
    await instances.insert_many(copies)
    await archive.database["studies"].update_one(
        {"_id": document["study"]},
        {"$set": {"resource.numberOfInstances": count}, "$inc": {"version": 1}},
    )


async def test_a_study_of_thousands_is_streamed_and_whole(
    client: httpx.AsyncClient, archive: Archive, radiologist: dict[str, str], load: Load
) -> None:
    data = dicom(elements=LONG)
    await load(data)
    await _multiplied(archive, data, 2_500)
    answers = []
    for asked in ("identity", "gzip"):
        headers = radiologist | {"Accept-Encoding": asked}
        answer = await client.get(places(data)[0], headers=headers)
        found = answer.json()
        assert asked == "gzip" or "content-length" not in answer.headers
        assert len(found) == 2_500
        assert len({one["00083002"]["Value"][0] for one in found}) == 1
        answers.append(answer)
    events = archive.database["audit_events"]
    event = await events.find_one({"requestId": answers[0].headers["x-request-id"]})
    assert event is not None
    assert (event["total"], len(event["ids"])) == (2_500, 1_000)


@pytest.mark.parametrize("count", [10, 2_500])
async def test_a_part_of_a_study_never_looks_like_all_of_it(
    client: httpx.AsyncClient,
    archive: Archive,
    radiologist: dict[str, str],
    load: Load,
    count: int,
) -> None:
    data = dicom(elements=LONG)
    await load(data)
    await _multiplied(archive, data, count)
    await archive.database["instances"].delete_one({"_id": f"{read(data).SOPInstanceUID}.9"})
    if count == 10:
        assert (await client.get(places(data)[0], headers=radiologist)).status_code == 404
    else:
        with pytest.raises(ConnectionAbortedError):
            await client.get(places(data)[0], headers=radiologist | {"Accept-Encoding": "identity"})


async def test_without_identity_metadata_is_cleaned_and_under_pseudonyms(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    data = dicom(
        PatientID=uid(),
        AccessionNumber="REALACC",
        StudyDate="20210317",
        elements={
            0x00091001: ("LO", "private"),
            0x00091002: ("OB", bytes(2000)),
            0x00281201: ("OW", bytes(2000)),
        },
    )
    await load(data)
    researcher = acting_as("researcher", project="A")
    await client.get("/fhir/ImagingStudy?_count=1000", headers=researcher)
    names = Pseudonyms(archive.pseudonym_key, "A")
    one = read(data)
    await client.get(f"/fhir/ImagingStudy/{names.uid(one.StudyInstanceUID)}", headers=researcher)
    series = f"/dicomweb/studies/{names.uid(one.StudyInstanceUID)}/series"
    await client.get(f"{series}/{names.uid(one.SeriesInstanceUID)}/metadata", headers=researcher)
    url = f"{series}/{names.uid(one.SeriesInstanceUID)}/instances/{names.uid(one.SOPInstanceUID)}"
    for path in (f"{series.removesuffix('/series')}/metadata", f"{url}/metadata"):
        answer = await client.get(path, headers=researcher)
        assert answer.status_code == 200, answer.text
        [found] = answer.json()
        assert found["00080018"]["Value"] == [names.uid(one.SOPInstanceUID)]
        assert found["0020000D"]["Value"] == [names.uid(one.StudyInstanceUID)]
        assert found["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{BASE}{url}/pixeldata"}
        assert found["00080050"]["Value"] == [names.accession("REALACC")]
        for real in ("REALACC", "Doe", "20210317", "private", "/bulkdata?", one.SOPInstanceUID):
            assert real not in answer.text, real
    assert (await client.get(places(data)[2], headers=researcher)).status_code == 404


async def test_what_is_withheld_without_identity_has_no_metadata_either(
    client: httpx.AsyncClient, archive: Archive, acting_as: ActingAs, load: Load
) -> None:
    good, bad = study(1, 2, PatientID=uid())
    marked = read(bad)
    await load(
        good,
        dicom(
            StudyInstanceUID=marked.StudyInstanceUID,
            SeriesInstanceUID=marked.SeriesInstanceUID,
            PatientID=marked.PatientID,
            BurnedInAnnotation="YES",
        ),
    )
    researcher = acting_as("researcher", project="A")
    found = await client.get("/fhir/ImagingStudy?_count=1000", headers=researcher)
    name = Pseudonyms(archive.pseudonym_key, "A").uid(str(marked.StudyInstanceUID))
    assert name in found.text
    answer = await client.get(f"/dicomweb/studies/{name}/metadata", headers=researcher)
    assert answer.status_code == 403
    assert "burned into its pixels" in answer.json()["detail"]
