"""Reading what the FHIR door answers; every answer is checked on the way."""

from typing import Any

import httpx

from fhir.elements import COORDINATES
from tests.validators import assert_valid

Json = dict[str, Any]
_MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
_SUBSETTED = {
    "security": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
            "code": "SUBSETTED",
        }
    ]
}


def told(resource: Json) -> set[str]:
    """List the policy coordinates of which a resource says more than that it is masked."""
    return _told(resource, str(resource["resourceType"]))


def _told(value: Any, path: str) -> set[str]:
    if value in (_MASKED, [_MASKED], _SUBSETTED):
        return set()
    if isinstance(value, list):
        return set().union(*(_told(one, path) for one in value))
    inner: set[str] = set()
    if isinstance(value, dict):
        inner = set().union(*(_told(one, f"{path}.{name}") for name, one in value.items()))
    return inner | ({path} & COORDINATES)


def fhir(response: httpx.Response, status: int = 200) -> Json:
    """Give a valid FHIR resource from an answer of the right status and type."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"
    resource: Json = response.json()
    assert_valid(resource)
    return resource


def issue(response: httpx.Response, status: int) -> Json:
    """Give the one issue of an OperationOutcome."""
    outcome = fhir(response, status)
    assert outcome["resourceType"] == "OperationOutcome"
    [only] = outcome["issue"]
    assert only["severity"] == "error"
    return dict(only)


def ids(bundle: Json, mode: str = "match") -> list[str]:
    """List the ids of a bundle's matches, or of what they include."""
    return [
        entry["resource"]["id"]
        for entry in bundle.get("entry", ())
        if entry["search"]["mode"] == mode
    ]


def link(bundle: Json, relation: str) -> str | None:
    """Give a link of a bundle."""
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


async def walk(client: httpx.AsyncClient, url: str) -> list[Json]:
    """Follow `next` from the first page to the last."""
    pages = []
    following: str | None = url
    while following:
        pages.append(fhir(await client.get(following)))
        following = link(pages[-1], "next")
    return pages
