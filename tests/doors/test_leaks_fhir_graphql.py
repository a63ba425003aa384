"""FHIR's GraphQL tells nothing that is closed: not by what narrows, picks, names or refers."""

import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from app.imaging.ingest import ENDPOINT_ID
from fhir.referring import TYPES
from tests.doors.judge import Judge
from tests.doors.people import PEOPLE, RESEARCHER, Person
from tests.doors.planted import WORDS
from tests.doors.searches import FHIR, stands_in
from tests.doors.sight import Json, filled
from tests.doors.test_leaks import ASKING
from tests.doors.world import World, real_ids

SYSTEM = "/fhir/$graphql"
STUDY = "/fhir/ImagingStudy/{study}/$graphql"
PATIENT = "/fhir/Patient/{patient}/$graphql"
MOST_ROOTS = 10
# A part of a record that is asked for by something in it: the address, how, a value that picks it
# and one that does not, and what is looked at. Who may not read that learns the same of both.
PICKED: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    (
        STUDY,
        'series(description: "%s") { __typename }',
        "Zzplantedseries",
        "Zzabsent",
        ("ImagingStudy.series", "ImagingStudy.series.description"),
    ),
    (
        STUDY,
        "series(fhirpath: \"description.startsWith('%s')\") { __typename }",
        "Zzplanted",
        "Zzabsent",
        ("ImagingStudy.series", "ImagingStudy.series.description"),
    ),
    (
        STUDY,
        "series(number: %s) { __typename }",
        "3",
        "4",
        ("ImagingStudy.series", "ImagingStudy.series.number"),
    ),
    (
        STUDY,
        "series(fhirpath: \"modality.code = '%s'\") { __typename }",
        "CT",
        "US",
        ("ImagingStudy.series", "ImagingStudy.series.modality"),
    ),
    (
        STUDY,
        "series { instance(number: %s) { __typename } }",
        "5",
        "6",
        ("ImagingStudy.series.instance", "ImagingStudy.series.instance.number"),
    ),
    (
        STUDY,
        'identifier(value: "%s") { __typename }',
        "PLANTEDACC",
        "A",
        ("ImagingStudy.identifier",),
    ),
    (STUDY, 'note(text: "%s") { __typename }', "Zzplantednote", "x", ("ImagingStudy.note",)),
    (PATIENT, 'name(family: "%s") { __typename }', "Zzplantedname", "x", ("Patient.name",)),
    (
        PATIENT,
        "name(fhirpath: \"family.contains('%s')\") { __typename }",
        "plantedname",
        "xxx",
        ("Patient.name",),
    ),
    (
        PATIENT,
        'identifier(value: "%s") { __typename }',
        "PLANTEDMRN",
        "x",
        ("Patient.identifier",),
    ),
)
# The same question in many forms.
NAMES = "name { text family } _birthDate { extension { valueDateTime } } birthDate"
SAID = "description note { text } subject { display } referrer { display }"
FORMS: Mapping[str, str] = MappingProxyType(
    {
        "aliases": '{ id: Patient(id: "{patient}") { id: name { id: text meta: family } } '
        'meta: ImagingStudy(id: "{study}") { id status: description meta: note { time: text } } }',
        "fragments": '{ ...Root } fragment Root on Query { Patient(id: "{patient}") { ...P } '
        f'ImagingStudy(id: "{{study}}") {{ ... {{ {SAID} }} }} }} '
        f"fragment P on Patient {{ {NAMES} }}",
        "flattened": '{ Patient(id: "{patient}") @flatten { name @flatten { text family } '
        'identifier @flatten { value } } ImagingStudy(id: "{study}") @flatten { note @flatten '
        "{ said: text } subject @flatten { display @singleton } } }",
        "sliced": '{ Patient(id: "{patient}") { name @slice(path: "family") { use } '
        'identifier @flatten @slice(path: "value") { system } } ImagingStudyList '
        '@slice(path: "description") { id series @slice(path: "description") { __typename } } }',
        "references": '{ ImagingStudyList(_id: "{study}") { subject { resource(optional: true) '
        f"{{ ... on Patient {{ {NAMES} ImagingStudyList(_reference: patient) {{ {SAID} }} "
        "} } } } }",
        "sifted": "{ PatientList(fhirpath: \"name.family.contains('x').not()\") { id } "
        "ImagingStudyConnection(_count: 5) { first next edges { resource { id } } } }",
    }
)


async def ask(world: World, person: Person, query: str, address: str = SYSTEM) -> tuple[Json, str]:
    target = world.target(person)
    answer = await world.client.post(
        filled(address, target),
        headers=world.headers(person),
        json={"query": filled(query, target)},
    )
    return answer.json(), answer.text


@pytest.mark.parametrize("resource", TYPES)
@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_search_by_what_is_closed_tells_nothing(
    person: Person, resource: str, world: World, judge: Judge
) -> None:
    target = world.target(person)
    planted = target.ids.get(resource, ENDPOINT_ID)
    asked = [
        f"{argument}_{alias}_{way}: {resource}{way}({argument}: {json.dumps([said])}, _count: 50) "
        f"{'{ id }' if way == 'List' else '{ count edges { resource { id } } }'}"
        for name, values in sorted(FHIR[resource].items())
        for argument in (name.replace("-", "_"),)
        for alias, value in zip(("there", "absent"), values, strict=True)
        for said in (filled(value, target),)
        for way in ("List", "Connection")
        if values[0]
    ]
    found: dict[str, Json] = {}
    for start in range(0, len(asked), MOST_ROOTS):
        body, _ = await ask(world, person, f"{{ {' '.join(asked[start : start + MOST_ROOTS])} }}")
        found |= body["data"]
    for name in sorted(FHIR[resource]):
        argument = name.replace("-", "_")
        for way in ("List", "Connection"):
            if f"{argument}_there_{way}" not in found:
                continue
            there, absent = (found[f"{argument}_{one}_{way}"] for one in ("there", "absent"))
            opened = judge.allows_all(person, {*stands_in(resource, name), f"{resource}.id"})
            assert planted not in json.dumps(absent), name
            if not opened or person != RESEARCHER:
                assert (planted in json.dumps(there)) is opened, (name, way)


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_a_list_is_picked_from_by_what_is_open_alone(
    person: Person, world: World, judge: Judge
) -> None:
    for address, query, matching, other, coordinates in PICKED:
        there, _ = await ask(world, person, f"{{ id {query % matching} }}", address)
        absent, _ = await ask(world, person, f"{{ id {query % other} }}", address)
        kind = coordinates[0].partition(".")[0]
        opened = judge.allows_all(person, {f"{kind}.id", *coordinates})
        if opened and person != RESEARCHER:
            assert there != absent, query
        elif not opened:
            assert there == absent, query


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_no_form_of_a_query_shows_what_is_closed(
    person: Person, form: str, world: World, judge: Judge
) -> None:
    body, shown = await ask(world, person, FORMS[form])
    for one in body.get("errors", ()):
        assert one["extensions"]["code"] in {"FORBIDDEN", "NOT_FOUND"}, body
        [issue] = one["extensions"]["resource"]["issue"]
        assert issue["diagnostics"] == one["message"]
        assert (
            issue["code"]
            == {"FORBIDDEN": "forbidden", "NOT_FOUND": "not-found"}[one["extensions"]["code"]]
        )
    for word, coordinates in sorted(WORDS.items()):
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates):
            assert word not in shown, word
    if person == RESEARCHER:
        assert not [one for one in real_ids(world) if one in shown]


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_what_is_not_open_is_answered_like_what_is_not_there(
    person: Person, world: World
) -> None:
    absent = "00000000-0000-4000-8000-000000000000"
    for kind, named in (("Patient", "{patient}"), ("ImagingStudy", "{study}")):
        there, _ = await ask(world, person, f'{{ it: {kind}(id: "{named}") {{ __typename }} }}')
        missing, _ = await ask(world, person, f'{{ it: {kind}(id: "{absent}") {{ __typename }} }}')
        if there["data"]["it"] is None:
            assert there == missing
        at, _ = await ask(world, person, "{ __typename id }", f"/fhir/{kind}/{named}/$graphql")
        nowhere, _ = await ask(
            world, person, "{ __typename id }", f"/fhir/{kind}/{absent}/$graphql"
        )
        if "data" not in at:
            assert at == nowhere


WRONG = (
    '{ Patient(id: "SECRET") { id } }',
    '{ PatientList(birthdate: "SECRET") { id } }',
    '{ PatientList(_sort: "SECRET") { id } }',
    '{ PatientList(_filter: "SECRET eq SECRET") { id } }',
    '{ PatientList(_filter: "birthdate eq SECRET") { id } }',
    '{ PatientList(fhirpath: "SECRET.exists()") { id } }',
    "{ PatientList(fhirpath: \"name.where(family = 'SECRET')\") { id } }",
    '{ PatientConnection(_cursor: "SECRET") { count } }',
    '{ PatientList { name(use: {a: "SECRET"}) { text } } }',
    '{ PatientList { name(_count: "SECRET") { text } } }',
    "{ PatientList { name(fhirpath: \"family ~ 'SECRET'\") { text } } }",
    '{ PatientList { name @slice(path: "SECRET SECRET") { text } } }',
    '{ PatientList(SECRET: "SECRET"',
    "query($p: element_value) { PatientList { name(family: $p) { text } } }",
    "query($p: [token]) { PatientList(identifier: $p) { id } }",
)


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str)[::5], ids=str)
async def test_errors_repeat_no_value(person: Person, world: World) -> None:
    secret = "Zzsecretvalue"
    for query in WRONG:
        answer = await world.client.post(
            SYSTEM,
            headers=world.headers(person),
            json={
                "query": query.replace("SECRET", secret),
                "variables": {"p": {"x": secret}} if "$p" in query else {},
            },
        )
        assert answer.json()["errors"], query
        assert secret not in answer.text, query
