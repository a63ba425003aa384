"""What somebody is told of the sequence: what they may see, and what they could."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from app.archive import Archive
from app.imaging.deletion import delete_study
from fhir.changes import Change, known_to
from fhir.labels import with_confidentiality
from fhir.pseudonyms import Pseudonyms
from fhir.repository import Wanted
from fhir.search import Has
from policies.book import Book
from tests.build import study, uid
from tests.changes.told import of_study, store, until
from tests.changes.world import begun, policy

JANE, JOHN = uid("known", "Jane"), uid("known", "John")
SECRET, GONE = uid("known", "secret"), uid("known", "gone")


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
async def told(archive: Archive) -> list[Change]:
    """Two studies that stay, one that few may know of, and two that are gone, one of each."""
    after = await archive.changes.newest()
    for one, whose in ((JANE, "Jane"), (JOHN, "John"), (SECRET, "Jane"), (GONE, "Jane")):
        made = study(StudyInstanceUID=one, PatientID=whose, StudyDescription="Chest")
        await store(archive, *made)
    for one in (SECRET,):
        [found] = await archive.repository.find(
            "ImagingStudy", Has("_id", one), wanted=Wanted(None), limit=1
        )
        edited = with_confidentiality(found.resource, "V")
        assert await archive.repository.replace(edited, found.version)
    for one in (SECRET, GONE):
        assert await delete_study(archive.ledger, archive.objects, one)
    return await until(archive.changes, after, ("deleted", SECRET), ("deleted", GONE))


async def patient_of(archive: Archive, identifier: str) -> str:
    stored = await archive.ledger.study(identifier)
    assert stored is not None
    return str(stored["resource"]["subject"]["reference"]).removeprefix("Patient/")


def short(changes: Sequence[Change]) -> set[tuple[str, str]]:
    """Leave out how often something was created or changed."""
    names = {JANE: "Jane", JOHN: "John", SECRET: "secret", GONE: "gone"}
    return {
        ("deleted" if one.kind == "deleted" else "there", names.get(one.id, one.id))
        for one in changes
        if one.resource == "ImagingStudy"
    }


async def test_whoever_sees_everything_is_told_of_everything_that_is_there_or_gone(
    archive: Archive, under: Book, told: list[Change]
) -> None:
    known = await known_to(await begun(archive, under, "radiologist"), told)
    there = {("there", "Jane"), ("there", "John")}
    assert short(known) == there | {("deleted", "secret"), ("deleted", "gone")}
    assert [one for one in told if one in known] == known
    # what was created and is gone is not there any more
    assert of_study(known, GONE) == ["deleted"]


async def test_a_patient_is_told_of_their_own_that_are_there_or_gone(
    archive: Archive, under: Book, told: list[Change]
) -> None:
    jane, john = await patient_of(archive, JANE), await patient_of(archive, JOHN)
    known = await known_to(await begun(archive, under, "patient", patient=jane), told)
    assert short(known) == {("there", "Jane"), ("deleted", "secret"), ("deleted", "gone")}
    known = await known_to(await begun(archive, under, "patient", patient=john), told)
    assert short(known) == {("there", "John")}
    assert await known_to(await begun(archive, under, "patient"), told) == []


async def test_whoever_could_not_see_it_is_not_told_that_it_is_gone(
    archive: Archive, under: Book, told: list[Change]
) -> None:
    known = await known_to(await begun(archive, under, "provider"), told)
    assert short(known) == {("there", "Jane"), ("there", "John"), ("deleted", "gone")}


async def test_where_a_scope_asks_for_what_was_not_remembered_nothing_is_told_of_what_is_gone(
    archive: Archive, under: Book, told: list[Change]
) -> None:
    known = await known_to(await begun(archive, under, "nurse"), told)
    assert short(known) == {("there", "Jane"), ("there", "John")}


async def test_of_what_nothing_is_remembered_only_those_are_told_who_see_everything(
    archive: Archive, under: Book
) -> None:
    lost = [Change(1, datetime.now(UTC), "deleted", "ImagingStudy", GONE)]
    assert await known_to(await begun(archive, under, "radiologist"), lost) == lost
    for role in ("provider", "patient", "nurse", "billing", "auditor"):
        assert await known_to(await begun(archive, under, role), lost) == []


async def test_without_identity_changes_have_pseudonyms_and_nothing_is_told_of_what_is_gone(
    archive: Archive, under: Book, told: list[Change]
) -> None:
    guarded = await begun(archive, under, "researcher", project="one")
    known = await known_to(guarded, told)
    pseudonyms = Pseudonyms(archive.pseudonym_key, "one")
    assert {one.id for one in known} == {pseudonyms.uid(JANE), pseudonyms.uid(JOHN)}
    assert {one.kind for one in known} <= {"created", "changed"}
    # a pseudonym that was told can be asked by
    again = await guarded.read("ImagingStudy", known[0].id, frozenset({"ImagingStudy.id"}))
    assert again.id == known[0].id


async def test_of_the_policy_those_are_told_who_may_read_which_one_is_in_force(
    archive: Archive, under: Book
) -> None:
    edited = [Change(1, datetime.now(UTC), "changed", "Policy", "0123456789abcdef")]
    for role, known in (("admin", edited), ("auditor", edited), ("radiologist", [])):
        assert await known_to(await begun(archive, under, role), edited) == known


async def test_what_is_told_is_in_the_audit_and_what_is_not_told_is_no_refusal(
    archive: Archive, under: Book, told: list[Change]
) -> None:
    guarded = await begun(archive, under, "radiologist")
    await known_to(guarded, told)
    gone, there = sorted(guarded.access.entries, key=lambda one: JANE in one.ids)
    assert {one.action for one in (gone, there)} == {"search"}
    assert {one.outcome for one in (gone, there)} == {"allowed"}
    assert set(gone.ids) == {SECRET, GONE}
    assert set(there.ids) == {JANE, JOHN}
    assert gone.patients == (await patient_of(archive, JANE),)
    guarded = await begun(archive, under, "billing")
    assert await known_to(guarded, told) == []
    assert guarded.access.entries == []
