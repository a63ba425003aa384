"""Configured keys: what is stored is found by them once `reindex` has been run."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from app.archive import Archive, open_archive
from app.main import create_app
from app.settings import Settings
from tests.build import dicom, uid

KEYS = {
    "study": ["MedicalAlerts", "ReasonForRequestedProcedureCodeSequence.CodeValue"],
    "series": ["00191010"],
    "instance": ["00191011", "SliceLocation"],
}
STUDY = uid("configured", "study")


def one(series: int, instance: int) -> bytes:
    return dicom(
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=uid("configured", series),
        SOPInstanceUID=uid("configured", series, instance),
        SeriesNumber=series,
        InstanceNumber=instance,
        MedicalAlerts="PACEMAKER",
        SliceLocation=2.5 * instance,
        ReasonForRequestedProcedureCodeSequence=[
            {"CodeValue": "R51", "CodingSchemeDesignator": "I10", "CodeMeaning": "Headache"}
        ],
        elements={
            0x00190010: ("LO", "ACME"),
            0x00191010: ("LO", f"recipe {series}"),
            0x00191011: ("LO", f"slice {instance}"),
        },
    )


@pytest.fixture
async def configured(archive: Archive) -> AsyncIterator[Archive]:
    """The same archive, opened by a server that is told to index more."""
    said = archive.settings.model_dump() | {"dicom_keys": KEYS}
    async with open_archive(Settings.model_validate(said)) as opened:
        yield opened


async def found(
    archive: Archive, headers: dict[str, str], path: str, query: str
) -> tuple[int, list[int]]:
    transport = httpx.ASGITransport(app=create_app(archive.settings, archive))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(f"/dicomweb/{path}?{query}", headers=headers)
    rows = answer.json() if answer.status_code == 200 else []
    key = {"series": "00200011", "instances": "00200013"}.get(path.rpartition("/")[2], "00201208")
    return answer.status_code, [row[key]["Value"][0] for row in rows]


async def test_configured_keys_find_what_was_stored_before_once_it_is_indexed_again(
    archive: Archive, configured: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for series, instance in ((1, 1), (1, 2), (2, 1)):
        outcome = await archive.ingest.store(pieces(one(series, instance)))
        assert outcome.status == "stored", outcome
    headers = acting_as("radiologist")
    searches = {
        ("studies", "MedicalAlerts=PACE*"): [3],
        ("studies", "ReasonForRequestedProcedureCodeSequence.CodeValue=R51"): [3],
        ("studies", "ReasonForRequestedProcedureCodeSequence.CodeValue=R5"): [],
        ("series", "00191010=recipe 2"): [2],
        ("instances", "00191011=slice 2"): [2],
        ("instances", "SliceLocation=5.0"): [2],
        (f"studies/{STUDY}/instances", "00191010=recipe 1"): [1, 2],
    }
    for path, query in searches:
        assert (await found(archive, headers, path, query))[0] == 400
        assert await found(configured, headers, path, query) == (204, [])
    await configured.ingest.derive(STUDY)
    for (path, query), expected in searches.items():
        assert (await found(configured, headers, path, query))[1] == expected
    # somebody who may not read private attributes does not find by them either
    refused = await found(configured, acting_as("technologist"), "series", "00191010=recipe 2")
    assert refused == (403, [])
    # and a server that is not told so any more leaves nothing behind
    await archive.ingest.derive(STUDY)
    assert await archive.database["instances"].count_documents({"extra": {"$exists": True}}) == 0


async def test_a_new_instance_is_found_by_configured_keys_at_once(
    configured: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    outcome = await configured.ingest.store(pieces(one(3, 7)))
    assert outcome.kept
    answer = await found(configured, acting_as("radiologist"), "instances", "00191011=slice 7")
    assert answer == (200, [7])
