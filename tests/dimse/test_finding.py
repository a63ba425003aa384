"""C-FIND: the rows and values that the caller may see, as the query asks for them."""

import asyncio
from typing import Any

import pytest
from pydicom.dataset import Dataset

from app.archive import Archive
from tests.build import dicom, study
from tests.dimse.peers import FIND, PATIENT_FIND, connected, contexts, dataset

S1, S2, S3 = "1.2.40.1", "1.2.40.2", "1.2.40.3"


@pytest.fixture(scope="module", autouse=True)
async def _loaded(archive: Archive) -> None:
    made = [
        *study(2, 3, StudyInstanceUID=S1, PatientID="RECORD-1", PatientName="Müller^Jürgen"),
        *study(
            1,
            1,
            StudyInstanceUID=S2,
            PatientID="RECORD-1",
            PatientName="Müller^Jürgen",
            StudyDate="20230105",
            Modality="MR",
        ),
        dicom(
            StudyInstanceUID=S3,
            SeriesInstanceUID=f"{S3}.1",
            SOPInstanceUID=f"{S3}.1.1",
            PatientID="RECORD-2",
            PatientName="山田^太郎",
            StudyDate="20220105",
        ),
    ]
    for data in made:
        outcome = await archive.ingest.store(_pieces(data))
        assert outcome.status == "stored"


async def _pieces(data: bytes) -> Any:
    yield data


Answers = list[tuple[int, dict[str, Any]]]


def asked(port: int, title: str, model: str, query: Dataset) -> Answers:
    with connected(port, title, contexts(FIND, PATIENT_FIND)) as peer:
        return [
            (int(status.Status), _plain(found) if found else {})
            for status, found in peer.send_c_find(query, model)
        ]


def _plain(found: Dataset) -> dict[str, Any]:
    return {one.keyword: str(one.value) for one in found}


async def find(
    port: int, *, title: str = "RADIOLOGIST", model: str = FIND, **query: Any
) -> Answers:
    """Ask, and give status and identifier of each response."""
    return await asyncio.to_thread(asked, port, title, model, dataset(**query))


def studies(answers: Answers) -> list[str]:
    """List the studies found; the search has to have gone well."""
    *pending, last = answers
    assert last == (0x0000, {})
    assert {status for status, _ in pending} <= {0xFF00}
    return sorted(found["StudyInstanceUID"] for _, found in pending)


async def test_a_study_is_answered_with_what_was_asked_for_and_nothing_else(port: int) -> None:
    answers = await find(
        port,
        QueryRetrieveLevel="STUDY",
        StudyInstanceUID=S1,
        PatientName="",
        StudyDate="",
        ModalitiesInStudy="",
        NumberOfStudyRelatedInstances="",
        InstanceAvailability="",
        EthnicGroup="",
    )
    assert answers == [
        (
            0xFF00,
            {
                "SpecificCharacterSet": "ISO_IR 192",
                "StudyDate": "20240229",
                "QueryRetrieveLevel": "STUDY",
                "RetrieveAETitle": "RADIOGRAPH",
                "InstanceAvailability": "ONLINE",
                "ModalitiesInStudy": "CT",
                "PatientName": "Müller^Jürgen",
                "EthnicGroup": "",
                "StudyInstanceUID": S1,
                "NumberOfStudyRelatedInstances": "6",
            },
        ),
        (0x0000, {}),
    ]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({}, [S1, S2, S3]),
        ({"PatientName": "mül*"}, [S1, S2]),
        ({"PatientName": "M?ller^J*"}, [S1, S2]),
        ({"PatientName": "山田*"}, [S3]),
        ({"PatientName": "M_ller*"}, []),
        ({"StudyDate": "20230105"}, [S2]),
        ({"StudyDate": "20230101-20240301"}, [S1, S2]),
        ({"StudyDate": "-20230105"}, [S2, S3]),
        ({"StudyDate": "20240229-"}, [S1]),
        ({"StudyInstanceUID": [S1, S3, "9.9"]}, [S1, S3]),
        ({"ModalitiesInStudy": "MR"}, [S2]),
        ({"PatientID": "RECORD-1", "StudyDate": "20230105"}, [S2]),
        ({"PatientID": "nobody"}, []),
    ],
)
async def test_keys_match_as_the_standard_says(
    keys: dict[str, Any], found: list[str], port: int
) -> None:
    query: dict[str, Any] = {"StudyInstanceUID": "", "SpecificCharacterSet": "ISO_IR 192"}
    assert studies(await find(port, QueryRetrieveLevel="STUDY", **(query | keys))) == found


async def test_series_and_images_are_found_below_what_is_above_them(port: int) -> None:
    series = await find(
        port,
        QueryRetrieveLevel="SERIES",
        StudyInstanceUID=S1,
        SeriesNumber="",
        SeriesInstanceUID="",
    )
    assert [(one.get("SeriesInstanceUID"), one.get("SeriesNumber")) for _, one in series] == [
        (f"{S1}.1", "1"),
        (f"{S1}.2", "2"),
        (None, None),
    ]
    assert {one["StudyInstanceUID"] for _, one in series[:-1]} == {S1}
    images = await find(
        port,
        QueryRetrieveLevel="IMAGE",
        StudyInstanceUID=S1,
        SeriesInstanceUID=f"{S1}.2",
        SOPInstanceUID="",
        InstanceNumber="",
    )
    assert [(one.get("SOPInstanceUID"), one.get("InstanceNumber")) for _, one in images] == [
        *((f"{S1}.2.{number}", str(number)) for number in (1, 2, 3)),
        (None, None),
    ]


async def test_patients_are_found_once_each(port: int) -> None:
    answers = await find(
        port, model=PATIENT_FIND, QueryRetrieveLevel="PATIENT", PatientID="", PatientName=""
    )
    found = sorted((one.get("PatientID", ""), one.get("PatientName", "")) for _, one in answers)
    assert found == [("", ""), ("RECORD-1", "Müller^Jürgen"), ("RECORD-2", "山田^太郎")]
    below = await find(
        port,
        model=PATIENT_FIND,
        QueryRetrieveLevel="STUDY",
        PatientID="RECORD-1",
        StudyInstanceUID="",
    )
    assert studies(below) == [S1, S2]


@pytest.mark.parametrize(
    ("wanted", "study_uid", "used", "name"),
    [
        ("ISO_IR 100", S1, "ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 101", S1, "ISO_IR 101", "Müller^Jürgen"),
        ("ISO_IR 144", S1, "ISO_IR 192", "Müller^Jürgen"),
        ("ISO_IR 100", S3, "ISO_IR 192", "山田^太郎"),
        ("ISO_IR 13", S3, "ISO_IR 192", "山田^太郎"),
    ],
)
async def test_answers_come_in_the_character_set_of_the_query_where_it_can_hold_them(
    wanted: str, study_uid: str, used: str, name: str, port: int
) -> None:
    query = {"StudyInstanceUID": study_uid, "PatientName": "", "SpecificCharacterSet": wanted}
    [(_, found), _] = await find(port, QueryRetrieveLevel="STUDY", **query)
    assert (found["SpecificCharacterSet"], found["PatientName"]) == (used, name)


async def test_a_key_that_is_not_supported_is_ignored_and_that_is_said(port: int) -> None:
    answers = await find(
        port, QueryRetrieveLevel="STUDY", StudyInstanceUID=S1, DeviceSerialNumber="x"
    )
    assert [status for status, _ in answers] == [0xFF01, 0x0000]
    assert answers[0][1]["DeviceSerialNumber"] == ""


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (FIND, {"StudyInstanceUID": ""}),
        (FIND, {"QueryRetrieveLevel": "PATIENT", "PatientID": ""}),
        (FIND, {"QueryRetrieveLevel": "FRAME"}),
        (FIND, {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": ""}),
        (FIND, {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": S1, "SOPInstanceUID": ""}),
        (PATIENT_FIND, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}),
        (FIND, {"QueryRetrieveLevel": "STUDY", "StudyDate": "20241301-"}),
    ],
)
async def test_a_query_that_is_none_of_its_model_is_refused(
    model: str, query: dict[str, Any], port: int
) -> None:
    assert await find(port, model=model, **query) == [(0xA900, {})]


async def test_values_that_are_closed_come_empty_and_cannot_be_searched_by(
    archive: Archive, port: int
) -> None:
    query = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": S1, "PatientID": ""}
    [(status, found), _] = await find(port, title="BILLING", PatientName="", **query)
    assert (status, found["PatientName"], found["PatientID"]) == (0xFF00, "", "RECORD-1")
    before = await archive.database["audit_events"].count_documents({})
    assert await find(port, title="BILLING", PatientName="Müller*", **query) == [(0x0124, {})]
    entries = archive.database["audit_events"].find({}).sort("recorded").skip(before)
    told = [(one["action"], one["outcome"], one["refused"]) async for one in entries]
    assert told == [("search", "refused", ["Patient.name"])]


async def test_each_answer_is_in_the_audit_with_what_was_asked(archive: Archive, port: int) -> None:
    before = await archive.database["audit_events"].count_documents({})
    await find(port, QueryRetrieveLevel="STUDY", PatientID="RECORD-1", StudyInstanceUID="")
    entries = archive.database["audit_events"].find({}).sort("recorded").skip(before)
    [entry] = [one async for one in entries]
    assert (entry["door"], entry["action"], entry["who"]) == (
        "dimse",
        "search",
        "urn:radiograph:dimse#RADIOLOGIST",
    )
    assert entry["query"] == "C-FIND STUDY 00100020=RECORD-1"
    assert sorted(entry["ids"]) == [S1, S2]


async def test_without_identity_nobody_is_named(port: int) -> None:
    answers = await find(
        port,
        title="RESEARCHER",
        QueryRetrieveLevel="STUDY",
        StudyInstanceUID="",
        PatientName="",
        PatientID="",
        StudyDate="",
    )
    assert [status for status, _ in answers] == [0xFF00] * 3 + [0]
    shown = str(answers)
    for word in ("ller", "山田", "RECORD-1", "RECORD-2", S1, S3, "2024"):
        assert word not in shown, word


async def test_a_search_that_is_cancelled_ends(port: int) -> None:
    def ask() -> list[int]:
        with connected(port, "RADIOLOGIST", contexts(FIND)) as peer:
            sending = peer.dul.send_pdu
            query = dataset(QueryRetrieveLevel="STUDY", StudyInstanceUID="")

            # asked for in one go with the query: it is there before the first answer is
            def both(primitive: Any) -> None:
                sending(primitive)
                if primitive.presentation_data_value_list[0][1][0] == 0x02:
                    peer.dul.send_pdu = sending  # type: ignore[method-assign]  # as it was
                    peer.send_c_cancel(7, query_model=FIND)

            peer.dul.send_pdu = both  # type: ignore[method-assign]  # cancels as it asks
            return [int(status.Status) for status, _ in peer.send_c_find(query, FIND, msg_id=7)]

    assert (await asyncio.to_thread(ask))[-1] == 0xFE00
