"""The search parameters, as data: what they are called, where they look, what they compare.

One row makes a parameter work in REST, in GraphQL filters, in policy scopes and in the
CapabilityStatement; `index` derives what is stored beside a resource to search it by.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from fhir.dates import interval
from fhir.errors import Invalid

Json = Any
Kind = Literal["token", "reference", "date", "string"]


@dataclass(frozen=True)
class Parameter:
    """One search parameter.

    Attributes:
        name: As clients write it; also the key in the stored index.
        kind: How values compare (R4 search.html#ptypes).
        paths: FHIR element paths below the resource, any of which may match.
        targets: Resource types that a reference may have; the first is meant where none is said.
        type_code: Only identifiers of this v2-0203 type.
        definition: Canonical of the SearchParameter; ours where R4 has none.
        sortable: Whether `_sort` takes it; sorting needs one value a resource.
        words: A string that matches anywhere and word by word instead of from its start.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    targets: tuple[str, ...] = ()
    type_code: str | None = None
    definition: str | None = None
    sortable: bool = False
    words: bool = False


_COMMON = (
    Parameter("_id", "token", ("id",), sortable=True),
    Parameter("_lastUpdated", "date", ("meta.lastUpdated",), sortable=True),
    Parameter("_tag", "token", ("meta.tag",)),
    Parameter("_security", "token", ("meta.security",)),
)


def _table(*rows: Parameter) -> Mapping[str, Parameter]:
    return MappingProxyType({row.name: row for row in (*_COMMON, *rows)})


PARAMETERS: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        "Patient": _table(
            Parameter("identifier", "token", ("identifier",)),
            Parameter("name", "string", ("name",)),
            Parameter("family", "string", ("name.family",)),
            Parameter("given", "string", ("name.given",)),
            Parameter("birthdate", "date", ("birthDate",), sortable=True),
            Parameter("gender", "token", ("gender",)),
        ),
        "ImagingStudy": _table(
            Parameter("identifier", "token", ("identifier",)),
            Parameter("accession", "token", ("identifier",), type_code="ACSN"),
            Parameter("patient", "reference", ("subject",), ("Patient",), sortable=True),
            Parameter("subject", "reference", ("subject",), ("Patient", "Device", "Group")),
            Parameter("status", "token", ("status",), sortable=True),
            Parameter("modality", "token", ("series.modality",)),
            Parameter("bodysite", "token", ("series.bodySite",)),
            Parameter("started", "date", ("started",), sortable=True),
            Parameter("series", "token", ("series.uid",)),
            Parameter("endpoint", "reference", ("endpoint", "series.endpoint"), ("Endpoint",)),
            Parameter("description", "string", ("description",), words=True),
        ),
        "Image": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "study": Parameter("study", "token", ("study",)),
                "series": Parameter("series", "token", ("series",)),
                "dicom-class": Parameter("dicom-class", "token", ("sopClass",)),
            }
        ),
        "Endpoint": _table(
            Parameter("identifier", "token", ("identifier",)),
            Parameter("status", "token", ("status",)),
            Parameter("connection-type", "token", ("connectionType",)),
            Parameter("name", "string", ("name",)),
        ),
    }
)


def fold(text: str) -> str:
    """Normalise text for comparison: no accents, no case, single spaces, any width or script."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(one for one in plain if not unicodedata.combining(one))
    return " ".join(re.split(r"[\W_]+", kept)).strip()


def index(resource: Mapping[str, Json]) -> dict[str, list[Json]]:
    """Derive what a resource is searched by: parameter name to the values it matches.

    Tokens become every spelling that may ask for them (`code`, `system|code`, `|code`, `system|`),
    references `Type/id`, dates `{low, high}` in UTC with `high` excluded, strings folded text.
    Parameters without a value are left out.
    """
    found = {
        row.name: list(_values(row, resource))
        for row in PARAMETERS[resource["resourceType"]].values()
    }
    return {name: values for name, values in found.items() if values}


def sort_keys(resource: Mapping[str, Json]) -> dict[str, Json]:
    """Derive one comparable value for each sortable parameter; what is absent sorts first."""
    keys: dict[str, Json] = {}
    for row in PARAMETERS[resource["resourceType"]].values():
        if row.sortable and row.name != "_id":
            values = list(_values(row, resource))
            if row.kind == "date":
                keys[row.name] = values[0]["low"] if values else ABSENT_DATE
            else:
                keys[row.name] = values[0] if values else ""
    return keys


ABSENT_DATE = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _values(row: Parameter, resource: Mapping[str, Json]) -> Iterator[Json]:
    seen = set()
    for path in row.paths:
        for element in _walk(resource, path.split(".")):
            for value in _INDEXERS[row.kind](row, element):
                key = str(value)
                if key not in seen:
                    seen.add(key)
                    yield value


def _walk(value: Json, path: list[str]) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _walk(value[path[0]], path[1:])


def _tokens(row: Parameter, element: Json) -> Iterator[str]:
    if isinstance(element, str | bool):
        yield str(element).lower() if isinstance(element, bool) else element
    elif "coding" in element or "text" in element:
        for coding in element.get("coding", ()):
            yield from spellings(coding.get("system"), coding.get("code"))
    elif "value" in element:
        if row.type_code is None or row.type_code in _type_codes(element):
            yield from spellings(element.get("system"), element["value"])
    else:
        yield from spellings(element.get("system"), element.get("code"))


def _type_codes(identifier: Mapping[str, Json]) -> set[str]:
    return {one.get("code", "") for one in identifier.get("type", {}).get("coding", ())}


def spellings(system: str | None, code: str | None) -> Iterator[str]:
    """List what a token search may say to mean this system and code."""
    if code:
        yield code
        yield f"{system}|{code}" if system else f"|{code}"
    if system:
        yield f"{system}|"


def _references(_row: Parameter, element: Json) -> Iterator[str]:
    if "reference" in element:
        yield element["reference"]


def _dates(_row: Parameter, element: Json) -> Iterator[dict[str, datetime]]:
    try:
        low, high = interval(element)
    except Invalid:
        return
    yield {"low": low, "high": high}


def _strings(_row: Parameter, element: Json) -> Iterator[str]:
    parts: Iterable[Json] = [element]
    if isinstance(element, Mapping):  # HumanName, Address: any of its parts
        parts = (
            part
            for key, value in element.items()
            if key not in {"use", "period", "extension"}
            for part in (value if isinstance(value, list) else [value])
        )
    for part in parts:
        if isinstance(part, str) and (text := fold(part)):
            yield text


_INDEXERS = {
    "token": _tokens,
    "reference": _references,
    "date": _dates,
    "string": _strings,
}
