"""How each door says no: one expected failure, in the door's own form."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from fhir.errors import AccessDenied, ResourceError, Unauthenticated, Unavailable
from fhir.outcomes import operation_outcome, outcome_response

Respond = Callable[[ResourceError], Response]
# What clients of `/postdicom` have always called it.
_REST_CODES = {Unavailable.code: "NETWORK_ERROR"}


def respond_fhir(error: ResourceError) -> Response:
    """Answer with an OperationOutcome."""
    return outcome_response(error)


def respond_graphql(error: ResourceError) -> Response:
    """Answer with `errors`, for what fails before GraphQL begins."""
    return _json(error, {"errors": [{"message": error.message, "extensions": _extensions(error)}]})


def respond_fhir_graphql(error: ResourceError) -> Response:
    """Answer with `errors` that carry an OperationOutcome each, as FHIR's GraphQL has them."""
    extensions = _extensions(error) | {"resource": operation_outcome(error)}
    return _json(error, {"errors": [{"message": error.message, "extensions": extensions}]})


def respond_rest(error: ResourceError, more: Mapping[str, Any] | None = None) -> Response:
    """Answer with the envelope of `/postdicom`.

    Args:
        error: What went wrong.
        more: Further details.
    """
    details = {"coordinates": sorted(_coordinates(error))} if _coordinates(error) else {}
    details |= more or {}
    code = _REST_CODES.get(error.code, error.code)
    failure = {"code": code, "message": error.message, "details": details or None}
    return _json(error, {"success": False, "error": failure})


def respond_dicomweb(error: ResourceError) -> Response:
    """Answer with JSON problem details, which PS3.18 leaves to the origin server."""
    problem = {"title": error.code, "status": error.status, "detail": error.message}
    if coordinates := _coordinates(error):
        problem["coordinates"] = sorted(coordinates)
    return _json(error, problem, media_type="application/problem+json")


def _json(
    error: ResourceError, body: dict[str, Any], media_type: str = "application/json"
) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    return Response(
        orjson.dumps(body), status_code=error.status, media_type=media_type, headers=headers
    )


def _coordinates(error: ResourceError) -> frozenset[str]:
    return error.coordinates if isinstance(error, AccessDenied) else frozenset()


def _extensions(error: ResourceError) -> dict[str, Any]:
    coordinates = sorted(_coordinates(error))
    code = "FORBIDDEN" if isinstance(error, AccessDenied) else error.code
    return {"code": code} | ({"coordinates": coordinates} if coordinates else {})
