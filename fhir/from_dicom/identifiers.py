"""Who issued an identifier, as system and assigner."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fhir.attributes import Attributes, items
from fhir.from_dicom.shapes import Element, identifier_type, present
from fhir.from_dicom.site import Site
from fhir.from_dicom.texts import line
from fhir.from_dicom.uids import urn

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issued an identifier: `system` a URI, `name` as the header has it."""

    system: str | None = None
    name: str | None = None

    def signed(self, value: str | None, use: str | None = None, kind: str | None = None) -> Element:
        """Give an identifier of this issuer; {} without value.

        Args:
            value: The identifier.
            use: Identifier.use.
            kind: Code of HL7 table 0203.
        """
        if not value:
            return {}
        return present(
            use=use,
            type=identifier_type(kind) if kind else None,
            system=self.system,
            value=value,
            assigner=present(display=self.name),
        )


def issuer(qualifiers: Sequence[Attributes], local: str | None, site: Site) -> Issuer:
    """Find an issuer: by universal id, else by what the site calls the local one.

    Args:
        qualifiers: Items of the HL7v2 Hierarchic Designator Macro (PS3.3 10.14).
        local: Local issuer that stands outside of them.
        site: Knows the URIs of local issuers.
    """
    universal = name = None
    for item in qualifiers[:1]:
        universal = line(item, "UniversalEntityID")
        kind = line(item, "UniversalEntityIDType")
        name = local or line(item, "LocalNamespaceEntityID") or universal
        if universal and (system := _universal(universal, kind)):
            return Issuer(system, name)
    name = name or local
    return Issuer(site.issuer_systems.get(name) if name else None, name)


def issuer_of(attributes: Attributes, keyword: str, site: Site) -> Issuer:
    """Find the issuer that a sequence of hierarchic designators names."""
    return issuer(items(attributes, keyword), None, site)


def patient_id_issuer(attributes: Attributes, site: Site) -> Issuer:
    """Find who issued the PatientID that stands beside it, in a header or in an item."""
    return issuer(
        items(attributes, "IssuerOfPatientIDQualifiersSequence"),
        line(attributes, "IssuerOfPatientID"),
        site,
    )


def _universal(found: str, kind: str | None) -> str | None:
    match (kind or "").upper():
        case "ISO":
            return urn(found.removeprefix("urn:oid:"))
        case "UUID":
            lower = found.lower().removeprefix("urn:uuid:")
            return f"urn:uuid:{lower}" if _UUID.fullmatch(lower) else None
        case "URI":
            return found if _URI.fullmatch(found) else None
        case _:
            return None
