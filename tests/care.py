"""Putting people on care teams and taking them off again, for whom the shipped policy asks it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from app.archive import Archive
from app.settings import DEVELOPMENT_ISSUER
from fhir.dates import instant
from fhir.labels import with_release
from fhir.parameters import index

TREATING = ("provider", "attending", "fellow", "resident", "nurse")
"""Roles that see whom they look after, and of others that there is a study."""


async def look_after(archive: Archive, name: str, patient: str) -> str:
    """Put the subject of a development token on a patient's care team; give the link's id."""
    link = str(uuid4())
    await archive.repository.create(
        {
            "resourceType": "CareTeam",
            "id": link,
            "agent": f"{DEVELOPMENT_ISSUER}#{name}",
            "patient": {"reference": f"Patient/{patient}"},
            "period": {"start": instant(datetime.now(UTC))},
            "recorder": f"{DEVELOPMENT_ISSUER}#test",
        }
    )
    return link


async def take_off(client: httpx.AsyncClient, admin: Mapping[str, str], link: str) -> None:
    """End membership of a care team, as an administrator does."""
    query = "mutation($id: ID!) {removeFromCareTeam(id: $id) {record {revoked {at}}}}"
    body = {"query": query, "variables": {"id": link}}
    answer = (await client.post("/graphql", json=body, headers=admin)).json()
    assert answer["data"]["removeFromCareTeam"]["record"]["revoked"]["at"], answer


async def patient_of(archive: Archive, study: str) -> str:
    """Give the id of the Patient whose study it is."""
    document = await archive.ledger.study(study)
    assert document is not None
    return str(document["resource"]["subject"]["reference"]).removeprefix("Patient/")


async def label(archive: Archive, study: str, code: str) -> None:
    """Put the confidentiality label U, N, R or V on a study."""
    record = await archive.database["studies"].find_one({"_id": study})
    assert record is not None
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    meta = record["resource"]["meta"] | {"security": [{"system": system, "code": code}]}
    resource = record["resource"] | {"meta": meta}
    fresh = {"resource": resource, "index": index(resource)}
    await archive.database["studies"].update_one({"_id": study}, {"$set": fresh})


async def withhold(archive: Archive, study: str) -> None:
    """Show a study to its patient no longer."""
    record = await archive.database["studies"].find_one({"_id": study})
    assert record is not None
    resource = with_release(record["resource"], released=False)
    fresh = {"resource": resource, "index": index(resource)}
    await archive.database["studies"].update_one({"_id": study}, {"$set": fresh})
