"""Which part of a resource a client wants: `_summary` and `_elements` (search.html#summary)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from fhir.elements import COORDINATES, ELEMENTS, MANDATORY
from fhir.errors import Invalid, NotSupported
from fhir.redaction import SUBSETTED, outermost, without

Json = Any
Summary = Literal["true", "text", "data", "count", "false"]

# What R4 does not mark as part of the summary (Σ).
_DETAILS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Patient": (
            "maritalStatus",
            "multipleBirth",
            "photo",
            "contact",
            "communication",
            "generalPractitioner",
        ),
        "ImagingStudy": ("series.instance",),
        "Endpoint": ("contact", "header"),
    }
)
_NARRATIVE = ("text", "contained", "extension")


def summary_of(values: Sequence[str]) -> Summary:
    """Read `_summary`; the last value counts.

    Raises:
        Invalid: It is none of R4's.
    """
    known = get_args(Summary)
    if any(value not in known for value in values):
        raise Invalid(f"_summary takes {', '.join(known)}")
    return cast(Summary, values[-1]) if values else "false"


def named_elements(resource: str, values: Sequence[str]) -> frozenset[str]:
    """Read `_elements`: names of elements at the top of a type, as `status` or `Patient.name`.

    Raises:
        NotSupported: A name is none of an element at the top.
    """
    top = [path for path in ELEMENTS[resource] if "." not in path]
    names = (one.strip() for value in values for one in value.split(","))
    found = frozenset(one.removeprefix(f"{resource}.") for one in names if one)
    if not found <= frozenset(top):
        raise NotSupported(f"_elements takes {', '.join(top)} here")
    return found


def wanted(
    resource: str, summary: Summary, elements: frozenset[str] = frozenset()
) -> frozenset[str] | None:
    """List the coordinates that are asked for of a type; None is all of them.

    Args:
        resource: Type.
        summary: Which part of it.
        elements: Those at the top that are named besides what is mandatory; none is no choice.

    Raises:
        Invalid: Two parts are asked for at once.
    """
    if elements and summary in {"true", "text", "data"}:
        raise Invalid("_summary and _elements each ask for a part; leave one of them out")
    if elements:
        return _within(resource, elements | _least(resource))
    match summary:
        case "true":
            left_out = frozenset((*_NARRATIVE, *_DETAILS[resource]))
            return _all(resource) - _within(resource, left_out)
        case "text":
            return _within(resource, _least(resource) | {"text"})
        case "data":
            return _all(resource) - {f"{resource}.text"}
        case "count":
            return frozenset({f"{resource}.id"})
        case "false":
            return None


def part(resource: Mapping[str, Json], elements: frozenset[str]) -> dict[str, Json]:
    """Copy a resource, leaving out what is not asked for."""
    return without(resource, outermost(_all(resource["resourceType"]) - elements))


def subsetted(resource: Mapping[str, Json]) -> dict[str, Json]:
    """Say in its `meta.tag` that a resource is not all that there is of it."""
    meta = dict(resource.get("meta", {}))
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    return {**resource, "meta": meta}


def _least(resource: str) -> frozenset[str]:
    """List what is never left out: what names a resource, and what R4 demands of it."""
    top = (path for path in ELEMENTS[resource] if "." not in path)
    return frozenset({"id", "meta", *(one for one in top if f"{resource}.{one}" in MANDATORY)})


def _all(resource: str) -> frozenset[str]:
    return frozenset(one for one in COORDINATES if one.startswith(f"{resource}."))


def _within(resource: str, paths: frozenset[str]) -> frozenset[str]:
    """List the coordinates of elements with those that lie inside them."""
    around = tuple(f"{resource}.{path}." for path in paths)
    return frozenset(one for one in _all(resource) if f"{one}.".startswith(around))
