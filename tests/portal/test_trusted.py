"""A client needs what is in the repository: the operations by their hashes, and the types."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.archive import Archive
from app.graphql.persisted import hash_of
from app.identity.development import DevelopmentIssuer
from app.identity.roles import ROLES
from app.main import create_app
from tests.portal.asking import TEXTS, Portal
from tests.portal.by_hash import ByHash, Told
from tests.portal.compiling import complaints
from tests.portal.test_operations import CASES
from tests.portal.test_types import MANIFEST, TYPES
from tests.schema.doors import code, served
from tests.sockets import socket

Headers = Callable[..., dict[str, str]]
HASHES = {text: hash_of(text) for text in TEXTS.values()}
# Administrators make some cases ready with what no client of the portal sends.
RESTRICTED = frozenset(ROLES) - {"admin"}
# What a document that was found says to whoever sends no variables, or may not.
FOUND = frozenset({"INVALID_REQUEST", "FORBIDDEN", "NOT_SUPPORTED"})


@pytest.fixture(scope="module")
async def told(archive: Archive) -> list[Told]:
    """What is answered in every case, with operations sent by their hashes."""
    changed = {"graphql_operations": MANIFEST, "graphql_persisted_only": RESTRICTED}
    app = create_app(archive.settings.model_copy(update=changed), archive)
    issuer = DevelopmentIssuer(archive.settings.data_dir)

    def acting_as(role: str, **who: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(role, **who)}"}

    transport = ByHash(app, HASHES)
    base_url = archive.settings.base_url
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
        for case in CASES.values():
            await case(Portal(archive, client, acting_as))
    return transport.told


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_an_operation_is_answered_by_its_hash(told: list[Told], name: str) -> None:
    assert any(one.name == name and any(one.data.values()) for one in told)


async def test_what_is_sent_and_answered_fits_the_types(told: list[Told], tmp_path: Path) -> None:
    lines = [f'import type {{ Operations as O }} from "{TYPES.with_suffix("")}";']
    for one in told:
        for kind, value in (("variables", one.variables), ("result", one.data)):
            lines.append(f'({orjson.dumps(value).decode()}) satisfies O["{one.name}"]["{kind}"];')
    answers = tmp_path / "answers.ts"
    answers.write_text("\n".join(lines), encoding="utf-8")
    assert await complaints(answers) == []
    wrong = lines[1].replace("({", '({"more": 1,', 1)  # the compiler looks
    answers.write_text("\n".join([lines[0], wrong]), encoding="utf-8")
    [said] = await complaints(answers)
    assert "does not exist in type" in said


async def test_a_role_that_may_send_nothing_else_finds_every_operation_by_its_hash(
    archive: Archive, acting_as: Headers
) -> None:
    only = frozenset({"patient"})
    headers = acting_as("patient", patient="nobody")
    async with served(archive, graphql_operations=MANIFEST, graphql_persisted_only=only) as client:

        async def send(**asked: str) -> httpx.Response:
            return await client.post("/graphql", json=asked, headers=headers)

        for text, name in HASHES.items():
            answer = (await send(documentId=name)).json()
            assert {one["extensions"]["code"] for one in answer.get("errors", [])} <= FOUND
            other = await send(documentId=hash_of(f"{text} "))
            assert (other.status_code, code(other)) == (400, "DOCUMENT_NOT_FOUND")
            for sent in (text, f"{text} ", "{__typename}"):
                refused = await send(query=sent)
                assert (refused.status_code, code(refused)) == (403, "PERSISTED_ONLY")


async def test_a_socket_takes_from_such_a_role_nothing_but_hashes_either(
    archive: Archive, client: httpx.AsyncClient, acting_as: Headers
) -> None:
    changed = {"graphql_operations": MANIFEST, "graphql_persisted_only": RESTRICTED}
    app = create_app(archive.settings.model_copy(update=changed), archive)
    after = await archive.changes.newest()
    study, _ = await Portal(archive, client, acting_as).load()
    text, said = TEXTS["StudyChanged"], {"after": after, "study": study}
    async with socket(app, acting_as("radiologist")) as line:
        for refused in (text, "{__typename}"):
            line.say(id="1", type="subscribe", payload={"query": refused, "variables": said})
            _, frame = await line.hear()
            assert (frame["type"], frame["id"]) == ("error", "1")
            assert [one["extensions"]["code"] for one in frame["payload"]] == ["PERSISTED_ONLY"]
        line.say(id="2", type="subscribe", payload={"documentId": HASHES[text], "variables": said})
        _, frame = await line.hear()
        assert (frame["type"], frame["id"]) == ("next", "2")
        assert frame["payload"]["data"]["studyChanged"]["id"] == study
