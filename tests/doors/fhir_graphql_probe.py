"""What FHIR's GraphQL shows of what is planted: every element, by every way to it."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from graphql import GraphQLField, GraphQLObjectType, get_named_type

from app.imaging.ingest import ENDPOINT_ID
from fhir.referring import TYPES
from schema.coordinates import Kind, Policy, policy_of
from schema.fhir_schema import SYSTEM, fhir_schemas
from tests.doors.sight import Json, Visit, filled

SYSTEM_ADDRESS = "/fhir/$graphql"
# What each root is given; a root that is not here fails `test_register` by its name.
FHIR_ARGUMENTS: Mapping[str, str] = {
    "Patient": '(id: "{patient}")',
    "PatientList": "(_count: 100)",
    "PatientConnection": "(_count: 100)",
    "ImagingStudy": '(id: "{study}")',
    "ImagingStudyList": "(_count: 100)",
    "ImagingStudyConnection": "(_count: 100)",
    "Endpoint": f'(id: "{ENDPOINT_ID}")',
    "EndpointList": "(_count: 100)",
    "EndpointConnection": "(_count: 100)",
}
# What refers from one type to another, and what has to be open for the reference to be seen.
_REFERENCES = (
    ("ImagingStudy", "subject", "Patient", "ImagingStudy.subject"),
    ("ImagingStudy", "endpoint", "Endpoint", "ImagingStudy.endpoint"),
)
# The same backwards: by which search parameter, and what that looks at.
_REVERSE = (
    ("Patient", "patient", ("ImagingStudy.subject",)),
    ("Patient", "subject", ("ImagingStudy.subject",)),
    ("Endpoint", "endpoint", ("ImagingStudy.endpoint", "ImagingStudy.series.endpoint")),
)
_RECURSIVE = {"extension", "assigner", "identifier", "_value", "_system"}


def fhir_roots() -> Mapping[str, GraphQLField]:
    """Give the roots of the system's schema."""
    query = fhir_schemas()[SYSTEM].query_type
    assert query is not None
    fields: Mapping[str, GraphQLField] = query.fields
    return fields


async def through_fhir_graphql(visit: Visit) -> None:
    for name in sorted(fhir_roots().keys() & FHIR_ARGUMENTS.keys()):
        kind = _resource(name)
        query = f"{{ {name}{filled(FHIR_ARGUMENTS[name], visit.target)} {_shape(name)} }}"
        found = await _ask(visit, SYSTEM_ADDRESS, query)
        _rows(visit, name, kind, found.get(name), {f"{kind}.id"})
    for kind in TYPES:
        identifier = visit.target.ids.get(kind, ENDPOINT_ID)
        found = await _ask(visit, f"/fhir/{kind}/{identifier}/$graphql", _everything(kind))
        _rows(visit, f"at {kind}", kind, found, {f"{kind}.id"})
    await _behind_references(visit)
    await _backwards(visit)
    await _by_address(visit)


async def _behind_references(visit: Visit) -> None:
    for source, element, target, coordinate in _REFERENCES:
        query = (
            f"{{ {source}List(_count: 100) {{ id {element} {{ resource(optional: true) "
            f"{{ ... on {target} {_everything(target)} }} }} }} }}"
        )
        found = await _ask(visit, SYSTEM_ADDRESS, query)
        around = {f"{source}.id", coordinate, f"{target}.id"}
        for row in found.get(f"{source}List") or ():
            held = row[element] if isinstance(row[element], list) else [row[element]]
            for reference in held:
                if reference is not None and row["id"] == visit.target.ids[source]:
                    _rows(visit, f"{element}.resource", target, reference["resource"], around)


async def _backwards(visit: Visit) -> None:
    inner = _everything("ImagingStudy")
    for source, by, coordinates in _REVERSE:
        identifier = visit.target.ids.get(source, ENDPOINT_ID)
        around = {f"{source}.id", *coordinates, "ImagingStudy.id"}
        query = (
            f"{{ ImagingStudyList(_reference: {by}, _count: 100) {inner} page: "
            f"ImagingStudyConnection(_reference: {by}, _count: 100) "
            "{ count edges { resource { id } } } }"
        )
        found = await _ask(visit, f"/fhir/{source}/{identifier}/$graphql", query)
        rows = found.get("ImagingStudyList")
        _rows(visit, f"{source} by {by}", "ImagingStudy", rows, around)
        for edge in (found.get("page") or {}).get("edges", ()):
            row = edge["resource"]
            _rows(visit, f"{source} page by {by}", "ImagingStudy", row, around)


async def _by_address(visit: Visit) -> None:
    """Ask a little by GET, as that goes the same way."""
    study = visit.target.study
    for address, query, key in (
        (SYSTEM_ADDRESS, f'{{ ImagingStudy(id: "{study}") {{ id status }} }}', "ImagingStudy"),
        (f"/fhir/ImagingStudy/{study}/$graphql", "{ id status }", None),
    ):
        answer = await visit.ask("GET", address, params={"query": query})
        data = answer.json().get("data") or {}
        row = data.get(key) if key else data
        _rows(visit, f"GET {key}", "ImagingStudy", row or None, {"ImagingStudy.id"})


async def _ask(visit: Visit, address: str, query: str) -> dict[str, Json]:
    answer = await visit.ask("POST", address, json={"query": query})
    body = answer.json()
    errors = body.get("errors", ())
    assert {one["extensions"]["code"] for one in errors} <= {"FORBIDDEN", "NOT_FOUND"}, body
    for one in errors:
        assert one["extensions"]["resource"]["resourceType"] == "OperationOutcome"
    found: dict[str, Json] = body.get("data") or {}
    return found


def _resource(root: str) -> str:
    return root.removesuffix("List").removesuffix("Connection")


def _shape(root: str) -> str:
    inner = _everything(_resource(root))
    return f"{{ count edges {{ resource {inner} }} }}" if root.endswith("Connection") else inner


@cache
def _everything(name: str, depth: int = 6) -> str:
    """Write all that can be asked for in a resource, without what leads to others."""
    kind = fhir_schemas()[SYSTEM].type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    parts = []
    for key, one in _fields(kind):
        inner = get_named_type(one.type)
        if not isinstance(inner, GraphQLObjectType):
            parts.append(key)
        elif inner.name == "ElementBase":
            parts.append(f"{key} {{ extension {{ url valueDateTime }} }}")
        elif depth and (below := _everything(inner.name, depth - 1)) != "{ __typename }":
            parts.append(f"{key} {below}")
    return f"{{ {' '.join(parts) or '__typename'} }}"


def _fields(kind: GraphQLObjectType) -> Iterator[tuple[str, GraphQLField]]:
    resource = kind.name in TYPES
    backbone = kind.name.startswith(TYPES)
    for name, one in kind.fields.items():
        recursive = kind.name in {"Extension", "Identifier", "Reference"} and name in _RECURSIVE
        leads = _policy(one).kind is Kind.LINK or name == "resource"
        # companions of what lies in datatypes go with the element, as the values beside them do
        beside = name.startswith("_") and not (resource or backbone)
        if not (recursive or leads or beside):
            yield name, one


def _rows(visit: Visit, where: str, kind: str, value: Json, around: Iterable[str]) -> None:
    """Look at the planted row, wherever it stands."""
    if isinstance(value, dict) and "edges" in value:
        value = [one["resource"] for one in value["edges"]]
    for row in value if isinstance(value, list) else [value]:
        planted = visit.target.ids.get(kind, ENDPOINT_ID)
        if row is not None and row.get("id") == planted:
            whole = fhir_schemas()[SYSTEM].type_map[kind]
            assert isinstance(whole, GraphQLObjectType)
            _look(visit, where, whole, row, frozenset(around))


def _look(
    visit: Visit, where: str, kind: GraphQLObjectType, value: Json, around: frozenset[str]
) -> None:
    if isinstance(value, list):
        for item in value:
            _look(visit, where, kind, item, around)
        return
    for name, one in kind.fields.items():
        said, policy = (value or {}).get(name), _policy(one)
        if _empty(said):
            continue
        path = f"{where}.{name}"
        told = {*around, *([policy.coordinate] if policy.coordinate else [])}
        display = path.endswith("subject.display")
        if display:
            told.add("ImagingStudy.subject.display")
        if policy.coordinate or display:
            visit.sight.saw(path, *told)
        inner = get_named_type(one.type)
        if isinstance(inner, GraphQLObjectType):
            _look(visit, path, inner, said, around)


def _policy(one: GraphQLField) -> Policy:
    policy = policy_of(one)
    assert policy is not None
    return policy


def _empty(value: Json) -> bool:
    if isinstance(value, list):
        return all(_empty(item) for item in value)
    if isinstance(value, dict):
        return all(_empty(item) for item in value.values())
    return value is None
