"""FHIR's `$graphql` over HTTP (R4 graphql.html#invoking, #errors)."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from tests.fhir.graphql.asking import Ask, Reply
from tests.fhir.graphql.known import CT, Known

Headers = Callable[..., dict[str, str]]
QUERY = f'{{ ImagingStudy(id: "{CT}") {{ id status }} }}'
FOUND = {"data": {"ImagingStudy": {"id": CT, "status": "available"}}}


async def test_a_query_comes_by_get_or_in_either_form_of_body(
    client: httpx.AsyncClient, acting_as: Headers, known: Known
) -> None:
    headers = acting_as("radiologist")
    graphql = {**headers, "Content-Type": "application/graphql"}
    answers = [
        await client.get("/fhir/$graphql", params={"query": QUERY}, headers=headers),
        await client.get("/fhir/%24graphql", params={"query": QUERY}, headers=headers),
        await client.post("/fhir/$graphql", json={"query": QUERY}, headers=headers),
        await client.post("/fhir/$graphql", content=QUERY, headers=graphql),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.json() == FOUND


async def test_variables_and_the_name_of_the_operation_come_by_get_too(
    client: httpx.AsyncClient, acting_as: Headers, known: Known
) -> None:
    text = "query A { __typename } query B($id: ID!) { ImagingStudy(id: $id) { id status } }"
    answer = await client.get(
        "/fhir/$graphql",
        params={"query": text, "variables": f'{{"id": "{CT}"}}', "operationName": "B"},
        headers=acting_as("radiologist"),
    )
    assert answer.json() == FOUND


async def test_at_a_resource_the_query_is_about_it(ask: Ask, known: Known) -> None:
    study = await ask("{ resourceType id status subject { reference } }", at=f"ImagingStudy/{CT}")
    assert study.data == {
        "resourceType": "ImagingStudy",
        "id": CT,
        "status": "available",
        "subject": {"reference": f"Patient/{known.yamada}"},
    }
    patient = await ask("{ gender }", at=f"Patient/{known.yamada}")
    assert patient.data == {"gender": "male"}
    endpoint = await ask("{ id status }", at="Endpoint/dicomweb")
    assert endpoint.data == {"id": "dicomweb", "status": "active"}


async def test_of_one_resource_the_elements_are_no_roots_to_be_counted(ask: Ask) -> None:
    names = (
        "id status started description numberOfSeries numberOfInstances meta { versionId } "
        "identifier { value } modality { code } series { uid } endpoint { reference } "
        "subject { reference }"
    )
    assert len((await ask(f"{{ {names} }}", at=f"ImagingStudy/{CT}")).data) == 12
    roots = " ".join(f"a{number}: PatientList {{ id }}" for number in range(11))
    reply = await ask(f"{{ {roots} }}")
    assert reply.problem == (400, "OPERATION_TOO_COMPLEX", "too-costly")
    assert reply.errors[0]["extensions"]["limit"] == "rootFields"


async def test_a_resource_that_is_not_there_is_404(ask: Ask) -> None:
    assert (await ask("{ id }", at="Patient/nobody")).problem == (404, "NOT_FOUND", "not-found")
    assert (await ask("{ id }", at="Practitioner/1")).problem == (404, "NOT_FOUND", "not-found")


async def test_a_resource_whose_type_is_closed_is_403(ask: Ask, known: Known) -> None:
    reply = await ask("{ id }", "auditor", at=f"Patient/{known.yamada}")
    assert reply.status == 403
    assert reply.forbidden == {"Patient.id": [""]}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ Patient(id: ", "GRAPHQL_PARSE_FAILED"),
        ("{ PatientList { shoeSize } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ PatientList(shoe: 42) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ PatientList { birthDate(_count: 1) } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ PatientList { id @shuffle } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ patients { totalCount } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ study(uid: 1) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ImagingStudyList { patient { id } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { __typename } query B { __typename }", "INVALID_REQUEST"),
    ],
)
async def test_what_is_not_known_is_an_error_and_nothing_runs(
    query: str, code: str, ask: Ask
) -> None:
    reply = await ask(query)
    assert "data" not in reply.body
    assert reply.problem == (400, code, "invalid")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_are_no_mutations(
    method: str, client: httpx.AsyncClient, acting_as: Headers, archive: Archive, known: Known
) -> None:
    query = f'mutation {{ deleteStudy(study: "{CT}", reason: "x") {{ record {{ id }} }} }}'
    sent = {"params": {"query": query}} if method == "GET" else {"json": {"query": query}}
    before = await archive.database["studies"].find({}).to_list(None)
    answer = await client.request(method, "/fhir/$graphql", headers=acting_as("admin"), **sent)  # type: ignore[arg-type]
    reply = Reply(answer.status_code, answer.json(), answer.text)
    assert reply.problem == (400, "NOT_SUPPORTED", "not-supported")
    assert await archive.database["studies"].find({}).to_list(None) == before
    for kind in ("mutation { __typename }", "subscription { __typename }"):
        answer = await client.get(
            "/fhir/$graphql", params={"query": kind}, headers=acting_as("admin")
        )
        assert answer.status_code == 400


@pytest.mark.parametrize("address", ["/fhir/$graphql", f"/fhir/ImagingStudy/{CT}/$graphql"])
async def test_without_a_token_nothing_is_told_but_an_outcome(
    address: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(address, json={"query": "{ __typename }"})
    assert answer.headers["content-type"] == "application/json"
    reply = Reply(answer.status_code, answer.json(), answer.text)
    assert reply.problem == (401, "INVALID_CREDENTIALS", "login")


async def test_bodies_that_cannot_be_read_are_refused(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    headers = acting_as("radiologist")
    graphql = {**headers, "Content-Type": "application/graphql"}
    cases = (
        ({"content": "a=b"}, headers, (415, "UNSUPPORTED_MEDIA_TYPE", "not-supported")),
        ({"data": {"query": QUERY}}, headers, (415, "UNSUPPORTED_MEDIA_TYPE", "not-supported")),
        ({"json": [{"query": QUERY}]}, headers, (400, "INVALID_REQUEST", "invalid")),
        ({"json": {"query": 7}}, headers, (400, "INVALID_REQUEST", "invalid")),
        ({"content": b"\xff"}, graphql, (400, "INVALID_REQUEST", "invalid")),
        ({"content": b"  "}, graphql, (400, "INVALID_REQUEST", "invalid")),
        ({"content": b"#" * 262_145}, graphql, (413, "TOO_LARGE", "too-long")),
    )
    for sent, with_headers, problem in cases:
        answer = await client.post("/fhir/$graphql", headers=with_headers, **sent)
        assert Reply(answer.status_code, answer.json(), answer.text).problem == problem


async def test_a_page_cannot_have_a_query_sent_by_a_link(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    headers = acting_as("radiologist") | {"Sec-Fetch-Mode": "navigate"}
    answer = await client.get("/fhir/$graphql", params={"query": QUERY}, headers=headers)
    reply = Reply(answer.status_code, answer.json(), answer.text)
    assert reply.problem == (403, "CROSS_SITE_REQUEST", "forbidden")


NESTED = "link { other { resource { ... on Patient { " * 6 + "id" + " } } } }" * 6


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{" + " a: __typename" * 1_000 + "}", "tokens"),
        ("{" + " ".join(f"a{n}: __typename" for n in range(31)) + "}", "aliases"),
        (f"{{ PatientList {{ {NESTED} }} }}", "depth"),
        (
            "{ PatientConnection(_count: 100) { edges { resource { "
            "ImagingStudyList(_reference: patient, _count: 1000) { id } } } } }",
            "cost",
        ),
        (
            "{ ImagingStudyList(_count: 1000) { subject { resource { ... on Patient { "
            "ImagingStudyList(_reference: patient, _count: 50) { id } } } } } }",
            "cost",
        ),
    ],
    ids=["tokens", "aliases", "depth", "cost", "cost behind a reference"],
)
async def test_the_limits_of_graphql_hold_here_too(query: str, limit: str, ask: Ask) -> None:
    reply = await ask(query)
    assert "data" not in reply.body
    [error] = reply.errors
    assert reply.problem == (400, "OPERATION_TOO_COMPLEX", "too-costly")
    assert error["extensions"]["limit"] == limit
