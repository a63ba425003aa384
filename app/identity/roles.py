"""Which canonical roles and specialties the names of an issuer stand for; data and pure rules."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import get_args

from policies.rules import Role

ROLES: tuple[Role, ...] = get_args(Role)

SPECIALTIES = frozenset(
    {
        "PRIMARY_CARE",
        "RADIOLOGY",
        "CARDIOLOGY",
        "PEDIATRICS",
        "ONCOLOGY",
        "PSYCHIATRY",
        "ENDOCRINOLOGY",
        "ORTHOPEDICS",
        "NEUROLOGY",
        "GASTROENTEROLOGY",
        "PULMONOLOGY",
        "DERMATOLOGY",
        "OBGYN",
        "ANESTHESIOLOGY",
        "EMERGENCY_MEDICINE",
        "PATHOLOGY",
        "SURGERY",
        "UROLOGY",
        "OPHTHALMOLOGY",
        "ENT",
        "NUCLEAR_MEDICINE",
    }
)

_RADIOTHERAPY = ("RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT")
MODALITIES_OF_SPECIALTY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "RADIOLOGY": ("CT", "MR", "CR", "DX", "US", "RF", "MG"),
        "CARDIOLOGY": ("XA", "CT", "MR", "US", "ECG"),
        "ORTHOPEDICS": ("CR", "DX", "CT", "MR"),
        "NEUROLOGY": ("CT", "MR", "NM", "PT"),
        "ONCOLOGY": ("CT", "MR", "PT", "NM", *_RADIOTHERAPY),
        "PULMONOLOGY": ("CT", "CR", "DX"),
        "GASTROENTEROLOGY": ("CT", "MR", "US"),
        "PEDIATRICS": ("CR", "DX", "US", "MR"),
        "EMERGENCY_MEDICINE": ("CT", "CR", "DX", "US"),
        "NUCLEAR_MEDICINE": ("NM", "PT"),
    }
)
"""What is relevant to a specialty; to one that is not listed every modality is."""

# v3-Confidentiality, lowest first: whoever is cleared for one is cleared for those before it.
CONFIDENTIALITY = ("U", "N", "R", "V")
CLEARANCES: Mapping[str, str] = MappingProxyType(
    {
        **{code.lower(): code for code in CONFIDENTIALITY},
        # access levels of the original module
        "public": "U",
        "restricted": "N",  # FHIR would say R; of two meanings the one that opens less
        "confidential": "R",
        "top-secret": "V",
        # what HL7 calls the codes
        "unrestricted": "U",
        "normal": "N",
        "very-restricted": "V",
    }
)

# Names of the Keycloak realm `webqx-healthcare`. Both issuers may also use canonical names.
# `None` is written where a reader might miss the name: it gives no role.
SHIPPED: Mapping[str, Role | None] = MappingProxyType(
    {
        **{role: role for role in ROLES},
        "healthcare-provider": "provider",
        "primary-care-physician": "provider",
        "specialist-physician": "provider",
        "attending-physician": "attending",
        "radiology-technician": "technologist",
        "healthcare-admin": "admin",
        "billing-staff": "billing",
        "pharmacist": None,
        "lab-technician": None,
    }
)


def canonical_roles(
    names: Iterable[str],
    specialties: Iterable[str],
    role_map: Mapping[str, Role | None] | None = None,
) -> frozenset[str]:
    """Translate an issuer's role names; a name without a translation gives no role.

    Args:
        names: Role names as the token spells them; compared exactly.
        specialties: Canonical codes of the same person.
        role_map: What replaces the shipped map and its rule about radiologists.
    """
    chosen = SHIPPED if role_map is None else role_map
    roles: set[str] = {role for name in names if (role := chosen.get(name)) is not None}
    if role_map is None and "provider" in roles and "RADIOLOGY" in specialties:
        roles = roles - {"provider"} | {"radiologist"}
    return frozenset(roles)


def canonical_specialty(text: str) -> str | None:
    """Read a specialty in any case, with spaces, hyphens or underscores; None if unknown."""
    code = text.strip().upper().replace("-", "_").replace(" ", "_")
    return code if code in SPECIALTIES else None


def clearances(texts: Iterable[str]) -> tuple[str, ...]:
    """List the confidentiality codes that the highest of some clearances covers, lowest first.

    Args:
        texts: Codes or names in any case, with spaces, hyphens or underscores; unknown ones give
            nothing.
    """
    names = (text.strip().lower().replace("_", "-").replace(" ", "-") for text in texts)
    ranks = [CONFIDENTIALITY.index(CLEARANCES[name]) for name in names if name in CLEARANCES]
    return CONFIDENTIALITY[: max(ranks, default=-1) + 1]
