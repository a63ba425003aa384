"""What a site configures about the meaning of its headers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from fhir.attributes import Attributes, text


@dataclass(frozen=True, slots=True)
class Site:
    """How to read what a header leaves open; the defaults guess nothing.

    Attributes:
        time_zone: Zone of times without offset; without it only their date is used.
        patient_id_system: URI of PatientIDs that name no issuer.
        issuer_systems: Local issuer, of patient ids or of orders, to its URI.
        pad_times: Take a time to the hour or minute as its first second, instead of dropping it.
        institutions: InstitutionName (0008,0080) to the code of the site that policies know.
        code: Code of the site where none is named, or an unknown one.
    """

    time_zone: ZoneInfo | None = None
    patient_id_system: str | None = None
    issuer_systems: Mapping[str, str] = field(default_factory=dict)
    pad_times: bool = False
    institutions: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None

    def code_of(self, header: Attributes) -> str | None:
        """Say at which site an instance was made; None if nothing says it."""
        return self.institutions.get(text(header, "InstitutionName") or "", self.code)


SITE_SYSTEM = "https://radiograph.dev/fhir/site"


def site_tags(codes: Iterable[str]) -> list[dict[str, str]]:
    """Write codes of sites as `meta.tag`, each once and in order."""
    return [{"system": SITE_SYSTEM, "code": code} for code in sorted(set(codes))]
