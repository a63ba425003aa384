"""The whole tree in one call, and how many questions to MongoDB it takes."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import httpx
import pytest
from pymongo import monitoring

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.settings import Settings
from tests.build import study
from tests.schema.asking import Ask, nodes
from tests.schema.library import store

PEOPLE = 50
TREE = """query ($first: Int) {patients(first: $first, sort: [ID]) {totalCount edges {node {
  id name {text}
  studies(sort: [STARTED]) {totalCount edges {node {
    id started endpoint {reference}
    series {uid number modality {code}
      instance {uid number image {rows columns frames {number url} rendered thumbnail file}}}
    patient {birthDate studies(first: 1) {edges {node {id}}}}
  }}}
}}}}"""


class Questions(monitoring.CommandListener):
    """Names and collections of the commands that read; who is asking is looked up apart."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.sign_ins = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in {"find", "aggregate", "getMore", "count", "distinct"}:
            collection = event.command.get("collection", event.command.get(event.command_name))
            if collection == "sessions":
                self.sign_ins += 1
            elif collection != "$cmd.aggregate":  # changes of other processes are listened to
                self.asked.append((event.command_name, str(collection)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture(scope="module")
def questions() -> Questions:
    """What every client that is opened from now on asks."""
    listener = Questions()
    monitoring.register(listener)
    return listener


@pytest.fixture(scope="module")
async def archive(
    mongod: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory, questions: Questions
) -> AsyncIterator[Archive]:
    """An archive whose questions are heard."""
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path_factory.mktemp("data"),
            "development_issuer": True,
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    for number in range(PEOPLE):
        root = f"1.8.{number}"
        await store(archive, *study(2, 2, StudyInstanceUID=root, PatientID=f"C{number}"))


async def test_one_patient_and_fifty_take_the_same_questions(
    ask: Ask, questions: Questions
) -> None:
    heard = {}
    for first in (1, PEOPLE):
        questions.asked.clear()
        page = (await ask(TREE, variables={"first": first})).data["patients"]
        assert page["totalCount"] == PEOPLE
        assert len(page["edges"]) == first
        for studies in nodes(page, "studies"):
            [series] = nodes(studies, "series")
            assert [len(one["instance"]) for one in series] == [2, 2]
            assert all(
                frame["url"].endswith("/frames/1")
                for one in series
                for instance in one["instance"]
                for frame in instance["image"]["frames"]
            )
        heard[first] = list(questions.asked)
    assert heard[1] == heard[PEOPLE]
    assert heard[1] == [
        ("find", "patients"),
        ("aggregate", "patients"),  # the total
        ("aggregate", "studies"),
        ("find", "instances"),
        ("find", "patients"),
        ("aggregate", "studies"),
    ]


async def test_what_is_not_asked_for_is_not_read(ask: Ask, questions: Questions) -> None:
    questions.asked.clear()
    await ask("{studies {edges {node {id series {uid}}}}}")
    assert questions.asked == [("find", "studies")]


async def test_who_asks_is_one_look_up(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]], questions: Questions
) -> None:
    token = acting_as("radiologist")  # one for both: a newer token renews the session first
    for _ in range(2):
        questions.sign_ins = 0
        answer = await client.post(
            "/graphql", json={"query": "{studies {totalCount}}"}, headers=token
        )
        assert answer.status_code == 200
    assert questions.sign_ins == 1


async def test_links_are_read_only_for_roles_that_may_need_them(
    ask: Ask, questions: Questions
) -> None:
    for role, links in (("radiologist", []), ("provider", [("find", "access_grants")])):
        questions.asked.clear()
        await ask("{studies {edges {node {id}}}}", role)
        assert questions.asked == [*links, ("find", "studies")]


async def test_a_closed_type_is_not_read_at_all(ask: Ask, questions: Questions) -> None:
    questions.asked.clear()
    reply = await ask("{patients {totalCount edges {node {name {text}}}}}", "auditor")
    assert list(reply.forbidden) == ["Patient.id"]
    assert questions.asked == []


async def test_a_query_that_is_refused_reads_nothing(ask: Ask, questions: Questions) -> None:
    questions.asked.clear()
    for query in ("{nothing}", "{patients(first: 101) {totalCount}}", "{"):
        assert (await ask(query)).errors
    assert questions.asked == []
