"""Coding Scheme Designators (PS3.16 8) as FHIR code systems."""

from collections.abc import Mapping

SNOMED_CT = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
URIS = "urn:ietf:rfc:3986"

SYSTEMS: Mapping[str, str] = {
    "C4": "http://www.ama-assn.org/go/cpt",
    "DCM": DCM,
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "LN": "http://loinc.org",
    "RADLEX": "http://radlex.org",
    "SCT": SNOMED_CT,
    "UCUM": "http://unitsofmeasure.org",
}
"""A designator is never a system; what is not listed needs a CodingSchemeUID."""

SNOMED_RT = frozenset({"SRT", "SNM3", "99SDM"})
"""Designators of retired SNOMED codes (`T-D3000`), which must be translated."""

SYSTEMS_BY_UID: Mapping[str, str] = {
    "1.2.840.10008.2.16.4": DCM,
    "2.16.840.1.113883.6.1": "http://loinc.org",
    "2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "2.16.840.1.113883.6.96": SNOMED_CT,
}
"""Schemes that FHIR knows by a name of their own, under whatever designator they came."""
