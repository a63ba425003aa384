"""The one door to `fhir.resources`: whether JSON is a resource of FHIR R4."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fhir.errors import Invalid
from fhir.resources.R4B import get_fhir_model_class

# R4B has the same elements as R4 for every one of them.
KNOWN = (
    "AuditEvent",
    "Bundle",
    "CapabilityStatement",
    "Endpoint",
    "ImagingStudy",
    "OperationOutcome",
    "Patient",
)
_REPORTED = 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def validate(resource: Mapping[str, Any]) -> None:
    """Check a resource's structure: elements, cardinalities and the forms of primitives.

    Codes, reference targets and empty elements are not checked. A model is loaded when its type
    is first seen, which takes some 200 ms.

    Raises:
        Invalid: It is not a resource of a known type, or something in it is not as R4 has it; the
            message gives FHIR paths and what is wrong with them, and no values.
    """
    resource_type = resource.get("resourceType")
    if resource_type not in KNOWN:
        raise Invalid(f"resourceType: one of {', '.join(KNOWN)}")
    try:
        problems = _problems(resource_type, resource)
    except (AttributeError, KeyError, TypeError, UnicodeError):
        # fhir.resources trusts a `resourceType` inside another resource, and a string in an
        # object's place, before it checks them
        problems = [f"{resource_type}: something inside has no known type or is not an object"]
    if problems:
        more = len(problems) - _REPORTED
        raise Invalid("; ".join(problems[:_REPORTED]) + (f"; and {more} more" if more > 0 else ""))


def _problems(resource_type: str, resource: Mapping[str, Any]) -> list[str]:
    try:
        get_fhir_model_class(resource_type).model_validate(resource)
    except ValidationError as error:
        # input and context of a problem hold values of the resource
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return [
            f"{_path(resource_type, one['loc'])}: {one['type'].replace('_', ' ')}" for one in found
        ]
    return []


def _path(resource_type: str, location: tuple[int | str, ...]) -> str:
    path = resource_type
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            # an unknown element's name is the sender's and may be anything
            path += f".{step}" if _NAME.fullmatch(step) else ".?"
    return path
