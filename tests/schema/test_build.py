"""The schema itself: written down, closed, and in the policy's words."""

import re
from collections import Counter
from pathlib import Path

import pytest
import strawberry
from graphql import GraphQLNonNull, GraphQLObjectType

from fhir.elements import COORDINATES, LINKS, REPEATS
from fhir.parameters import PARAMETERS
from schema.arguments import DateSort, PatientSort, StudySort
from schema.build import build_schema, sdl
from schema.coordinates import (
    Kind,
    Undeclared,
    element,
    linked,
    part,
    plumbing,
    policy_of,
)
from schema.links import CareTeam
from schema.payload import changes

SCHEMA = build_schema()
OBJECTS = [
    kind
    for kind in SCHEMA.type_map.values()
    if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
]
# Elements that no field gives out. Nothing that is mapped from DICOM is among them; the last two
# leave in whole files alone.
NOT_EXPOSED = {
    "Patient.text",
    "Patient.contained",
    "Patient.deceased",
    "Patient.multipleBirth",
    "Patient.photo",
    "ImagingStudy.text",
    "ImagingStudy.contained",
    "Endpoint.text",
    "Endpoint.contained",
    "Image.attributes",
    "Image.private",
    # the cache is looked after through REST
    "Cache.id",
    "Cache.stats",
}


def test_the_schema_is_written_down_as_it_is() -> None:
    written = Path(__file__).parents[2] / "schema" / "schema.graphql"
    assert written.read_text(encoding="utf-8") == sdl()


def test_every_coordinate_has_one_home_or_is_known_to_have_none() -> None:
    homes = Counter(
        policy.coordinate
        for kind in OBJECTS
        for field in kind.fields.values()
        if (policy := policy_of(field)) and policy.home
    )
    served = {one for one in COORDINATES if not one.startswith("AuditEvent.")}
    # what repeats another element is shown by a datatype
    assert set(homes) == served - NOT_EXPOSED - set(REPEATS)
    assert set(homes.values()) == {1}


def test_every_field_that_a_policy_can_close_says_its_coordinate_and_may_be_null() -> None:
    for kind in OBJECTS:
        for name, field in kind.fields.items():
            policy = policy_of(field)
            assert policy is not None
            if policy.kind in {Kind.ELEMENT, Kind.LINK}:
                named = re.findall(r"`([A-Z][A-Za-z]+\.[A-Za-z.]+)`", field.description or "")
                if policy.rights:
                    assert named[0] == policy.rights[0].coordinate
                    assert {*named} >= {one.coordinate for one in policy.rights} | policy.tells
                else:
                    assert named[-1 - len(policy.needs)] == policy.coordinate
                assert {policy.coordinate, *policy.needs} <= COORDINATES
            if isinstance(field.type, GraphQLNonNull):
                assert name == "id" or policy.kind is Kind.PLUMBING


def test_a_home_carries_the_name_of_its_coordinate() -> None:
    for kind in OBJECTS:
        for name, field in kind.fields.items():
            policy = policy_of(field)
            if policy and policy.home:
                last = str(policy.coordinate).rpartition(".")[2]
                assert name == ("frames" if last == "pixels" else last)


def test_a_field_that_declares_nothing_does_not_get_into_a_schema() -> None:
    @strawberry.type
    class Query:
        fine: str | None = element("Patient.gender", "Fine.")
        forgotten: str | None = None

    with pytest.raises(Undeclared, match=r"^Query\.forgotten: declared with none of"):
        build_schema(Query)


def test_a_coordinate_that_no_policy_can_name_does_not_get_into_a_schema() -> None:
    @strawberry.type
    class Query:
        shoe: str | None = element("Patient.shoeSize", "No such element.")

    with pytest.raises(Undeclared, match=r"^Query\.shoe: Patient\.shoeSize is not in"):
        build_schema(Query)


async def _nothing(_: object) -> None:
    """Do nothing."""


def test_a_mutation_says_what_it_does_and_nothing_else_does_anything() -> None:
    @strawberry.type
    class Mutation:
        quiet = linked("CareTeam.id", CareTeam | None, "Does what it likes.", fetch="one")

    with pytest.raises(Undeclared, match=r"^Mutation\.quiet: `changes` is for mutations"):
        build_schema(mutation=Mutation)

    @strawberry.type
    class Query:
        loud = changes("CareTeam.id", "delete", CareTeam | None, "Deletes.", perform=_nothing)

    with pytest.raises(Undeclared, match=r"^Query\.loud: `changes` is for mutations"):
        build_schema(Query)


def test_every_argument_of_a_mutation_is_described() -> None:
    mutations = SCHEMA.mutation_type
    assert mutations is not None
    for field in mutations.fields.values():
        assert all(argument.description for argument in field.args.values())


def test_datatypes_cannot_be_reached_past_the_element_that_decides_about_them() -> None:
    @strawberry.type
    class Name:
        family: str | None = part("Family name.")

    @strawberry.type
    class Query:
        name: Name | None = plumbing("Held by nothing.")

    with pytest.raises(Undeclared, match=r"^Query\.name: leads to a datatype"):
        build_schema(Query)


@pytest.mark.parametrize(
    ("sorts", "resource"),
    [
        (PatientSort, "Patient"),
        (StudySort, "ImagingStudy"),
        *((DateSort, one) for one in (*LINKS, "ReleaseRequest", "DeletedStudy", "Hold", "Session")),
        (DateSort, "ImageAnnotation"),
    ],
)
def test_everything_sortable_sorts_both_ways(
    sorts: type[PatientSort] | type[StudySort] | type[DateSort], resource: str
) -> None:
    able = {row.name for row in PARAMETERS[resource].values() if row.sortable}
    assert {one.value for one in sorts} == able | {f"-{name}" for name in able}
