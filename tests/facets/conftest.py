"""A few studies that differ, and people for whom different things are open."""

from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from app.archive import Archive
from tests.build import dicom
from tests.policy import book, doors
from tests.schema.asking import Ask, Reply
from tests.schema.library import store

RULES = """
    p, radiologist, Patient.*, read, any, allow
    p, radiologist, ImagingStudy.*, read, any, allow
    p, technologist, ImagingStudy.id, read, any, allow
    p, technologist, ImagingStudy.series, read, any, allow
    p, technologist, ImagingStudy.series.modality, read, any, allow
    p, technologist, ImagingStudy.status, read, any, allow
    p, technologist, Patient.id, read, any, allow
    p, nurse, ImagingStudy.id, read, any, allow
    p, nurse, Patient.id, read, any, allow
    p, nurse, Patient.name, read, ct, allow
    p, nurse, ImagingStudy.subject, read, ct, allow
    p, nurse, ImagingStudy.subject.display, read, ct, allow
    p, nurse, ImagingStudy.description, read, any, allow
    p, nurse, ImagingStudy.series, read, any, allow
    p, nurse, ImagingStudy.series.modality, read, ct, allow
    p, nurse, ImagingStudy.started, read, any, allow
    p, resident, ImagingStudy.id, read, ct, allow
    p, resident, ImagingStudy.series, read, any, allow
    p, resident, ImagingStudy.series.modality, read, any, allow
    p, resident, ImagingStudy.series.bodySite, read, any, allow
    p, billing, ImagingStudy.id, read, any, allow
    p, researcher, ImagingStudy.id, read, nameless, allow
    p, researcher, ImagingStudy.status, read, nameless, allow
    p, researcher, ImagingStudy.started, read, nameless, allow
    p, researcher, ImagingStudy.series, read, nameless, allow
    p, researcher, ImagingStudy.series.modality, read, nameless, allow
    p, researcher, ImagingStudy.series.bodySite, read, nameless, allow
"""
SCOPES = """
[ct]
description = "Studies with CT"
Patient = "_id:missing=false"
ImagingStudy = "modality=CT"

[nameless]
description = "Everything, without identity"
view = "deidentified"
Patient = "_id:missing=false"
ImagingStudy = "_id:missing=false"
"""

YAMADA = "Yamada^Tarou=山田^太郎=やまだ^たろう"
# What each study says, and its series.
STUDIES: Mapping[str, tuple[dict[str, Any], ...]] = MappingProxyType(
    {
        "1.2.1": (
            {"Modality": "CT", "BodyPartExamined": "CHEST", "SeriesDescription": "Axial lung"},
            {"Modality": "PT", "BodyPartExamined": "CHEST"},
        ),
        "1.2.2": ({"Modality": "CT", "BodyPartExamined": "HEAD"},),
        "1.2.3": ({"Modality": "MR", "BodyPartExamined": "HEAD"},),
        "1.2.4": ({"Modality": "ZZ", "BodyPartExamined": "Left everything"},),
    }
)
SAID: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "1.2.1": {
            "PatientID": "P1",
            "PatientName": YAMADA,
            "AccessionNumber": "ACC-17",
            "StudyDescription": "Thorax nüchtern",
            "StudyDate": "20240229",
            "StudyTime": "233000",
        },
        "1.2.2": {
            "PatientID": "P2",
            "PatientName": "Müller^Zoë",
            "AccessionNumber": "B2",
            "StudyDescription": "Schädel",
            "StudyDate": "20240229",
        },
        "1.2.3": {
            "PatientID": "P3",
            "PatientName": "van der Berg^Ann Marie",
            "AccessionNumber": "B3",
            "StudyDescription": "頭部単純",
            "StudyDate": "20240301",
        },
        "1.2.4": {
            "PatientID": "P4",
            "PatientName": "أَحْمَد^علی",
            "AccessionNumber": None,
            "StudyDescription": None,
            "StudyDate": None,
        },
    }
)


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    for uid, series in STUDIES.items():
        for number, said in enumerate(series, 1):
            its_own = {
                "StudyInstanceUID": uid,
                "SeriesInstanceUID": f"{uid}.{number}",
                "SeriesDescription": None,
                "SeriesNumber": number,
            }
            await store(archive, dicom(**(its_own | SAID[uid] | said)))


@pytest.fixture(scope="module")
async def http(
    archive: Archive, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """The archive's doors under the policy of this module."""
    policy = book(tmp_path_factory.mktemp("policy") / "p", RULES, SCOPES)
    async with doors(archive, policy) as client:
        yield client


@pytest.fixture
def ask(http: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]) -> Ask:
    """Send one query: `await ask("{...}", "billing", variables={...})`."""

    async def send(
        query: str, role: str = "radiologist", variables: object = None, **who: str
    ) -> Reply:
        response = await http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers=acting_as(role, **who),
        )
        return Reply(response.status_code, response.json(), response.text)

    return send
