"""What GraphQL shows of what is planted: every field of every type, through every root."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, get_named_type

from app.imaging.ingest import ENDPOINT_ID
from schema.build import build_schema
from schema.coordinates import Kind, Policy, policy_of
from tests.doors.planted import JOB_ID
from tests.doors.sight import Json, Target, Visit, filled

OWN = frozenset({"own"})
# What each root is given; a root that is not here fails `test_register` by its name.
ARGUMENTS: Mapping[str, str] = {
    "patient": '(id: "{patient}")',
    "Patient": '(id: "{patient}")',
    "patients": "(first: 100)",
    "PatientList": "(_count: 100)",
    "study": '(uid: "{study}")',
    "ImagingStudy": '(id: "{study}")',
    "studies": "(first: 100)",
    "ImagingStudyList": "(_count: 100)",
    "ImagingStudyConnection": "(_count: 100)",
    "series": '(uid: "{series}")',
    "image": '(uid: "{instance}")',
    "images": "(first: 100)",
    "endpoint": f'(id: "{ENDPOINT_ID}")',
    **dict.fromkeys(
        ("careTeams", "proxies", "assignments", "breakGlasses", "releaseRequests", "sessions"),
        "(first: 100)",
    ),
    "shares": "(first: 100)",
    "annotations": "(first: 100)",
    "job": f'(id: "{JOB_ID}")',
    "jobs": "(first: 100)",
    "savedViews": "(first: 100)",
    "studyFacets": '(identifier: ["urn:oid:{study}"])',
    "deletedStudies": "(first: 100)",
    "holds": "(first: 100)",
    "policy": "",
    "checkPolicy": "(files: [])",
    "explainAccess": '(roles: ["nurse"], element: "Patient.name", action: "read")',
}
# Roots of which a request takes some at a time, for it may have 1,000 fields and 2,000 tokens.
_AT_ONCE = 4
# What a root or link looks for its rows by, besides what it declares.
_BY = {
    "Query.series": ("ImagingStudy.series.uid",),
    "Query.studyFacets": ("ImagingStudy.identifier",),
    "Patient.studies": ("ImagingStudy.subject",),
}


@cache
def the_schema() -> GraphQLSchema:
    """Build the schema once."""
    return build_schema()


def roots() -> Mapping[str, GraphQLField]:
    """Give the roots of queries."""
    query = the_schema().query_type
    assert query is not None
    fields: Mapping[str, GraphQLField] = query.fields
    return fields


async def through_graphql(visit: Visit) -> None:
    names = sorted(roots().keys() & ARGUMENTS.keys())
    for start in range(0, len(names), _AT_ONCE):
        await _ask(visit, names[start : start + _AT_ONCE])


async def _ask(visit: Visit, names: Iterable[str]) -> None:
    query = f"{{ {' '.join(written(name, visit.target) for name in names)} }}"
    answer = await visit.ask("POST", "/graphql", json={"query": query})
    body = answer.json()
    codes = {error["extensions"]["code"] for error in body.get("errors", ())}
    assert codes <= {"FORBIDDEN", "NOT_FOUND"}, body
    if answer.status_code != 200:
        return
    for name in names:
        look(visit, name, roots()[name], body["data"][name])


def look(visit: Visit, name: str, root: GraphQLField, value: Json) -> None:
    """Note what the value of a root tells."""
    policy, kind = _policy(root), get_named_type(root.type)
    assert isinstance(kind, GraphQLObjectType)
    around = {*_coordinates(policy), f"{policy.resource}.id", *_BY.get(f"Query.{name}", ())}
    if policy.resource == "Image":
        around.add("ImagingStudy.id")
    _Look(visit).rows(name, kind, value, frozenset(around))


def written(name: str, target: Target) -> str:
    """Write one root with everything that can be asked for within it."""
    kind = get_named_type(roots()[name].type)
    assert isinstance(kind, GraphQLObjectType)
    return f"{name}{arguments(name, target)} {selection(kind, 7, links=name[0].islower())}"


def arguments(name: str, target: Target) -> str:
    """Write the arguments of a root."""
    return filled(ARGUMENTS[name], target)


@cache
def selection(kind: GraphQLObjectType, depth: int, *, links: bool) -> str:
    """Write everything that can be asked for within a type."""
    parts = []
    for name, one in _fields(kind, links=links):
        inner = get_named_type(one.type)
        deeper = links and _policy(one).kind is not Kind.LINK
        if not isinstance(inner, GraphQLObjectType):
            parts.append(name)
        elif depth and (below := selection(inner, depth - 1, links=deeper)) != "{ __typename }":
            parts.append(f"{name} {below}")
    return f"{{ {' '.join(parts) or '__typename'} }}"


def _fields(kind: GraphQLObjectType, *, links: bool) -> Iterator[tuple[str, GraphQLField]]:
    for name, one in kind.fields.items():
        recursive = kind.name in {"Extension", "Identifier", "Reference"} and name in {
            "extension",
            "assigner",
            "identifier",
        }
        if not recursive and (links or _policy(one).kind is not Kind.LINK):
            yield name, one


class _Look:
    """Reads an answer."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._ids = visit.target.ids

    def rows(
        self, where: str, kind: GraphQLObjectType, value: Json, around: frozenset[str]
    ) -> None:
        """Look at the planted row, wherever it stands on a page."""
        if isinstance(value, list):
            for item in value:
                self.rows(where, kind, item, around)
        elif value is None:
            return
        elif "edges" in kind.fields:
            edge = get_named_type(kind.fields["edges"].type)
            assert isinstance(edge, GraphQLObjectType)
            [(name, node)] = (
                (name, get_named_type(one.type))
                for name, one in edge.fields.items()
                if isinstance(get_named_type(one.type), GraphQLObjectType)
            )
            assert isinstance(node, GraphQLObjectType)
            for one in value["edges"]:
                self.rows(f"{where}.{name}", node, one[name], around)
        elif kind.name not in self._ids or self._is_planted(kind.name, value):
            self._look(where, kind, value, around, None)
        elif kind.name in {"Session", "SavedView"} and value["agent"] == self._visit.agent:
            self._look(f"own {where}", kind, value, around, OWN)

    def _is_planted(self, kind: str, value: Json) -> bool:
        # the UID of a series may be closed, and then the one that was asked for is there
        return value.get("id", value.get("uid")) in {None, self._ids[kind]}

    def _look(
        self,
        where: str,
        kind: GraphQLObjectType,
        value: Json,
        around: frozenset[str],
        held: frozenset[str] | None,
    ) -> None:
        if isinstance(value, list):
            for item in value:
                self._look(where, kind, item, around, held)
            return
        for name, one in _fields(kind, links=True):
            said, policy = value.get(name), _policy(one)
            if _empty(said):
                continue
            inner = get_named_type(one.type)
            path = f"{where}.{name}"
            told = {*_coordinates(policy), *around}
            if policy.kind is Kind.LINK:
                assert isinstance(inner, GraphQLObjectType)
                told |= set(_BY.get(f"{kind.name}.{name}", ()))
                self.rows(path, inner, said, frozenset(told))
                continue
            repeated = f"{where.rpartition('.')[2]}.{name}"
            if repeated == "subject.display":
                told.add("ImagingStudy.subject.display")
            if policy.coordinate or repeated == "subject.display":
                self._visit.sight.saw(path, *told, held=held)
            if isinstance(inner, GraphQLObjectType):
                self._look(path, inner, said, around, held)


def _policy(one: GraphQLField) -> Policy:
    policy = policy_of(one)
    assert policy is not None
    return policy


def _coordinates(policy: Policy) -> set[str]:
    return {*policy.needs, *([policy.coordinate] if policy.coordinate else [])}


def _empty(value: Json) -> bool:
    if isinstance(value, list):
        return all(_empty(item) for item in value)
    if isinstance(value, dict):
        return all(_empty(item) for item in value.values())
    return value is None
