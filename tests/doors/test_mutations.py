"""Mutation × role × relation: done where Casbin allows what it does, else nothing changes."""

from collections.abc import Iterator
from enum import Enum

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from fhir.asked import OWN
from policies.rules import ROLES
from policies.scopes import ROWS
from schema.coordinates import Policy, policy_of
from tests.doors.graphql_probe import the_schema
from tests.doors.judge import Judge
from tests.doors.mutations import ATTEMPTS, Attempt
from tests.doors.people import HELD, PEOPLE, Person
from tests.doors.sight import Json
from tests.doors.world import World

_NOTHING: frozenset[str] = frozenset()


def declared() -> dict[str, GraphQLField]:
    mutation = the_schema().mutation_type
    assert mutation is not None
    fields: dict[str, GraphQLField] = mutation.fields
    return fields


def record(name: str) -> GraphQLObjectType:
    """Give the type of the record that a mutation's payload shows."""
    payload = get_named_type(declared()[name].type)
    assert isinstance(payload, GraphQLObjectType)
    kind = get_named_type(payload.fields["record"].type)
    assert isinstance(kind, GraphQLObjectType)
    return kind


def told(name: str, attempt: Attempt, shown: str) -> str:
    """Write a mutation that asks for one field of its record."""
    return f"{name}({attempt.arguments}) {{ record {{ {shown} }} }}"


def policy(name: str) -> Policy:
    found = policy_of(declared()[name])
    assert found is not None
    return found


def attempts(name: str, role: str, world: World) -> Iterator[tuple[Person, Attempt]]:
    for person in PEOPLE:
        if person.role == role:
            yield from ((person, write(world, person)) for write in ATTEMPTS[name])


def may(judge: Judge, name: str, person: Person, attempt: Attempt) -> bool:
    """Say whether Casbin allows all that a mutation does and tells."""

    def held(coordinate: str) -> frozenset[str]:
        kind = coordinate.partition(".")[0]
        kind = ROWS.get(kind, kind)
        more = attempt.held if kind == policy(name).resource else _NOTHING
        return person.held.get(kind, _NOTHING) | more

    rights = [
        (one.coordinate, one.action)
        for one in policy(name).rights
        if one.given is None or _written(*one.given) in attempt.arguments
    ]
    read = {*policy(name).tells, policy(name).coordinate or ""}
    return (
        attempt.exists
        and (person.role != "researcher" or policy(name).resource in OWN)
        and all(judge.allows(person, *one, held=held(one[0])) for one in rights)
        and all(judge.allows(person, one, held=held(one)) for one in sorted(read))
    )


def _written(argument: str, value: object) -> str:
    return f"{argument}: {value.name if isinstance(value, Enum) else str(value).lower()}"


async def ask(world: World, person: Person, query: str) -> Json:
    answer = await world.client.post(
        "/graphql", headers=world.headers(person), json={"query": query}
    )
    return answer.json()


def codes(body: Json) -> set[str]:
    return {one["extensions"]["code"] for one in body.get("errors", ())}


def test_every_mutation_is_tried() -> None:
    assert ATTEMPTS.keys() == declared().keys()


@pytest.mark.parametrize("role", sorted(ROLES))
@pytest.mark.parametrize("name", sorted(declared()))
async def test_a_mutation_is_done_where_casbin_allows_it_and_else_changes_nothing(
    name: str, role: str, world: World, judge: Judge
) -> None:
    before = await world.stored()
    shown = "id" if "id" in record(name).fields else "__typename"
    tried = [(may(judge, name, *one), *one) for one in attempts(name, role, world)]
    for allowed, person, attempt in sorted(tried, key=lambda one: one[0]):
        if allowed:  # whoever may not came before
            assert await world.stored() == before
        body = await ask(world, person, f"mutation {{ {told(name, attempt, shown)} }}")
        if allowed:
            assert "errors" not in body, (person, attempt, body)
            assert body["data"][name]["record"]
            assert await world.stored() != before, (person, attempt)
            await world.restore(before)
        else:
            assert codes(body) & {"FORBIDDEN", "NOT_FOUND"}, (person, attempt, body)
            done = (body.get("data") or {}).get(name)
            assert not done or done["record"] is None
    assert await world.stored() == before


@pytest.mark.parametrize("name", sorted(declared()))
async def test_a_mutation_whose_answer_asks_for_what_is_closed_is_not_done(
    name: str, world: World, judge: Judge
) -> None:
    before = await world.stored()
    scopes = frozenset(one for held in HELD.values() for each in held.values() for one in each)
    for person in PEOPLE:
        attempt = ATTEMPTS[name][-1](world, person)
        closed = sorted(
            field
            for field, one in record(name).fields.items()
            if (decided := policy_of(one)) is not None
            and decided.coordinate
            and get_named_type(one.type).name in {"String", "Int", "ID"}
            and not judge.allows(person, decided.coordinate, held=scopes)
        )
        if closed and may(judge, name, person, attempt):
            query = told(name, attempt, closed[0])
            body = await ask(world, person, f"mutation {{ {query} }}")
            assert codes(body) == {"FORBIDDEN"}
            assert "data" not in body
            assert await world.stored() == before


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_one_closed_mutation_keeps_all_of_its_operation_from_being_done(
    person: Person, world: World, judge: Judge
) -> None:
    scopes = frozenset(one for held in HELD.values() for each in held.values() for one in each)
    tried = {name: ATTEMPTS[name][-1](world, person) for name in sorted(ATTEMPTS)}
    allowed = [name for name, one in tried.items() if may(judge, name, person, one)]
    closed = [
        name
        for name in tried
        if not all(
            judge.allows(person, one.coordinate, one.action, held=scopes)
            for one in policy(name).rights
        )
    ]
    assert closed
    before = await world.stored()
    for first in allowed:
        both = [told(name, tried[name], "__typename") for name in (first, closed[0])]
        body = await ask(world, person, f"mutation {{ {' '.join(both)} }}")
        assert codes(body) == {"FORBIDDEN"}
        assert await world.stored() == before


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_everybody_ends_their_own_session_and_only_that(
    person: Person, world: World, judge: Judge
) -> None:
    issuer = world.another_sign_in()
    headers = world.headers(person, issuer)
    listed = await world.client.get("/postdicom/sessions?limit=100", headers=headers)
    own = [one["id"] for one in listed.json()["data"] if one["current"]]
    query = f'mutation {{ endSession(id: "{own[0]}") {{ record {{ ended {{ why }} }} }} }}'
    answer = await world.client.post("/graphql", headers=headers, json={"query": query})
    assert answer.json()["data"] == {"endSession": {"record": {"ended": {"why": "signed out"}}}}
    again = await world.client.get("/postdicom/sessions", headers=headers)
    assert again.status_code == 401
    other = await world.client.get("/postdicom/permissions", headers=world.headers(person))
    assert other.status_code == 200


async def test_every_mutation_is_open_to_somebody_and_closed_to_somebody_else(
    world: World, judge: Judge
) -> None:
    for name in sorted(ATTEMPTS):
        decided = {
            may(judge, name, person, attempt)
            for role in sorted(ROLES)
            for person, attempt in attempts(name, role, world)
        }
        assert decided == {True, False}, name
