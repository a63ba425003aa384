"""Veterinary patients: species and breed as the patient-animal extension."""

from fhir.attributes import Attributes
from fhir.from_dicom.codes import Schemes, concepts, schemes
from fhir.from_dicom.coding_schemes import SNOMED_CT
from fhir.from_dicom.shapes import Element
from fhir.from_dicom.texts import line

_ANIMAL = "http://hl7.org/fhir/StructureDefinition/patient-animal"
_PEOPLE = frozenset({"homo sapiens", "human", "human being"})
_HOMO_SAPIENS = "337915000"


def animal(attributes: Attributes) -> list[Element]:
    """Give the extension of a patient that is an animal, in a list; [] for a person.

    The extension must name the species, so a breed alone is not enough.
    """
    declared = schemes(attributes)
    species = _kind(attributes, "PatientSpecies", declared)
    if not species or _is_person(species):
        return []
    parts = [{"url": "species", "valueCodeableConcept": species}]
    if breed := _kind(attributes, "PatientBreed", declared):
        parts.append({"url": "breed", "valueCodeableConcept": breed})
    return [{"url": _ANIMAL, "extension": parts}]


def _kind(attributes: Attributes, stem: str, declared: Schemes) -> Element:
    """Read what stands in a code sequence or in a description, and in both if both are there."""
    described = line(attributes, f"{stem}Description")
    coded = concepts(attributes, f"{stem}CodeSequence", declared)[:1]
    if not coded:
        return {"text": described} if described else {}
    return {**coded[0], "text": described} if described else coded[0]


def _is_person(species: Element) -> bool:
    codes = species.get("coding", [])
    return species["text"].lower() in _PEOPLE or any(
        code.get("system") == SNOMED_CT and code.get("code") == _HOMO_SAPIENS for code in codes
    )
