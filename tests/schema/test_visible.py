"""A role is shown the part of the schema that it can read, and nothing else of it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_abstract_type,
    print_schema,
    validate_schema,
)
from graphql import (
    build_schema as schema_of_sdl,
)

from app.archive import Archive
from fhir.access import Access
from fhir.asked import searchable
from fhir.errors import AccessDenied
from fhir.parameters import PARAMETERS
from fhir.search import NOTHING, coordinates_of, parameter
from policies.caller import Caller
from policies.rules import ROLES
from policies.scopes import CLAIMED, LINKED, ROWS
from schema.arguments import searched_by
from schema.build import build_schema
from schema.coordinates import Kind, Policy, policy_of
from schema.visible import visible, visible_sdl
from tests.build import study
from tests.policy import book
from tests.schema.asking import Ask
from tests.schema.library import store

WHOLE = build_schema()
INTROSPECTION = get_introspection_query(
    descriptions=True, specified_by_url=True, input_value_deprecation=True
)
ABOUT_PAGES = {"first", "after", "sort", "offset", "_sort", "_count", "_cursor"}
Headers = Callable[..., dict[str, str]]


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    await store(archive, *study(1, 1, StudyInstanceUID="1.8.1", PatientID="V1"))


def access(archive: Archive, *roles: str, scopes: Iterable[str] = ()) -> Access:
    """Give the view of somebody to whom every scope has something to say."""
    claimed = dict.fromkeys(CLAIMED, ("x",))
    linked = dict.fromkeys(LINKED, ("x",))
    caller = Caller(
        "me", frozenset(roles), variables=claimed, scopes=frozenset(scopes), context=None
    )
    return Access(caller, archive.book.current, linked)


def objects(schema: GraphQLSchema) -> dict[str, GraphQLObjectType]:
    return {
        name: kind
        for name, kind in schema.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
    }


def rows(seen: Access, coordinate: str, action: Any = "read") -> bool:
    """Say by the guard's own filters whether something is open on any row."""
    resource = coordinate.partition(".")[0]
    if resource not in PARAMETERS:
        return seen.grant.decision(coordinate, action).always
    kind = ROWS.get(resource, resource)
    anchor = seen.grant.decision(f"{resource}.id")
    if kind != resource:
        anchor &= seen.grant.decision(f"{kind}.id")
    parts = [seen.grant.decision(coordinate, action)]
    return all(
        seen.rows(one if action == "create" else one & anchor, kind) != NOTHING for one in parts
    )


def searches(seen: Access, policy: Policy, name: str) -> bool:
    row = searched_by(policy.resource, policy.fetch).get(name)
    if row is None:
        return True
    if seen.view == "deidentified":
        try:
            searchable(policy.resource, row)
        except AccessDenied:
            return False
    by = parameter(policy.resource, row)
    enough = any if by.by_element else all
    return enough(
        all(not one.never for one in seen.decisions(each, on=policy.resource))
        for each in coordinates_of(policy.resource, by)
    )


def opened(seen: Access, field: GraphQLField) -> bool:
    """Say from the grant whether a field can have a value, or be done, at all."""
    policy = policy_of(field)
    assert policy is not None
    if policy.kind in {Kind.PART, Kind.PLUMBING}:
        return True
    named = {policy.coordinate or "", *policy.needs, *policy.tells}
    if policy.kind is Kind.LINK:
        named |= {f"{policy.resource}.id"}
        if not all(
            searches(seen, policy, name)
            for name, one in field.args.items()
            if str(one.type).endswith("!")
        ):
            return False
    return all(rows(seen, one) for one in named) and all(
        rows(seen, one.coordinate, one.action) for one in policy.rights if one.given is None
    )


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_sees_every_field_that_is_open_to_it_and_no_other(
    archive: Archive, role: str
) -> None:
    seen = access(archive, role)
    shown = visible(WHOLE, seen)
    assert validate_schema(shown) == []
    fields = 0
    for name, kind in objects(shown).items():
        whole = objects(WHOLE)[name]
        assert kind.description == whole.description
        assert set(kind.fields) == {key for key, one in whole.fields.items() if opened(seen, one)}
        for key, field in kind.fields.items():
            fields += 1
            assert str(field.type) == str(whole.fields[key].type)
            assert field.description == whole.fields[key].description
    assert 0 < fields < sum(len(kind.fields) for kind in objects(WHOLE).values())


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_is_offered_every_search_and_order_that_it_may_use_and_no_other(
    archive: Archive, role: str
) -> None:
    seen = access(archive, role)
    shown = visible(WHOLE, seen)
    for name, kind in objects(shown).items():
        for key, field in kind.fields.items():
            whole = objects(WHOLE)[name].fields[key]
            policy = policy_of(whole)
            if policy is None or policy.kind is not Kind.LINK:
                assert set(field.args) == set(whole.args)
                continue
            assert set(field.args) - {"sort", "_sort"} == {
                one for one in whole.args if searches(seen, policy, one)
            } - {"sort", "_sort"}


def test_orders_are_those_by_what_is_open_on_every_row(archive: Archive) -> None:
    def orders(role: str, name: str) -> set[str]:
        kind = visible(WHOLE, access(archive, role)).type_map[name]
        assert isinstance(kind, GraphQLEnumType)
        return {one for one in kind.values if not one.endswith("_DESC")}

    assert orders("billing", "PatientSort") == {"ID"}
    assert orders("radiologist", "PatientSort") == {"ID", "LAST_UPDATED", "BIRTH_DATE", "NAME"}
    # names are open on some rows only
    assert "PATIENT_NAME" not in orders("nurse", "StudySort")
    assert "PATIENT_NAME" in orders("radiologist", "StudySort")


def test_all_that_the_schema_consists_of_can_be_left_out() -> None:
    # abstract types are cut as what they stand for is; of these there is one
    abstract = {one.name for one in WHOLE.type_map.values() if is_abstract_type(one)}
    assert abstract == {"MutationError"}
    for kind in objects(WHOLE).values():
        for field in kind.fields.values():
            policy = policy_of(field)
            if policy and policy.kind is Kind.LINK and not policy.rights and not policy.perform:
                known = set(searched_by(policy.resource, policy.fetch)) | ABOUT_PAGES | {"most"}
                assert set(field.args) <= known


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_graphiql_reads_the_schema_of_the_role(ask: Ask, archive: Archive, role: str) -> None:
    who = {"project": "p1"} if role == "researcher" else {}
    reply = await ask(INTROSPECTION, role, **who)
    told = build_client_schema(reply.data)
    assert validate_schema(told) == []
    assert set(objects(told)) == set(objects(visible(WHOLE, access(archive, role))))
    sdl = visible_sdl(WHOLE, archive.book.current, frozenset({role}))
    assert print_schema(told) + "\n" == sdl
    assert validate_schema(schema_of_sdl(sdl)) == []


async def test_what_is_closed_is_not_in_the_schema_and_null_in_the_data(ask: Ask) -> None:
    reply = await ask(
        """query ($sort: [PatientSort!], $name: String!, $yes: Boolean!) {
             patients(sort: $sort) {edges {node {birthDate}}}
             ...About
             study: __type(name: "ImagingStudy") {name fields {name}}
             no: __type(name: "Patient") @skip(if: $yes) {name}
             kind: __typename
           }
           fragment About on Query {
             __schema {queryType {name} mutationType {fields {name}}}
             one: __type(name: $name) {...Fields}
             studies {totalCount}
           }
           fragment Fields on __Type {fields {name}}""",
        "billing",
        variables={"sort": ["ID"], "name": "Patient", "yes": True},
    )
    assert reply.forbidden == {"Patient.birthDate": ["patients.edges.node.birthDate"]}
    data = reply.body["data"]
    assert data["patients"] == {"edges": [{"node": {"birthDate": None}}]}
    assert {one["name"] for one in data["one"]["fields"]} == {"id", "identifier", "studies"}
    assert data["study"]["name"] == "ImagingStudy"
    assert "series" not in {one["name"] for one in data["study"]["fields"]}
    assert data["studies"] == {"totalCount": 1}
    assert data["kind"] == "Query"
    assert "no" not in data
    assert data["__schema"]["queryType"] == {"name": "Query"}
    assert list(data) == ["patients", "__schema", "one", "studies", "study", "kind"]


async def test_types_that_nothing_leads_to_are_not_there(ask: Ask) -> None:
    query = (
        '{series: __type(name: "ImagingStudySeries") {name} name: __type(name: "HumanName") {name}}'
    )
    assert (await ask(query, "billing")).data == {"series": None, "name": None}
    assert (await ask(query, "nurse")).data == {
        "series": {"name": "ImagingStudySeries"},
        "name": {"name": "HumanName"},
    }


async def test_a_smart_token_is_shown_what_its_scopes_leave(ask: Ask) -> None:
    query = """{study: __type(name: "ImagingStudy") {name}
      patient: __type(name: "Patient") {fields {name}}
      __schema {queryType {fields {name}} mutationType {name}}}"""

    async def shown(scope: str | None) -> tuple[Any, set[str], set[str], Any]:
        data = (await ask(query, "radiologist", **({"scope": scope} if scope else {}))).data
        fields = data["__schema"]["queryType"]["fields"]
        return (
            data["study"],
            {one["name"] for one in data["patient"]["fields"]},
            {one["name"] for one in fields},
            data["__schema"]["mutationType"],
        )

    whole = await shown(None)
    assert whole[0] == {"name": "ImagingStudy"}
    assert "studies" in whole[1]
    only_patients = await shown("user/Patient.rs")
    assert only_patients[0] is None
    assert only_patients[1] == whole[1] - {"studies"}
    assert only_patients[2] == {"patient", "patients", "Patient", "PatientList"}
    assert only_patients[3] is None
    by_id = await shown("user/Patient.r")
    assert by_id[2] == {"patient", "Patient"}
    assert await shown(None) == whole


def test_somebody_to_whom_nothing_is_open_is_told_so(archive: Archive) -> None:
    shown = visible(WHOLE, access(archive, "visitor"))
    assert validate_schema(shown) == []
    assert shown.mutation_type is None
    assert shown.query_type is not None
    assert list(shown.query_type.fields) == ["nothing"]


def test_a_schema_is_made_once_for_all_who_see_the_same_and_anew_after_an_edit(
    archive: Archive, tmp_path: Path
) -> None:
    shown = visible(WHOLE, access(archive, "nurse"))
    assert visible(WHOLE, access(archive, "nurse")) is shown
    assert visible(WHOLE, access(archive, "resident")) is shown
    opened = book(tmp_path, "p, nurse, Patient.id, read, any, allow")
    caller = Caller("me", frozenset({"nurse"}))
    assert "name" not in _patient(visible(WHOLE, Access(caller, opened.current))).fields
    book(
        tmp_path,
        """p, nurse, Patient.id, read, any, allow
           p, nurse, Patient.name, read, any, allow""",
    )
    assert opened.reload()
    assert "name" in _patient(visible(WHOLE, Access(caller, opened.current))).fields


def _patient(schema: GraphQLSchema) -> GraphQLObjectType:
    kind = get_named_type(schema.type_map["Patient"])
    assert isinstance(kind, GraphQLObjectType)
    return kind


async def test_introspection_has_its_limits(ask: Ask) -> None:
    deep = "{fields {type " * 5 + "{name}" + "}}" * 5
    reply = await ask(f'{{__type(name: "Patient") {deep}}}')
    assert "data" not in reply.body
    assert {one["message"] for one in reply.errors} == {"Maximum introspection depth exceeded"}


async def test_the_page_of_graphiql_sends_the_headers_that_are_typed(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/graphql", headers={"Accept": "text/html"})).text
    assert "isHeadersEditorEnabled: true" in page
    assert "fetcher: fetcher" in page
