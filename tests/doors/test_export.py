"""Role × relation × coordinate through `export`: what Casbin allows, no less and no more."""

import json
import os
from pathlib import Path

import pytest

from app.export import Order, export
from fhir.elements import ELEMENTS
from fhir.errors import AccessDenied
from fhir.images import FILE_ELEMENTS
from tests.doors.fhir_probe import shown
from tests.doors.judge import Judge
from tests.doors.people import IDENTIFIED, PROJECT, RESEARCHER, WATCHERS, WITHOUT_IDENTITY, Person
from tests.doors.planted import WORDS
from tests.doors.sight import Sight, Target
from tests.doors.test_matrix import expected
from tests.doors.world import World, real_ids

_ROW = ("ImagingStudy.id",)
_SUBJECT = (*_ROW, "ImagingStudy.subject")


async def looked(world: World, person: Person, folder: Path, target: Target | None = None) -> Sight:
    """Export what somebody comes for, and say what of it the folder shows."""
    target = target or world.target(person)
    patient = world.normal.patient if person.relation.startswith("own") else None
    order = Order(
        person.role,
        folder,
        subject=person.agent,
        patient=world.stranger if person.relation == "stranger" else patient,
        project=PROJECT if person.role in WITHOUT_IDENTITY else None,
        query=f"_id={target.study}",
        files=True,
    )
    sight = Sight()
    try:
        await export(world.archive, order)
    except AccessDenied as error:
        sight.bytes += error.message.encode()
    for path, content in sorted(held(folder).items()):
        sight.bytes += path.encode() + content
        if path.endswith(".dcm"):
            sight.saw("object", *FILE_ELEMENTS, *_ROW)
        if path.endswith(".ndjson"):
            _records(sight, path.removesuffix(".ndjson"), content)
    return sight


def held(folder: Path) -> dict[str, bytes]:
    """Read every file of a folder, by path."""
    return {
        os.path.relpath(Path(where) / name, folder): (Path(where) / name).read_bytes()
        for where, _, names in os.walk(folder)
        for name in names
    }


def _records(sight: Sight, resource: str, content: bytes) -> None:
    around = _SUBJECT if resource == "Patient" else _ROW
    for line in content.splitlines():
        for element in ELEMENTS[resource]:
            if shown(json.loads(line), element.split(".")):
                sight.saw(f"{resource}.{element}", f"{resource}.{element}", *around)


async def everything(world: World, folder: Path) -> Sight:
    """Join what is exported for those who see together all that anybody sees."""
    joined = Sight()
    for number, person in enumerate(WATCHERS):
        joined.labels |= (await looked(world, person, folder / str(number))).labels
    return joined


@pytest.mark.parametrize("person", sorted(IDENTIFIED, key=str), ids=str)
async def test_an_export_has_what_casbin_allows_and_nothing_else(
    person: Person, world: World, judge: Judge, tmp_path: Path
) -> None:
    seen = await looked(world, person, tmp_path / "own")
    whole = await everything(world, tmp_path / "all")
    assert {"object", "ImagingStudy.id", "Patient.name"} <= whole.labels.keys()
    assert seen.labels.keys() == expected(judge, person, whole)
    for word, coordinates in sorted(WORDS.items()):
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates):
            assert not seen.shows(word), f"{word} leaks"


async def test_a_researchers_export_names_nobody_and_leaves_out_what_is_burned_in(
    world: World, tmp_path: Path
) -> None:
    planted = await looked(world, RESEARCHER, tmp_path / "planted")
    assert {"object", "ImagingStudy.id", "Patient.id"} <= planted.labels.keys()
    burned = await looked(world, RESEARCHER, tmp_path / "burned", world.found["burned in"])
    assert "object" not in burned.labels
    assert b"cannot be given out de-identified" in burned.bytes
    for sight in (planted, burned):
        assert not [one for one in (*WORDS, *real_ids(world)) if sight.shows(one)]


@pytest.mark.parametrize("person", [*WATCHERS, RESEARCHER], ids=str)
async def test_every_export_is_in_the_audit_with_whom_it_was_for(
    person: Person, world: World, tmp_path: Path
) -> None:
    events = world.archive.database["audit_events"]
    before = await events.distinct("_id")
    await looked(world, person, tmp_path / "to")
    found = {"_id": {"$nin": before}, "door": "export", "roles": [person.role]}
    told = await events.distinct("outcome", found)
    assert told == (["refused"] if person.role == "auditor" else ["allowed"]) or (
        person.role == "admin" and told == ["allowed", "refused"]  # studies, and no objects
    )
    assert all(person.agent in one for one in await events.distinct("name", found))
