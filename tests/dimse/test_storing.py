"""C-STORE: what is sent is kept as it is, or the sender is told why not."""

import asyncio
import threading
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import bson
import pytest
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.pdu_primitives import P_DATA

from app.archive import Archive
from app.dimse.storing import Sent
from app.imaging.arriving import meta
from tests.build import dicom, study
from tests.dimse.conftest import MAX_UPLOAD_BYTES
from tests.dimse.peers import connected, contexts, raw_store

CT = str(uid.CTImageStorage)
PASSING = {"audit_events", "leases", "changes", "duties"}


def body(data: bytes) -> bytes:
    """Give the data set of a Part-10 object as it is encoded."""
    found = meta.read(data, {}, whole=True)
    assert isinstance(found, meta.Meta)
    return data[found.end :]


def sent(port: int, title: str, objects: Sequence[bytes]) -> list[Dataset]:
    """Send objects as they are over one association."""
    read = [dcmread(BytesIO(one), stop_before_pixels=True) for one in objects]
    pairs = {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in read}
    proposed = [each for name, syntax in pairs for each in contexts(name, syntaxes=[syntax])]
    with connected(port, title, proposed) as peer:
        return [raw_store(peer, one) for one in objects]


async def send(port: int, title: str, *objects: bytes) -> list[Dataset]:
    return await asyncio.to_thread(sent, port, title, objects)


async def everything(archive: Archive) -> dict[str, dict[Any, bytes]]:
    """Copy the database, but for what every request adds to."""
    names = set(await archive.database.list_collection_names()) - PASSING
    return {
        name: {one["_id"]: bson.encode(one) async for one in archive.database[name].find({})}
        for name in names
    }


async def keys(archive: Archive) -> list[str]:
    return [one.key async for one in archive.objects.list()]


async def stored(archive: Archive, instance: str) -> bytes:
    image = await archive.repository.stored_image(instance)
    assert image is not None
    return b"".join([chunk async for chunk in archive.objects.get(image.object_key)])


async def audited(archive: Archive) -> list[dict[str, Any]]:
    return [one async for one in archive.database["audit_events"].find({}).sort("recorded")]


def only(entries: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: one[name] for name in names} for one in entries]


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.JPEGLSLossless,
        uid.HTJ2KLossless,
        uid.RLELossless,
    ],
)
async def test_an_object_is_kept_byte_for_byte_under_file_meta_of_ours(
    syntax: str, archive: Archive, port: int
) -> None:
    data = dicom(transfer_syntax=syntax)
    instance = str(dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID)
    [status] = await send(port, "TECHNOLOGIST", data)
    assert (status.Status, "ErrorComment" in status) == (0x0000, False)
    kept = await stored(archive, instance)
    assert kept == Sent(CT, instance, syntax).head + body(data)
    assert dcmread(BytesIO(kept)).file_meta.TransferSyntaxUID == syntax


async def test_a_study_is_there_once_its_objects_are_acknowledged(
    archive: Archive, port: int
) -> None:
    objects = study(2, 3, StudyInstanceUID="1.2.3.1", PatientID="SETTLED")
    assert [one.Status for one in await send(port, "TECHNOLOGIST", *objects)] == [0] * 6
    found = await archive.ledger.study("1.2.3.1")
    assert found is not None
    resource = found["resource"]
    assert (resource["numberOfSeries"], resource["numberOfInstances"]) == (2, 6)
    patient = resource["subject"]["reference"].removeprefix("Patient/")
    entries = [one for one in await audited(archive) if patient in one["patients"]]
    assert only(entries, "action", "outcome", "total", "ids", "door", "who", "roles") == [
        {
            "action": "create",
            "outcome": "allowed",
            "total": 1,
            "ids": [f"1.2.3.1.{series}.{instance}"],
            "door": "dimse",
            "who": "urn:radiograph:dimse#TECHNOLOGIST",
            "roles": ["technologist"],
        }
        for series in (1, 2)
        for instance in (1, 2, 3)
    ]


async def test_the_audit_names_the_subject_that_the_settings_name(
    archive: Archive, port: int
) -> None:
    await send(port, "NAMED", dicom(PatientID="NAMED"))
    entry = (await audited(archive))[-1]
    assert (entry["who"], entry["name"]) == ("https://idp.example#ct-1", "NAMED")


async def test_an_object_that_is_sent_again_is_stored_once(archive: Archive, port: int) -> None:
    data = dicom()
    assert [one.Status for one in await send(port, "TECHNOLOGIST", data)] == [0]
    before = await everything(archive)
    assert [one.Status for one in await send(port, "RADIOLOGIST", data)] == [0]
    assert await everything(archive) == before


async def test_objects_of_an_unknown_private_class_are_stored(archive: Archive, port: int) -> None:
    data = dicom(SOPClassUID="1.2.3.4.5.6", SOPInstanceUID="1.2.3.7")
    assert [one.Status for one in await send(port, "TECHNOLOGIST", data)] == [0]
    assert body(await stored(archive, "1.2.3.7")) == body(data)


@pytest.mark.parametrize("title", ["BILLING", "NURSE", "PROVIDER", "RESEARCHER"])
async def test_who_may_not_store_changes_nothing(title: str, archive: Archive, port: int) -> None:
    before, objects, told = await everything(archive), await keys(archive), await audited(archive)
    [status] = await send(port, title, dicom())
    assert status.Status == 0x0124
    assert status.ErrorComment.startswith("Your roles do not give the right to create Image.file")
    assert (await everything(archive), await keys(archive)) == (before, objects)
    [entry] = (await audited(archive))[len(told) :]
    assert only([entry], "action", "outcome", "refused", "who") == [
        {
            "action": "create",
            "outcome": "refused",
            "refused": ["Image.file"],
            "who": f"urn:radiograph:dimse#{title}",
        }
    ]


async def test_what_cannot_be_kept_is_refused_with_the_reason(archive: Archive, port: int) -> None:
    await send(port, "TECHNOLOGIST", dicom(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1"))
    before, objects = await everything(archive), await keys(archive)
    refused = {
        0xC000: dicom(StudyInstanceUID=None),
        0xA900: dicom(StudyInstanceUID="1.2.9", PatientID="OTHER"),
        0x0111: dicom(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1", StudyDescription="x"),
        0xA700: dicom(frames=MAX_UPLOAD_BYTES // 512),
    }
    answers = await send(port, "TECHNOLOGIST", *refused.values())
    assert [one.Status for one in answers] == list(refused)
    assert [one.ErrorComment.partition(":")[0] for one in answers] == [
        "missing-uid",
        "wrong-patient",
        "different-bytes",
        "too-large",
    ]
    assert (await everything(archive), await keys(archive)) == (before, objects)


async def test_what_is_odd_but_kept_is_a_warning(archive: Archive, port: int) -> None:
    data = dicom(SOPInstanceUID="1.2.10", meta={"MediaStorageSOPInstanceUID": "1.2.11"})
    [status] = await send(port, "TECHNOLOGIST", data)
    assert (status.Status, status.ErrorComment) == (
        0xB007,
        "the file meta information names another SOP instance",
    )
    assert await archive.repository.stored_image("1.2.10") is not None


async def test_an_association_that_is_aborted_within_an_object_leaves_nothing(
    archive: Archive, port: int
) -> None:
    data = dicom(frames=4_000, SOPInstanceUID="1.2.12")
    before, objects, told = await everything(archive), await keys(archive), await audited(archive)

    def over() -> None:
        for one in threading.enumerate():
            if "AcceptorThread" in one.name:
                one.join()

    def half() -> None:
        def cut(event: evt.Event) -> None:
            count.append(event.pdu)
            connection = event.assoc.dul.socket
            if len(count) == 9 and connection is not None:
                connection._shutdown_socket()

        count: list[Any] = []
        with connected(
            port, "TECHNOLOGIST", contexts(CT, syntaxes=[uid.ExplicitVRLittleEndian])
        ) as peer:
            peer.bind(evt.EVT_PDU_SENT, cut)
            raw_store(peer, data)

    await asyncio.to_thread(half)
    await asyncio.to_thread(over)
    entries = (await audited(archive))[len(told) :]
    assert only(entries, "action", "outcome", "query", "total") == [
        {"action": "create", "outcome": "failed", "query": "broken-off", "total": 0}
    ]
    assert (await everything(archive), await keys(archive)) == (before, objects)
    [status] = await send(port, "TECHNOLOGIST", data)
    assert status.Status == 0


async def test_associations_store_side_by_side(archive: Archive, port: int) -> None:
    made = [study(1, 4, StudyInstanceUID=f"1.2.13.{number}") for number in range(4)]
    answers = await asyncio.gather(*(send(port, "TECHNOLOGIST", *one) for one in made))
    assert [[one.Status for one in some] for some in answers] == [[0] * 4] * 4
    for number in range(4):
        found = await archive.ledger.study(f"1.2.13.{number}")
        assert found is not None
        assert found["resource"]["numberOfInstances"] == 4


async def test_a_request_without_a_data_set_is_not_understood(port: int) -> None:
    data = dicom()

    def empty() -> int:
        with connected(port, "TECHNOLOGIST", contexts(CT)) as peer:
            sending = peer.dul.send_pdu

            def without_data(primitive: Any) -> None:
                if isinstance(primitive, P_DATA):
                    [[context, fragment]] = primitive.presentation_data_value_list
                    if not fragment[0] & 1:
                        return
                    bare = fragment.replace(
                        b"\0\0\0\x08\x02\0\0\0\x01\0", b"\0\0\0\x08\x02\0\0\0\x01\x01"
                    )
                    primitive.presentation_data_value_list[0] = (context, bare)
                sending(primitive)

            peer.dul.send_pdu = without_data  # type: ignore[method-assign]  # a peer that errs
            return int(peer.send_c_store(dcmread(BytesIO(data))).Status)

    assert await asyncio.to_thread(empty) == 0xC000
