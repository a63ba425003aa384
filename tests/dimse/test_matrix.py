"""What a role sees by C-FIND is what Casbin allows: some roles, in some relations, by attribute."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from app.archive import Archive
from app.dimse.listener import Listener, listening
from fhir.dicom_elements import coordinate_named
from tests.build import study
from tests.dimse.conftest import with_settings
from tests.dimse.peers import FIND, connected, contexts, dataset
from tests.doors.judge import Judge
from tests.doors.people import Person

STUDY = "1.2.60.1"
SHOWN = {
    "STUDY": (
        "StudyDate AccessionNumber ModalitiesInStudy ReferringPhysicianName StudyDescription "
        "PatientName PatientID PatientBirthDate PatientSex StudyID "
        "NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances"
    ),
    "SERIES": "Modality SeriesNumber SeriesDescription BodyPartExamined SeriesInstanceUID "
    "NumberOfSeriesRelatedInstances",
    "IMAGE": "SOPInstanceUID SOPClassUID InstanceNumber Rows Columns",
}
"""Attributes that the study has, by the level at which they are asked for."""
ROWS = {
    "STUDY": ["ImagingStudy.id"],
    "SERIES": ["ImagingStudy.id", "ImagingStudy.series.uid"],
    "IMAGE": [
        "ImagingStudy.id",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.instance.uid",
        "Image.id",
    ],
}
PEOPLE = (
    Person("admin", "no relation"),
    Person("auditor", "no relation"),
    Person("billing", "no relation"),
    Person("nurse", "no relation"),
    Person("nurse", "care team"),
    Person("patient", "own"),
    Person("provider", "care team"),
    Person("radiologist", "no relation"),
    Person("technologist", "no relation"),
)


def title(person: Person) -> str:
    return f"{person.role[:8]} {person.relation[:7]}".upper()


@pytest.fixture(scope="module")
async def everybody(archive: Archive) -> AsyncIterator[Listener]:
    """A listener that lets all of them in, in front of one study."""

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for data in study(1, 2, StudyInstanceUID=STUDY):
        assert (await archive.ingest.store(pieces(data))).status == "stored"
    found = await archive.ledger.study(STUDY)
    assert found is not None
    patient = found["resource"]["subject"]["reference"].removeprefix("Patient/")
    callers: dict[str, Any] = {}
    for person in PEOPLE:
        callers[title(person)] = {"roles": [person.role], "subject": person.agent}
        if person.relation == "own":
            callers[title(person)]["patient"] = [patient]
        if person.relation == "care team":
            await archive.repository.create(
                {
                    "resourceType": "CareTeam",
                    "id": f"link-of-{person.subject}",
                    "agent": person.agent,
                    "patient": {"reference": f"Patient/{patient}"},
                    "period": {"start": datetime.now(UTC).isoformat(timespec="milliseconds")},
                    "recorder": "https://elsewhere.example#front-desk",
                }
            )
    async with listening(with_settings(archive, dimse_callers=callers)) as running:
        yield running


def seen(port: int, person: Person, level: str) -> tuple[int, Mapping[str, bool]]:
    """Ask for everything of a level; give the last status, and which attributes had a value."""
    keys = dict.fromkeys(SHOWN[level].split(), "")
    if level != "STUDY":
        keys |= {"StudyInstanceUID": STUDY}
    if level == "IMAGE":
        keys |= {"SeriesInstanceUID": f"{STUDY}.1"}
    with connected(port, title(person), contexts(FIND)) as peer:
        answers = list(peer.send_c_find(dataset(QueryRetrieveLevel=level, **keys), FIND))
    *rows, (last, _) = answers
    shown = [found for _, found in rows if found is not None]
    return int(last.Status), {
        keyword: any(str(found[keyword].value or "") for found in shown)
        for keyword in SHOWN[level].split()
        if shown
    }


@pytest.mark.parametrize("level", sorted(SHOWN))
@pytest.mark.parametrize("person", PEOPLE, ids=str)
async def test_a_role_sees_by_c_find_what_casbin_allows_and_nothing_else(
    person: Person, level: str, archive: Archive, everybody: Listener
) -> None:
    judge = Judge(archive.settings.policy_dir)
    status, shown = await asyncio.to_thread(seen, everybody.port, person, level)
    if not judge.allows_all(person, ROWS[level]):
        assert (status, shown) in [(0x0124, {}), (0x0000, {})]
        return
    told = {keyword: coordinate_named(keyword) or "" for keyword in SHOWN[level].split()}
    assert (status, shown) == (
        0x0000,
        {keyword: judge.allows(person, one) for keyword, one in told.items()},
    )
