"""C-GET and C-MOVE: the same bytes as any other door gives, or a count of what failed."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.presentation import PresentationContext

from app.archive import Archive
from tests.build import ramp, study
from tests.dimse.peers import (
    FIND,
    GET,
    MOVE,
    PATIENT_GET,
    connected,
    content,
    contexts,
    dataset,
    receiver,
)

CT = str(uid.CTImageStorage)
EXPLICIT = str(uid.ExplicitVRLittleEndian)
IMPLICIT = str(uid.ImplicitVRLittleEndian)
S1, S2 = "1.2.50.1", "1.2.50.2"
OBJECTS = study(2, 2, StudyInstanceUID=S1, PatientID="RECORD-1", frames=30)
ANOTHER = study(1, 1, StudyInstanceUID=S2, PatientID="RECORD-1", transfer_syntax=uid.JPEGLSLossless)
COUNTS = (
    "NumberOfRemainingSuboperations",
    "NumberOfCompletedSuboperations",
    "NumberOfFailedSuboperations",
    "NumberOfWarningSuboperations",
)


@pytest.fixture(scope="module", autouse=True)
async def _loaded(archive: Archive) -> None:
    for data in (*OBJECTS, *ANOTHER):
        assert (await archive.ingest.store(_pieces(data))).status == "stored"


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def body(data: bytes) -> bytes:
    """Give the data set of an object of `tests.build` as it is encoded."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def study_query(study_uid: str) -> Dataset:
    return dataset(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_uid)


Answers = list[tuple[int, tuple[int | None, ...], list[str]]]


def _answers(given: Any) -> Answers:
    return [
        (
            int(status.Status),
            tuple(status.get(name) for name in COUNTS),
            _failed(found),
        )
        for status, found in given
    ]


def _failed(found: Dataset | None) -> list[str]:
    value = found.get("FailedSOPInstanceUIDList") if found else None
    return [] if not value else [value] if isinstance(value, str) else list(map(str, value))


def got(
    port: int, query: Dataset, *, title: str = "RADIOLOGIST", model: str = GET, **options: Any
) -> tuple[Answers, list[bytes]]:
    """Ask by C-GET; give the answers, and the data sets that came."""
    arrived: list[bytes] = []

    def keep(event: evt.Event) -> int:
        arrived.append(content(event))
        return int(options.get("status", 0))

    syntaxes = options.get("syntaxes", [EXPLICIT])
    proposed = [*contexts(model), *(build_context(CT, [one]) for one in syntaxes)]
    roles = [build_role(CT, scp_role=True)]
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, keep)]
    with connected(port, title, proposed, ext_neg=roles, handlers=handlers) as peer:
        return _answers(peer.send_c_get(query, model)), arrived


def moved(port: int, query: Dataset, destination: str, *, title: str = "RADIOLOGIST") -> Answers:
    with connected(port, title, contexts(MOVE)) as peer:
        return _answers(peer.send_c_move(query, destination, MOVE))


def supported(*syntaxes: str) -> list[PresentationContext]:
    return [build_context(CT, list(syntaxes))]


async def test_a_study_comes_on_the_same_association_byte_for_byte(port: int) -> None:
    answers, arrived = await asyncio.to_thread(got, port, study_query(S1))
    assert answers == [
        (0xFF00, (3, 1, 0, 0), []),
        (0xFF00, (2, 2, 0, 0), []),
        (0xFF00, (1, 3, 0, 0), []),
        (0x0000, (None, 4, 0, 0), []),
    ]
    assert arrived == [body(one) for one in OBJECTS]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": f"{S1}.2"}, OBJECTS[2:]),
        (
            {
                "QueryRetrieveLevel": "IMAGE",
                "SeriesInstanceUID": f"{S1}.1",
                "SOPInstanceUID": [f"{S1}.1.2", f"{S1}.1.1", "9.9"],
            },
            [OBJECTS[1], OBJECTS[0]],
        ),
        ({"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "9.9"}, []),
    ],
)
async def test_series_and_images_come_by_their_unique_keys(
    query: dict[str, Any], expected: list[bytes], port: int
) -> None:
    asked = dataset(StudyInstanceUID=S1, **query)
    answers, arrived = await asyncio.to_thread(got, port, asked)
    assert answers[-1] == (0x0000, (None, len(expected), 0, 0), [])
    assert arrived == [body(one) for one in expected]


async def test_everything_of_a_patient_comes_as_the_peer_takes_it(port: int) -> None:
    query = dataset(QueryRetrieveLevel="PATIENT", PatientID="RECORD-1")

    def ask() -> tuple[Answers, list[bytes]]:
        syntaxes = [EXPLICIT, str(uid.JPEGLSLossless)]
        return got(port, query, model=PATIENT_GET, syntaxes=syntaxes)

    answers, arrived = await asyncio.to_thread(ask)
    assert answers[-1] == (0x0000, (None, 5, 0, 0), [])
    assert sorted(arrived) == sorted(body(one) for one in (*OBJECTS, *ANOTHER))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
async def test_a_compressed_object_is_decompressed_for_a_peer_that_needs_it(
    syntax: str, port: int
) -> None:
    def ask() -> tuple[Answers, list[bytes]]:
        return got(port, study_query(S2), syntaxes=[syntax])

    answers, [arrived] = await asyncio.to_thread(ask)
    assert answers == [(0x0000, (None, 1, 0, 0), [])]
    found = dcmread(BytesIO(arrived), force=True)
    assert found.PixelData == ramp().tobytes()
    assert found.is_implicit_VR is (syntax == IMPLICIT)


async def test_an_explicit_object_becomes_implicit_for_a_peer_that_needs_it(port: int) -> None:
    def ask() -> tuple[Answers, list[bytes]]:
        return got(port, study_query(S1), syntaxes=[IMPLICIT])

    answers, arrived = await asyncio.to_thread(ask)
    assert answers[-1] == (0x0000, (None, 4, 0, 0), [])
    for data, original in zip(arrived, OBJECTS, strict=True):
        assert dcmread(BytesIO(data), force=True).is_implicit_VR
        assert dcmread(BytesIO(data), force=True) == dcmread(BytesIO(original))


async def test_what_a_peer_has_no_context_for_is_counted_and_named(port: int) -> None:
    def ask() -> tuple[Answers, list[bytes]]:
        with connected(port, "RADIOLOGIST", contexts(GET)) as peer:
            return _answers(peer.send_c_get(study_query(S2), GET)), []

    assert (await asyncio.to_thread(ask))[0] == [(0xA702, (None, 0, 1, 0), [f"{S2}.1.1"])]


@pytest.mark.parametrize(
    ("status", "last", "failed"),
    [
        (0xA700, (0xA702, (None, 0, 4, 0)), [f"{S1}.{s}.{i}" for s in (1, 2) for i in (1, 2)]),
        (0xB000, (0xB000, (None, 0, 0, 4)), []),
    ],
)
async def test_what_a_peer_does_not_take_is_counted(
    status: int, last: tuple[int, Any], failed: list[str], port: int
) -> None:
    def ask() -> tuple[Answers, list[bytes]]:
        return got(port, study_query(S1), status=status)

    answers, _ = await asyncio.to_thread(ask)
    assert answers[-1] == (*last, failed)


async def test_objects_move_to_a_destination_that_settings_name(
    destinations: dict[str, Any], archive: Archive, port: int
) -> None:
    def ask() -> tuple[Answers, list[Any]]:
        with receiver(destinations["DEST"]["port"], supported(EXPLICIT)) as events:
            return moved(port, study_query(S1), "DEST"), list(events)

    answers, events = await asyncio.to_thread(ask)
    assert answers[-1] == (0x0000, (None, 4, 0, 0), [])
    assert [content(one) for one in events] == [body(one) for one in OBJECTS]
    told = {
        (
            one.request.MoveOriginatorApplicationEntityTitle,
            one.request.MoveOriginatorMessageID,
            one.assoc.requestor.ae_title,
        )
        for one in events
    }
    assert told == {("RADIOLOGIST", 1, "RADIOGRAPH")}
    entry = await archive.database["audit_events"].find_one(
        {"query": "Image.file by C-MOVE to DEST"}
    )
    assert entry is not None
    assert (entry["outcome"], entry["total"], entry["ids"]) == (
        "allowed",
        4,
        [f"{S1}.{s}.{i}" for s in (1, 2) for i in (1, 2)],
    )


async def test_objects_move_in_implicit_vr_to_who_knows_nothing_else(
    destinations: dict[str, Any], port: int
) -> None:
    def ask() -> tuple[Answers, list[Any]]:
        with receiver(destinations["DEST"]["port"], supported(IMPLICIT)) as events:
            return moved(port, study_query(S2), "DEST"), [one.dataset for one in events]

    answers, [found] = await asyncio.to_thread(ask)
    assert answers == [(0x0000, (None, 1, 0, 0), [])]
    assert found.PixelData == ramp().tobytes()


@pytest.mark.parametrize("destination", ["ANYBODY", "NOBODY"])
async def test_a_destination_that_is_unknown_or_away_gets_nothing(
    destination: str, port: int
) -> None:
    answers = await asyncio.to_thread(moved, port, study_query(S1), destination)
    assert answers == [(0xA801, (None,) * 4, [])]


@pytest.mark.parametrize("title", ["TECHNOLOGIST", "BILLING", "NURSE", "ADMIN"])
async def test_who_may_not_have_files_gets_none(
    title: str, destinations: dict[str, Any], archive: Archive, port: int
) -> None:
    before = await archive.database["audit_events"].count_documents({})

    def ask() -> tuple[Answers, list[bytes], Answers, list[Any]]:
        with receiver(destinations["DEST"]["port"], supported(EXPLICIT)) as events:
            return (
                *got(port, study_query(S1), title=title),
                moved(port, study_query(S1), "DEST", title=title),
                list(events),
            )

    refused: Answers = [(0x0124, (None,) * 4, [])]
    assert await asyncio.to_thread(ask) == (refused, [], refused, [])
    entries = archive.database["audit_events"].find({}).sort("recorded").skip(before)
    told = [(one["action"], one["outcome"], one["who"]) async for one in entries]
    assert told == [("read", "refused", f"urn:radiograph:dimse#{title}")] * 2


async def test_without_identity_objects_come_under_pseudonyms(port: int) -> None:
    def ask() -> tuple[str, Answers, list[bytes]]:
        with connected(port, "RESEARCHER", contexts(FIND)) as peer:
            query = dataset(
                QueryRetrieveLevel="STUDY", StudyInstanceUID="", NumberOfStudyRelatedInstances="4"
            )
            query.NumberOfStudyRelatedInstances = ""
            found = [one for _, one in peer.send_c_find(query, FIND) if one]
            [pseudonym] = [
                str(one.StudyInstanceUID)
                for one in found
                if str(one.NumberOfStudyRelatedInstances) == "4"
            ]
        return (pseudonym, *got(port, study_query(pseudonym), title="RESEARCHER"))

    pseudonym, answers, arrived = await asyncio.to_thread(ask)
    assert pseudonym != S1
    assert answers[-1] == (0x0000, (None, 4, 0, 0), [])
    for data in arrived:
        for word in (b"Doe", b"RECORD-1", S1.encode(), b"ACC1"):
            assert word not in data, word
        found = dcmread(BytesIO(data), force=True)
        assert (found.StudyInstanceUID, found.NumberOfFrames) == (pseudonym, 30)


async def test_the_real_uid_of_a_pseudonym_finds_nothing(port: int) -> None:
    def ask() -> tuple[Answers, list[bytes]]:
        return got(port, study_query(S1), title="RESEARCHER")

    assert await asyncio.to_thread(ask) == ([(0x0000, (None, 0, 0, 0), [])], [])


async def test_a_retrieval_that_is_cancelled_says_what_is_left(port: int) -> None:
    def ask() -> Answers:
        asked: list[Any] = []

        def cancel(event: evt.Event) -> int:
            if not asked:
                event.assoc.send_c_cancel(9, query_model=GET)
                asked.append(event)
            return 0

        proposed = [*contexts(GET), build_context(CT, [EXPLICIT])]
        handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, cancel)]
        roles = [build_role(CT, scp_role=True)]
        with connected(port, "RADIOLOGIST", proposed, ext_neg=roles, handlers=handlers) as peer:
            return _answers(peer.send_c_get(study_query(S1), GET, msg_id=9))

    status, counts, failed = (await asyncio.to_thread(ask))[-1]
    assert (status, failed) == (0xFE00, [])
    remaining, completed, *rest = counts
    assert (remaining or 0) + (completed or 0) == 4
    assert rest == [0, 0]
