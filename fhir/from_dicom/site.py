"""What a site configures about the meaning of its headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Site:
    """How to read what a header leaves open; the defaults guess nothing.

    Attributes:
        time_zone: Zone of times without offset; without it only their date is used.
        patient_id_system: URI of PatientIDs that name no issuer.
        issuer_systems: Local issuer, of patient ids or of orders, to its URI.
        pad_times: Take a time to the hour or minute as its first second, instead of dropping it.
    """

    time_zone: ZoneInfo | None = None
    patient_id_system: str | None = None
    issuer_systems: Mapping[str, str] = field(default_factory=dict)
    pad_times: bool = False
