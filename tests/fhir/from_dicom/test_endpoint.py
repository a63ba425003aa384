"""The DICOMweb Endpoint."""

import pytest

from fhir.from_dicom.endpoint import endpoint
from tests.validators import assert_valid


@pytest.mark.parametrize(
    "base_url",
    [
        "https://pacs.example.org/dicomweb",
        "https://pacs.example.org/dicomweb/",
        "https://pacs.example.org/dicomweb/studies",
        "https://pacs.example.org/dicomweb/studies/",
    ],
)
def test_an_endpoint_is_the_base_url_without_slash_or_studies(base_url: str) -> None:
    found = endpoint("dicomweb", base_url)
    assert found == {
        "resourceType": "Endpoint",
        "id": "dicomweb",
        "extension": [
            {
                "url": "http://fhir.org/argonaut/smart-imaging/StructureDefinition/"
                "requires-access-token",
                "valueBoolean": True,
            }
        ],
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs",
            "display": "DICOM WADO-RS",
        },
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": "https://pacs.example.org/dicomweb",
    }
    assert_valid(found)
