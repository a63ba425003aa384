"""Which of the types that the FHIR door serves refer to which, and by which search parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir.parameters import PARAMETERS, Parameter, walk

Json = Any
TYPES = ("Patient", "ImagingStudy", "Endpoint")


def references(resource: str) -> tuple[Parameter, ...]:
    """List the search parameters of a type that refer to types that are served."""
    return tuple(row for row in PARAMETERS[resource].values() if targets(row))


def targets(row: Parameter) -> tuple[str, ...]:
    """List the types that are served to which a search parameter refers."""
    return tuple(one for one in row.targets if one in TYPES)


def referring_to(resource: str) -> tuple[tuple[str, Parameter], ...]:
    """List what refers to a type: the types that do, with the search parameters."""
    return tuple(
        (source, row) for source in TYPES for row in references(source) if resource in row.targets
    )


def referred(resource: Mapping[str, Json], row: Parameter) -> Iterator[tuple[str, str]]:
    """List the types and ids that a resource refers to by a search parameter, as far as served."""
    for path in row.paths:
        for value in walk(resource, path.split(".")):
            kind, _, identifier = value.get("reference", "").partition("/")
            if identifier and kind in targets(row):
                yield kind, identifier
