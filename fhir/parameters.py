"""The search parameters, as data: what they are called, where they look, what they compare.

One row makes a parameter work in REST, in GraphQL filters, in policy scopes and in the
CapabilityStatement; `index` derives what is stored beside a resource to search it by.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from fhir.dates import interval
from fhir.errors import Invalid
from fhir.words import fold, words

Json = Any
Kind = Literal["token", "reference", "date", "string"]


@dataclass(frozen=True)
class Parameter:
    """One search parameter.

    Attributes:
        name: As clients write it; also the key in the stored index.
        kind: How values compare (R4 search.html#ptypes).
        paths: FHIR element paths below the resource, any of which may match.
        targets: Resource types that a reference may have; others are not indexed.
        system: What a token without system of its own is of: R4 binds the element to it.
        type_code: Only identifiers of this v2-0203 type.
        definition: Last part of the canonical of R4's SearchParameter; None where R4 has none.
        sortable: Whether `_sort` takes it; of several values the smallest counts, of several
            names the first, family first.
        words: A string that matches anywhere and word by word instead of from its start.
        by_element: A string whose words are found by their beginnings, in whichever of the
            elements; each of these is looked at only where it is open. What is stored is the
            path of the element and the word.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    targets: tuple[str, ...] = ()
    system: str | None = None
    type_code: str | None = None
    definition: str | None = None
    sortable: bool = False
    words: bool = False
    by_element: bool = False


_COMMON = (
    Parameter("_id", "token", ("id",), definition="Resource-id", sortable=True),
    Parameter(
        "_lastUpdated",
        "date",
        ("meta.lastUpdated",),
        definition="Resource-lastUpdated",
        sortable=True,
    ),
    Parameter("_tag", "token", ("meta.tag",), definition="Resource-tag"),
    Parameter("_security", "token", ("meta.security",), definition="Resource-security"),
)


def _table(*rows: Parameter) -> Mapping[str, Parameter]:
    return MappingProxyType({row.name: row for row in (*_COMMON, *rows)})


# Of links: whom they open records to, whose records, since when and until when.
_LINK = MappingProxyType(
    {
        "_id": Parameter("_id", "token", ("id",), sortable=True),
        "agent": Parameter("agent", "token", ("agent",)),
        "patient": Parameter("patient", "reference", ("patient",), ("Patient",)),
        "study": Parameter("study", "token", ("study",)),
        "date": Parameter("date", "date", ("period.start",), sortable=True),
        "end": Parameter("end", "date", ("period.end",)),
        "revoked": Parameter("revoked", "date", ("revoked.at",)),
    }
)

PARAMETERS: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        "Patient": _table(
            Parameter("identifier", "token", ("identifier",), definition="Patient-identifier"),
            Parameter("name", "string", ("name",), definition="Patient-name", sortable=True),
            Parameter("family", "string", ("name.family",), definition="individual-family"),
            Parameter("given", "string", ("name.given",), definition="individual-given"),
            Parameter(
                "birthdate",
                "date",
                ("birthDate",),
                definition="individual-birthdate",
                sortable=True,
            ),
            Parameter(
                "gender",
                "token",
                ("gender",),
                system="http://hl7.org/fhir/administrative-gender",
                definition="individual-gender",
            ),
            Parameter("text", "string", ("name", "identifier"), by_element=True),
        ),
        "ImagingStudy": _table(
            Parameter("identifier", "token", ("identifier",), definition="clinical-identifier"),
            Parameter("accession", "token", ("identifier",), type_code="ACSN"),
            Parameter(
                "patient",
                "reference",
                ("subject",),
                ("Patient",),
                definition="clinical-patient",
                sortable=True,
            ),
            Parameter(
                "subject",
                "reference",
                ("subject",),
                ("Patient", "Device", "Group"),
                definition="ImagingStudy-subject",
            ),
            Parameter(
                "status",
                "token",
                ("status",),
                system="http://hl7.org/fhir/imagingstudy-status",
                definition="ImagingStudy-status",
                sortable=True,
            ),
            Parameter(
                "modality",
                "token",
                ("series.modality",),
                definition="ImagingStudy-modality",
                sortable=True,
            ),
            Parameter(
                "bodysite", "token", ("series.bodySite",), definition="ImagingStudy-bodysite"
            ),
            Parameter(
                "started", "date", ("started",), definition="ImagingStudy-started", sortable=True
            ),
            Parameter("series", "token", ("series.uid",), definition="ImagingStudy-series"),
            Parameter(
                "endpoint",
                "reference",
                ("endpoint", "series.endpoint"),
                ("Endpoint",),
                definition="ImagingStudy-endpoint",
            ),
            Parameter("description", "string", ("description",), words=True),
            Parameter("patient-name", "string", ("subject.display",), sortable=True, words=True),
            Parameter(
                "text",
                "string",
                (
                    "subject.display",
                    "identifier",
                    "description",
                    "series.modality",
                    "series.bodySite",
                    "series.description",
                ),
                type_code="ACSN",
                by_element=True,
            ),
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
            Parameter("identifier", "token", ("identifier",), definition="Endpoint-identifier"),
            Parameter(
                "status",
                "token",
                ("status",),
                system="http://hl7.org/fhir/endpoint-status",
                definition="Endpoint-status",
            ),
            Parameter(
                "connection-type",
                "token",
                ("connectionType",),
                definition="Endpoint-connection-type",
            ),
            Parameter("name", "string", ("name",), definition="Endpoint-name"),
        ),
        "AuditEvent": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "date": Parameter("date", "date", ("recorded",), sortable=True),
                "action": Parameter("action", "token", ("action",)),
                "outcome": Parameter("outcome", "token", ("outcome",)),
                "agent": Parameter("agent", "token", ("agent",)),
                "patient": Parameter("patient", "reference", ("entity",), ("Patient",)),
            }
        ),
        "CareTeam": _LINK,
        "Proxy": _LINK,
        "Assignment": _LINK,
        "BreakGlass": _LINK,
        "Share": MappingProxyType(
            {**_LINK, "recorder": Parameter("recorder", "token", ("recorder",))}
        ),
        "ReleaseRequest": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "patient": Parameter("patient", "reference", ("patient",), ("Patient",)),
                "study": Parameter("study", "token", ("study",)),
                "requester": Parameter("requester", "token", ("requester",)),
                "status": Parameter("status", "token", ("status",)),
                "urgency": Parameter("urgency", "token", ("urgency",)),
                "date": Parameter("date", "date", ("recorded",), sortable=True),
            }
        ),
        "ImageAnnotation": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "study": Parameter("study", "token", ("study",)),
                "series": Parameter("series", "token", ("series",)),
                "image": Parameter("image", "token", ("image",)),
                "patient": Parameter("patient", "reference", ("patient",), ("Patient",)),
                "author": Parameter("author", "token", ("author",)),
                "status": Parameter("status", "token", ("status",)),
                "date": Parameter("date", "date", ("recorded",), sortable=True),
            }
        ),
        "DeletedStudy": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "patient": Parameter("patient", "reference", ("patient",), ("Patient",)),
                "recorder": Parameter("recorder", "token", ("recorder",)),
                "date": Parameter("date", "date", ("recorded",), sortable=True),
                "end": Parameter("end", "date", ("until",)),
            }
        ),
        "Hold": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "study": Parameter("study", "token", ("study",)),
                "patient": Parameter("patient", "reference", ("patient",), ("Patient",)),
                "recorder": Parameter("recorder", "token", ("recorder",)),
                "date": Parameter("date", "date", ("period.start",), sortable=True),
                "revoked": Parameter("revoked", "date", ("revoked.at",)),
            }
        ),
        "Session": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "agent": Parameter("agent", "token", ("agent",)),
                "date": Parameter("date", "date", ("started",), sortable=True),
                "ended": Parameter("ended", "date", ("ended.at",)),
            }
        ),
        # no name, so that none is searched for: what is searched for is in the audit
        "SavedView": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "agent": Parameter("agent", "token", ("agent",)),
                "kind": Parameter("kind", "token", ("kind",)),
                "date": Parameter("date", "date", ("recorded",), sortable=True),
            }
        ),
        "Job": MappingProxyType(
            {
                "_id": Parameter("_id", "token", ("id",), sortable=True),
                "agent": Parameter("agent", "token", ("agent",)),
                "patient": Parameter("patient", "reference", ("patient",), ("Patient",)),
                "status": Parameter("status", "token", ("status",)),
                "date": Parameter("date", "date", ("recorded",), sortable=True),
                "expires": Parameter("expires", "date", ("expires",)),
            }
        ),
    }
)


def index(resource: Mapping[str, Json]) -> dict[str, list[Json]]:
    """Derive what a resource is searched by: parameter name to the values it matches.

    Tokens become every text that may ask for them (see `spellings`), references `Type/id`, dates
    `{low, high}` in UTC with `high` excluded, strings folded text, or words after the path of
    their element, `MOST_WORDS` at most. Parameters without a value are left out.
    """
    found = {
        row.name: _words(row, resource) if row.by_element else list(_values(row, resource))
        for row in PARAMETERS[resource["resourceType"]].values()
    }
    return {name: values for name, values in found.items() if values}


def sort_keys(resource: Mapping[str, Json]) -> dict[str, Json]:
    """Derive one comparable value for each sortable parameter; what is absent sorts first."""
    keys: dict[str, Json] = {}
    for row in PARAMETERS[resource["resourceType"]].values():
        if row.sortable and row.name != "_id":
            values = _values(row, resource)
            if row.kind == "date":
                keys[row.name] = min((value["low"] for value in values), default=ABSENT_DATE)
            else:
                least = min((one for one in values if "|" not in one), default="")
                keys[row.name] = (_name_key(row, resource) or least)[:_SORTED_BY]
    return keys


def _name_key(row: Parameter, resource: Mapping[str, Json]) -> str:
    """Write the first HumanName for sorting, family first; "" where the values are none."""
    elements = (one for path in row.paths for one in walk(resource, path.split(".")))
    names = (one for one in elements if isinstance(one, Mapping) and "family" in one)
    name = next(names, {})
    return fold(" ".join((name.get("family", ""), *name.get("given", ()))))


_SORTED_BY = 200  # characters; cursors carry them
ABSENT_DATE = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _values(row: Parameter, resource: Mapping[str, Json]) -> Iterator[Json]:
    seen = set()
    for path in row.paths:
        for element in walk(resource, path.split(".")):
            for value in _INDEXERS[row.kind](row, element):
                key = str(value)
                if key not in seen:
                    seen.add(key)
                    yield value


def walk(value: Json, path: list[str]) -> Iterator[Json]:
    """Give the values at a path, however many there are of each element on the way."""
    if isinstance(value, list):
        for item in value:
            yield from walk(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from walk(value[path[0]], path[1:])


def _words(row: Parameter, resource: Mapping[str, Json]) -> list[str]:
    found: dict[str, None] = {}
    for path in row.paths:
        *around, last = path.split(".")
        said = (text for one in walk(resource, [*around, last]) for text in _texts(row, one))
        other = (text for one in walk(resource, [*around, f"_{last}"]) for text in _spoken(one))
        for text in (*said, *other):
            found |= dict.fromkeys(f"{path} {word}" for word in words(text))
    return list(found)[:MOST_WORDS]


MOST_WORDS = 1000  # of one record; what is said last is not found


def _texts(row: Parameter, element: Json) -> Iterator[str]:
    """List what an element says in words: a text, an Identifier, a Coding or a HumanName."""
    if isinstance(element, str):
        yield element
    elif "value" in element:
        if row.type_code is None or row.type_code in _type_codes(element):
            yield element["value"]
    elif element.keys() & {"code", "display"}:
        yield from (element[name] for name in ("code", "display") if name in element)
    else:
        yield from _parts(element)


# Our extension of a text: the same in another script, such as the ideographs of a name.
REPRESENTATION = "https://radiograph.dev/fhir/StructureDefinition/representation"


def _spoken(primitive: Mapping[str, Json]) -> Iterator[str]:
    for extension in primitive.get("extension", ()):
        if extension.get("url") == REPRESENTATION and "valueString" in extension:
            yield extension["valueString"]


def _tokens(row: Parameter, element: Json) -> Iterator[str]:
    if isinstance(element, str):
        yield spelled(element)
        if row.system:
            yield spelled(row.system, element)
            yield spelled(row.system, "")
    elif isinstance(element, bool):
        yield str(element).lower()
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
        yield spelled(code)
        yield spelled(system or "", code)
    if system:
        yield spelled(system, "")


def spelled(*parts: str) -> str:
    """Write a code, or a system and a code ("" for none and for any), as one value to compare.

    What separates the two is marked within them, so that no code can pass for a system and a code.
    """
    return "|".join(re.sub(r"([|\\])", r"\\\1", part) for part in parts)


def _references(row: Parameter, element: Json) -> Iterator[str]:
    reference = element.get("reference", "")
    if reference.partition("/")[0] in row.targets:
        yield reference


def _dates(_row: Parameter, element: Json) -> Iterator[dict[str, datetime]]:
    try:
        low, high = interval(element)
    except Invalid:
        return
    yield {"low": low, "high": high}


def _strings(_row: Parameter, element: Json) -> Iterator[str]:
    parts: Iterable[Json] = _parts(element) if isinstance(element, Mapping) else [element]
    for part in parts:
        if isinstance(part, str) and (text := fold(part)):
            yield text


def _parts(element: Mapping[str, Json]) -> Iterator[str]:
    """List the parts of a HumanName or an Address."""
    for key, value in element.items():
        if key not in {"use", "period", "extension"}:
            parts = value if isinstance(value, list) else [value]
            yield from (part for part in parts if isinstance(part, str))


_INDEXERS = {
    "token": _tokens,
    "reference": _references,
    "date": _dates,
    "string": _strings,
}
