"""What `_include` may bring along: search parameters that refer to other resources."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from fhir.errors import AccessDenied, NotSupported
from fhir.guarded import GuardedRepository, Page, Row
from fhir.parameters import PARAMETERS, Parameter
from fhir.search import Has, Search, any_of

Json = Any
INCLUDES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"ImagingStudy": ("patient", "subject", "endpoint")}
)


def included_parameters(resource: str, values: Iterable[str]) -> list[Parameter]:
    """Read the values of `_include`.

    Raises:
        NotSupported: A value names nothing that can be included here.
    """
    names = INCLUDES.get(resource, ())
    rows: dict[str, Parameter] = {}
    for value in values:
        source, _, rest = value.partition(":")
        name, _, target = rest.partition(":")
        known = source == resource and name in names
        if not known or (target and target not in PARAMETERS[resource][name].targets):
            possible = ", ".join(f"{resource}:{one}" for one in names) or "nothing"
            raise NotSupported(f"_include takes {possible} here")
        rows[name] = PARAMETERS[resource][name]
    return list(rows.values())


async def include(
    guarded: GuardedRepository, found: Iterable[Row], parameters: Iterable[Parameter]
) -> list[Row]:
    """Fetch what rows refer to, as far as the caller may read it; a closed type is left out."""
    wanted: dict[str, dict[str, None]] = {}
    rows = list(found)
    for parameter in parameters:
        for row in rows:
            for kind, identifier in _references(row.resource, parameter.paths):
                if kind in parameter.targets and kind in PARAMETERS:
                    wanted.setdefault(kind, {})[identifier] = None
    included: list[Row] = []
    for kind, identifiers in wanted.items():
        tree = any_of(Has("_id", one) for one in identifiers)
        try:
            page = Page(first=len(identifiers))
            included += (
                await guarded.search(Search(kind, tree), page, query="_include", action="read")
            ).rows
        except AccessDenied:
            continue
    return included


def _references(resource: Mapping[str, Json], paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    for path in paths:
        values: list[Json] = [resource]
        for name in path.split("."):
            values = [
                inner
                for value in values
                for found in [value.get(name)]
                for inner in (found if isinstance(found, list) else [found])
                if inner
            ]
        for value in values:
            kind, _, identifier = value.get("reference", "").partition("/")
            if identifier:
                yield kind, identifier
