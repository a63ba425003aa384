"""Words of this API for what DICOM and FHIR call otherwise; tables and how to read them."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Field

from app.identity.roles import MODALITIES_OF_SPECIALTY, SPECIALTIES, canonical_specialty
from fhir.errors import Invalid

Uid = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
"""What can be a DICOM UID."""

AccessLevel = Literal["public", "restricted", "confidential", "top-secret"]

LABELS: Mapping[str, str] = MappingProxyType(
    dict(zip(get_args(AccessLevel), ("U", "N", "R", "V"), strict=True))
)
"""Access level to the confidentiality label that carries it in `meta.security`."""

_CODE = re.compile(r"[A-Z0-9_ -]{1,16}")
MODALITY_ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "MRI": ("MR",),
        "XR": ("CR", "DX", "RG"),
        "X-RAY": ("CR", "DX", "RG"),
        "ECHO": ("US",),
        "PET": ("PT",),
    }
)


def modalities(text: str) -> list[str]:
    """Read modality codes, separated by commas, in any case; aliases become what they stand for.

    Raises:
        Invalid: Something cannot be a code.
    """
    codes: dict[str, None] = {}
    for one in text.upper().split(","):
        code = one.strip()
        if not _CODE.fullmatch(code):
            raise Invalid("modality takes DICOM codes such as CT, or several: CT,MR")
        codes |= dict.fromkeys(MODALITY_ALIASES.get(code, (code,)))
    return list(codes)


def modalities_of_specialty(text: str) -> tuple[str, ...]:
    """Give the modalities relevant to a specialty; none means that all are.

    Raises:
        Invalid: There is no such specialty.
    """
    code = canonical_specialty(text)
    if code is None:
        raise Invalid(f"specialty takes one of {', '.join(sorted(SPECIALTIES))}")
    return MODALITIES_OF_SPECIALTY.get(code, ())


def access_level(label: str | None) -> AccessLevel | None:
    """Name the access level that a confidentiality label carries."""
    return next((level for level in get_args(AccessLevel) if LABELS[level] == label), None)
