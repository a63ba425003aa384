"""A hospital of three patients, a policy in which links decide, and everybody in it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import bson
import httpx

from app.archive import Archive
from app.settings import DEVELOPMENT_ISSUER
from fhir.dates import instant
from tests.build import study
from tests.schema.asking import Reply, sent

# Study UID to PatientID, and what each patient is called
STUDIES = {"1.2.1": "P1", "1.2.2": "P1", "1.2.3": "P2", "1.2.4": "P3"}
NAMES = {"P1": "Adamant^Ann", "P2": "Bakelite^Bob", "P3": "Colophon^Cid"}
REASON = "Unconscious, nobody of the team is here"

_READS_ALL = """
    p, {role}, Patient.id, read, any, allow
    p, {role}, ImagingStudy.id, read, any, allow
    p, {role}, ImagingStudy.meta, read, any, allow
    p, {role}, ImagingStudy.status, read, any, allow
    p, {role}, ImagingStudy.subject, read, any, allow
    p, {role}, ImagingStudy.series, read, any, allow
    p, {role}, ImagingStudy.series.uid, read, any, allow
    p, {role}, ImagingStudy.series.instance, read, any, allow
    p, {role}, ImagingStudy.series.instance.uid, read, any, allow
    p, {role}, Image.id, read, any, allow
"""
_LOOKS_AFTER = """
    p, {role}, Patient.name, read, {scope}, allow
    p, {role}, ImagingStudy.subject.display, read, {scope}, allow
    p, {role}, Image.pixels, read, {scope}, allow
"""
RULES = "\n".join(
    [
        _READS_ALL.format(role="provider"),
        *(
            _LOOKS_AFTER.format(role="provider", scope=scope)
            for scope in ("care-team", "break-glass", "assigned")
        ),
        """
    p, provider, BreakGlass.*, read, own, allow
    p, provider, BreakGlass.id, create, own, allow
    p, provider, BreakGlass.id, delete, own, allow
    g, attending, provider
    p, attending, CareTeam.*, read, care-team, allow
    p, attending, CareTeam.id, create, care-team, allow
    p, attending, CareTeam.id, delete, care-team, allow
    p, attending, ImagingStudy.meta, update, care-team, allow
    p, attending, ReleaseRequest.*, read, care-team, allow
    p, attending, ReleaseRequest.id, update, care-team, allow
    p, nurse, ReleaseRequest.*, read, any, allow
    p, nurse, ReleaseRequest.id, update, any, allow
    p, patient, Patient.*, read, own, allow
    p, patient, ImagingStudy.*, read, own, allow
    p, patient, Image.*, read, own, allow
    p, patient, ReleaseRequest.*, read, own, allow
    p, patient, ReleaseRequest.id, create, own, allow
    p, patient, Session.*, read, own, allow
    p, patient, Session.id, delete, own, allow
    p, proxy, Patient.*, read, proxied, allow
    p, proxy, ImagingStudy.*, read, proxied, allow
    p, proxy, ReleaseRequest.*, read, own, allow
    p, proxy, ReleaseRequest.id, create, own, allow
    p, resident, ImagingStudy.*, read, any, allow
    p, resident, Patient.id, read, any, allow
    p, resident, BreakGlass.id, create, own, allow
    p, fellow, BreakGlass.id, read, any, allow
    p, fellow, BreakGlass.id, create, own, allow
    p, technologist, ImagingStudy.id, read, released, allow
    p, technologist, ImagingStudy.meta, update, any, allow
    p, researcher, Patient.id, read, nameless, allow
    p, researcher, BreakGlass.*, read, any, allow
    p, researcher, BreakGlass.id, create, any, allow
        """,
        _READS_ALL.format(role="admin"),
        *(
            f"p, admin, {element}, {action}, any, allow"
            for kind in ("CareTeam", "Proxy", "Assignment", "BreakGlass", "Session")
            for element, action in (
                (f"{kind}.*", "read"),
                (f"{kind}.id", "create"),
                (f"{kind}.id", "delete"),
            )
        ),
        """
    p, admin, ImagingStudy.meta, update, any, allow
    p, admin, ReleaseRequest.*, read, any, allow
    p, admin, ReleaseRequest.id, update, any, allow
    p, auditor, AuditEvent.*, read, any, allow
        """,
    ]
)
_LABELS = (
    "&_tag=https://radiograph.dev/fhir/release|released"
    "&_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|U,"
    "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|N"
)
SCOPES = f"""
[own]
description = "The caller's own"
Patient = "_id={{patient}}"
ImagingStudy = "patient=Patient/{{patient}}{_LABELS}"
BreakGlass = "agent={{subject}}"
ReleaseRequest = "requester={{subject}}"
Session = "agent={{subject}}"

[released]
description = "What patients may see"
ImagingStudy = "_tag=https://radiograph.dev/fhir/release|released"

[nameless]
description = "Everybody, without a name"
view = "deidentified"
Patient = "_id:missing=false"

[proxied]
description = "Whom the caller acts for"
Patient = "_id={{proxied}}"
ImagingStudy = "patient=Patient/{{proxied}}{_LABELS}"

[care-team]
description = "Whom the caller looks after"
Patient = "_id={{care-team}}"
ImagingStudy = "patient=Patient/{{care-team}}"
CareTeam = "patient=Patient/{{care-team}}"
ReleaseRequest = "patient=Patient/{{care-team}}"

[assigned]
description = "What the caller was given"
Patient = "_id={{assigned-patient}}"
ImagingStudy = "_id={{assigned}}"

[break-glass]
description = "Whom the caller opened in an emergency"
Patient = "_id={{break-glass}}"
ImagingStudy = "patient=Patient/{{break-glass}}"
"""


def subject(name: str) -> str:
    """Say who a development token's subject is to us."""
    return f"{DEVELOPMENT_ISSUER}#{name}"


@dataclass(frozen=True)
class World:
    """The doors, and those who go through them.

    Attributes:
        patients: PatientID to the id of the Patient.
    """

    archive: Archive
    client: httpx.AsyncClient
    acting_as: Callable[..., dict[str, str]]
    patients: dict[str, str]

    async def ask(
        self, query: str, role: str = "admin", variables: object = None, **who: str
    ) -> Reply:
        """Send one GraphQL operation."""
        return await sent(self.client, self.acting_as(role, **who), query, variables)

    async def sight(self, uid: str, role: str = "provider", **who: str) -> dict[str, bool]:
        """Say through which doors somebody sees a study's patient by name, or its picture."""
        headers = self.acting_as(role, **who)
        patient_id = STUDIES[uid]
        patient, name = self.patients[patient_id], NAMES[patient_id].partition("^")[0]
        seen = {}
        query = f'{{study(uid: "{uid}") {{subject {{display}} patient {{name {{family}}}}}}}}'
        seen["graphql"] = name in (await self.ask(query, role, **who)).text
        for door, address in {
            "fhir patient": f"/fhir/Patient/{patient}",
            "fhir study": f"/fhir/ImagingStudy/{uid}",
            "rest": f"/postdicom/studies/{uid}",
        }.items():
            seen[door] = name in (await self.client.get(address, headers=headers)).text
        base = f"/dicomweb/studies/{uid}/series/{uid}.1/instances/{uid}.1.1"
        for door in ("rendered", "frames/1"):
            picture = await self.client.get(f"{base}/{door}", headers=headers)
            assert picture.status_code in {200, 403, 404}, picture.text
            seen[door] = picture.status_code == 200
        return seen

    async def link(self, kind: str, agent: str, **said: Any) -> str:
        """Store a link past everybody: a day old and for another day if nothing else is said."""
        now = datetime.now(UTC)
        day = timedelta(days=1)
        identifier = str(uuid4())
        period = {"start": instant(now - day), "end": instant(now + day)}
        link = {"resourceType": kind, "id": identifier, "agent": subject(agent), "period": period}
        await self.archive.repository.create(link | {"recorder": subject("test")} | said)
        return identifier

    def of(self, patient_id: str) -> dict[str, Any]:
        """Refer to a patient."""
        return {"patient": {"reference": f"Patient/{self.patients[patient_id]}"}}

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


NOWHERE = dict.fromkeys(
    ("graphql", "fhir patient", "fhir study", "rest", "rendered", "frames/1"), False
)
EVERYWHERE = dict.fromkeys(NOWHERE, True)


async def fill(archive: Archive) -> dict[str, str]:
    """Take the studies in; give PatientID to the id of the Patient."""
    for uid, patient in STUDIES.items():
        for data in study(StudyInstanceUID=uid, PatientID=patient, PatientName=NAMES[patient]):
            outcome = await archive.ingest.store(_once(data))
            assert outcome.status == "stored", outcome
    people = {}
    async for one in archive.database["patients"].find():
        [identifier] = [
            said["value"] for said in one["resource"]["identifier"] if said["value"] in NAMES
        ]
        people[identifier] = one["_id"]
    return people


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
