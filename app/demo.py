"""`make demo`: real sample data in the archive, and a token for every role."""

from collections.abc import Iterator
from typing import Final

from app.archive import Archive
from app.identity.development import DevelopmentIssuer
from app.identity.roles import ROLES
from app.imaging.sources import Source, in_memory, sources
from app.samples.archive import pydicom_files, samples
from fhir.repository import Wanted
from fhir.search import EVERYTHING

# Other samples get another name, and are loaded once more.
SAMPLES: Final = "samples-1"
TOKEN_MINUTES: Final = 12 * 60
_OF_A_PATIENT: Final = frozenset({"patient", "proxy"})


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


def tokens(archive: Archive, patient: str | None) -> dict[str, str]:
    """Sign one token per role; those of patients and proxies are for one patient."""
    issuer = DevelopmentIssuer(archive.settings.data_dir)
    return {
        role: issuer.token(
            role, patient=patient if role in _OF_A_PATIENT else None, minutes=TOKEN_MINUTES
        )
        for role in ROLES
    }
