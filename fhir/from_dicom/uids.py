"""UIDs: bare where FHIR wants an id, `urn:oid:` where it wants a URI."""

import re

from pydicom._uid_dict import UID_dictionary

from fhir.attributes import Attributes, text
from fhir.errors import Invalid

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_LONGEST = 64


def uid(attributes: Attributes, keyword: str) -> str:
    """Give the UID that an attribute must have.

    Raises:
        Invalid: It is missing, longer than 64 characters, or not digits and dots.
    """
    found = text(attributes, keyword) or ""
    if len(found) > _LONGEST or not _UID.fullmatch(found):
        raise Invalid(f"{keyword} is not a UID: digits and dots, 64 characters at most")
    return found


def is_registered(found: str) -> bool:
    """Say whether a UID is one of DICOM's own (PS3.6 A), and so names no particular object."""
    return found in UID_dictionary


def urn(found: str) -> str | None:
    """Give an OID as URI; None where a component starts with 0, which no OID has."""
    return f"urn:oid:{found}" if _OID.fullmatch(found) else None


def uid_identifier(found: str) -> dict[str, str]:
    """Give system and value of a UID; a malformed one stays bare instead of a false URN."""
    return {"system": "urn:dicom:uid", "value": urn(found) or found}
