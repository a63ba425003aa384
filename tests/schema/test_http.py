"""GraphQL over HTTP: what is sent, what comes back, and what a browser sees."""

import json
from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from app.main import create_app
from tests.schema.asking import Ask

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
Headers = Callable[..., dict[str, str]]


async def post(
    client: httpx.AsyncClient, body: bytes | str, headers: dict[str, str], **more: str
) -> httpx.Response:
    """Post a body as it is."""
    return await client.post(
        "/graphql", content=body, headers={"Content-Type": JSON, **headers, **more}
    )


async def test_a_query_is_answered_as_json(client: httpx.AsyncClient, acting_as: Headers) -> None:
    for accept in (None, "*/*", JSON, f"{JSON};q=0.9, text/html;q=0.1", "application/*"):
        more = {"Accept": accept} if accept else {}
        answer = await post(client, '{"query": "{__typename}"}', acting_as("nurse"), **more)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON)
        assert answer.content == b'{"data":{"__typename":"Query"}}'


async def test_variables_and_operation_name_choose_and_fill(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    body = {
        "query": """query A {__typename}
                    query B($yes: Boolean!) {a: __typename @skip(if: $yes) b: __typename}""",
        "variables": {"yes": True},
        "operationName": "B",
        "extensions": {"anything": 1},
    }
    answer = await post(client, json.dumps(body), acting_as("nurse"))
    assert answer.json() == {"data": {"b": "Query"}}


async def test_with_its_own_media_type_a_query_that_is_not_run_is_a_bad_request(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    for query in ("{", "{nothing}", "{a: __typename b: __typename " + "c: __typename " * 9 + "}"):
        body = json.dumps({"query": query})
        answer = await post(client, body, acting_as("nurse"), Accept=GRAPHQL_JSON)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, GRAPHQL_JSON)
        assert list(answer.json()) == ["errors"]
        answer = await post(client, body, acting_as("nurse"), Accept=JSON)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON)
        assert list(answer.json()) == ["errors"]
    body = json.dumps({"query": '{study(uid: "9.9") {id}}'})
    answer = await post(client, body, acting_as("nurse"), Accept=f"{GRAPHQL_JSON}, {JSON}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, GRAPHQL_JSON)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'[{"query": "{__typename}"}]',
        b'"{__typename}"',
        b"{}",
        b'{"query": null}',
        b'{"query": "  "}',
        b'{"query": 1}',
        b'{"query": "{__typename}", "variables": []}',
        b'{"query": "{__typename}", "variables": "{}"}',
        b'{"query": "{__typename}", "operationName": 1}',
        b'{"query": "{__typename}", "variables": {"a": NaN}}',
        b'{"query": "{__typename}", "variables": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
    ],
)
async def test_a_body_that_is_no_request_is_a_bad_request(
    client: httpx.AsyncClient, acting_as: Headers, body: bytes
) -> None:
    answer = await post(client, body, acting_as("nurse"))
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "INVALID_REQUEST"}


async def test_other_types_and_methods_are_refused(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    headers = acting_as("nurse")
    for kind in ("text/plain", "application/graphql", "multipart/form-data", ""):
        answer = await client.post(
            "/graphql",
            content=b'{"query": "{__typename}"}',
            headers=headers | {"Content-Type": kind},
        )
        assert answer.status_code == 415
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = await client.request(method, "/graphql?query={__typename}", headers=headers)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
        assert "errors" in answer.json()
    answer = await post(client, '{"query": "{__typename}"}', headers, Accept="image/png")
    assert answer.status_code == 406


async def test_nobody_asks_without_a_token(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Accept": "text/html"}):
        answer = await post(client, '{"query": "{__typename}"}', headers)
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"] == {"code": "INVALID_CREDENTIALS"}
    answer = await client.get("/graphql")
    assert answer.status_code == 401
    answer = await client.get("/graphql/", headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 401


async def test_a_browser_finds_graphiql_in_development_and_nothing_in_production(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = await client.get("/graphql", headers=browser)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "GraphiQL" in answer.text
    settings = archive.settings.model_copy(update={"mode": "production"})
    transport = httpx.ASGITransport(app=create_app(settings, archive))
    async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as production:
        answer = await production.get("/graphql", headers=browser)
    assert answer.status_code == 405
    assert "GraphiQL" not in answer.text


SECRET = "Doe-1970"


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (f'{{patients(name: "{SECRET}"', {}, "GRAPHQL_PARSE_FAILED"),
        (f'{{patients "{SECRET}"}}', {}, "GRAPHQL_PARSE_FAILED"),
        (
            f'{{patients(name: """{SECRET}""" "{SECRET}") {{totalCount}}}}',
            {},
            "GRAPHQL_PARSE_FAILED",
        ),
        ("{nothing}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{patients {totalCout}}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{patients(nam: 1) {totalCount}}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{patients}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{patients {}}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{" * 900, {}, "GRAPHQL_PARSE_FAILED"),
        ("{a" * 900 + "}" * 900, {}, "GRAPHQL_PARSE_FAILED"),
        ("{... @defer {__typename}}", {}, "GRAPHQL_VALIDATION_FAILED"),
        (
            'query ($o: Int = null) {study(uid: "1") {series {instance(offset: $o) {uid}}}}',
            {},
            "INVALID_REQUEST",
        ),
        ("query ($n: Sting) {patients(name: $n) {totalCount}}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{patient {id}}", {}, "GRAPHQL_VALIDATION_FAILED"),
        (f'{{patients(first: "{SECRET}") {{totalCount}}}}', {}, "INVALID_REQUEST"),
        (f'{{patients(birthDate: {{from: "{SECRET}"}}) {{totalCount}}}}', {}, "INVALID_REQUEST"),
        (f'{{patients(birthDate: "{SECRET}") {{totalCount}}}}', {}, "INVALID_REQUEST"),
        (f"{{patients(sort: [{SECRET[:3]}]) {{totalCount}}}}", {}, "INVALID_REQUEST"),
        ("query ($n: Int) {patients(first: $n) {totalCount}}", {"n": SECRET}, "INVALID_REQUEST"),
        (
            "query ($n: [PatientSort!]) {patients(sort: $n) {totalCount}}",
            {"n": [SECRET]},
            "INVALID_REQUEST",
        ),
        (
            "query ($n: DateRange) {patients(birthDate: $n) {totalCount}}",
            {"n": {"from": SECRET}},
            "INVALID_REQUEST",
        ),
        (
            "query ($n: DateRange) {patients(birthDate: $n) {totalCount}}",
            {"n": {SECRET: {"a": SECRET}}},
            "INVALID_REQUEST",
        ),
        ("query ($n: ID!) {patient(id: $n) {id}}", {}, "INVALID_REQUEST"),
        ("query ($n: ID!) {patient(id: $n) {id}}", {"n": None}, "INVALID_REQUEST"),
        ("query ($n: ID!) {patient(id: $n) {id}}", {"n": {"$ne": SECRET}}, "INVALID_REQUEST"),
        ("query A {__typename} query B {__typename}", {}, "INVALID_REQUEST"),
        ("fragment A on Query {__typename}", {}, "INVALID_REQUEST"),
        ("mutation {deleteEverything}", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {changes}", {}, "NOT_SUPPORTED"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_without_repeating_it(
    ask: Ask, query: str, variables: dict[str, object], code: str
) -> None:
    reply = await ask(query, variables=variables)
    assert reply.status == 200
    assert "data" not in reply.body
    assert {one["extensions"]["code"] for one in reply.errors} == {code}
    assert SECRET not in reply.text
    for name in ("totalCount", "name", "String"):
        assert f"Did you mean '{name}'" not in reply.text
    assert "Traceback" not in reply.text


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("patients(first: 0) {totalCount}", "first: ask for 1 to 100"),
        ("patients(first: 101) {totalCount}", "first: ask for 1 to 100"),
        ("patients(first: -1) {totalCount}", "first: ask for 1 to 100"),
        ("PatientList(_count: 101) {id}", "_count: ask for 1 to 100"),
        ("studies(modality: []) {totalCount}", "modality: an empty list"),
        ('studies(modality: [""]) {totalCount}', "modality: an empty value"),
        ('studies(patient: ["a b"]) {totalCount}', "patient: write an id"),
        ('studies(identifier: ["a|b|c"]) {totalCount}', "identifier: write code"),
        ('studies(description: "!") {totalCount}', "description: nothing to look for"),
        ("studies(sort: [STARTED, STARTED_DESC]) {totalCount}", "sort: names something twice"),
        ('ImagingStudyList(_sort: "description") {id}', "_sort: ImagingStudy sorts by"),
        ('ImagingStudyList(started: ["yesterday"]) {id}', "started: "),
        ('study(uid: "1") {series {instance(first: -1) {uid}}}', "first: not below 0"),
        ('study(uid: "1") {series {instance(offset: -1) {uid}}}', "offset: not below 0"),
        ('image(uid: "1") {frames(first: 1001) {url}}', "first: at most 1,000 frames"),
        ('image(uid: "1") {frames(first: null) {url}}', "first: at most 1,000 frames"),
    ],
)
async def test_arguments_that_will_not_do_are_refused_with_what_to_write(
    ask: Ask, root: str, said: str
) -> None:
    reply = await ask(f"{{found: {root} __typename}}")
    assert reply.body["data"] == {"found": None, "__typename": "Query"}
    [error] = reply.errors
    assert error["message"].startswith(said)
    assert error["path"] == ["found"]
    assert error["extensions"]["code"] in {"INVALID_REQUEST", "NOT_SUPPORTED"}


async def test_what_is_stored_wrong_is_an_internal_error_that_tells_nothing(
    ask: Ask, archive: Archive
) -> None:
    await archive.database["endpoints"].insert_one(
        {
            "_id": "broken",
            "resource": {"resourceType": "Endpoint", "id": "broken", "name": {SECRET: SECRET}},
            "index": {},
            "keys": {},
            "version": 1,
            "lastUpdated": None,
        }
    )
    reply = await ask('{endpoint(id: "broken") {id name}}')
    assert reply.body["data"] == {"endpoint": {"id": "broken", "name": None}}
    assert reply.errors == [
        {
            "message": "Internal error",
            "path": ["endpoint", "name"],
            "extensions": {"code": "INTERNAL_ERROR"},
        }
    ]
    assert SECRET not in reply.text
