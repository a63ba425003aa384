"""`/postdicom/permissions` tells everybody what Casbin allows them, and nothing else."""

from random import Random

import pytest

from fhir.elements import COORDINATES
from policies.rules import ACTIONS, ROLES
from tests.doors.judge import Judge, whole
from tests.doors.people import HELD, PEOPLE, RESEARCHER, Person
from tests.doors.world import World

# what is planted was shared by nobody who comes to the doors
_EVERY = frozenset({"sharer"}).union(*(each for held in HELD.values() for each in held.values()))


def test_the_judge_of_one_role_says_what_the_whole_of_casbin_says(judge: Judge) -> None:
    everything = whole(judge.folder)
    drawn = Random(7)
    for _ in range(600):
        role, part = drawn.choice(sorted(ROLES)), drawn.choice(sorted(COORDINATES))
        action = drawn.choice(ACTIONS)
        scopes = frozenset(drawn.sample(sorted(_EVERY), drawn.randrange(3)))
        said = everything.enforce(frozenset({role}), part, action, scopes)
        assert judge.says(role, part, action, scopes) is said


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_permissions_are_what_casbin_allows(
    person: Person, world: World, judge: Judge
) -> None:
    answer = await world.client.get("/postdicom/permissions", headers=world.headers(person))
    said = answer.json()["data"]
    assert said["view"] == ("deidentified" if person == RESEARCHER else "identified")
    told = {("read", one): True for one in said["read"]["always"]}
    told |= {("read", one["element"]): False for one in said["read"]["partly"]}
    told |= {(one["action"], one["element"]): one["always"] for one in said["changes"]}
    for action in ACTIONS:
        for coordinate in sorted(COORDINATES):
            always = judge.allows(person, coordinate, action, frozenset())
            assert told.get((action, coordinate), False) is always, (action, coordinate)
            if judge.allows(person, coordinate, action):
                assert (action, coordinate) in told, (action, coordinate)
            if not judge.allows(person, coordinate, action, _EVERY):
                assert (action, coordinate) not in told, (action, coordinate)
