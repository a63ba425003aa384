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
