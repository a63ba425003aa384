"""What is closed cannot be asked about: not by filters, orders, counts, pages or cursors."""

import base64
import json

import pytest
from graphql import GraphQLEnumType, get_named_type

from app.imaging.ingest import ENDPOINT_ID
from fhir.parameters import PARAMETERS
from fhir.search import coordinates_of, parameter
from schema.arguments import FILTERS, searched_by
from schema.coordinates import Policy, policy_of
from tests.doors.graphql_probe import roots
from tests.doors.judge import Judge
from tests.doors.people import HELD, PEOPLE, RESEARCHER, Person
from tests.doors.planted import WORDS
from tests.doors.searches import FHIR, GRAPHQL, stands_in
from tests.doors.sight import Json, filled
from tests.doors.world import World, real_ids

# One of each role, and of one that treats in each relation; the rules do not tell others apart.
ASKING = tuple(
    one
    for one in PEOPLE
    if one.relation in {"no relation", "project"} or one.role in {"attending", "patient", "proxy"}
)
NAMED = [one for one in ASKING if one != RESEARCHER]
MOST_ROOTS = 10
MOST_ROWS = 50
PAGED = {"studies", "patients", "careTeams", "releaseRequests", "sessions", "images"}


# No rule speaks of two scopes at once, so that one at a time is all there is to ask.
EVERY_HELD = sorted(
    {frozenset({one}) for held in HELD.values() for each in held.values() for one in each}
    | {frozenset()},
    key=sorted,
)


def sorts(judge: Judge, person: Person, resource: str, name: str) -> bool:
    """Say whether Casbin opens what is sorted by on every row that somebody sees."""
    looked_at = coordinates_of(resource, parameter(resource, name))
    rows = [held for held in EVERY_HELD if judge.allows(person, f"{resource}.id", held=held)]
    return bool(rows) and all(judge.allows_all(person, looked_at, held) for held in rows)


def seen(body: Json) -> tuple[Json, list[str]]:
    """Give the total and the ids of an answer: of a refusal None and none."""
    return body.get("total"), [one["resource"]["id"] for one in body.get("entry", ())]


async def graphql(world: World, person: Person, query: str, **more: Json) -> Json:
    answer = await world.client.post(
        "/graphql", headers=world.headers(person), json={"query": query, **more}
    )
    return answer.json()


def test_every_parameter_and_argument_is_asked_by() -> None:
    assert {kind: set(names) for kind, names in FHIR.items()} == {
        kind: set(PARAMETERS[kind]) for kind in FHIR
    }
    assert {kind: set(names) for kind, names in GRAPHQL.items()} == {
        kind: {one.name for one in filters} for kind, filters in FILTERS.items()
    }


@pytest.mark.parametrize("resource", sorted(FHIR))
@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_fhir_search_by_what_is_closed_tells_nothing(
    person: Person, resource: str, world: World, judge: Judge
) -> None:
    target, headers = world.target(person), world.headers(person)
    for name, values in sorted(FHIR[resource].items()):
        if values[0] == "":
            continue
        told = []
        for value in values:
            pairs = {name: filled(value, target), "_total": "accurate", "_count": "50"}
            answer = await world.client.get(f"/fhir/{resource}", params=pairs, headers=headers)
            told.append((answer.status_code, *seen(answer.json())))
        opened = judge.allows_all(person, {*stands_in(resource, name), f"{resource}.id"})
        row = target.ids.get(resource, ENDPOINT_ID)
        there, absent = told
        assert there[0] == absent[0]
        assert row not in absent[2]
        assert all(total in {None, len(ids)} for _, total, ids in told), (name, told)
        if not opened:
            assert row not in there[2], (name, told)
        elif person != RESEARCHER:
            assert row in there[2], (name, told)


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_count_is_that_of_the_rows_that_are_seen(person: Person, world: World) -> None:
    headers = world.headers(person)
    for resource in sorted(FHIR):
        address = f"/fhir/{resource}"
        whole = await world.client.get(address, params={"_count": "50"}, headers=headers)
        if whole.status_code == 403:
            for way in ({"_summary": "count"}, {"_count": "0"}, {"_total": "accurate"}):
                refused = await world.client.get(address, params=way, headers=headers)
                assert refused.status_code == 403
                assert "total" not in refused.json()
            continue
        total = len(whole.json().get("entry", ()))
        assert whole.json()["total"] == total
        for way in ({"_summary": "count"}, {"_count": "0"}):
            counted = await world.client.get(address, params=way, headers=headers)
            assert counted.json()["total"] == total
    listed = await world.client.get("/postdicom/studies?limit=100", headers=headers)
    if listed.status_code == 200:
        assert listed.json()["metadata"]["totalCount"] == len(listed.json()["data"])
    for root in sorted(PAGED):
        body = await graphql(
            world, person, f"{{ it: {root}(first: 100) {{ totalCount edges {{ cursor }} }} }}"
        )
        if body["data"]["it"] is not None:
            assert body["data"]["it"]["totalCount"] == len(body["data"]["it"]["edges"])


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_graphql_filter_by_what_is_closed_tells_nothing(
    person: Person, world: World, judge: Judge
) -> None:
    for root, one in sorted(roots().items()):
        policy = policy_of(one)
        assert policy is not None
        if policy.fetch not in {"page", "list", "connection"}:
            continue
        kind = policy.resource
        pages = await filtered(world, person, root, policy)
        planted = world.target(person).ids[kind]
        for name, looked_by in searched_by(kind, policy.fetch).items():
            if f"{name}_there" not in pages:
                continue
            there, absent = pages[f"{name}_there"], pages[f"{name}_absent"]
            rows = {*stands_in(kind, looked_by), f"{kind}.id"}
            rows |= {"ImagingStudy.id"} if kind == "Image" else set()
            opened = judge.allows_all(person, rows)
            assert planted not in json.dumps(absent), (root, name)
            assert all(counts_what_it_shows(one) for one in (there, absent))
            if not opened or person != RESEARCHER:
                assert (planted in json.dumps(there)) is opened, (root, name)


async def filtered(world: World, person: Person, root: str, policy: Policy) -> dict[str, Json]:
    """Ask one root by each of its arguments, as many at once as an operation may have roots."""
    plain = policy.fetch == "page"
    shown, first = {
        "page": ("{ totalCount edges { node { id } } }", "first"),
        "list": ("{ id }", "_count"),
        "connection": ("{ count edges { resource { id } } }", "_count"),
    }[policy.fetch]
    asked = [
        f"{argument}_{alias}: {root}({argument}: "
        f"{said if plain else json.dumps([said])}, {first}: {MOST_ROWS}) {shown}"
        for name, values in sorted((GRAPHQL if plain else FHIR)[policy.resource].items())
        for argument in (name.replace("-", "_"),)
        for alias, value in zip(("there", "absent"), values, strict=True)
        for said in (filled(value, world.target(person)),)
        if values[0]
    ]
    found: dict[str, Json] = {}
    for start in range(0, len(asked), MOST_ROOTS):
        query = f"{{ {' '.join(asked[start : start + MOST_ROOTS])} }}"
        found |= (await graphql(world, person, query))["data"]
    return found


def counts_what_it_shows(page: Json) -> bool:
    if not isinstance(page, dict):
        return True
    shown = len(page["edges"])
    total: int | None = page.get("totalCount", page.get("count"))
    return total == shown or (total is not None and total > shown == MOST_ROWS)


@pytest.mark.parametrize("person", sorted(NAMED, key=str), ids=str)
async def test_an_order_needs_the_right_on_every_row_that_is_seen(
    person: Person, world: World, judge: Judge
) -> None:
    headers = world.headers(person)
    for resource in sorted(FHIR):
        for name, row in sorted(PARAMETERS[resource].items()):
            if row.sortable:
                for order in (name, f"-{name}"):
                    answer = await world.client.get(
                        f"/fhir/{resource}", params={"_sort": order}, headers=headers
                    )
                    assert (answer.status_code == 200) is sorts(judge, person, resource, name)
    for root, one in sorted(roots().items()):
        policy = policy_of(one)
        assert policy is not None
        if "sort" in one.args:
            orders = get_named_type(one.args["sort"].type)
            assert isinstance(orders, GraphQLEnumType)
            query = " ".join(
                f"{order}: {root}(sort: [{order}], first: 1) {{ edges {{ cursor }} }}"
                for order in sorted(orders.values)[:MOST_ROOTS]
            )
            body = await graphql(world, person, f"{{ {query} }}")
            for order, page in body["data"].items():
                by = str(orders.values[order].value).removeprefix("-")
                assert (page is not None) is sorts(judge, person, policy.resource, by), order
    for order, name in (("studyDate", "started"), ("patientName", "patient-name")):
        answer = await world.client.get(f"/postdicom/studies?sortBy={order}", headers=headers)
        assert (answer.status_code == 200) is sorts(judge, person, "ImagingStudy", name)


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_cursor_holds_nothing_that_is_closed(
    person: Person, world: World, judge: Judge
) -> None:
    headers, held = world.headers(person), []
    for resource in sorted(FHIR):
        for name, row in sorted(PARAMETERS[resource].items()):
            if row.sortable:
                answer = await world.client.get(
                    f"/fhir/{resource}", params={"_sort": name, "_count": "1"}, headers=headers
                )
                links = answer.json().get("link", ())
                held += [one["url"].rpartition("_cursor=")[2] for one in links[1:]]
    for root in sorted(PAGED):
        query = f"{{ it: {root}(first: 100) {{ edges {{ cursor }} pageInfo {{ endCursor }} }} }}"
        body = await graphql(world, person, query)
        if body["data"]["it"] is not None:
            held += [one["cursor"] for one in body["data"]["it"]["edges"]]
    for root in ("studies", "ImagingStudyConnection"):
        arguments = "(sort: [STARTED_DESC])" if root == "studies" else "(_count: 1)"
        inner = "edges { cursor }" if root == "studies" else "next"
        body = await graphql(world, person, f"{{ it: {root}{arguments} {{ {inner} }} }}")
        found = body["data"]["it"] or {}
        held += [found["next"]] if found.get("next") else []
        held += [one["cursor"] for one in found.get("edges", ())]
    text = "\n".join(base64.urlsafe_b64decode(f"{one}===").decode() for one in held)
    assert held or person.relation == "stranger" or person.role in {"patient", "proxy"}
    for word, coordinates in sorted(WORDS.items()):
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates):
            assert word not in text
    if person == RESEARCHER:
        assert not [one for one in real_ids(world) if one in text]
        assert world.found["planted"].study in text


async def test_rest_does_not_search_by_what_is_closed(world: World, judge: Judge) -> None:
    asked = {
        "patientID": ("PLANTEDMRN", "ABSENT", ("Patient.id", "Patient.identifier")),
        "studyDate": ("2023-06-07", "1923-06-07", ("ImagingStudy.started",)),
        "startDate": ("2023-06-07", "2033-06-07", ("ImagingStudy.started",)),
        "modality": ("CT", "US", ("ImagingStudy.series.modality",)),
        "specialty": ("RADIOLOGY", "NUCLEAR_MEDICINE", ("ImagingStudy.series.modality",)),
        "accessLevel": ("restricted", "top-secret", ("ImagingStudy.meta",)),
    }
    for person in NAMED:
        for name, (*values, looked_at) in asked.items():
            needed = [*looked_at, "ImagingStudy.id"]
            needed += ["ImagingStudy.subject"] if name == "patientID" else []
            told = []
            for value in values:
                answer = await world.client.get(
                    "/postdicom/studies",
                    params={name: value, "limit": "100"},
                    headers=world.headers(person),
                )
                rows = answer.json().get("data") or ()
                told.append((answer.status_code, [one["studyInstanceUID"] for one in rows]))
            study = world.target(person).study
            if judge.allows_all(person, needed):
                assert study in told[0][1], (person, name, told)
                assert study not in told[1][1], (person, name, told)
            else:
                assert world.target(person).study not in (*told[0][1], *told[1][1])
                assert told[0][0] == told[1][0]


@pytest.mark.parametrize("what", ["Session", "AuditEvent"])
async def test_rest_finds_nobody_by_what_is_closed(what: str, world: World, judge: Judge) -> None:
    address = {"Session": "/postdicom/sessions", "AuditEvent": "/postdicom/audit/logs"}[what]
    for person in ASKING:
        told = []
        for agent in (
            "https://elsewhere.example#Zzplantedagent",
            "https://elsewhere.example#nobody",
        ):
            pairs = {"userId": agent, "ended": "true"} if what == "Session" else {"userId": agent}
            answer = await world.client.get(address, params=pairs, headers=world.headers(person))
            rows = answer.json().get("data") or ()
            told.append((answer.status_code, len(rows)))
        opened = judge.allows(person, f"{what}.id") and judge.allows(person, f"{what}.agent")
        assert (told[0][1] > 0) is opened
        assert opened or told[0] == told[1]
        assert told[1][1] == 0
