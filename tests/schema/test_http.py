"""GraphQL over HTTP: what is sent, what comes back, and what a browser sees."""

import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from app.archive import Archive
from tests.schema.asking import Ask
from tests.schema.doors import GRAPHQL_JSON, JSON, code, cost, post, served

Headers = Callable[..., dict[str, str]]
HELLO = '{"query": "{__typename}"}'


async def test_a_query_is_answered_as_json(client: httpx.AsyncClient, acting_as: Headers) -> None:
    for accept in (None, "*/*", JSON, f"{JSON};q=0.9, text/html;q=0.1", "application/*"):
        more = {"Accept": accept} if accept else {}
        answer = await post(client, '{"query": "{__typename}"}', acting_as("nurse"), **more)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON)
        assert answer.json() == {"data": {"__typename": "Query"}, "extensions": cost(0)}


async def test_variables_and_operation_name_choose_and_fill(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    body = {
        "query": """query A {__typename}
                    query B($yes: Boolean!) {a: __typename @skip(if: $yes) b: __typename}""",
        "variables": {"yes": True},
        "operationName": "B",
        "extensions": {"anything": 1},
        "and": "more that nobody knows",
    }
    answer = await post(client, json.dumps(body), acting_as("nurse"))
    assert answer.json() == {"data": {"b": "Query"}, "extensions": cost(0)}


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
        b'{"query": "{__typename}", "extensions": []}',
        b'{"query": "{__typename}", "extensions": "{}"}',
        b'{"query": "{__typename} # \\ud800"}',
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
    for kind in (
        "text/plain",
        "application/graphql",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "application/json; charset=iso-8859-1",
        "application/jsonp",
        "",
    ):
        answer = await client.post(
            "/graphql",
            content=b'{"query": "{__typename}"}',
            headers=headers | {"Content-Type": kind},
        )
        assert answer.status_code == 415
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"):
        answer = await client.request(method, "/graphql?query={__typename}", headers=headers)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD, POST"
        assert code(answer) == "NOT_SUPPORTED"
    answer = await post(client, '{"query": "{__typename}"}', headers, Accept="image/png")
    assert answer.status_code == 406


async def get(
    client: httpx.AsyncClient, headers: dict[str, str], **parameters: str
) -> httpx.Response:
    """Ask by GET."""
    return await client.get("/graphql", params=parameters, headers=headers)


async def test_a_query_is_answered_by_get(client: httpx.AsyncClient, acting_as: Headers) -> None:
    answer = await get(
        client,
        acting_as("nurse"),
        query="query A {__typename} query B($no: Boolean!) {b: __typename @include(if: $no)}",
        variables='{"no": false}',
        operationName="B",
        extensions='{"anything": 1}',
        more="that nobody knows",
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON)
    assert answer.json() == {"data": {}, "extensions": cost(0)}
    head = await client.head("/graphql?query={__typename}", headers=acting_as("nurse"))
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(
        (await get(client, acting_as("nurse"), query="{__typename}")).content
    )


@pytest.mark.parametrize(
    "query",
    [
        'mutation {endSession(id: "x") {record {id}}}',
        'query A {__typename} mutation B {endSession(id: "x") {record {id}}}',
        "subscription B {__typename}",
    ],
)
async def test_nothing_is_changed_by_get(
    client: httpx.AsyncClient, acting_as: Headers, archive: Archive, query: str
) -> None:
    before = await archive.database["sessions"].count_documents({"ended": {"$exists": True}})
    name = {"operationName": "B"} if " B " in query else {}
    answer = await get(client, acting_as("admin"), query=query, **name)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert code(answer) == "NOT_SUPPORTED"
    after = await archive.database["sessions"].count_documents({"ended": {"$exists": True}})
    assert after == before


async def test_words_of_other_operations_do_not_make_a_query_one(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    query = "query A {mutation: __typename} mutation B {nothing}"
    answer = await get(client, acting_as("nurse"), query=query, operationName="A")
    assert code(await get(client, acting_as("nurse"), query="mutation {")) == "GRAPHQL_PARSE_FAILED"
    # the whole text has to be valid
    assert code(answer) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "query: write"),
        ({"query": " "}, "query: write"),
        ({"query": "{__typename}", "variables": "{"}, "variables is not JSON"),
        ({"query": "{__typename}", "variables": "[]"}, "variables: write an object"),
        ({"query": "{__typename}", "extensions": "1"}, "extensions: write an object"),
        ({"query": "{__typename}", "documentId": "x"}, "documentId: write"),
        ({"query": "{__typename}", "access_token": "x"}, "a token belongs in"),
        ({"query": "{__typename} #" + "x" * 17_000}, "an address has at most"),
    ],
)
async def test_an_address_that_is_no_request_is_a_bad_request(
    client: httpx.AsyncClient, acting_as: Headers, parameters: dict[str, str], said: str
) -> None:
    answer = await get(client, acting_as("nurse"), **parameters)
    assert answer.status_code == 400
    assert code(answer) == "INVALID_REQUEST"
    assert answer.json()["errors"][0]["message"].startswith(said)


async def test_an_address_says_everything_once_and_in_utf_8(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    for address in ("query={__typename}&query={a:__typename}", "query=%ff", "query=%c3%28"):
        answer = await client.get(f"/graphql?{address}", headers=acting_as("nurse"))
        assert answer.status_code == 400
        assert code(answer) == "INVALID_REQUEST"


async def test_what_a_browser_sends_by_itself_is_refused(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    for mode in ("navigate", "no-cors", "websocket", "nested-navigate", "anything"):
        headers = acting_as("nurse") | {"Sec-Fetch-Mode": mode}
        answer = await get(client, headers, query="{__typename}")
        assert answer.status_code == 403
        assert code(answer) == "CROSS_SITE_REQUEST"
    for mode in ("cors", "same-origin"):
        headers = acting_as("nurse") | {"Sec-Fetch-Mode": mode}
        assert (await get(client, headers, query="{__typename}")).is_success
    # a browser adds no token by itself, and cookies are nothing here
    token = acting_as("nurse")["Authorization"].removeprefix("Bearer ")
    for headers in ({"Cookie": f"Authorization=Bearer {token}; token={token}"}, {}):
        answer = await get(client, headers, query="{__typename}")
        assert answer.status_code == 401
        answer = await client.get(
            f"/graphql?query={{__typename}}&access_token={token}", headers=headers
        )
        assert answer.status_code == 401


# Names of the audits of `graphql-http`, where one stands for what GraphQL over HTTP says.
@pytest.mark.parametrize(
    ("accept", "body", "status", "kind"),
    [
        (GRAPHQL_JSON, HELLO, 200, GRAPHQL_JSON),  # 22EB
        (JSON, HELLO, 200, JSON),  # 4655
        ("*/*", HELLO, 200, JSON),  # 47DE
        (f"{GRAPHQL_JSON}; charset=utf-8, {JSON}; charset=utf-8", HELLO, 200, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON}", HELLO, 200, JSON),
        (f"{GRAPHQL_JSON};q=0, */*;q=0.1", HELLO, 200, JSON),
        (JSON, '{"query": "{__typename}", "variables": null}', 200, JSON),  # 0220
        (JSON, '{"query": "{__typename}", "operationName": null}', 200, JSON),  # 8161
        (JSON, '{"query": "{__typename}", "extensions": null}', 200, JSON),  # 94B0
        (JSON, '{"query": "{__typename}", "extensions": {"a": 1}}', 200, JSON),  # 428F
        (JSON, '{"notquery": 1}', 400, JSON),  # A5BF
        (JSON, '{"query": {"a": 1}}', 400, JSON),  # 423L
        (JSON, '{ "not a JSON', 400, JSON),  # B6DC
        (JSON, '{"query": "{"}', 200, JSON),  # 572B
        (JSON, '{"query": "{nothing}"}', 200, JSON),  # FDE2
        (
            JSON,
            '{"query": "query ($a: ID!) {patient(id: $a) {id}}", "variables": {}}',
            200,
            JSON,
        ),  # 7B9B
        (GRAPHQL_JSON, '{"notquery": 1}', 400, GRAPHQL_JSON),
        (GRAPHQL_JSON, '{ "not a JSON', 400, GRAPHQL_JSON),
        (GRAPHQL_JSON, '{"query": "{"}', 400, GRAPHQL_JSON),  # 556A
        (GRAPHQL_JSON, '{"query": "{nothing}"}', 400, GRAPHQL_JSON),  # 5E5B
        (
            GRAPHQL_JSON,
            '{"query": "query ($a: ID!) {patient(id: $a) {id}}", "variables": {}}',
            400,
            GRAPHQL_JSON,
        ),  # 86EE
    ],
)
async def test_status_and_media_type_are_those_of_graphql_over_http(
    client: httpx.AsyncClient,
    acting_as: Headers,
    accept: str,
    body: str,
    status: int,
    kind: str,
) -> None:
    answer = await post(client, body, acting_as("nurse"), Accept=accept)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, kind)
    assert ("data" in answer.json()) is ("__typename" in body)
    answer.content.decode("utf-8")  # 82A3


async def test_letters_of_every_script_come_and_go_in_utf_8(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    body = json.dumps({"query": "{__typename} # 東京 Ärzte"}, ensure_ascii=False).encode()
    for kind in (JSON, f"{JSON}; charset=utf-8", f'{JSON};charset="UTF-8"', JSON.upper()):
        answer = await post(client, body, acting_as("nurse"), **{"Content-Type": kind})
        assert answer.is_success  # BF61, 78D5


async def test_compressed_bodies_are_refused(client: httpx.AsyncClient, acting_as: Headers) -> None:
    answer = await post(client, HELLO, acting_as("nurse"), **{"Content-Encoding": "gzip"})
    assert answer.status_code == 415


async def test_what_a_query_costs_is_told(client: httpx.AsyncClient, acting_as: Headers) -> None:
    query = "{patients(first: 7) {edges {node {id studies(first: 3) {edges {node {id}}}}}}}"
    answer = await post(client, json.dumps({"query": query}), acting_as("radiologist"))
    assert answer.json()["extensions"] == cost(7 * (1 + 3))
    answer = await post(client, '{"query": "{nothing}"}', acting_as("radiologist"))
    assert "extensions" not in answer.json()


async def test_a_caller_has_so_many_objects_and_waits_when_they_are_spent(
    archive: Archive, acting_as: Headers
) -> None:
    body = json.dumps({"query": "{patients(first: 100) {totalCount}}"})
    async with served(archive, graphql_cost_per_minute=250) as client:
        for _ in range(3):
            assert (await post(client, body, acting_as("radiologist"))).is_success
        answer = await post(client, body, acting_as("radiologist"))
        assert answer.status_code == 429
        assert code(answer) == "BUDGET_EXCEEDED"
        # 50 are owed, and 250 come in a minute
        assert 1 <= int(answer.headers["Retry-After"]) <= 13
        # each caller has their own
        assert (await post(client, body, acting_as("radiologist", subject="else"))).is_success


async def test_operations_that_are_not_run_are_paid_for_too(
    archive: Archive, acting_as: Headers
) -> None:
    async with served(archive, graphql_cost_per_minute=60) as client:
        for _ in range(2):
            answer = await post(client, '{"query": "{nothing}"}', acting_as("nurse"))
            assert code(answer) == "GRAPHQL_VALIDATION_FAILED"
        answer = await post(client, HELLO, acting_as("nurse"))
    assert answer.status_code == 429


async def test_workers_share_what_a_caller_has(archive: Archive, acting_as: Headers) -> None:
    body = json.dumps({"query": "{patients(first: 100) {totalCount}}"})
    async with served(archive, graphql_cost_per_minute=200, workers=4) as client:
        assert (await post(client, body, acting_as("radiologist"))).is_success
        assert code(await post(client, body, acting_as("radiologist"))) == "BUDGET_EXCEEDED"


async def test_a_caller_has_so_many_operations_at_once(
    archive: Archive, acting_as: Headers
) -> None:
    async with served(archive, graphql_concurrent=0) as client:
        answer = await post(client, HELLO, acting_as("nurse"))
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert code(answer) == "TOO_MANY_OPERATIONS"


async def test_a_mutation_is_not_ended_however_long_it_takes(
    archive: Archive, acting_as: Headers
) -> None:
    body = json.dumps({"query": 'mutation {endSession(id: "none") {record {id}}}'})
    async with served(archive, graphql_timeout=timedelta(0)) as client:
        answer = await post(client, body, acting_as("admin"))
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_query_that_takes_too_long_is_ended(archive: Archive, acting_as: Headers) -> None:
    body = json.dumps({"query": "{patients(first: 100) {edges {node {id}}}}"})
    async with served(archive, graphql_timeout=timedelta(0)) as client:
        answer = await post(client, body, acting_as("radiologist"))
        assert answer.status_code == 503
        assert code(answer) == "TIMEOUT"
        # and nothing of it is still counted as running
        for _ in range(archive.settings.graphql_concurrent + 1):
            assert code(await post(client, body, acting_as("radiologist"))) == "TIMEOUT"


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
    client: httpx.AsyncClient, archive: Archive, acting_as: Headers
) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = await client.get("/graphql", headers=browser)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "GraphiQL" in answer.text
    async with served(archive, mode="production") as production:
        for headers in (browser, browser | acting_as("nurse")):
            answer = await production.get("/graphql?query={__typename}", headers=headers)
            assert answer.status_code == 406
            assert code(answer) == "NOT_ACCEPTABLE"
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
        ("subscription {nothing}", {}, "GRAPHQL_VALIDATION_FAILED"),
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
