"""OperationOutcome: how FHIR says that something went wrong."""

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from fhir.errors import AccessDenied, ResourceError, Unauthenticated

FHIR_JSON = "application/fhir+json; charset=utf-8"


def operation_outcome(error: ResourceError) -> dict[str, Any]:
    """Say an expected failure in FHIR; refused elements are named as expressions."""
    refused = error.coordinates if isinstance(error, AccessDenied) else ()
    return outcome(error.issue, error.message, sorted(refused))


def outcome(code: str, text: str, expression: Sequence[str] = ()) -> dict[str, Any]:
    """Say one error in FHIR.

    Args:
        code: FHIR IssueType.
        text: For people.
        expression: Elements that it is about.
    """
    issue: dict[str, Any] = {
        "severity": "error",
        "code": code,
        "details": {"text": text},
        "diagnostics": text,
    }
    if expression:
        issue["expression"] = list(expression)
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
