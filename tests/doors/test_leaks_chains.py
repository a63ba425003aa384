"""What is closed cannot be asked about through a reference either, nor what refers to it."""

from collections.abc import Mapping
from typing import Any

import pytest

from fhir.search import coordinates_of, parameter
from tests.doors.fhir_probe import REFERRING
from tests.doors.judge import Judge
from tests.doors.people import PEOPLE, RESEARCHER, Person
from tests.doors.planted import WORDS
from tests.doors.searches import FHIR, stands_in
from tests.doors.sight import Json, as_text, filled
from tests.doors.test_leaks import ASKING
from tests.doors.world import World, real_ids

# What the planted study is found by that no other study is; and what any study is found by.
UNIQUE = {"_id", "series"}
COMMON = {"_lastUpdated", "_tag", "_security", "status", "modality", "bodysite", "endpoint"}
SCOPED = tuple(one for one in ASKING if one != RESEARCHER)


async def ask(
    world: World, person: Person, kind: str, criteria: Mapping[str, str], **headers: str
) -> tuple[int, Json, str]:
    """Give status, body and all that was said in answer to a search."""
    pairs = {**criteria, "_total": "accurate", "_count": "50"}
    answer = await world.client.get(
        f"/fhir/{kind}", params=pairs, headers=world.headers(person) | headers
    )
    return answer.status_code, answer.json(), as_text(answer)


def rows(body: Json) -> list[str]:
    return [one["resource"]["id"] for one in body.get("entry", ())]


def said(body: Json) -> Json:
    """Give what an answer says but for when, and for what it repeats of the question."""
    return {name: value for name, value in body.items() if name not in {"meta", "link"}}


def closed_words(judge: Judge, person: Person) -> list[str]:
    return [
        word
        for word, coordinates in sorted(WORDS.items())
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates)
    ]


@pytest.mark.parametrize("kind", sorted(REFERRING))
@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_study_is_not_found_by_what_is_closed_of_what_it_refers_to(
    person: Person, kind: str, world: World, judge: Judge
) -> None:
    target, (name, by) = world.target(person), REFERRING[kind]
    closed = closed_words(judge, person)
    for criterion, values in sorted(FHIR[kind].items()):
        if not values[0]:
            continue
        looked_at = {*stands_in(kind, criterion), f"{kind}.id", "ImagingStudy.id", *by}
        opened = judge.allows_all(person, looked_at)
        for chain in (f"{name}.{criterion}", f"{name}:{kind}.{criterion}"):
            told = [
                await ask(world, person, "ImagingStudy", {chain: filled(one, target)})
                for one in values
            ]
            (status, there, _), (other, absent, _) = told
            assert status == other
            assert status in {200, 403}
            assert target.study not in rows(absent), (chain, absent)
            for one, (_, body, text) in zip(values, told, strict=True):
                assert body.get("total") in {None, len(rows(body))}
                assert "_cursor" not in str(body.get("link", ()))
                assert not [word for word in closed if word in text and word not in one], chain
            if status == 403:
                assert said(there) == said(absent)
            if not opened:
                assert target.study not in rows(there), (chain, there)
            elif person != RESEARCHER:
                assert target.study in rows(there), (chain, there)


@pytest.mark.parametrize("kind", sorted(REFERRING))
@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_nothing_is_found_by_what_is_closed_of_what_refers_to_it(
    person: Person, kind: str, world: World, judge: Judge
) -> None:
    target, (name, by) = world.target(person), REFERRING[kind]
    row = target.ids.get(kind)
    for criterion, values in sorted(FHIR["ImagingStudy"].items()):
        if not values[0]:
            continue
        chain = f"_has:ImagingStudy:{name}:{criterion}"
        looked_at = {*stands_in("ImagingStudy", criterion), f"{kind}.id", "ImagingStudy.id", *by}
        (status, there, _), (other, absent, _) = [
            await ask(world, person, kind, {chain: filled(one, target)}) for one in values
        ]
        assert status == other
        assert rows(absent) == [], (chain, absent)
        for body in (there, absent):
            assert body.get("total") in {None, len(rows(body))}
        if status == 403:
            assert said(there) == said(absent)
        # of whom there are several studies, another one may be open
        known = (person,) if criterion in UNIQUE else person.sees
        found = rows(there) if row is None else [one for one in rows(there) if one == row]
        if not any(judge.allows_all(one, looked_at) for one in known):
            # a stranger has a study of their own
            own = person.relation == "stranger" and criterion in COMMON and row is None
            assert own or found == [], (chain, there)
        elif judge.allows_all(person, looked_at) and person != RESEARCHER:
            assert found != [], (chain, there)


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_a_negation_tells_nothing_of_rows_where_it_is_closed(
    person: Person, world: World, judge: Judge
) -> None:
    target = world.target(person)
    for criteria, looked_at in (
        ({"patient.name:missing": "true"}, "Patient.name"),
        ({"patient.name:missing": "false"}, "Patient.name"),
        ({"patient.gender:not": "male"}, "Patient.gender"),
        ({"patient.birthdate": "ne1871"}, "Patient.birthDate"),
        ({"patient.birthdate:missing": "false"}, "Patient.birthDate"),
    ):
        needed = {looked_at, "Patient.id", "ImagingStudy.id", "ImagingStudy.subject"}
        _, body, _ = await ask(world, person, "ImagingStudy", criteria)
        if not judge.allows_all(person, needed):
            assert target.study not in rows(body), criteria
        elif person != RESEARCHER:
            assert (target.study in rows(body)) is ("true" not in criteria.values()), criteria


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_what_refers_comes_along_only_where_a_search_would_find_it(
    person: Person, world: World, judge: Judge
) -> None:
    for kind, (name, _) in sorted(REFERRING.items()):
        _, body, text = await ask(world, person, kind, {"_revinclude": f"ImagingStudy:{name}"})
        matches = rows_of(body, "match")
        assert body.get("total") in {None, len(matches)}
        included = rows_of(body, "include")
        named = {name: ",".join(f"{kind}/{one}" for one in matches) or "x"}
        _, searched, _ = await ask(world, person, "ImagingStudy", named)
        assert sorted(included) == sorted(rows(searched))
        assert not [word for word in closed_words(judge, person) if word in text]
        if person == RESEARCHER:
            assert not [one for one in real_ids(world) if one in text]


def rows_of(body: Json, mode: str) -> list[str]:
    entries = body.get("entry", ())
    return [one["resource"]["id"] for one in entries if one["search"]["mode"] == mode]


@pytest.mark.parametrize("person", sorted(SCOPED, key=str), ids=str)
@pytest.mark.parametrize("level", ["user", "patient"])
async def test_a_smart_token_for_studies_alone_asks_nothing_about_what_they_refer_to(
    person: Person, level: str, world: World
) -> None:
    target, claims = world.target(person), {"context": world.target(person).patient}

    def headers(scope: str) -> dict[str, str]:
        more: dict[str, Any] = {"subject": person.subject, "scope": scope, **claims}
        if person.relation.startswith("own"):
            more["patient"] = world.normal.patient
        return {"Authorization": f"Bearer {world.issuer.token(person.role, **more)}"}

    studies, patients = (headers(f"{level}/{one}.rs") for one in ("ImagingStudy", "Patient"))
    for kind, (name, _) in sorted(REFERRING.items()):
        for criterion, values in sorted(FHIR[kind].items()):
            for value in filter(None, values):
                chain = {f"{name}.{criterion}": filled(value, target)}
                status, body, _ = await ask(world, person, "ImagingStudy", chain, **studies)
                assert (status, rows(body), body.get("total")) == (403, [], None), chain
    for criterion, values in sorted(FHIR["ImagingStudy"].items()):
        for value in filter(None, values):
            chain = {f"_has:ImagingStudy:patient:{criterion}": filled(value, target)}
            status, body, _ = await ask(world, person, "Patient", chain, **patients)
            assert (status, rows(body), body.get("total")) == (403, [], None), chain
    asked = {"_revinclude": "*"}
    status, body, _ = await ask(world, person, "Patient", asked, **patients)
    assert rows_of(body, "include") == []


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_a_batch_shows_what_its_entries_would_show_alone(
    person: Person, world: World, judge: Judge
) -> None:
    target = world.target(person)
    paths = [
        f"Patient/{target.patient}",
        f"ImagingStudy/{target.study}?_summary=true",
        "ImagingStudy?patient.name=Zzplantedname",
        f"Patient?_id={target.patient}&_revinclude=*",
        "Patient?_has:ImagingStudy:patient:description=Zzplanteddescription",
        "ImagingStudy?_sort=started&_count=1",
        "AuditEvent",
        "../graphql",
    ]
    entries = [{"request": {"method": "GET", "url": one}} for one in paths]
    answer = await world.client.post(
        "/fhir",
        json={"resourceType": "Bundle", "type": "batch", "entry": entries},
        headers=world.headers(person),
    )
    assert answer.status_code == 200
    for path, entry in zip(paths, answer.json()["entry"], strict=True):
        if path in {"AuditEvent", "../graphql"}:
            assert entry.keys() == {"response"}
            assert entry["response"]["status"] == "404 Not Found"
            continue
        alone = await world.client.get(f"/fhir/{path}", headers=world.headers(person))
        assert entry["response"]["status"].startswith(str(alone.status_code)), path
        if alone.status_code == 200:
            assert {**entry["resource"], "meta": None} == {**alone.json(), "meta": None}, path
        else:
            assert entry["response"]["outcome"]["issue"][0]["code"] in {"forbidden", "not-found"}
    text = answer.text.replace("patient.name=Zzplantedname", "")
    text = text.replace("description=Zzplanteddescription", "")
    assert not [word for word in closed_words(judge, person) if word in text]
    if person == RESEARCHER:
        assert not [one for one in real_ids(world) if one in as_text(answer)]


async def test_what_a_study_refers_by_is_what_these_tests_hold_it_to() -> None:
    for kind, (name, by) in REFERRING.items():
        row = parameter("ImagingStudy", name)
        assert kind in row.targets
        assert coordinates_of("ImagingStudy", row) == set(by)
