"""Two patients with studies to write on, under the shipped policy, and everybody who may."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import httpx
import numpy as np

from app.archive import Archive
from app.settings import DEVELOPMENT_ISSUER
from fhir.dates import instant
from tests.build import dicom, ramp, study
from tests.schema.asking import Reply, sent

Json = Any

ROWS, COLUMNS, FRAMES = 20, 30, 3
# A study of two slices, a stack of frames, a colour picture and an object without pixels; one of
# another patient.
STUDY, SLICE, OTHER_SLICE = "1.2.80.1", "1.2.80.1.1.1", "1.2.80.1.1.2"
STACK, COLOUR, NO_PICTURE = "1.2.80.1.2.1", "1.2.80.1.3.1", "1.2.80.1.4.1"
ELSEWHERE, ELSEWHERE_SLICE = "1.2.80.2", "1.2.80.2.1.1"
PATIENTS = {STUDY: "P80", ELSEWHERE: "P81"}
LENGTH = {"system": "http://snomed.info/sct", "code": "410668003", "display": "Length"}
LINE = {"type": "POLYLINE", "points": [1.5, 2.5, 29.25, 18.75]}
MEASURED = {"value": 14.25, "unit": "mm"}

_SHOWN = """
    id meta {versionId} study series image frame patient {reference}
    note {authorString time text} author code {coding {system code display}}
    graphic {type points} measurement {value unit system code} status recorded
    removed {at by reason}
"""
ANNOTATE = f"""mutation($study: ID!, $image: ID, $frame: Int, $text: String!, $code: FindingInput,
    $graphic: GraphicInput, $measurement: MeasurementInput) {{
  it: annotate(study: $study, image: $image, frame: $frame, text: $text, code: $code,
    graphic: $graphic, measurement: $measurement) {{record {{{_SHOWN}}}}}}}"""
EDIT = f"""mutation($id: ID!, $expectedVersion: String!, $text: String, $graphic: GraphicInput,
    $measurement: MeasurementInput) {{
  it: editAnnotation(id: $id, expectedVersion: $expectedVersion, text: $text, graphic: $graphic,
    measurement: $measurement) {{record {{{_SHOWN}}}}}}}"""
REMOVE = f"""mutation($id: ID!, $reason: String!) {{
  it: removeAnnotation(id: $id, reason: $reason) {{record {{{_SHOWN}}}}}}}"""


def objects() -> list[bytes]:
    """Write everything that is stored."""
    grey = ramp(1, ROWS, COLUMNS)[0]
    common: dict[str, Any] = {"StudyInstanceUID": STUDY, "PatientID": "P80"}
    return [
        *study(1, 2, pixels=grey, PatientName="Müller^Jürgen", **common),
        dicom(
            SeriesInstanceUID="1.2.80.1.2",
            SOPInstanceUID=STACK,
            pixels=ramp(FRAMES, ROWS, COLUMNS),
            PatientName="Müller^Jürgen",
            **common,
        ),
        dicom(
            SeriesInstanceUID="1.2.80.1.3",
            SOPInstanceUID=COLOUR,
            SamplesPerPixel=3,
            pixels=np.zeros((ROWS, COLUMNS, 3), np.uint8),
            PatientName="Müller^Jürgen",
            **common,
        ),
        dicom(
            SeriesInstanceUID="1.2.80.1.4",
            SOPInstanceUID=NO_PICTURE,
            image=False,
            PatientName="Müller^Jürgen",
            **common,
        ),
        *study(1, 1, pixels=grey, StudyInstanceUID=ELSEWHERE, PatientID="P81"),
    ]


def subject(name: str) -> str:
    """Say who a development token's subject is to us."""
    return f"{DEVELOPMENT_ISSUER}#{name}"


@dataclass(frozen=True)
class World:
    """The doors, and those who go through them.

    Attributes:
        patients: Study to the id of its Patient.
    """

    archive: Archive
    client: httpx.AsyncClient
    acting_as: Callable[..., dict[str, str]]
    patients: Mapping[str, str]

    async def ask(
        self, query: str, role: str = "radiologist", variables: object = None, **who: str
    ) -> Reply:
        """Send one GraphQL operation."""
        return await sent(self.client, self.acting_as(role, **who), query, variables)

    async def write(self, role: str = "radiologist", who: str = "ray", **said: Json) -> Json:
        """Write on a slice, if nothing else is said; give the record."""
        variables = {"study": STUDY, "image": SLICE, "text": "A nodule"} | said
        reply = await self.ask(ANNOTATE, role, variables, subject=who)
        return reply.data["it"]["record"]

    async def get(self, address: str, role: str = "radiologist", **who: str) -> httpx.Response:
        """Send one request below `/postdicom`."""
        headers = self.acting_as(role, **who)
        return await self.client.get(f"/postdicom/studies/{address}", headers=headers)

    async def care_team(self, who: str, of: str = STUDY) -> None:
        """Put somebody on the care team of a study's patient."""
        now = datetime.now(UTC)
        await self.archive.repository.create(
            {
                "resourceType": "CareTeam",
                "id": f"care-of-{who}",
                "agent": subject(who),
                "patient": {"reference": f"Patient/{self.patients[of]}"},
                "period": {"start": instant(now - timedelta(days=1))},
                "recorder": subject("test"),
            }
        )

    async def everything(self) -> dict[str, list[bytes]]:
        """Give all that is stored, as bytes; but not who looked at it, and which process lives."""
        database = self.archive.database
        passing = {"audit_events", "sessions", "leases", "changes", "duties"}
        names = set(await database.list_collection_names()) - passing
        return {
            name: sorted([bson.encode(one) async for one in database[name].find()])
            for name in sorted(names)
        }

    async def audited(self, **query: Any) -> list[dict[str, Any]]:
        """List what the audit has, in order."""
        cursor = self.archive.database["audit_events"].find(query, sort=[("recorded", 1)])
        return [one async for one in cursor]


async def fill(archive: Archive) -> dict[str, str]:
    """Take everything in; give study to the id of its Patient."""
    for data in objects():
        outcome = await archive.ingest.store(_once(data))
        assert outcome.status == "stored", outcome
    people = {}
    for uid in PATIENTS:
        stored = await archive.ledger.study(uid)
        assert stored is not None
        people[uid] = str(stored["resource"]["subject"]["reference"]).removeprefix("Patient/")
    return people


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
