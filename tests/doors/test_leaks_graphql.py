"""However a GraphQL operation is written, it shows what is open and names what is closed."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType

from fhir.parameters import PARAMETERS
from fhir.search import coordinates_of, parameter
from schema.coordinates import Kind, policy_of
from tests.doors.graphql_probe import arguments, the_schema
from tests.doors.judge import Judge
from tests.doors.people import HELD, PEOPLE, RESEARCHER, Person
from tests.doors.planted import OPEN_IDS, WORDS
from tests.doors.sight import Json
from tests.doors.world import World, real_ids

NAMES = "name { text family }"
STUDY = "description subject { display } note { text } referrer { display }"
BOTH = f'patient(id: "{{patient}}") {{ {NAMES} }} study(uid: "{{study}}") {{ {STUDY} }}'
# The same question in many forms; each with its variables and the name of its operation.
FORMS: Mapping[str, tuple[str, Mapping[str, Json], str | None]] = MappingProxyType(
    {
        "plain": (f"{{ {BOTH} }}", {}, None),
        "aliases": (
            '{ id: patient(id: "{patient}") { id: name { id: text meta: family } } '
            'meta: study(uid: "{study}") { id status: description meta: note { time: text } '
            "identifier: subject { reference: display } endpoint: referrer { type: display } } }",
            {},
            None,
        ),
        "fragments": (
            'query { ...Root } fragment Root on Query { patient(id: "{patient}") { ...P } '
            '... on Query { study(uid: "{study}") { ... { ...S } } } } '
            f"fragment P on Patient {{ {NAMES} }} fragment S on ImagingStudy {{ {STUDY} }}",
            {},
            None,
        ),
        "variables": (
            "query Q($p: ID!, $s: ID!) { "
            f"patient(id: $p) {{ {NAMES} }} study(uid: $s) {{ {STUDY} }} }}",
            {"p": "{patient}", "s": "{study}"},
            "Q",
        ),
        "skip and include": (
            "query Q($yes: Boolean!, $no: Boolean = false) { "
            'patient(id: "{patient}") { name @skip(if: $no) { text family } } '
            'study(uid: "{study}") @include(if: $yes) '
            f"{{ ... @include(if: $yes) {{ {STUDY} }} }} }}",
            {"yes": True},
            "Q",
        ),
        "of several operations": (
            f"query Harmless {{ __typename }} query Q {{ {BOTH} }}",
            {},
            "Q",
        ),
        "through links": (
            f'{{ patient(id: "{{patient}}") {{ {NAMES} studies {{ edges {{ node {{ {STUDY} '
            f"patient {{ {NAMES} }} }} }} }} }} }}",
            {},
            None,
        ),
        "one field twice": (
            '{ patient(id: "{patient}") { id } patient(id: "{patient}") { name { text } } '
            'study(uid: "{study}") { id } study(uid: "{study}") { description note { text } } }',
            {},
            None,
        ),
    }
)
_SCOPES = {"sharer"}.union(*(each for held in HELD.values() for each in held.values()))
_ORDER = frozenset({"sort", "_sort", "first", "after", "_count", "_cursor", "offset"})


async def ask(world: World, person: Person, query: str, **more: Json) -> tuple[Json, str]:
    answer = await world.client.post(
        "/graphql", headers=world.headers(person), json={"query": query, **more}
    )
    return answer.json(), answer.text


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_no_form_of_a_query_shows_what_is_closed(
    person: Person, form: str, world: World, judge: Judge
) -> None:
    query, variables, name = FORMS[form]
    target = world.target(person)
    text = query.replace("{patient}", target.patient).replace("{study}", target.study)
    given = {
        key: value.format(patient=target.patient, study=target.study)
        if isinstance(value, str)
        else value
        for key, value in variables.items()
    }
    body, shown = await ask(world, person, text, variables=given, operationName=name)
    codes = {one["extensions"]["code"] for one in body.get("errors", ())}
    assert codes <= {"FORBIDDEN", "NOT_FOUND"}, body
    for word, coordinates in sorted(WORDS.items()):
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates):
            assert word not in shown, word
    if judge.allows(person, "Patient.name"):
        assert "Zzplantedname" in shown
    if person == RESEARCHER:
        assert not [one for one in real_ids(world) if one in shown]


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_what_is_not_open_is_answered_like_what_is_not_there(
    person: Person, world: World
) -> None:
    target = world.target(person)
    absent = type(target)("00000000-0000-4000-8000-000000000000", "2.25.1", "2.25.2", "2.25.3")
    for root in ("patient", "Patient", "study", "ImagingStudy", "series", "image"):
        queries = [
            f"{{ it: {root}{arguments(root, one)} {{ __typename }} }}" for one in (target, absent)
        ]
        there, missing = [(await ask(world, person, query))[0] for query in queries]
        if there["data"]["it"] is None:
            assert there == missing
    before = await world.stored()
    for name, kind in (("removeFromCareTeam", "CareTeam"), ("endBreakGlass", "BreakGlass")):
        query = f'mutation {{ {name}(id: "%s") {{ id }} }}'
        there, _ = await ask(world, person, query % OPEN_IDS[kind])
        missing, _ = await ask(world, person, query % "absent")
        if there.get("errors"):
            hidden = {one["extensions"]["code"] for one in there["errors"]} == {"NOT_FOUND"}
            assert there == missing or not hidden
    await world.restore(before)


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_introspection_shows_what_is_open_to_a_role_and_no_closed_field(
    person: Person, world: World, judge: Judge
) -> None:
    body, _ = await ask(
        world, person, "{ __schema { types { name fields { name args { name } } } } }"
    )
    # of their own, a researcher has sessions; no rule opens them records so
    view = {"deidentified", "own"} if person == RESEARCHER else _SCOPES - {"deidentified"}
    held = frozenset(view)
    seen = {
        one["name"]: {
            field["name"]: {arg["name"] for arg in field["args"]} for field in one["fields"]
        }
        for one in body["data"]["__schema"]["types"]
        if one["fields"] is not None and not one["name"].startswith("__")
    }
    for name, fields in seen.items():
        kind = the_schema().type_map.get(name)
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        for field, taken in fields.items():
            if field == "nothing":
                continue
            policy = policy_of(kind.fields[field])
            assert policy is not None
            read = {*policy.needs, *policy.tells, *filter(None, [policy.coordinate])}
            assert judge.allows_all(person, read, held), (name, field)
            for right in policy.rights:
                if right.given is None:
                    assert judge.allows(person, right.coordinate, right.action, held=held)
            parameters = PARAMETERS.get(policy.resource, {})
            for argument in taken - _ORDER if policy.kind is Kind.LINK else ():
                asked = argument.replace("_", "-") if argument[0] != "_" else argument
                if asked in parameters and policy.fetch in {"list", "connection"}:
                    row = parameter(policy.resource, asked)
                    enough = any if row.by_element else all
                    assert enough(
                        judge.allows(person, one, held=held)
                        for one in coordinates_of(policy.resource, row)
                    ), (field, argument)
        missing = [
            field
            for field, one in kind.fields.items()
            for policy in filter(None, [policy_of(one)])
            if policy.kind is Kind.ELEMENT and field not in fields
            if judge.allows_all(person, {policy.coordinate or "", *policy.needs}, held)
        ]
        assert person == RESEARCHER or not missing, name


WRONG = (
    '{ patient(id: "SECRET") { id } }',
    '{ study(uid: "SECRET") { id } }',
    '{ patients(birthDate: {from: "SECRET"}) { totalCount } }',
    '{ patients(after: "SECRET") { totalCount } }',
    '{ patients(first: "SECRET") { totalCount } }',
    '{ PatientList(birthdate: ["SECRET"]) { id } }',
    '{ PatientList(_sort: "SECRET") { id } }',
    '{ ImagingStudyList(patient_name: ["SECRET"], _cursor: "SECRET") { id } }',
    '{ studies(started: {from: "SECRET"}) { totalCount } }',
    "query($p: Int!) { patients(first: $p) { totalCount } }",
    "query($p: DateRange) { patients(birthDate: $p) { totalCount } }",
    "query($p: ID!) { patient(id: $p) { id } }",
    'mutation { breakGlass(patient: "x", reason: "SECRET", minutes: -1) { record { id } } }',
    'mutation { labelStudy(study: "SECRET", confidentiality: "SECRET") { record { id } } }',
    'mutation { addToCareTeam(patient: "SECRET", agent: "SECRET", until: "SECRET") '
    "{ record { id } } }",
    'mutation { requestRelease(patient: "SECRET", study: "SECRET", reason: "SECRET", '
    "urgency: urgent) { record { id } } }",
    'mutation { endSession(id: "SECRET") { record { id } } }',
    'mutation { savePolicy(files: [{name: "SECRET", text: "SECRET"}], '
    'expectedEdition: "SECRET") { record { id } } }',
    'mutation { saveView(name: "SECRET", kind: studies, query: "SECRET") { record { id } } }',
    'mutation { saveView(name: "x", kind: patients, query: "{SECRET: 1}") { record { id } } }',
    'mutation { deleteView(id: "SECRET") { record { id } } }',
    '{ studies(text: "SECRET a b c d e f g h i j k l m") { totalCount } }',
    '{ studyFacets(text: "SECRET", most: 0) { total } }',
    '{ checkPolicy(files: [{name: "SECRET", text: ""}]) { ok } }',
    '{ explainAccess(roles: ["SECRET"], element: "SECRET", action: "SECRET") { verdict } }',
    '{ "SECRET" }',
    '{ patient(id: "SECRET',
)


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str)[::3], ids=str)
async def test_errors_of_graphql_repeat_no_value(person: Person, world: World) -> None:
    secret = "Zzsecretvalue"
    for query in WRONG:
        variables = {"p": {"from": secret, "x": secret}} if "$p" in query else {}
        body, text = await ask(world, person, query.replace("SECRET", secret), variables=variables)
        assert body["errors"], query
        assert secret not in text, query
    body, text = await ask(world, person, "query A { __typename }", operationName=secret)
    assert body["errors"]
    assert secret not in text
