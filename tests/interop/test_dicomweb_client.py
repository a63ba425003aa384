"""dicomweb-client against a server process: everything it can ask for, with exact answers."""

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom import uid as uids

from tests.build import dicom, study, uid
from tests.serving import Serving

Json = Any
PALETTE = np.arange(1500, dtype="<u2").tobytes()
STUDY = uid()
PATIENT = uid()
FILES = study(
    2,
    2,
    StudyInstanceUID=STUDY,
    PatientID=PATIENT,
    PatientName="Müller^Änne",
    elements={0x00281201: ("OW", PALETTE), 0x00090010: ("LO", "RADIOGRAPH TESTS")},
)
SETS = [dcmread(BytesIO(one)) for one in FILES]
FIRST = SETS[0]
PLACE = (STUDY, f"{STUDY}.1", f"{STUDY}.1.1")


@pytest.fixture(scope="module")
async def client(server: Serving) -> DICOMwebClient:
    """The client of a radiologist, to whom the study was stored."""
    client = client_of(server, "radiologist")
    answer = await asyncio.to_thread(client.store_instances, SETS)
    assert [one.ReferencedSOPInstanceUID for one in answer.ReferencedSOPSequence] == [
        one.SOPInstanceUID for one in SETS
    ]
    assert "FailedSOPSequence" not in answer
    return client


def client_of(server: Serving, role: str) -> DICOMwebClient:
    headers = {"Authorization": f"Bearer {server.issuer.token(role)}"}
    client = DICOMwebClient(url=f"{server.url}/dicomweb", headers=headers)
    client.set_http_retry_params(retry=False)
    return client


def value(found: dict[str, Json], tag: str) -> Json:
    return found[tag]["Value"][0]


def instances(found: list[dict[str, Json]]) -> list[str]:
    return sorted(value(one, "00080018") for one in found)


def status_of(ask: Callable[[], Json]) -> int:
    with pytest.raises(requests.HTTPError) as caught:
        ask()
    assert caught.value.response is not None
    return int(caught.value.response.status_code)


def test_storing_again_changes_nothing(client: DICOMwebClient) -> None:
    again = client.store_instances(SETS[:2])
    assert len(again.ReferencedSOPSequence) == 2
    named = client.store_instances(SETS[:1], study_instance_uid=STUDY)
    assert len(named.ReferencedSOPSequence) == 1


@pytest.mark.parametrize(
    "filters",
    [
        {"StudyInstanceUID": STUDY},
        {"PatientID": PATIENT, "StudyDate": "20240101-20241231"},
        {"PatientID": PATIENT, "PatientName": "Mü*"},
        {"PatientID": PATIENT, "ModalitiesInStudy": "CT"},
    ],
)
def test_a_study_is_found(client: DICOMwebClient, filters: dict[str, str]) -> None:
    [found] = client.search_for_studies(search_filters=filters, limit=10)
    assert value(found, "0020000D") == STUDY
    assert value(found, "00100010") == {"Alphabetic": "Müller^Änne"}
    assert (value(found, "00201206"), value(found, "00201208")) == (2, 4)
    assert client.search_for_studies(search_filters=filters, limit=10, offset=1) == []


def test_a_study_is_found_by_part_of_its_name_and_shows_the_fields_asked_for(
    client: DICOMwebClient,
) -> None:
    [found] = client.search_for_studies(
        fuzzymatching=True,
        search_filters={"PatientName": "änne", "PatientID": PATIENT},
        fields=["StudyDescription"],
    )
    assert value(found, "00081030") == "CT chest"
    assert client.search_for_studies(search_filters={"PatientID": f"{PATIENT}.0"}) == []


def test_series_and_instances_are_found_at_every_level(client: DICOMwebClient) -> None:
    found = client.search_for_series(STUDY)
    assert [value(one, "0020000E") for one in found] == [f"{STUDY}.1", f"{STUDY}.2"]
    found = client.search_for_series(search_filters={"SeriesInstanceUID": f"{STUDY}.2"})
    assert [value(one, "00201209") for one in found] == [2]
    every = sorted(str(one.SOPInstanceUID) for one in SETS)
    assert instances(client.search_for_instances(STUDY)) == every
    assert instances(client.search_for_instances(STUDY, f"{STUDY}.2")) == every[2:]
    found = client.search_for_instances(search_filters={"SOPInstanceUID": PLACE[2]})
    assert instances(found) == [PLACE[2]]


def test_metadata_is_the_header_of_each_instance(client: DICOMwebClient) -> None:
    found = client.retrieve_study_metadata(STUDY)
    assert [value(one, "00080018") for one in found] == [str(one.SOPInstanceUID) for one in SETS]
    assert found[2:] == client.retrieve_series_metadata(STUDY, f"{STUDY}.2")
    [one] = [client.retrieve_instance_metadata(*PLACE)]
    assert one == found[0]
    read = Dataset.from_json(
        one, bulk_data_uri_handler=lambda uri: bytes(client.retrieve_bulkdata(uri)[0])
    )
    assert read.pop("AvailableTransferSyntaxUID").value == uids.ExplicitVRLittleEndian
    assert read == FIRST


def test_every_uri_of_metadata_leads_to_the_bytes_of_its_value(client: DICOMwebClient) -> None:
    found = client.retrieve_instance_metadata(*PLACE)
    uris = {key: one["BulkDataURI"] for key, one in found.items() if "BulkDataURI" in one}
    assert {key: client.retrieve_bulkdata(uri) for key, uri in uris.items()} == {
        "00281201": [PALETTE],
        "7FE00010": [FIRST.PixelData],
    }
    [part] = client.retrieve_bulkdata(uris["00281201"], media_types=("application/octet-stream",))
    assert part == PALETTE
    guessed = uris["00281201"].replace("length=3000", "length=3001")
    assert status_of(lambda: client.retrieve_bulkdata(guessed)) == 404


def test_instances_series_and_studies_come_as_they_were_stored(client: DICOMwebClient) -> None:
    assert client.retrieve_instance(*PLACE) == FIRST
    assert client.retrieve_series(STUDY, f"{STUDY}.2") == SETS[2:]
    assert client.retrieve_study(STUDY) == SETS
    assert list(client.iter_study(STUDY)) == SETS


def test_frames_come_uncompressed_and_compressed(client: DICOMwebClient) -> None:
    [frame] = client.retrieve_instance_frames(*PLACE, [1])
    assert frame == FIRST.PixelData
    media_types = (
        ("image/jp2", uids.JPEG2000Lossless),
        ("image/jls", uids.JPEGLSLossless),
    )
    [frame] = client.retrieve_instance_frames(*PLACE, [1], media_types=media_types)
    assert bytes(frame[:4]) in {b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xf7"}
    assert status_of(lambda: client.retrieve_instance_frames(*PLACE, [9999])) in {400, 404}


def test_frames_of_a_compressed_instance_are_its_pixels(client: DICOMwebClient) -> None:
    data = dcmread(BytesIO(dicom(transfer_syntax=uids.JPEGLSLossless, frames=3)))
    client.store_instances([data])
    place = (data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID)
    frames = client.retrieve_instance_frames(*place, [1, 3])
    stack = data.pixel_array
    assert frames == [stack[0].tobytes(), stack[2].tobytes()]
    found = client.retrieve_instance_metadata(*place)
    assert client.retrieve_bulkdata(found["7FE00010"]["BulkDataURI"]) == [stack.tobytes()]


@pytest.mark.parametrize(("media_type", "kind"), [("image/jpeg", "JPEG"), ("image/png", "PNG")])
def test_pictures_are_rendered(client: DICOMwebClient, media_type: str, kind: str) -> None:
    whole = client.retrieve_instance_rendered(*PLACE, media_types=(media_type,))
    frame = client.retrieve_instance_frames_rendered(*PLACE, [1], media_types=(media_type,))
    for content in (whole, frame):
        picture = Image.open(BytesIO(content))
        assert (picture.format, picture.size) == (kind, (16, 16))
    params = {"window": "40,400,linear", "viewport": "8,8", "quality": "80"}
    small = client.retrieve_instance_rendered(*PLACE, media_types=(media_type,), params=params)
    assert Image.open(BytesIO(small)).size == (8, 8)


def test_what_is_not_there_is_404_at_every_level(client: DICOMwebClient) -> None:
    for ask in (
        lambda: client.retrieve_study_metadata("1.2.3.4"),
        lambda: client.retrieve_series_metadata(STUDY, "1.2.3.4"),
        lambda: client.retrieve_instance_metadata(STUDY, f"{STUDY}.1", "1.2.3.4"),
        lambda: client.retrieve_study("1.2.3.4"),
        lambda: client.retrieve_instance(STUDY, f"{STUDY}.2", PLACE[2]),
    ):
        assert status_of(ask) == 404


def test_another_role_gets_what_its_policy_opens(server: Serving, client: DICOMwebClient) -> None:
    nurse = client_of(server, "nurse")
    [found] = [nurse.retrieve_instance_metadata(*PLACE)]
    assert found["00100010"] == {"vr": "PN"}
    assert value(found, "00080018") == PLACE[2]
    assert status_of(lambda: nurse.retrieve_instance(*PLACE)) == 403
    assert status_of(lambda: nurse.retrieve_instance_frames(*PLACE, [1])) == 403
    assert status_of(lambda: client_of(server, "billing").retrieve_study_metadata(STUDY)) == 403
    whole = client.retrieve_instance_metadata(*PLACE)
    assert value(whole, "00100010") == {"Alphabetic": "Müller^Änne"}
