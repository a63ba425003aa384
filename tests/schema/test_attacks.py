"""Attacks on the GraphQL door, through HTTP: each is refused by name, before it costs anything.

An operation that exceeds a limit is refused by that limit, and so was not validated: validation
is where most of these would take their time.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message

from app.archive import Archive
from app.graphql.exchange import MAX_BODY_BYTES
from app.main import create_app
from tests.build import study
from tests.schema.doors import GRAPHQL_JSON, JSON, code, post
from tests.schema.library import store

Headers = Callable[..., dict[str, str]]
SECRET = "mongodb://root:Doe-1970@db"
STUDY = "1.8.1"


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    await store(archive, *study(1, 2, StudyInstanceUID=STUDY))


async def sent(
    client: httpx.AsyncClient, headers: dict[str, str], query: str, **more: Any
) -> httpx.Response:
    """Send a query, and want an answer in GraphQL's own media type."""
    body = json.dumps({"query": query, **more})
    return await post(client, body, headers, Accept=GRAPHQL_JSON)


def bomb(fragments: int, times: int = 2) -> str:
    """Write fragments of which each is spread so many times in the one before."""
    return (
        "{...F0}"
        + "".join(f"fragment F{n} on Query {{{f'...F{n + 1} ' * times}}}" for n in range(fragments))
        + f"fragment F{fragments} on Query {{__typename}}"
    )


def written(count: int, one: str = "a{n}: __typename ") -> str:
    """Write something so many times, numbered."""
    return "".join(one.replace("{n}", str(n)) for n in range(count))


TOO_MUCH = {
    "fragment bomb 2^18": (bomb(18), "rootFields", 2**18),
    "fragment bomb 2^22": (bomb(22), "rootFields", 2**22),
    "fragment bomb 2^29": (bomb(29), "rootFields", 2**29),
    "fragment bomb 2^60": (bomb(60), "fragments", 61),
    "fragment bomb 8^28": (bomb(28, 8), "rootFields", 10**9),
    "fragment bomb within a record": (
        bomb(28).replace("Query", "Patient").replace("{...F0}", "{patient {...F0}}"),
        "fields",
        2**28 + 1,
    ),
    "fragment bomb that nothing spreads": (
        "{__typename}" + bomb(28).replace("{...F0}", "").replace("Query", "Patient"),
        "fields",
        2**28,
    ),
    "inline fragment bomb": (
        "{" + "... {" * 100 + "__typename " * 11 + "}" * 101,
        "rootFields",
        11,
    ),
    "5,000 aliases": ("{" + written(5000) + "}", "tokens", 2001),
    "500 aliases": ("{" + written(500) + "}", "aliases", 500),
    "500 aliases deep within": (
        f'{{study(uid: "{STUDY}") {{series {{{written(500, "a{n}: uid ")}}}}}}}',
        "aliases",
        500,
    ),
    "alias batching of look-ups": (
        "{" + written(31, 'a{n}: patient(id: "{n}") {id} ') + "}",
        "aliases",
        31,
    ),
    "look-ups of one name": (
        "{" + 'patient(id: "x") {id} ' * 11 + "}",
        "rootFields",
        11,
    ),
    "400 nested duplicate objects": (
        f'{{study(uid: "{STUDY}") {{{"series {uid} " * 400}}}}}',
        "repeats",
        31,
    ),
    "duplicates that lie in each other": (
        '{study(uid: "1") {'
        + "... {subject {reference} ... {subject {reference} " * 16
        + "}}" * 16
        + "}}",
        "repeats",
        31,
    ),
    "conflicts by the thousand": (
        '{study(uid: "1") {' + "series {instance(first: 1) {uid}} " * 150 + "}}",
        "repeats",
        31,
    ),
    "200 conflicting arguments": (
        '{study(uid: "1") {series {' + written(200, "instance(first: {n}) {uid} ") + "}}}",
        "repeats",
        31,
    ),
    "200 conflicting arguments of a root": (
        "{" + written(200, "patients(first: {n}) {totalCount} ") + "}",
        "rootFields",
        200,
    ),
    "100 x 100 x 100 rows": (
        "{patients(first: 100) {edges {node {studies(first: 100) {edges {node {"
        "patient {studies(first: 100) {totalCount}}}}}}}}}",
        "cost",
        1_020_100,
    ),
    "rows by a variable": (
        "query ($n: Int) {patients(first: $n) {edges {node {studies(first: $n) {edges {node {"
        "patient {studies(first: $n) {totalCount}}}}}}}}}",
        "cost",
        1_020_100,
    ),
    "5,000 directives": ("{__typename " + "@skip(if: false) " * 5000 + "}", "tokens", 2001),
    "250 directives": ("{__typename " + "@skip(if: false) " * 250 + "}", "directives", 250),
    "300 unknown directives": ("{__typename " + "@a " * 300 + "}", "directives", 300),
    "2,000 operations": (written(2000, "query A{n} {__typename} "), "tokens", 2001),
    "300 operations": (written(300, "query A{n} {__typename} "), "operations", 300),
    "300 type definitions": (
        "{__typename}" + written(300, "scalar A{n} "),
        "fragments",
        300,
    ),
    "2,000 misspelt fields": ("{" + written(2000, "pasient{n} ") + "}", "tokens", 2001),
    "300 misspelt fields": ("{" + written(300, "pasient{n} ") + "}", "rootFields", 300),
    "fields by the thousand": (
        f'{{study(uid: "{STUDY}") {{{"id " * 1500}}}}}',
        "fields",
        1501,
    ),
    "one list of 3,000 values": (
        "{studies(modality: [" + '"CT" ' * 3000 + "]) {totalCount}}",
        "tokens",
        2001,
    ),
    "deep in what may be deep": (
        '{study(uid: "1") {'
        + "patient {studies(first: 1) {edges {node {" * 30
        + "id"
        + "}}}}" * 30
        + "}}",
        "depth",
        None,
    ),
}


@pytest.mark.parametrize("attack", TOO_MUCH)
async def test_what_asks_for_too_much_is_refused_by_the_limit(
    client: httpx.AsyncClient, acting_as: Headers, attack: str
) -> None:
    query, limit, value = TOO_MUCH[attack]
    more = {"variables": {"n": 100}} if "$n" in query else {}
    name = {"operationName": "A1"} if "query A1 " in query else {}
    answer = await sent(client, acting_as("radiologist"), query, **more, **name)
    assert answer.status_code == 400
    assert code(answer) == "OPERATION_TOO_COMPLEX"
    extensions = answer.json()["errors"][0]["extensions"]
    assert extensions["limit"] == limit
    assert value in (None, extensions["value"])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{a" * 250 + "}" * 250, "GRAPHQL_PARSE_FAILED"),
        ("{" + "... {" * 250 + "__typename" + "}" * 251, "GRAPHQL_PARSE_FAILED"),
        ("{studies(modality: " + "[" * 250 + "]" * 250 + ") {id}}", "GRAPHQL_PARSE_FAILED"),
        ("{studies(a: " + "{a: " * 250 + "1" + "}" * 250 + ") {id}}", "GRAPHQL_PARSE_FAILED"),
        ("query ($a: " + "[" * 250 + "Int" + "]" * 250 + ") {id}", "GRAPHQL_PARSE_FAILED"),
        ("{...A} fragment A on Query {...A}", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{...A} fragment A on Query {...B ...B} fragment B on Query {...A ...A}",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("{...A} " + written(29, "fragment A on Query {__typename} "), "GRAPHQL_VALIDATION_FAILED"),
        (
            "{__schema {types {" + "fields {type {" * 20 + "name" + "}}" * 20 + "}}}",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "{__schema {types "
            + "{possibleTypes {fields {type {name}} interfaces " * 3
            + "{name}"
            + "}}" * 3
            + "}}",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "query (" + written(300, "$a{n}: Int ") + ") {__typename}",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("{... @defer {__typename}}", "GRAPHQL_VALIDATION_FAILED"),
        ("type Query {a: Int} {__typename}", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_few_errors(
    client: httpx.AsyncClient, acting_as: Headers, query: str, said: str
) -> None:
    answer = await sent(client, acting_as("radiologist"), query)
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert 1 <= len(errors) <= 20
    assert {one["extensions"]["code"] for one in errors} == {said}
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "query",
    [
        "{pasients {totalCount}}",
        "{patients {totalCout edge {node {id}}}}",
        "{patients(nam: 1, frist: 2) {totalCount}}",
        "{patients {edges {node {... on Pacient {id}}}}}",
        "query ($a: Sting, $b: PatientSrt) {patients(name: $a, sort: $b) {totalCount}}",
        "{patients(sort: [NAMES, FAMILI]) {totalCount}}",
        '{patients(birthDate: {frm: "2020", too: "2021"}) {totalCount}}',
        "{patients {totalCount @skipp(if: true) @include(iff: true)}}",
        '{__type(nam: "Patient") {nme}}',
        "mutation {endSesion(id: 1) {recrod {id}}}",
        "{patients {totalCount} ...Frag} fragment Fragg on Query {__typename}",
    ],
)
async def test_nothing_that_was_not_asked_for_is_suggested(
    client: httpx.AsyncClient, acting_as: Headers, query: str
) -> None:
    answer = await sent(client, acting_as("radiologist"), query)
    assert answer.status_code == 400
    assert "did you mean" not in answer.text.lower()
    variables = {"a": ["NAMES"], "b": {"frm": "2020"}}
    query = (
        "query ($a: [PatientSort!], $b: DateRange){patients(sort: $a, birthDate: $b) {totalCount}}"
    )
    answer = await sent(client, acting_as("radiologist"), query, variables=variables)
    assert answer.status_code == 400
    assert "did you mean" not in answer.text.lower()


async def test_a_body_of_20_megabytes_is_refused_as_it_comes(
    archive: Archive, acting_as: Headers
) -> None:
    app = create_app(archive.settings, archive)
    token = acting_as("radiologist")["Authorization"].encode()
    chunk = 64 * 1024
    for announced in (True, False):
        length = [(b"content-length", b"20000000")] if announced else []
        received = 0
        status: list[int] = []

        async def receive() -> Message:
            nonlocal received
            received += 1
            return {"type": "http.request", "body": b" " * chunk, "more_body": True}

        async def send(message: Message, status: list[int] = status) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": [(b"authorization", token), (b"content-type", JSON.encode()), *length],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await app(scope, receive, send)
        assert status == [413]
        assert received == (0 if announced else MAX_BODY_BYTES // chunk + 1)


@pytest.mark.parametrize("depth", [1_000, 90_000])
@pytest.mark.parametrize("one", ["[", '{"a":'])
async def test_json_that_lies_deep_within_itself_is_refused(
    client: httpx.AsyncClient, acting_as: Headers, depth: int, one: str
) -> None:
    deep = one * depth + "1" + ("]" if one == "[" else "}") * depth
    if len(deep) > MAX_BODY_BYTES - 100:
        deep = one * 25_000
    for place in ("variables", "extensions", "else"):
        query = "query ($id: ID!) {patient(id: $id) {id}}"
        value = f'{{"id": {deep}}}'
        body = f'{{"query": "{query}", "{place}": {value}}}'
        answer = await post(client, body, acting_as("radiologist"), Accept=GRAPHQL_JSON)
        assert answer.status_code == 400
        assert code(answer) == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "value",
    [
        {"$where": "sleep(1000)"},
        {"$ne": None},
        {"$gt": ""},
        ["$where"],
        [{"$regex": ".*"}],
        True,
        1.5,
    ],
)
async def test_operators_of_the_database_are_no_values(
    client: httpx.AsyncClient, acting_as: Headers, value: Any
) -> None:
    for query in (
        "query ($v: ID!) {patient(id: $v) {id}}",
        "query ($v: String) {patients(name: $v) {totalCount}}",
        "query ($v: [String!]) {studies(modality: $v) {totalCount}}",
        "query ($v: DateRange) {studies(started: $v) {totalCount}}",
        "query ($v: [StudySort!]) {studies(sort: $v) {totalCount}}",
        "query ($v: String) {studies(after: $v) {totalCount}}",
        "mutation ($v: ID!) {endSession(id: $v) {record {id}}}",
    ):
        if "[String!]" in query and value == ["$where"]:
            continue
        answer = await sent(client, acting_as("admin"), query, variables={"v": value})
        assert answer.status_code == 400, query
        codes = {one["extensions"]["code"] for one in answer.json()["errors"]}
        assert codes <= {"INVALID_REQUEST", "GRAPHQL_VALIDATION_FAILED"}
        assert "$where" not in answer.text
        assert "sleep" not in answer.text


async def test_operators_within_texts_are_texts(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    for text in ("$where", "{$ne: null}", "'; return true; //", "a\0b", ".*", "^"):
        query = "query ($v: [String!]) {studies(modality: $v) {totalCount edges {node {id}}}}"
        answer = await sent(client, acting_as("admin"), query, variables={"v": [text]})
        studies = (answer.json().get("data") or {}).get("studies")
        assert studies in (None, {"totalCount": 0, "edges": []})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", '{"query": "{__typename}"}'),
        ("application/x-www-form-urlencoded", "query=%7B__typename%7D"),
        ("multipart/form-data; boundary=x", '--x\r\n\r\n{"query": "{__typename}"}\r\n--x--'),
        ("text/plain; application/json", '{"query": "{__typename}"}'),
        ("application/json, text/plain", '{"query": "{__typename}"}'),
    ],
)
async def test_what_a_form_of_another_site_can_send_is_refused(
    client: httpx.AsyncClient, acting_as: Headers, kind: str, body: str
) -> None:
    answer = await post(client, body, acting_as("admin"), **{"Content-Type": kind})
    assert answer.status_code == 415
    assert code(answer) == "UNSUPPORTED_MEDIA_TYPE"


async def test_batches_are_refused(client: httpx.AsyncClient, acting_as: Headers) -> None:
    for count in (0, 1, 1000):
        body = json.dumps([{"query": "{__typename}"}] * count)
        answer = await post(client, body, acting_as("admin"))
        assert answer.status_code == 400
        assert code(answer) == "INVALID_REQUEST"
        assert "batches are not taken" in answer.json()["errors"][0]["message"]


async def test_texts_of_exceptions_stay_here(
    client: httpx.AsyncClient, acting_as: Headers, archive: Archive
) -> None:
    for identifier, resource in (("a", {"name": {SECRET: SECRET}}), ("b", {"name": [SECRET, 1]})):
        await archive.database["endpoints"].insert_one(
            {
                "_id": identifier,
                "resource": {"resourceType": "Endpoint", "id": identifier, **resource},
                "index": {},
                "keys": {},
                "version": 1,
                "lastUpdated": None,
            }
        )
        query = f'{{endpoint(id: "{identifier}") {{id name}}}}'
        answer = await sent(client, acting_as("admin"), query)
        assert answer.status_code == 200
        assert answer.json()["errors"] == [
            {
                "message": "Internal error",
                "path": ["endpoint", "name"],
                "extensions": {"code": "INTERNAL_ERROR"},
            }
        ]
        assert SECRET not in answer.text
    await archive.database["endpoints"].insert_one({"_id": "c", "resource": SECRET})
    answer = await sent(client, acting_as("admin"), '{endpoint(id: "c") {id name}}')
    assert SECRET not in answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    await archive.database["endpoints"].delete_many({"_id": {"$in": ["a", "b", "c"]}})


async def test_many_broken_values_are_few_errors(
    client: httpx.AsyncClient, acting_as: Headers, archive: Archive
) -> None:
    broken = {"a": {"resourceType": "Endpoint", "id": "a", "name": {SECRET: SECRET}}}
    await archive.database["endpoints"].insert_one(
        {
            "_id": "a",
            "resource": broken["a"],
            "index": {},
            "keys": {},
            "version": 1,
            "lastUpdated": None,
        }
    )
    fields = written(29, "a{n}: name ")
    query = f'{{one: endpoint(id: "a") {{{fields}}}}}'
    answer = await sent(client, acting_as("admin"), query)
    assert answer.status_code == 200
    assert len(answer.json()["errors"]) == 20
    await archive.database["endpoints"].delete_one({"_id": "a"})


async def test_refusals_keep_their_codes(client: httpx.AsyncClient, acting_as: Headers) -> None:
    query = f'{{study(uid: "{STUDY}") {{patient {{birthDate}}}} a: patient(id: "x") {{id}}}}'
    answer = await sent(client, acting_as("technologist"), query)
    codes = {one["extensions"]["code"] for one in answer.json().get("errors", ())}
    assert codes <= {"FORBIDDEN", "NOT_FOUND"}
    query = 'mutation {endSession(id: "x") {record {id}}}'
    answer = await sent(client, acting_as("patient", patient="p"), query)
    assert {one["extensions"]["code"] for one in answer.json()["errors"]} <= {
        "FORBIDDEN",
        "NOT_FOUND",
    }
