"""People, institutions and equipment as references that say who, without guessing identity."""

from collections.abc import Mapping
from typing import Any

from fhir.attributes import Attributes, items, values
from fhir.from_dicom.codes import Schemes, coding
from fhir.from_dicom.names import display
from fhir.from_dicom.shapes import Element, identifier_type, present, reference
from fhir.from_dicom.texts import line


def practitioner(name: Any, identification: Attributes | None, declared: Schemes) -> Element:
    """Refer to one person; {} if there is neither name nor code.

    Args:
        name: One value of VR PN.
        identification: Item of the Person Identification Macro (PS3.3 10.1).
        declared: Coding schemes of the header.
    """
    return reference("Practitioner", _code_of(identification or {}, declared), display(name))


def practitioners(
    attributes: Attributes, names: str, identifications: str, declared: Schemes
) -> list[Element]:
    """Refer to each person of a name attribute and of the sequence that goes with it.

    Where the two differ in length nobody can say whose code is whose, and codes are left out.
    """
    people = values(attributes, names)
    known = items(attributes, identifications)
    if not people:
        people = [None] * len(known)
    elif len(known) != len(people):
        known = [{}] * len(people)
    found = (practitioner(*pair, declared) for pair in zip(people, known, strict=True))
    return [one for one in found if one]


def institution(attributes: Attributes, declared: Schemes) -> Element:
    """Refer to the institution whose equipment made the object."""
    code = next(iter(items(attributes, "InstitutionCodeSequence")), {})
    name = line(attributes, "InstitutionName") or line(code, "CodeMeaning")
    return reference("Organization", _identifier(code, declared), name)


def equipment(attributes: Attributes) -> Element:
    """Refer to the machine that made the object: by serial number, shown by maker and model."""
    serial = line(attributes, "DeviceSerialNumber")
    identifier = {"type": identifier_type("SNO"), "value": serial} if serial else None
    maker = line(attributes, "Manufacturer")
    model = line(attributes, "ManufacturerModelName")
    station = line(attributes, "StationName")
    shown = " ".join(part for part in (maker, model) if part) or station
    return reference("Device", identifier, shown)


def _code_of(identification: Attributes, declared: Schemes) -> Element:
    for item in items(identification, "PersonIdentificationCodeSequence"):
        if identifier := _identifier(item, declared):
            assigner = present(display=line(identification, "InstitutionName"))
            return present(**identifier, assigner=assigner)
    return {}


def _identifier(item: Mapping[str, Any], declared: Schemes) -> Element:
    code = coding(item, declared)
    value = code.get("code")
    return present(system=code.get("system"), value=value) if value else {}
