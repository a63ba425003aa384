"""Role × relation × coordinate × door: a door shows what Casbin allows, no less and no more."""

import pytest

from fhir.elements import COORDINATES
from fhir.images import FILE_ELEMENTS
from tests.doors.judge import Judge
from tests.doors.people import IDENTIFIED, PEOPLE, WATCHERS, Person
from tests.doors.planted import WORDS
from tests.doors.probes import PROBES
from tests.doors.sight import Claim, Sight
from tests.doors.world import World

# Elements that nothing planted can say anything in, for they have no source in DICOM; everything
# else is seen by somebody.
SILENT = {
    f"{resource}.{name}"
    for resource, names in {
        "Patient": "text contained extension active deceased maritalStatus multipleBirth "
        "photo contact communication generalPractitioner managingOrganization link",
        "ImagingStudy": "text contained extension procedureReference reasonReference",
        "Endpoint": "text contained identifier name managingOrganization contact period header",
    }.items()
    for name in names.split()
}


async def everything(world: World, door: str) -> Sight:
    """Join what is seen through a door by those who see together all that anybody sees."""
    joined = Sight()
    for person in WATCHERS:
        joined.labels |= (await world.everything(door, person)).labels
    return joined


def expected(judge: Judge, person: Person, sight: Sight) -> set[str]:
    """List the labels that somebody has to see, and no others."""
    return {
        label
        for label, claim in sight.labels.items()
        if judge.allows_all(person, claim.coordinates, scopes(person, claim))
    }


def scopes(person: Person, claim: Claim) -> frozenset[str] | None:
    """Give the scopes that hold on the row of a claim; None where each coordinate has its own."""
    return claim.held if claim.on is None else person.held.get(claim.on, frozenset())


@pytest.mark.parametrize("door", sorted(PROBES))
@pytest.mark.parametrize("person", sorted(IDENTIFIED, key=str), ids=str)
async def test_a_door_shows_somebody_what_casbin_allows_and_nothing_else(
    door: str, person: Person, world: World, judge: Judge
) -> None:
    seen = await world.look(door, person)
    assert seen.labels.keys() == expected(judge, person, await everything(world, door))
    for word, coordinates in sorted(WORDS.items()):
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates):
            assert not seen.shows(word), f"{word} leaks"


async def test_the_probes_together_look_at_every_element(world: World) -> None:
    told: set[str] = set()
    for door in sorted(PROBES):
        for claim in (await everything(world, door)).labels.values():
            whole = claim.coordinates >= FILE_ELEMENTS
            told |= {"Image.file"} if whole else claim.coordinates
    assert COORDINATES - told == SILENT


async def test_the_matrix_has_every_relation_of_every_role() -> None:
    # of those who treat, with nurses something is shared too
    assert len(PEOPLE) == 5 * 4 + 2 + 3 + 5 + 5 + 1
    assert len({one.subject for one in PEOPLE}) == len(PEOPLE)
