"""Code sequence items (PS3.3 8.8) as Coding and CodeableConcept."""

import re
from collections.abc import Mapping

# pydicom translates retired SNOMED codes with this table but has no public name for it.
from pydicom.sr._snomed_dict import mapping as _snomed

from fhir.attributes import Attributes, items
from fhir.from_dicom.coding_schemes import (
    SNOMED_CT,
    SNOMED_RT,
    SYSTEMS,
    SYSTEMS_BY_UID,
    URIS,
)
from fhir.from_dicom.shapes import Element, distinct, present
from fhir.from_dicom.texts import line, token
from fhir.from_dicom.uids import urn

Schemes = Mapping[str, str]
"""What a header declares: designator → UID of the scheme."""

_CODE_VALUES = ("CodeValue", "LongCodeValue")
_SNOMED_ID = re.compile(r"[1-9][0-9]{5,17}")


def schemes(attributes: Attributes) -> Schemes:
    """Read which coding schemes the header identifies (CodingSchemeIdentificationSequence)."""
    declared = {}
    for item in items(attributes, "CodingSchemeIdentificationSequence"):
        designator = line(item, "CodingSchemeDesignator")
        scheme_uid = line(item, "CodingSchemeUID")
        if designator and scheme_uid:
            declared[designator] = scheme_uid
    return declared


def coding(item: Attributes, declared: Schemes) -> Element:
    """Give a code as Coding; {} if it says nothing.

    A code whose scheme has no URI keeps code and display; a retired SNOMED code that has no
    successor keeps its display only.
    """
    meaning = line(item, "CodeMeaning")
    designator = line(item, "CodingSchemeDesignator") or ""
    code = next((found for name in _CODE_VALUES if (found := token(item, name))), None)
    if code is None:
        return (
            present(system=URIS, code=uri, display=meaning)
            if (uri := _uri(item))
            else present(display=meaning)
        )
    if designator in SNOMED_RT or (designator == "SCT" and not _SNOMED_ID.fullmatch(code)):
        successor = _snomed["SRT"].get(code)
        if successor is None:
            return present(display=meaning or code)
        return present(system=SNOMED_CT, code=successor, display=meaning)
    system = SYSTEMS.get(designator) or _registered(item, designator, declared)
    version = line(item, "CodingSchemeVersion") if system else None
    return present(system=system, version=version, code=code, display=meaning)


def concept(item: Attributes, declared: Schemes) -> Element:
    """Give a code as CodeableConcept that can always be shown; {} if it says nothing."""
    code = coding(item, declared)
    shown = code.get("display") or code.get("code")
    return {"coding": [code], "text": shown} if shown else {}


def concepts(attributes: Attributes, keyword: str, declared: Schemes) -> list[Element]:
    """Give the codes of a sequence, each once."""
    return distinct([concept(item, declared) for item in items(attributes, keyword)])


def _uri(item: Attributes) -> str | None:
    found = line(item, "URNCodeValue")
    return found if found and not re.search(r"\s", found) else None


def _registered(item: Attributes, designator: str, declared: Schemes) -> str | None:
    scheme_uid = line(item, "CodingSchemeUID") or declared.get(designator)
    return (SYSTEMS_BY_UID.get(scheme_uid) or urn(scheme_uid)) if scheme_uid else None
