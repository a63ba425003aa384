"""Scopes speak of records as they are stored, also where the caller sees pseudonyms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.archive import Archive
from fhir.pseudonyms import Pseudonyms
from tests.build import dicom, uid
from tests.policy import book, doors

FIRST, SECOND = uid("first", "study"), uid("second", "study")
RULES = """
    p, researcher, Patient.*, read, {scope}, allow
    p, researcher, ImagingStudy.*, read, {scope}, allow
    p, researcher, Image.*, read, {scope}, allow
"""
ALL = """
    [all]
    description = "All"
    view = "deidentified"
    Patient = "_id:missing=false"
    ImagingStudy = "status=available"
"""


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    async def pieces(data: bytes) -> Any:
        yield data

    for patient, study in (("P1", FIRST), ("P2", SECOND)):
        data = dicom(
            StudyInstanceUID=study,
            SeriesInstanceUID=f"{study}.1",
            SOPInstanceUID=f"{study}.1.1",
            PatientID=patient,
        )
        await archive.ingest.store(pieces(data))


async def studies(
    archive: Archive, folder: Path, headers: dict[str, str], rules: str, scopes: str, path: str
) -> tuple[set[str], int]:
    policy = book(folder, rules, "\n".join(line.strip() for line in scopes.splitlines()))
    async with doors(archive, policy) as client:
        answer = (await client.get(f"/fhir/ImagingStudy{path}", headers=headers)).json()
    return {one["resource"]["id"] for one in answer.get("entry", ())}, answer["total"]


async def patient_of(archive: Archive, mrn: str) -> str:
    document = await archive.database["patients"].find_one({"index.identifier": mrn})
    assert document is not None
    return str(document["_id"])


@pytest.mark.parametrize("by", ["_id", "patient"])
async def test_a_scope_by_a_real_id_opens_and_closes_the_record_it_names(
    archive: Archive,
    tmp_path_factory: pytest.TempPathFactory,
    acting_as: Callable[..., dict[str, str]],
    by: str,
) -> None:
    made = Pseudonyms(archive.pseudonym_key, "A")
    patient = await patient_of(archive, "P1")
    text = f"_id={FIRST}" if by == "_id" else f"patient=Patient/{patient}"
    scopes = f"""{ALL}
        [one]
        description = "One"
        view = "deidentified"
        Patient = "_id={patient}"
        ImagingStudy = "{text}"
    """
    headers = acting_as("researcher", project="A")
    opened = await studies(
        archive,
        tmp_path_factory.mktemp("opened"),
        headers,
        RULES.format(scope="one"),
        scopes,
        "",
    )
    assert opened == ({made.uid(FIRST)}, 1)
    denied = f"{RULES.format(scope='all')}\np, researcher, ImagingStudy.*, read, one, deny"
    for path in ("", "?_id:missing=false", f"?_id={made.uid(FIRST)},{made.uid(SECOND)}"):
        folder = tmp_path_factory.mktemp("denied")
        left = await studies(archive, folder, headers, denied, scopes, path)
        assert left == ({made.uid(SECOND)}, 1), path


async def test_bytes_stay_closed_to_whom_the_policy_does_not_give_them(
    archive: Archive,
    tmp_path_factory: pytest.TempPathFactory,
    acting_as: Callable[..., dict[str, str]],
) -> None:
    made = Pseudonyms(archive.pseudonym_key, "A")
    headers = acting_as("researcher", project="A")
    rules = f"{RULES.format(scope='all')}\np, researcher, Image.file, read, any, deny"
    scopes = "\n".join(line.strip() for line in ALL.splitlines())
    image = made.uid(f"{FIRST}.1.1")
    async with doors(archive, book(tmp_path_factory.mktemp("closed"), rules, scopes)) as client:
        await client.get(f"/postdicom/studies/{made.uid(FIRST)}", headers=headers)
        answer = await client.get(f"/postdicom/images/{image}", headers=headers)
    assert (answer.status_code, "Image.file" in answer.text) == (403, True)


async def test_whoever_sees_patients_elsewhere_sees_no_pseudonyms(
    archive: Archive,
    tmp_path_factory: pytest.TempPathFactory,
    acting_as: Callable[..., dict[str, str]],
) -> None:
    rules = f"{RULES.format(scope='all')}\np, researcher, ImagingStudy.id, read, any, allow"
    async with doors(
        archive,
        book(
            tmp_path_factory.mktemp("both"),
            rules,
            "\n".join(line.strip() for line in ALL.splitlines()),
        ),
    ) as client:
        answer: httpx.Response = await client.get(
            "/fhir/ImagingStudy", headers=acting_as("researcher")
        )
    found = answer.json()["entry"]
    assert {one["resource"]["id"] for one in found} == {FIRST, SECOND}
    # nothing but the id: the other elements are open in the other view alone
    assert {name for one in found for name in one["resource"]} <= {
        "resourceType",
        "id",
        "meta",
        "_status",
        "subject",
    }
