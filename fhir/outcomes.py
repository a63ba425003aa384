"""OperationOutcome: how FHIR says that something went wrong."""

from typing import Any

import orjson
from starlette.responses import Response

from fhir.errors import AccessDenied, ResourceError, Unauthenticated

FHIR_JSON = "application/fhir+json; charset=utf-8"


def operation_outcome(error: ResourceError) -> dict[str, Any]:
    """Say an expected failure in FHIR; refused elements are named as expressions."""
    issue: dict[str, Any] = {
        "severity": "error",
        "code": error.issue,
        "details": {"text": error.message},
        "diagnostics": error.message,
    }
    if isinstance(error, AccessDenied) and error.coordinates:
        issue["expression"] = sorted(error.coordinates)
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def outcome_response(error: ResourceError) -> Response:
    """Answer with an OperationOutcome and the error's status."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    return Response(
        orjson.dumps(operation_outcome(error)),
        status_code=error.status,
        media_type=FHIR_JSON,
        headers=headers,
    )
