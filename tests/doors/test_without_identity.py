"""The de-identified view: what Casbin opens to a researcher, and nobody's identity."""

import re

import pytest

from fhir.images import FILE_ELEMENTS
from fhir.pseudonyms import Pseudonyms
from tests.doors.addresses import addresses
from tests.doors.fhir_probe import is_counted_without_identity
from tests.doors.judge import Judge
from tests.doors.metadata_probe import is_kept_in_metadata
from tests.doors.people import PROJECT, RESEARCHER, WATCHERS
from tests.doors.planted import WORDS
from tests.doors.probes import PROBES
from tests.doors.qido_probe import is_kept_without_identity
from tests.doors.sight import Claim, Sight, as_text
from tests.doors.subscription_probe import is_kept_in_events
from tests.doors.test_matrix import everything, expected
from tests.doors.world import World, real_ids

# What the de-identified view never gives, whatever the rules say.
NEVER_WITHOUT_IDENTITY = {
    "ImagingStudy.procedureCode": "codes of somebody's own may say anything, and so their words",
    "Image.title": "free text",
    "Image.size": "of the stored object, which is not the one that is given out",
}


@pytest.mark.parametrize("door", sorted(PROBES))
async def test_a_door_shows_a_researcher_what_casbin_allows_without_identity(
    door: str, world: World, judge: Judge
) -> None:
    whole = await everything(world, door)
    # a file without identity says nothing of patient and study that could be closed
    bare = {"Image.id", "Image.file", "Image.pixels"}
    wanted = Sight(
        {
            label: Claim(
                claim.coordinates - FILE_ELEMENTS | bare
                if claim.coordinates >= FILE_ELEMENTS
                else claim.coordinates,
                claim.held,
            )
            for label, claim in whole.labels.items()
            if is_kept_without_identity(label)
            and is_counted_without_identity(label)
            and is_kept_in_metadata(label)
            and is_kept_in_events(label)
            and (
                claim.coordinates.isdisjoint(NEVER_WITHOUT_IDENTITY)
                or claim.coordinates >= FILE_ELEMENTS
            )
        }
    )
    seen = await world.look(door, RESEARCHER)
    assert seen.labels.keys() == expected(judge, RESEARCHER, wanted)
    assert not {word for word in (*WORDS, *real_ids(world)) if seen.shows(word)}


@pytest.mark.parametrize("door", sorted(PROBES))
async def test_without_a_project_a_researcher_gets_through_no_door(door: str, world: World) -> None:
    visit = world.visit(RESEARCHER)
    token = world.issuer.token("researcher", subject=RESEARCHER.subject)
    visit.headers = {"Authorization": f"Bearer {token}"}
    prefix = {"graphql": "/graphql", "fhir": "/fhir/ImagingStudy", "rest": "/postdicom/studies"}
    answer = await visit.get(prefix.get(door, f"/dicomweb/studies/{world.normal.study}"))
    assert answer.status_code == 403
    assert "project" in answer.text


async def test_what_a_researcher_finds_is_named_by_the_key_of_their_project(world: World) -> None:
    settings, real, found = world.archive.settings, world.normal, world.found["planted"]
    names = Pseudonyms(world.archive.pseudonym_key, PROJECT, settings.date_shift_days)
    assert found.patient == names.patient(real.patient)
    for pseudonym, uid in (
        (found.study, real.study),
        (found.series, real.series),
        (found.instance, real.instance),
    ):
        assert pseudonym == names.uid(uid)


async def test_pseudonyms_of_one_project_mean_nothing_in_another(world: World) -> None:
    token = world.issuer.token("researcher", subject="another", project="another-project")
    headers = {"Authorization": f"Bearer {token}"}
    for path, accept in addresses(world.found["planted"]):
        answer = await world.client.get(path, headers={**headers, "Accept": accept})
        assert answer.status_code == 404, path
    found = await world.client.get("/fhir/ImagingStudy", headers=headers)
    ids = [one["resource"]["id"] for one in found.json()["entry"]]
    assert ids
    assert not {one.study for one in world.found.values()} & {*ids}


async def test_a_sensitive_study_is_not_there_without_identity(world: World) -> None:
    names = Pseudonyms(world.archive.pseudonym_key, PROJECT)
    answer = await world.client.get("/fhir/ImagingStudy", headers=world.headers(RESEARCHER))
    assert names.uid(world.sensitive.study) not in answer.text
    assert answer.json()["total"] == 3


async def test_what_may_hold_burned_in_text_does_not_leave_without_identity(world: World) -> None:
    target, headers = world.found["burned in"], world.headers(RESEARCHER)
    for path, accept in addresses(target):
        answer = await world.client.get(path, headers={**headers, "Accept": accept})
        if path.startswith(("/fhir", "/postdicom/studies")):
            assert answer.status_code == 200
        else:
            assert answer.status_code == 403, path
            assert "its header says that text is burned into its pixels" in answer.text
    real = world.headers(WATCHERS[2])
    for path, accept in addresses(world.burned_in):
        answer = await world.client.get(path, headers={**real, "Accept": accept})
        assert answer.status_code == 200, path


async def test_real_identifiers_find_nothing_without_identity(world: World) -> None:
    headers = world.headers(RESEARCHER)
    for path, accept in addresses(world.normal):
        answer = await world.client.get(path, headers={**headers, "Accept": accept})
        assert answer.status_code == 404, path
        assert not re.search("|".join(map(re.escape, real_ids(world))), as_text(answer)), path
    for query in (f"_id={world.normal.study}", f"patient={world.normal.patient}"):
        answer = await world.client.get(f"/fhir/ImagingStudy?{query}", headers=headers)
        assert answer.json()["total"] == 0
