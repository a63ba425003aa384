"""Storing and deleting through every door: whoever may not changes nothing."""

import pytest

from policies.rules import ROLES
from tests.build import multipart, uid
from tests.doors.judge import Judge
from tests.doors.people import PEOPLE, Person
from tests.doors.planted import planted
from tests.doors.world import World

FORM = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n%b\r\n--x--\r\n'


def first(role: str) -> Person:
    return next(one for one in PEOPLE if one.role == role)


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_whoever_may_not_store_stores_nothing_through_any_door(
    role: str, world: World, judge: Judge
) -> None:
    person = first(role)
    may = judge.allows(person, "Image.file", "create")
    data = planted(f"stored by {role}", everywhere=False, PatientID="STORED")
    stow, of_stow = multipart([data])
    study = f"/dicomweb/studies/{world.normal.study}"
    before = await world.stored()
    for address, content, kind in (
        ("/dicomweb/studies", data, "application/dicom"),
        ("/dicomweb/studies", stow, of_stow),
        (study, planted(), "application/dicom"),
        ("/postdicom/studies", FORM % data, "multipart/form-data; boundary=x"),
        (f"/postdicom/uploads/job-of-{person.subject}", data, "application/dicom"),
    ):
        headers = {**world.headers(person), "Content-Type": kind}
        answer = await world.client.post(address, headers=headers, content=content)
        assert (answer.status_code != 403) is may, (role, address, answer.text)
        assert may is (answer.status_code < 300), (role, address, answer.text)
    assert (await world.stored() == before) is not may
    await world.restore(before)


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_whoever_may_not_delete_deletes_nothing(
    person: Person, world: World, judge: Judge
) -> None:
    may = judge.allows(person, "ImagingStudy.id") and judge.allows(
        person, "ImagingStudy.id", "delete"
    )
    study = world.target(person).study
    without = await world.stored()
    if may:
        name = f"disposable by {person}"
        study = uid(name, "study")
        await world.load(planted(name, everywhere=False))
    before = await world.stored()
    address = f"/postdicom/studies/{study}"
    answer = await world.client.delete(address, headers=world.headers(person))
    assert (answer.status_code == 200) is may, answer.text
    assert may or answer.status_code in {403, 404}
    assert (await world.stored() == before) is not may
    if may:
        left = await world.archive.ledger.study(study)
        assert left is not None
        assert "resource" not in left
        await world.restore(without)
