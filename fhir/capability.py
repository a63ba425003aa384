"""What this server can do, in FHIR's words, derived from the tables that make it do it."""

from typing import Any

from fhir.includes import INCLUDES
from fhir.parameters import PARAMETERS, Parameter

Json = Any
TYPES = ("Patient", "ImagingStudy", "Endpoint")
RELEASED = "2026-11-24"
_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_DEFINITIONS = "http://hl7.org/fhir/SearchParameter"


def capability_statement(base_url: str, version: str) -> dict[str, Json]:
    """Describe the REST surface below `base_url`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": RELEASED,
        "publisher": "Radiograph",
        "kind": "instance",
        "software": {"name": "Radiograph", "version": version},
        "implementation": {"description": "Imaging studies from DICOM", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "What a caller sees is narrowed by the policy to rows and "
                "elements; refused elements are marked as masked and SUBSETTED.",
                "security": {
                    "cors": False,
                    "service": [{"coding": [{"system": _SECURITY, "code": "OAuth"}]}],
                    "description": "Bearer tokens (JWT) of the configured OpenID issuers.",
                },
                "resource": [_resource(name) for name in TYPES],
            }
        ],
    }


def _resource(name: str) -> dict[str, Json]:
    described: dict[str, Json] = {
        "type": name,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "versioned",
        "conditionalRead": "full-support",
        "readHistory": False,
        "updateCreate": False,
        "searchInclude": [f"{name}:{include}" for include in INCLUDES.get(name, ())],
        "searchParam": [_parameter(row) for row in PARAMETERS[name].values()],
    }
    return {key: value for key, value in described.items() if value != []}


def _parameter(row: Parameter) -> dict[str, Json]:
    definition = {"definition": f"{_DEFINITIONS}/{row.definition}"} if row.definition else {}
    return {
        "name": row.name,
        **definition,
        "type": row.kind,
        "documentation": f"Looks at {', '.join(row.paths)}."
        + (" Takes any words, in any order." if row.words else "")
        + (" Can be sorted by." if row.sortable else ""),
    }
