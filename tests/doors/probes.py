"""What each door shows of the planted study: labels, and the coordinates each of them tells.

Whoever adds a door to `app.doors.DOORS` adds a probe here; `test_matrix` insists.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from app.imaging.ingest import ENDPOINT_ID
from app.rest.study import Series, StudyDetail
from fhir.elements import ELEMENTS
from fhir.images import FILE_ELEMENTS
from schema.build import build_schema
from schema.coordinates import Kind, policy_of
from tests.doors.planted import INSTANCE, SERIES, STUDY

Headers = Mapping[str, str]
Json = Any


@dataclass(slots=True)
class Sight:
    """What somebody saw through one door.

    Attributes:
        labels: Whatever showed a value, with the coordinates that it tells.
        text: Every answer, as it came.
    """

    labels: dict[str, frozenset[str]] = field(default_factory=dict)
    text: str = ""

    def saw(self, label: str, *coordinates: str) -> None:
        self.labels[label] = frozenset(coordinates)


Probe = Callable[[httpx.AsyncClient, Headers, str], Awaitable[Sight]]


async def through_fhir(client: httpx.AsyncClient, headers: Headers, patient: str) -> Sight:
    sight = Sight()
    for resource, identifier in (
        ("Patient", patient),
        ("ImagingStudy", STUDY),
        ("Endpoint", ENDPOINT_ID),
    ):
        for address in (f"{resource}/{identifier}", f"{resource}?_id={identifier}"):
            answer = await client.get(f"/fhir/{address}", headers=headers)
            sight.text += answer.text
            assert answer.status_code in {200, 403, 404}, answer.text
            found = answer.json()
            if found["resourceType"] == "Bundle":
                found = found["entry"][0]["resource"] if found.get("entry") else {}
            if found.get("resourceType") == resource:
                for path in ELEMENTS[resource]:
                    if _shown(found, path.split(".")):
                        coordinate = f"{resource}.{path}"
                        sight.saw(f"{address.partition('?')[1]}{coordinate}", coordinate)
    return sight


def _shown(value: Json, path: list[str]) -> bool:
    """Say whether an element says more than that it is masked, or subsetted."""
    if isinstance(value, list):
        return any(_shown(item, path) for item in value)
    if path:
        return isinstance(value, dict) and path[0] in value and _shown(value[path[0]], path[1:])
    if isinstance(value, dict):
        said = {name: inner for name, inner in value.items() if name != "extension"}
        security = said.get("security", ())
        if set(said) == {"security"} and [one.get("code") for one in security] == ["SUBSETTED"]:
            return False
        return bool(said)
    return value is not None


_ROOTS = {
    "Patient": 'patient(id: "{patient}")',
    "ImagingStudy": f'study(uid: "{STUDY}")',
    "Image": f'image(uid: "{INSTANCE}")',
    "Endpoint": f'endpoint(id: "{ENDPOINT_ID}")',
}


async def through_graphql(client: httpx.AsyncClient, headers: Headers, patient: str) -> Sight:
    sight = Sight()
    schema = build_schema()
    for name, root in _ROOTS.items():
        kind = schema.type_map[name]
        assert isinstance(kind, GraphQLObjectType)
        query = f"{{ it: {root.replace('{patient}', patient)} {_selection(kind, 6)} }}"
        answer = await client.post("/graphql", headers=headers, json={"query": query})
        sight.text += answer.text
        body = answer.json()
        codes = {error["extensions"]["code"] for error in body.get("errors", ())}
        assert codes <= {"FORBIDDEN", "NOT_FOUND"}, body
        if body["data"] and body["data"]["it"]:
            _look(sight, name, kind, body["data"]["it"])
    return sight


def _selection(kind: GraphQLObjectType, depth: int) -> str:
    """Select every field that is not a link, down to leaves."""
    parts = []
    for name, one in _own_fields(kind):
        inner = get_named_type(one.type)
        if not isinstance(inner, GraphQLObjectType):
            parts.append(name)
        elif depth and (below := _selection(inner, depth - 1)) != "{ __typename }":
            parts.append(f"{name} {below}")
    return f"{{ {' '.join(parts) or '__typename'} }}"


def _own_fields(kind: GraphQLObjectType) -> Iterator[tuple[str, GraphQLField]]:
    for name, one in kind.fields.items():
        policy = policy_of(one)
        assert policy is not None
        recursive = kind.name in {"Extension", "Identifier", "Reference"} and name in {
            "extension",
            "assigner",
            "identifier",
        }
        if policy.kind is not Kind.LINK and not recursive:
            yield name, one


def _look(sight: Sight, where: str, kind: GraphQLObjectType, value: Json) -> None:
    if isinstance(value, list):
        for item in value:
            _look(sight, where, kind, item)
        return
    for name, one in _own_fields(kind):
        policy = policy_of(one)
        said = value.get(name)
        if policy is None or said in (None, [], {}):
            continue
        inner = get_named_type(one.type)
        if policy.coordinate and not _empty(said):
            sight.saw(f"{where}.{name}", policy.coordinate, *policy.needs)
        if isinstance(inner, GraphQLObjectType):
            _look(sight, f"{where}.{name}", inner, said)


def _empty(value: Json) -> bool:
    if isinstance(value, list):
        return all(_empty(item) for item in value)
    if isinstance(value, dict):
        return all(_empty(item) for item in value.values())
    return value is None


async def through_rest(client: httpx.AsyncClient, headers: Headers, patient: str) -> Sight:
    sight = Sight()
    answer = await client.get(f"/postdicom/studies/{STUDY}", headers=headers)
    sight.text += answer.text
    if answer.status_code == 200:
        study = answer.json()["data"]
        _members(sight, StudyDetail, study, ("ImagingStudy.id",))
        for one in study.get("series") or ():
            _members(sight, Series, one, ("ImagingStudy.id", "ImagingStudy.series"))
    else:
        assert answer.status_code in {403, 404}, answer.text
    for address in (f"/postdicom/images/{INSTANCE}", f"/postdicom/images/{INSTANCE}/data"):
        await _bytes(sight, client, headers, address, "application/dicom", *FILE_ELEMENTS)
    return sight


def _members(sight: Sight, shape: type[Any], value: Json, around: tuple[str, ...]) -> None:
    for name, declared in shape.model_fields.items():
        alias = declared.alias or declared.serialization_alias or name
        if name != "series" and value.get(alias) not in (None, []):
            coordinates = declared.json_schema_extra["x-coordinates"]
            sight.saw(f"{shape.__name__}.{alias}", *coordinates, *around)


async def through_dicomweb(client: httpx.AsyncClient, headers: Headers, patient: str) -> Sight:
    sight = Sight()
    series = f"/dicomweb/studies/{STUDY}/series/{SERIES}"
    instance = f"{series}/instances/{INSTANCE}"
    for address in (
        f"{instance}/frames/1",
        f"{instance}/rendered",
        f"{instance}/frames/1/rendered",
        f"{instance}/thumbnail",
        f"{instance}/frames/1/thumbnail",
    ):
        await _bytes(sight, client, headers, address, "*/*", "Image.pixels")
    for address in (f"{series}/thumbnail", f"/dicomweb/studies/{STUDY}/thumbnail"):
        await _bytes(sight, client, headers, address, "*/*", "Image.pixels", "Image.id")
    await _bytes(sight, client, headers, instance, "application/dicom", *FILE_ELEMENTS)
    return sight


async def _bytes(
    sight: Sight,
    client: httpx.AsyncClient,
    headers: Headers,
    address: str,
    accept: str,
    *coordinates: str,
) -> None:
    answer = await client.get(address, headers={**headers, "Accept": accept})
    if answer.status_code == 200:
        assert answer.content
        sight.saw(address, *coordinates, "ImagingStudy.id")
    else:
        assert answer.status_code in {403, 404}, (address, answer.text)
        sight.text += answer.text


PROBES: dict[str, Probe] = {
    "graphql": through_graphql,
    "fhir": through_fhir,
    "dicomweb": through_dicomweb,
    "rest": through_rest,
}
