"""Four studies of three patients, loaded once for each module."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx
import pytest

from app.archive import Archive
from app.main import create_app
from tests.build import study, uid


@dataclass(frozen=True)
class Known:
    """What is in the archive.

    Attributes:
        jane: Patient id; female, has `chest` (CT, two series) and `liver` (US).
        richard: Patient id; male, has `knee` (MR).
        taro: Patient id; male, has `skull` (CT) without a time zone and so without a time.
    """

    jane: str
    richard: str
    taro: str
    chest: str
    liver: str
    knee: str
    skull: str

    @property
    def studies(self) -> set[str]:
        return {self.chest, self.liver, self.knee, self.skull}


CHEST, LIVER, KNEE, SKULL = (uid(name) for name in ("chest", "liver", "knee", "skull"))
JANE = {"PatientName": "Doe^Jane", "PatientID": "P1", "PatientSex": "F"}
FILES = [
    *study(
        2,
        2,
        StudyInstanceUID=CHEST,
        AccessionNumber="ACC-CHEST",
        StudyDate="20240301",
        StudyTime="101530",
        TimezoneOffsetFromUTC="+0100",
        StudyDescription="CT Thorax, nüchtern",
        **JANE,
    ),
    *study(
        1,
        1,
        StudyInstanceUID=LIVER,
        Modality="US",
        AccessionNumber="ACC-LIVER",
        StudyDate="20230615",
        StudyTime="080000",
        TimezoneOffsetFromUTC="+0000",
        StudyDescription="Ultrasound of the liver",
        BodyPartExamined="ABDOMEN",
        **JANE,
    ),
    *study(
        1,
        1,
        StudyInstanceUID=KNEE,
        Modality="MR",
        AccessionNumber="A,B|C",
        StudyDate="20240301",
        StudyTime="233000",
        TimezoneOffsetFromUTC="-0500",
        StudyDescription="MR knee",
        PatientName="Røe^Richard",
        PatientID="P2",
        PatientSex="M",
        PatientBirthDate="19850607",
    ),
    *study(
        1,
        1,
        StudyInstanceUID=SKULL,
        AccessionNumber="ACC-SKULL",
        StudyDate="20240229",
        StudyTime="101500",
        StudyDescription="CT skull",
        PatientName="Yamada^Tarou=山田^太郎",
        PatientID="P3",
        PatientSex="M",
        PatientBirthDate=None,
    ),
]


@pytest.fixture(scope="module")
async def known(archive: Archive) -> Known:
    """The studies, loaded."""

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for one in FILES:
        assert (await archive.ingest.store(chunks(one))).status == "stored"
    owners = {
        document["_id"]: document["resource"]["subject"]["reference"].removeprefix("Patient/")
        async for document in archive.database["studies"].find()
    }
    return Known(owners[CHEST], owners[KNEE], owners[SKULL], CHEST, LIVER, KNEE, SKULL)


@pytest.fixture
async def radiologist(
    archive: Archive, known: Known, acting_as: Callable[..., dict[str, str]]
) -> AsyncIterator[httpx.AsyncClient]:
    """The FHIR door as somebody who may read everything."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(archive.settings, archive)),
        base_url=f"{archive.settings.base_url}/fhir",
        headers=acting_as("radiologist"),
    ) as http:
        yield http
