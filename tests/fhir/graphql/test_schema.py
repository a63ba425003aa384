"""The schema of FHIR's GraphQL: written down, closed, and as each role sees it."""

import re
from pathlib import Path

import pytest
from graphql import GraphQLNonNull, GraphQLObjectType, get_named_type

from fhir.elements import COORDINATES
from fhir.referring import TYPES
from schema.build import build_schema
from schema.coordinates import Kind, Policy, policy_of
from schema.fhir_schema import SYSTEM, fhir_schemas, fhir_sdl
from tests.fhir.graphql.asking import Ask
from tests.fhir.graphql.known import CT

SCHEMA = fhir_schemas()[SYSTEM]
OURS = build_schema()
OBJECTS = [
    kind
    for kind in SCHEMA.type_map.values()
    if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
]
INTROSPECTION = (
    "{ __schema { types { name fields { name args { name } } possibleTypes { name } } } }"
)


def policy(kind: GraphQLObjectType, name: str) -> Policy:
    found = policy_of(kind.fields[name])
    assert found is not None
    return found


def test_the_schema_is_written_down_as_it_is() -> None:
    written = Path(__file__).parents[3] / "schema" / "fhir.graphql"
    assert written.read_text(encoding="utf-8") == fhir_sdl()


def test_its_roots_have_fhirs_names_and_no_others() -> None:
    assert SCHEMA.mutation_type is SCHEMA.subscription_type is None
    assert SCHEMA.query_type is not None
    roots = set(SCHEMA.query_type.fields)
    assert roots == {f"{one}{what}" for one in TYPES for what in ("", "List", "Connection")}
    for name in TYPES:
        query = fhir_schemas()[name].query_type
        assert query is not None
        assert query.name == name


def test_elements_are_those_of_our_own_schema_under_the_same_policy() -> None:
    for kind in OBJECTS:
        ours = OURS.type_map.get(kind.name)
        if not isinstance(ours, GraphQLObjectType):
            continue
        for name, field in ours.fields.items():
            declared = policy_of(field)
            assert declared is not None
            if name in kind.fields and declared.kind in {Kind.ELEMENT, Kind.PART}:
                assert policy(kind, name) == declared
    shown = {policy(kind, name).coordinate for kind in OBJECTS for name in kind.fields}
    whole = {
        declared.coordinate
        for kind in OURS.type_map.values()
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
        for declared in map(policy_of, kind.fields.values())
        if declared and declared.resource in TYPES
    }
    assert shown - {None} == whole


def test_a_companion_goes_with_its_element() -> None:
    companions = 0
    for kind in OBJECTS:
        for name in kind.fields:
            if name.startswith("_"):
                companions += 1
                beside, own = policy(kind, name), policy(kind, name[1:])
                assert (beside.kind, beside.coordinate) == (own.kind, own.coordinate)
                assert not beside.home
    assert companions > 60


def test_primitives_take_no_arguments_and_what_can_be_closed_may_be_null() -> None:
    for kind in OBJECTS:
        for name, field in kind.fields.items():
            if not isinstance(get_named_type(field.type), GraphQLObjectType) and (
                name != "resource"
            ):
                assert not field.args, (kind.name, name)
            if isinstance(field.type, GraphQLNonNull):
                assert name == "id" or policy(kind, name).kind is Kind.PLUMBING


def test_an_argument_that_picks_names_the_coordinate_that_it_looks_at() -> None:
    series = SCHEMA.type_map["ImagingStudy"]
    assert isinstance(series, GraphQLObjectType)
    taken = {
        name: one.extensions.get("coordinate") for name, one in series.fields["series"].args.items()
    }
    assert taken["description"] == "ImagingStudy.series.description"
    for kind in OBJECTS:
        for name, field in kind.fields.items():
            if policy(kind, name).kind is not Kind.ELEMENT:
                continue
            for argument in field.args.values():
                coordinate = argument.extensions.get("coordinate")
                assert coordinate is None or coordinate in COORDINATES


def test_every_field_and_argument_is_described() -> None:
    for kind in OBJECTS:
        assert kind.description
        for field in kind.fields.values():
            assert field.description
            assert all(one.description for one in field.args.values())
            named = re.findall(r"`([A-Z][A-Za-z]+\.[A-Za-z.]+)`", field.description)
            assert set(named) <= COORDINATES


async def test_introspection_is_offered_and_shows_what_is_open(ask: Ask) -> None:
    def read(types: list[dict[str, object]]) -> dict[str, dict[str, set[str]]]:
        return {
            one["name"]: {  # type: ignore[misc]
                field["name"]: {arg["name"] for arg in field["args"]}
                for field in one["fields"]  # type: ignore[attr-defined]
            }
            for one in types
            if one["fields"] is not None and not str(one["name"]).startswith("__")
        }

    whole = read((await ask(INTROSPECTION, "radiologist")).data["__schema"]["types"])
    assert whole["Query"].keys() >= {"Patient", "PatientList", "PatientConnection"}
    assert "description" in whole["ImagingStudy"]["series"]
    assert whole["Patient"]["ImagingStudyList"] > {"_reference", "_filter", "started"}
    assert {"_birthDate", "birthDate", "name"} <= whole["Patient"].keys()

    billing = read((await ask(INTROSPECTION, "billing")).data["__schema"]["types"])
    assert billing["Query"].keys() >= {"PatientList", "ImagingStudyList"}
    assert "name" not in billing["Patient"]
    assert not {"name", "family", "given"} & billing["Query"]["PatientList"]

    auditor = (await ask(INTROSPECTION, "auditor")).data["__schema"]["types"]
    assert read(auditor) == {"Query": {"nothing": set()}}
    assert "Resource" not in {one["name"] for one in auditor}


async def test_behind_references_only_open_types_are_shown(ask: Ask) -> None:
    query = '{ __type(name: "Resource") { possibleTypes { name } } }'
    types = {
        role: [one["name"] for one in found["possibleTypes"]] if found else []
        for role in ("radiologist", "researcher", "auditor")
        for found in [(await ask(query, role, project="p")).data["__type"]]
    }
    assert sorted(types["radiologist"]) == ["Endpoint", "ImagingStudy", "Patient"]
    assert types["auditor"] == []
    assert set(types["researcher"]) <= {"Endpoint", "ImagingStudy", "Patient"}


async def test_at_a_resource_introspection_is_about_it(ask: Ask) -> None:
    query = "{ __schema { queryType { name } } __typename }"
    reply = await ask(query, at=f"ImagingStudy/{CT}")
    assert reply.data == {
        "__schema": {"queryType": {"name": "ImagingStudy"}},
        "__typename": "ImagingStudy",
    }


@pytest.mark.parametrize("at", ["", f"ImagingStudy/{CT}"])
async def test_records_and_the_schema_are_not_asked_for_at_once(at: str, ask: Ask) -> None:
    records = "id" if at else "ImagingStudyList { id }"
    reply = await ask(f"{{ __schema {{ queryType {{ name }} }} {records} }}", at=at)
    assert reply.problem == (400, "NOT_SUPPORTED", "not-supported")
