"""The Endpoint that says where DICOMweb is."""

from fhir.from_dicom.shapes import Element

_ARGONAUT_ACCESS = (
    "http://fhir.org/argonaut/smart-imaging/StructureDefinition/requires-access-token"
)
_CONNECTION_TYPES = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"


def endpoint(endpoint_id: str, base_url: str) -> Element:
    """Describe a WADO-RS server.

    Args:
        endpoint_id: FHIR id.
        base_url: What `/studies` is appended to; written with or without it.
    """
    address = base_url.rstrip("/").removesuffix("/studies").rstrip("/")
    return {
        "resourceType": "Endpoint",
        "id": endpoint_id,
        # the token that opened the study opens its bytes
        "extension": [{"url": _ARGONAUT_ACCESS, "valueBoolean": True}],
        "status": "active",
        "connectionType": {
            "system": _CONNECTION_TYPES,
            "code": "dicom-wado-rs",
            "display": "DICOM WADO-RS",
        },
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": address,
    }
