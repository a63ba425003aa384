"""`make demo`: real sample data in the archive, and a token for every role."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from app.archive import Archive
from app.identity.development import DevelopmentIssuer
from app.identity.roles import ROLES
from app.imaging.sources import Source, in_memory, sources
from app.samples.archive import pydicom_files, samples
from app.samples.people import UNKNOWN
from app.settings import DEVELOPMENT_ISSUER
from fhir.errors import Conflict
from fhir.repository import Wanted
from fhir.search import EVERYTHING, Has, negated

# Other samples get another name, and are loaded once more.
SAMPLES: Final = "samples-1"
TOKEN_MINUTES: Final = 12 * 60
CARE_TEAMS: Final = "care-teams-1"
_OF_A_PATIENT: Final = frozenset({"patient", "proxy"})
_TREATING: Final = ("provider", "attending", "fellow", "resident", "nurse")


def sample_sources() -> Iterator[Source]:
    """List the generated archive, then every DICOM file that pydicom ships."""
    for name, data in samples():
        yield in_memory(name, data)
    yield from sources(pydicom_files())


async def a_patient(archive: Archive) -> str | None:
    """Give the id of the Patient with the largest study, for tokens of patients."""
    wanted = Wanted(frozenset({"numberOfInstances"}), frozenset({"patient"}))
    studies = await archive.repository.find("ImagingStudy", EVERYTHING, wanted=wanted, limit=500)
    largest = max(studies, key=lambda one: one.resource["numberOfInstances"], default=None)
    references = largest.index.get("patient", ()) if largest else ()
    return references[0].removeprefix("Patient/") if references else None


async def care_teams(archive: Archive) -> None:
    """Put whoever treats patients on the care team of all, but of the one without a name.

    For that one they have to break the glass.
    """
    named = negated(Has("identifier", UNKNOWN.identifier))
    wanted = Wanted(frozenset({"id"}))
    patients = await archive.repository.find("Patient", named, wanted=wanted, limit=1_000)
    links = [
        _member(f"{DEVELOPMENT_ISSUER}#{role}", patient.id)
        for patient in patients
        for role in _TREATING
    ]
    at_once = asyncio.Semaphore(16)

    async def add(link: dict[str, object]) -> None:
        async with at_once:
            try:
                await archive.repository.create(link)
            except Conflict:  # an interrupted start was as far as this
                return

    await asyncio.gather(*map(add, links))


def project_of(role: str) -> str | None:
    """Name a research project for development tokens that need one."""
    return "development" if role == "researcher" else None


def _member(agent: str, patient: str) -> dict[str, object]:
    return {
        "resourceType": "CareTeam",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{agent} {patient}")),
        "agent": agent,
        "patient": {"reference": f"Patient/{patient}"},
        "reason": "sample data",
        "period": {"start": datetime.now(UTC).isoformat(timespec="milliseconds")},
        "recorder": f"{DEVELOPMENT_ISSUER}#demo",
    }


def tokens(archive: Archive, patient: str | None) -> dict[str, str]:
    """Sign one token per role; those of patients and proxies are for one patient."""
    issuer = DevelopmentIssuer(archive.settings.data_dir)
    return {
        role: issuer.token(
            role,
            patient=patient if role in _OF_A_PATIENT else None,
            project=project_of(role),
            minutes=TOKEN_MINUTES,
        )
        for role in ROLES
    }
