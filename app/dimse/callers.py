"""Who calls under an AE title, and from where; nobody whom the settings do not name."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

from app.identity.claims import PATIENT_ID, caller
from app.identity.roles import CLEARANCES, ROLES, SPECIALTIES, canonical_specialty, clearances
from app.settings import DimseCaller, Issuer, Settings
from fhir.errors import Invalid
from policies.caller import Caller

ISSUER: Final = "urn:radiograph:dimse"
"""Vouches for callers whose subject names no issuer."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whoever opened an association.

    Attributes:
        title: Their AE title.
        address: Network address.
    """

    title: str
    address: str | None
    caller: Caller


def callers(settings: Settings) -> Mapping[str, Caller]:
    """Translate the callers of the settings, by AE title.

    Raises:
        Invalid: One of them makes no sense; the message says which.
    """
    return {title: _caller(title, said) for title, said in settings.dimse_callers.items()}


def admitted(said: DimseCaller, address: str | None, certificate: bytes | None) -> bool:
    """Say whether somebody may call under an AE title from where they are.

    Args:
        said: What the settings say of the AE title.
        address: Network address of the peer.
        certificate: What it showed, DER; None without TLS or without a certificate.
    """
    if said.networks:
        try:
            where = ip_address((address or "").partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(where, "ipv4_mapped", None)
        if not any((mapped or where) in network for network in said.networks):
            return False
    if said.certificate is None:
        return True
    wanted = said.certificate.replace(":", "").lower()
    return certificate is not None and sha256(certificate).hexdigest() == wanted


def _caller(title: str, said: DimseCaller) -> Caller:
    _check(title, said)
    issuer, mark, subject = (said.subject or title).rpartition("#")
    return caller(
        Issuer.model_validate(
            {
                "issuer": issuer if mark else ISSUER,
                "audiences": (ISSUER,),
                "role_map": {role: role for role in ROLES},
                "patient_claims": ("patient_id",),
            }
        ),
        {
            "sub": subject,
            "name": title,
            "roles": list(said.roles),
            "patient_id": list(said.patient),
            "specialty": list(said.specialty),
            "clearance": said.clearance,
            "site": list(said.site),
            "project": said.project,
        },
    )


def _check(title: str, said: DimseCaller) -> None:
    where = f"setting RADIOGRAPH_DIMSE_CALLERS: {title}"
    if not all(PATIENT_ID.fullmatch(one) for one in said.patient):
        raise Invalid(f"{where}: a Patient's id has 1 to 64 letters, digits, hyphens and dots")
    if any(canonical_specialty(one) is None for one in said.specialty):
        raise Invalid(f"{where}: no such specialty; there are {', '.join(sorted(SPECIALTIES))}")
    if said.clearance is not None and not clearances([said.clearance]):
        raise Invalid(f"{where}: no such clearance; there are {', '.join(CLEARANCES)}")
