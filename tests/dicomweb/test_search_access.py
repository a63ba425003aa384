"""Searching as somebody: rows, keys and values are what the policy opens, row by row."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.archive import Archive
from app.identity.development import DevelopmentIssuer
from app.imaging.ingest import Outcome
from app.settings import DEVELOPMENT_ISSUER
from tests.build import dicom, uid

Load = Callable[..., Awaitable[list[Outcome]]]
MINE, OTHER = uid("mine", "study"), uid("other", "study")


def of(name: str, instance: int = 1) -> bytes:
    return dicom(
        StudyInstanceUID=uid(name, "study"),
        SeriesInstanceUID=uid(name, "series"),
        SOPInstanceUID=uid(name, instance),
        PatientID=f"ID-{name}",
        PatientName=f"Zz{name}^Given",
        StudyDate="20240131" if name == "mine" else "20240201",
        AccessionNumber=f"ACC-{name}",
        InstanceNumber=instance,
    )


@pytest.fixture(scope="module", autouse=True)
async def _stored(archive: Archive) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for data in (of("mine"), of("mine", 2), of("other")):
        outcome = await archive.ingest.store(pieces(data))
        assert outcome.status == "stored", outcome
    document = await archive.ledger.study(MINE)
    assert document is not None
    patient = document["resource"]["subject"]["reference"]
    await archive.repository.create(
        {
            "resourceType": "CareTeam",
            "id": "care-team-of-nurse",
            "agent": f"{DEVELOPMENT_ISSUER}#carer",
            "patient": {"reference": patient},
            "period": {"start": "2020-01-01T00:00:00.000Z"},
            "recorder": "https://elsewhere.example#desk",
        }
    )


@pytest.fixture
def ask(archive: Archive, client: httpx.AsyncClient) -> Any:
    issuer = DevelopmentIssuer(archive.settings.data_dir)

    async def get(path: str, role: str, **who: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {issuer.token(role, **who)}"}
        return await client.get(f"/dicomweb/{path}", headers=headers)

    return get


def rows(answer: httpx.Response, key: str = "0020000D") -> list[Any]:
    if answer.status_code == 204:
        return []
    assert answer.status_code == 200, answer.text
    return [one.get(key, {}).get("Value") for one in answer.json()]


async def test_names_are_shown_and_matched_where_the_reader_looks_after_the_patient(
    ask: Any,
) -> None:
    everything = await ask("studies", "nurse", subject="carer")
    assert rows(everything) == [[OTHER], [MINE]]
    assert rows(everything, "00100010") == [None, [{"Alphabetic": "Zzmine^Given"}]]
    assert rows(everything, "00100020") == [["ID-other"], ["ID-mine"]]
    by_name = await ask("studies?PatientName=Zz*", "nurse", subject="carer")
    assert rows(by_name) == [[MINE]]
    assert by_name.headers["x-total-count"] == "1"
    by_absence = await ask('studies?PatientName=""', "nurse", subject="carer")
    assert rows(by_absence) == []
    by_series = await ask("series?PatientName=Zz*", "nurse", subject="carer")
    assert rows(by_series) == [[MINE]]
    by_instance = await ask("instances?PatientName=Zz*", "nurse", subject="carer")
    assert rows(by_instance) == [[MINE], [MINE]]
    assert by_instance.headers["x-total-count"] == "2"
    assert b"Zzother" not in b"".join(
        one.content for one in (everything, by_name, by_series, by_instance)
    )


async def test_a_time_that_is_matched_with_its_date_needs_its_right_too(ask: Any) -> None:
    refused = await ask("studies?PatientBirthDate=19000101-&PatientBirthTime=1000-", "admin")
    assert refused.status_code == 403
    assert refused.json()["coordinates"] == ["Patient.birthDate"]


async def test_a_patient_finds_their_own_studies_alone(archive: Archive, ask: Any) -> None:
    document = await archive.ledger.study(MINE)
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    for path, count in (("studies", 1), ("series", 1), ("instances", 2)):
        found = await ask(path, "patient", patient=patient)
        assert rows(found) == [[MINE]] * count
        assert found.headers["x-total-count"] == str(count)
    assert rows(await ask(f"studies/{OTHER}/instances", "patient", patient=patient)) == []
    hidden = await ask(f"studies/{OTHER}/instances", "patient", patient=patient)
    assert hidden.headers["x-total-count"] == "0"
    assert rows(await ask("studies?PatientID=ID-other", "patient", patient=patient)) == []


async def test_somebody_without_studies_is_refused(ask: Any) -> None:
    for path in ("studies", "series", "instances", f"studies/{MINE}/series"):
        assert (await ask(path, "auditor")).status_code == 403


async def test_smart_scopes_narrow_what_is_found(archive: Archive, ask: Any) -> None:
    document = await archive.ledger.study(MINE)
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    launched = {"scope": "patient/ImagingStudy.rs", "context": patient}
    assert rows(await ask("studies", "radiologist", **launched)) == [[MINE]]
    assert rows(await ask("instances", "radiologist", **launched)) == [[MINE]] * 2
    assert rows(await ask("studies?PatientID=ID-other", "radiologist", **launched)) == []
    assert (await ask("studies", "radiologist", scope="user/Patient.rs")).status_code == 403


async def test_without_identity_everything_is_by_pseudonym(ask: Any) -> None:
    project = {"project": "trial"}
    found = await ask("studies?includefield=all", "researcher", **project)
    assert found.status_code == 200
    assert found.headers["x-total-count"] == "2"
    [first, _] = rows(found)
    series = await ask(f"studies/{first[0]}/series", "researcher", **project)
    instances = await ask(f"studies/{first[0]}/instances?includefield=all", "researcher", **project)
    for answer in (found, series, instances):
        assert answer.status_code == 200
        for word in (MINE, OTHER, "Zz", "ID-", "ACC-", "20240131", "20240201", "Given"):
            assert word not in answer.text
    assert all(one["00081190"]["Value"][0].count("2.25.") == 3 for one in instances.json())
    again = await ask(f"studies?StudyInstanceUID={first[0]}", "researcher", **project)
    assert rows(again) == [first]
    elsewhere = await ask(f"studies?StudyInstanceUID={first[0]}", "researcher", project="other")
    assert rows(elsewhere) == []
    modality = await ask("series?Modality=CT", "researcher", **project)
    assert len(rows(modality)) == 2
    for query in ("PatientName=Zz*", "StudyDate=20240131", "PatientID=I*", "StudyDescription=*"):
        answer = await ask(f"studies?{query}", "researcher", **project)
        assert answer.status_code == (200 if query.endswith("Description=*") else 403), query


async def test_a_deleted_study_is_found_at_no_level(archive: Archive, ask: Any) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    await archive.ingest.store(pieces(of("gone")))
    gone = uid("gone", "study")
    assert rows(await ask(f"studies?StudyInstanceUID={gone}", "radiologist")) == [[gone]]
    await archive.ledger.deleted.hide(gone)
    for path in (
        f"studies?StudyInstanceUID={gone}",
        "studies?PatientID=ID-gone",
        f"studies/{gone}/series",
        f"studies/{gone}/instances",
        f"studies/{gone}/series/{uid('gone', 'series')}/instances",
        f"instances?SOPInstanceUID={uid('gone', 1)}",
        "series?PatientName=Zzgone*",
    ):
        assert rows(await ask(path, "radiologist")) == [], path
    assert rows(await ask("studies", "radiologist")) == [[OTHER], [MINE]]
