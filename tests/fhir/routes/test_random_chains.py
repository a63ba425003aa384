"""Whatever records there are: a chain is two searches of the same caller's."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.archive import Archive
from app.store.database import COLLECTIONS
from app.store.entries import stored
from tests.fhir_answers import fhir, ids
from tests.policy import book, doors

Json = dict[str, Any]
Headers = Callable[..., dict[str, str]]
DCM = "http://dicom.nema.org/resources/ontology/DCM"
NAMES = ("Doe", "Roe", "Poe")
GENDERS = ("male", "female", None)
MODALITIES = ("CT", "MR", "US")
BIRTHS = ("1950-01-01", "1985-06-07", None)
SCOPES = """
[women]
description = "Women"
Patient = "gender=female"

[ct]
description = "CT"
ImagingStudy = "modality=CT"
"""
ALL = "p, provider, Patient.*, read, any, allow\np, provider, ImagingStudy.*, read, any, allow\n"
CLOSING = (
    "",
    "p, provider, Patient.id, read, women, deny",
    "p, provider, Patient.name, read, women, deny",
    "p, provider, Patient.birthDate, read, women, deny",
    "p, provider, ImagingStudy.id, read, ct, deny",
    "p, provider, ImagingStudy.subject, read, ct, deny",
    "p, provider, ImagingStudy.series.modality, read, ct, deny",
)
PATIENTS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(GENDERS), st.sampled_from(BIRTHS)),
    min_size=1,
    max_size=5,
)
STUDIES = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.sampled_from(MODALITIES), max_size=2)), max_size=8
)
FORWARD = st.sampled_from(
    [
        "name=doe",
        "name=doe,poe",
        "name:contains=oe",
        "name:missing=true",
        "gender=female",
        "gender:not=female",
        "gender:missing=true",
        "birthdate=lt1970",
        "birthdate=ne1985-06-07",
        "birthdate:missing=false",
    ]
)
BACKWARD = st.sampled_from(
    [
        "modality=CT",
        "modality:not=CT",
        "modality=MR,US",
        "modality:missing=true",
        "status=available",
    ]
)


def patient(number: int, name: str, gender: str | None, birth: str | None) -> Json:
    said = {"gender": gender, "birthDate": birth}
    return {
        "resourceType": "Patient",
        "id": f"chained-{number}",
        "name": [{"family": name}],
        **{key: value for key, value in said.items() if value},
    }


def study(number: int, of: str, modalities: list[str]) -> Json:
    series = [
        {"uid": f"2.25.{number}.{at}", "modality": {"system": DCM, "code": one}}
        for at, one in enumerate(modalities)
    ]
    return {
        "resourceType": "ImagingStudy",
        "id": f"2.25.{number}",
        "status": "available",
        "subject": {"reference": f"Patient/{of}"},
        **({"series": series} if series else {}),
    }


@asynccontextmanager
async def kept(archive: Archive, records: list[Json]) -> AsyncIterator[None]:
    """Store records, and take them away again."""
    for one in records:
        document = {"_id": one["id"], "key": one["id"], **stored(one, 1)}
        await archive.database[COLLECTIONS[one["resourceType"]]].insert_one(document)
    try:
        yield
    finally:
        for kind in ("Patient", "ImagingStudy"):
            await archive.database[COLLECTIONS[kind]].delete_many({})


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(PATIENTS, STUDIES, st.sampled_from(CLOSING), FORWARD, BACKWARD)
async def test_a_chain_finds_among_any_records_what_two_searches_would(
    archive: Archive,
    acting_as: Headers,
    patients: list[tuple[str, str | None, str | None]],
    studies: list[tuple[int, list[str]]],
    closing: str,
    forward: str,
    backward: str,
) -> None:
    people = [patient(number, *one) for number, one in enumerate(patients)]
    made = [
        study(number, people[of % len(people)]["id"], modalities)
        for number, (of, modalities) in enumerate(studies)
    ]
    with TemporaryDirectory() as folder:
        policy = book(Path(folder), ALL + closing, SCOPES)
        async with kept(archive, people + made), doors(archive, policy) as client:
            client.headers.update(acting_as("provider"))
            first = await found(client, f"Patient?{forward}")
            chained = await found(client, f"ImagingStudy?patient.{forward}")
            assert chained == await found(client, f"ImagingStudy?patient={named(first)}")
            await check_backward(client, backward)


async def check_backward(client: httpx.AsyncClient, backward: str) -> None:
    first = fhir(await client.get(f"/fhir/ImagingStudy?{backward}&patient:missing=false"))
    of = [
        one["resource"]["subject"]["reference"].partition("/")[2] for one in first.get("entry", ())
    ]
    chained = await found(client, f"Patient?_has:ImagingStudy:patient:{backward}")
    assert chained == await found(client, f"Patient?_id={named(of)}")


def named(found: list[str]) -> str:
    return ",".join(found) or "nobody"


async def found(client: httpx.AsyncClient, path: str) -> list[str]:
    bundle = fhir(await client.get(f"/fhir/{path}"))
    assert bundle["total"] == len(ids(bundle))
    return ids(bundle)
