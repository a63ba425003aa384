"""The records of studies and patients do not depend on what came first."""

from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from app.archive import Archive
from app.imaging.deletion import delete_study
from app.imaging.ingest import Ingest, Outcome
from app.store.database import prepare
from app.store.ledger import Ledger
from fhir.from_dicom.site import Site
from tests.build import dicom, uid

Json = Any


@pytest.fixture
async def arrivals(archive: Archive) -> AsyncIterator["Arrivals"]:
    """Ingest into databases that are new for each order."""
    made = Arrivals(archive)
    yield made
    await made.close()


class Arrivals:
    """Takes the same objects in, in one order after another."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._names: list[str] = []

    async def ingest(self) -> Ingest:
        name = f"test-{uuid4().hex}"
        self._names.append(name)
        database = self._archive.database.client.get_database(
            name, self._archive.database.codec_options
        )
        await prepare(database)
        return Ingest(self._archive.objects, Ledger(database), Site(), True, 2**30)

    async def records(self, objects: Sequence[bytes]) -> tuple[list[str], Json]:
        """Ingest in this order; give the statuses by object, and all records."""
        ingest = await self.ingest()
        outcomes = [await put(ingest, one) for one in objects]
        await ingest.close()
        return [one.status for one in outcomes], await told(ingest)

    async def close(self) -> None:
        for name in self._names:
            await self._archive.database.client.drop_database(name)


async def put(ingest: Ingest, data: bytes) -> Outcome:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    return await ingest.store(chunks())


async def told(ingest: Ingest) -> Json:
    """All resources without what differs by design: versions, times and the random patient id."""
    database = ingest.ledger._database
    names: dict[str, str] = {}
    patients = {}
    async for patient in database["patients"].find({}):
        names[patient["_id"]] = patient["key"]
        patients[patient["key"]] = plain(patient["resource"])
    studies = {}
    async for study in database["studies"].find({}):
        resource = plain(study["resource"])
        subject = resource["subject"]["reference"].removeprefix("Patient/")
        resource["subject"] |= {"reference": names[subject]}
        studies[study["_id"]] = resource
    return {"studies": studies, "patients": patients}


def plain(resource: dict[str, Json]) -> dict[str, Json]:
    meta = {
        name: value
        for name, value in resource["meta"].items()
        if name not in {"versionId", "lastUpdated"}
    }
    return {
        **{name: value for name, value in resource.items() if name != "id"},
        "meta": meta,
    }


def differing() -> list[bytes]:
    """Two studies of one patient, whose objects disagree on nearly everything."""
    studies = [uid("order", number) for number in range(2)]
    series = {(one, n): uid("order", one, n) for one in studies for n in range(2)}
    made = []
    for number in range(10):
        study = studies[number % 2]
        own: dict[str, Json] = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series[study, number % 3 % 2],
            "SOPInstanceUID": uid("order", "instance", number),
            "PatientName": f"Name^Number{number}",
            "PatientBirthDate": f"19700{number % 9 + 1}01",
            "PatientSex": "MFO"[number % 3],
            "StudyDate": f"2024010{number % 9 + 1}" if number % 4 else None,
            "StudyDescription": f"Study {number}",
            "SeriesDescription": f"Series {number}",
            "ReferringPhysicianName": f"Doctor^{number}",
            "AccessionNumber": f"A{number}",
            "ImageLaterality": "L" if number % 2 else "LR"[number % 4 // 2],
            "InstanceNumber": number,
        }
        made.append(dicom(**own))
    return made


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_differing_headers_gives_the_same_records(
    arrivals: Arrivals, seed: int
) -> None:
    objects = differing()
    expected = await arrivals.records(objects)
    shuffled = objects[:]
    Random(seed).shuffle(shuffled)
    statuses, records = await arrivals.records(shuffled)
    assert statuses == ["stored"] * 10
    assert (statuses, records) == expected


async def test_an_issuer_or_a_patient_id_that_is_missing_in_part_of_a_study_changes_nothing(
    arrivals: Arrivals,
) -> None:
    study = uid("order", "mixed")
    objects = [
        dicom(
            StudyInstanceUID=study,
            SeriesInstanceUID=uid("order", "mixed", "series"),
            SOPInstanceUID=uid("order", "mixed", word),
            PatientName=f"Name^{word}",
            PatientID=patient,
            IssuerOfPatientID=issuer,
        )
        for word, patient, issuer in (
            ("nothing", None, None),
            ("id", "4711", None),
            ("issuer", "4711", "HOSPITAL"),
        )
    ]
    other = dicom(StudyInstanceUID=uid("order", "other"), PatientID="4711")
    found = [await arrivals.records([*one, other]) for one in permutations(objects)]
    assert all(statuses == ["stored"] * 4 for statuses, _ in found)
    first = found[0][1]
    assert all(records == first for _, records in found)
    assert first["studies"][study]["subject"]["reference"] == "issuer:HOSPITAL|4711"
    assert set(first["patients"]) == {"issuer:HOSPITAL|4711", "issuer:|4711"}
    patient = first["patients"]["issuer:HOSPITAL|4711"]
    assert patient["name"][0]["given"] == ["issuer"]
    assert patient["identifier"][0]["value"] == "4711"


async def test_a_patient_of_another_issuer_is_refused_also_where_the_issuer_came_late(
    arrivals: Arrivals,
) -> None:
    ingest = await arrivals.ingest()
    study = uid()
    statuses = [
        (await put(ingest, dicom(StudyInstanceUID=study, PatientID="1", IssuerOfPatientID=one)))
        for one in (None, "A", "B", None)
    ]
    assert [one.status for one in statuses] == ["stored", "stored", "conflict", "stored"]
    assert statuses[2].reason == "wrong-patient"
    await ingest.close()


async def test_a_patient_is_what_the_studies_that_are_left_say(arrivals: Arrivals) -> None:
    ingest = await arrivals.ingest()
    old, new = uid(), uid()
    for study, date, name in ((old, "20200101", "Old^Name"), (new, "20240101", "New^Name")):
        await put(ingest, dicom(StudyInstanceUID=study, StudyDate=date, PatientName=name))
    [patient] = (await told(ingest))["patients"].values()
    assert patient["name"][0]["family"] == "New"
    assert await delete_study(ingest.ledger, ingest.objects, new)
    [patient] = (await told(ingest))["patients"].values()
    assert patient["name"][0]["family"] == "Old"
    assert await delete_study(ingest.ledger, ingest.objects, old)
    assert await told(ingest) == {"studies": {}, "patients": {}}
    await ingest.close()
