"""Operations named by the hash of their text: the server's manifest, and what clients register."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.archive import Archive
from app.graphql.persisted import Registered, hash_of, read_manifest
from app.main import create_app
from app.settings import Settings
from fhir.errors import Invalid
from tests.schema.doors import GRAPHQL_JSON, JSON, code, cost, post, served

Headers = Callable[..., dict[str, str]]
HELLO = "{__typename}"
NAMED = "query Kind($yes: Boolean!) {kind: __typename @include(if: $yes)}"
INTROSPECTION = "{__schema {queryType {name}}}"
WRITING = 'mutation {endSession(id: "x") {record {id}}}'
MISSING = hash_of("{missing: __typename}")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A file with two queries and a mutation."""
    return written(tmp_path, {hash_of(one): one for one in (HELLO, NAMED, WRITING)})


def written(folder: Path, documents: object) -> Path:
    """Write a manifest."""
    path = folder / "operations.json"
    path.write_text(documents if isinstance(documents, str) else json.dumps(documents))
    return path


def persisted(name: str, **more: Any) -> dict[str, Any]:
    """Name a text as clients of automatic persisted queries do."""
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": name}}, **more}


async def send(
    client: httpx.AsyncClient, headers: Mapping[str, str], body: object, **more: str
) -> httpx.Response:
    """Send a body."""
    return await post(client, json.dumps(body), headers, **more)


async def test_a_trusted_document_is_run_by_its_hash(
    archive: Archive, acting_as: Headers, manifest: Path
) -> None:
    async with served(archive, graphql_operations=manifest) as client:
        for name in (hash_of(NAMED), f"sha256:{hash_of(NAMED)}"):
            asked = {"documentId": name, "variables": {"yes": True}, "operationName": "Kind"}
            answer = await send(client, acting_as("nurse"), asked)
            assert answer.json() == {"data": {"kind": "Query"}, "extensions": cost(0)}
            address = {"documentId": name, "variables": '{"yes": true}', "operationName": "Kind"}
            answer = await client.get("/graphql", params=address, headers=acting_as("nurse"))
            assert answer.json() == {"data": {"kind": "Query"}, "extensions": cost(0)}
        answer = await send(client, acting_as("nurse"), persisted(hash_of(HELLO)))
        assert answer.json()["data"] == {"__typename": "Query"}


async def test_a_trusted_mutation_is_not_run_by_get(
    archive: Archive, acting_as: Headers, manifest: Path
) -> None:
    async with served(archive, graphql_operations=manifest) as client:
        asked = {"documentId": hash_of(WRITING)}
        answer = await client.get("/graphql", params=asked, headers=acting_as("admin"))
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


async def test_an_unknown_document_is_a_bad_request(
    client: httpx.AsyncClient, archive: Archive, acting_as: Headers, manifest: Path
) -> None:
    async with served(archive, graphql_operations=manifest) as with_manifest:
        for one in (client, with_manifest):
            answer = await send(one, acting_as("nurse"), {"documentId": MISSING})
            assert answer.status_code == 400
            assert code(answer) == "DOCUMENT_NOT_FOUND"


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": ""},
        {"documentId": 1},
        {"documentId": "md5:" + "a" * 64},
        {"documentId": "A" * 64},
        {"documentId": "a" * 63},
        {"documentId": "a" * 64 + "\n"},
        {"documentId": "a" * 64, "query": HELLO},
        persisted("a" * 64, documentId="a" * 64),
        persisted("a" * 63, query=HELLO),
        persisted("../" * 21 + "a", query=HELLO),
        {"query": HELLO, "extensions": {"persistedQuery": 1}},
        {"query": HELLO, "extensions": {"persistedQuery": {"sha256Hash": "a" * 64}}},
        {
            "query": HELLO,
            "extensions": {"persistedQuery": {"version": 2, "sha256Hash": "a" * 64}},
        },
    ],
)
async def test_what_names_no_document_is_a_bad_request(
    client: httpx.AsyncClient, acting_as: Headers, body: object
) -> None:
    answer = await send(client, acting_as("nurse"), body)
    assert answer.status_code == 400
    assert code(answer) == "INVALID_REQUEST"


async def test_a_query_is_registered_by_sending_it_with_its_hash_once(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    name = hash_of(HELLO)
    # clients expect 200 here, and take it for the question that it is
    answer = await send(client, acting_as("nurse"), persisted(name))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON)
    assert answer.json() == {
        "errors": [
            {
                "message": "PersistedQueryNotFound",
                "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"},
            }
        ]
    }
    answer = await send(client, acting_as("nurse"), persisted(name), Accept=GRAPHQL_JSON)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, GRAPHQL_JSON)
    answer = await send(client, acting_as("nurse"), persisted(name, query=HELLO))
    assert answer.json()["data"] == {"__typename": "Query"}
    # from now on for everybody: a text says nothing of what its answer is for whom
    for role in ("nurse", "billing"):
        answer = await send(client, acting_as(role), persisted(name))
        assert answer.json()["data"] == {"__typename": "Query"}
    extensions = json.dumps(persisted(name)["extensions"])
    answer = await client.get(
        "/graphql", params={"extensions": extensions}, headers=acting_as("nurse")
    )
    assert answer.json()["data"] == {"__typename": "Query"}


async def test_another_hash_registers_nothing(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    answer = await send(client, acting_as("nurse"), persisted(MISSING, query=HELLO))
    assert answer.status_code == 400
    assert code(answer) == "PERSISTED_QUERY_HASH_MISMATCH"
    for name in (MISSING, hash_of(HELLO)):
        answer = await send(client, acting_as("nurse"), persisted(name))
        assert code(answer) == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize("query", ["{", "{nothing}", "{" + "__typename " * 11 + "}"])
async def test_what_does_not_run_is_not_registered(
    client: httpx.AsyncClient, acting_as: Headers, query: str
) -> None:
    await send(client, acting_as("nurse"), persisted(hash_of(query), query=query))
    answer = await send(client, acting_as("nurse"), persisted(hash_of(query)))
    assert code(answer) == "PERSISTED_QUERY_NOT_FOUND"


def test_what_was_not_asked_for_longest_makes_room() -> None:
    registered = Registered(most=3, characters=80)
    for one in ("a", "b", "c"):
        registered.add(one, one * 10)
    assert registered.get("a") == "a" * 10
    registered.add("d", "d" * 10)
    assert [one for one in "abcd" if registered.get(one)] == ["a", "c", "d"]
    registered.add("e", "e" * 11)  # more than an eighth of the room
    assert registered.get("e") is None
    registered = Registered(most=100, characters=80)
    for number in range(20):
        registered.add(str(number), "x" * 10)
    assert len(registered) == 8
    registered.add("19", "x" * 10)
    assert len(registered) == 8


@pytest.mark.parametrize("only", [{"nurse", "billing"}, {"*"}])
async def test_a_role_that_may_send_trusted_documents_sends_nothing_else(
    archive: Archive, acting_as: Headers, manifest: Path, only: set[str]
) -> None:
    async with served(
        archive, graphql_operations=manifest, graphql_persisted_only=frozenset(only)
    ) as client:
        headers = acting_as("nurse")
        for body in (
            {"query": HELLO},
            {"query": INTROSPECTION},
            {"query": "{"},
            persisted(hash_of(INTROSPECTION)),
            persisted(hash_of(INTROSPECTION), query=INTROSPECTION),
            persisted(hash_of("{a: __typename}"), query="{a: __typename}"),
        ):
            answer = await send(client, headers, body)
            assert answer.status_code == 403
            assert code(answer) == "PERSISTED_ONLY"
        answer = await client.get("/graphql", params={"query": HELLO}, headers=headers)
        assert code(answer) == "PERSISTED_ONLY"
        # what somebody else registered is not trusted by that
        text = "{b: __typename}"
        await send(client, acting_as("admin"), persisted(hash_of(text), query=text))
        assert code(await send(client, headers, persisted(hash_of(text)))) == "PERSISTED_ONLY"
        # nor is a text under the hash of a trusted one
        answer = await send(client, headers, persisted(hash_of(HELLO), query=INTROSPECTION))
        assert code(answer) == "PERSISTED_QUERY_HASH_MISMATCH"
        for body in (
            {"documentId": hash_of(HELLO)},
            persisted(hash_of(HELLO)),
            persisted(hash_of(HELLO), query=HELLO),
        ):
            answer = await send(client, headers, body)
            assert answer.json()["data"] == {"__typename": "Query"}
        answer = await send(client, acting_as("admin"), {"query": INTROSPECTION})
        assert answer.is_success is ("*" not in only)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON, at line 1"),
        ("[]", "write one object"),
        ({hash_of(HELLO): 1}, "the document is no string"),
        ({hash_of(HELLO): HELLO, hash_of(NAMED): HELLO}, f"SHA-256 is {hash_of(HELLO)}"),
        ({hash_of(HELLO).upper(): HELLO}, f"SHA-256 is {hash_of(HELLO)}"),
    ],
)
def test_a_manifest_that_is_wrong_stops_the_start_and_says_why(
    archive: Archive, tmp_path: Path, content: object, said: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(Invalid) as refused:
        create_app(archive.settings.model_copy(update={"graphql_operations": path}), archive)
    assert refused.value.message.startswith(f"setting RADIOGRAPH_GRAPHQL_OPERATIONS: {path}: ")
    assert said in refused.value.message


def test_a_manifest_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        read_manifest(tmp_path / "none.json")
    assert refused.value.message.endswith("No such file or directory")


def test_roles_are_listed_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOGRAPH_GRAPHQL_PERSISTED_ONLY", "patient, proxy,")
    assert Settings().graphql_persisted_only == {"patient", "proxy"}
    monkeypatch.setenv("RADIOGRAPH_GRAPHQL_PERSISTED_ONLY", "*")
    assert Settings().graphql_persisted_only == {"*"}
    monkeypatch.setenv("RADIOGRAPH_GRAPHQL_PERSISTED_ONLY", "visitor")
    with pytest.raises(ValueError, match="graphql_persisted_only"):
        Settings()
