"""The small shapes that FHIR elements are made of, with nothing empty inside."""

from typing import Any

from fhir.from_dicom.coding_schemes import DCM

Element = dict[str, Any]

_EMPTY: tuple[object, ...] = (None, "", [], {})
_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_IDENTIFIER_TYPE_NAMES = {
    "ACSN": "Accession ID",
    "FILL": "Filler Identifier",
    "MR": "Medical record number",
    "PLAC": "Placer Identifier",
    "SNO": "Serial Number",
    "VN": "Visit number",
}

# IHE RAD MADO says it in DICOM's words too
_ACCESSION_NUMBER = {"system": DCM, "code": "121022", "display": "Accession Number"}


def present(**elements: Any) -> Element:
    """Keep the elements that say something: None, "", [] and {} are not FHIR."""
    return {name: value for name, value in elements.items() if value not in _EMPTY}


def distinct(found: list[Element]) -> list[Element]:
    """Drop what is empty or was listed before."""
    kept: list[Element] = []
    for element in found:
        if element and element not in kept:
            kept.append(element)
    return kept


def identifier_type(code: str) -> Element:
    """Give a code of HL7 table 0203 as CodeableConcept."""
    name = _IDENTIFIER_TYPE_NAMES.get(code)
    also = [_ACCESSION_NUMBER] if code == "ACSN" else []
    return {"coding": [present(system=_IDENTIFIER_TYPES, code=code, display=name), *also]}


def reference(
    resource_type: str, identifier: Element | None = None, display: str | None = None
) -> Element:
    """Refer to something by what it is called; {} if nothing is known of it."""
    named = present(identifier=identifier, display=display)
    return {"type": resource_type, **named} if named else {}
