"""The policy through GraphQL: read, checked, explained and saved by whom the policy lets."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo import AsyncMongoClient

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.identity.development import DevelopmentIssuer
from app.main import create_app
from app.settings import Settings
from policies import files
from policies.caller import Caller
from policies.files import FILES
from tests.build import study
from tests.command import Installation
from tests.policy import SHIPPED
from tests.schema.asking import Reply
from tests.schema.library import store

POLICY = "{policy {id edition ok loaded problems {file line severity} text {name text}}}"
SAVE = """mutation ($files: [PolicyFileInput!]!, $expected: String!, $note: String) {
  savePolicy(files: $files, expectedEdition: $expected, note: $note) {record {
    id edition ok text {name text} history {edition version by note files {name}}}}}"""
CHECK = """query ($files: [PolicyFileInput!]!) {checkPolicy(files: $files) {
  ok changes problems {file line column message severity}}}"""
MORE = "p, billing, Patient.gender, read, any, allow\n"
Rules = Callable[[str], str]


@dataclass(frozen=True)
class Process:
    """One process of a service: its archive and its doors."""

    archive: Archive
    http: httpx.AsyncClient
    folder: Path

    async def ask(
        self, query: str, role: str = "admin", variables: object = None, **who: Any
    ) -> Reply:
        token = DevelopmentIssuer(self.archive.settings.data_dir).token(role, **who)
        response = await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
        )
        return Reply(response.status_code, response.json(), response.text)

    async def edition(self) -> str:
        return str((await self.ask("{policy {edition}}")).data["policy"]["edition"])

    async def save(
        self,
        edit: Rules,
        role: str = "admin",
        note: str | None = None,
        expected: str | None = None,
        tests: str | None = None,
    ) -> Reply:
        """Save other rules, and other tests of them if they are given."""
        sent = {"rules.csv": edit(self.rules)} | ({} if tests is None else {"tests.toml": tests})
        variables = {
            "files": [{"name": name, "text": text} for name, text in sent.items()],
            "expected": expected or await self.edition(),
            "note": note,
        }
        return await self.ask(SAVE, role, variables)

    @property
    def rules(self) -> str:
        return (self.folder / "rules.csv").read_text(encoding="utf-8")

    @property
    def content(self) -> dict[str, bytes]:
        return {one.name: one.read_bytes() for one in self.folder.iterdir() if one.name in FILES}

    async def gender(self) -> Any:
        """Ask for what billing is not shown as shipped; say what is refused."""
        reply = await self.ask("{patients {edges {node {gender}}}}", "billing")
        return reply.forbidden


@pytest.fixture
async def settings(mongod: EmbeddedDatabase, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of a service with a policy folder of its own, as shipped."""
    folder = tmp_path / "policy"
    folder.mkdir()
    for name in FILES:
        shutil.copy(SHIPPED / name, folder)
    made = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path / "data",
            "development_issuer": True,
            "policy_dir": folder,
        }
    )
    yield made
    async with AsyncMongoClient[dict[str, object]](mongod.url) as client:
        await client.drop_database(made.database_name)


@pytest.fixture
async def one(settings: Settings) -> AsyncIterator[Process]:
    """A process of the service."""
    async with _process(settings) as process:
        yield process


@pytest.fixture
async def two(settings: Settings, one: Process) -> AsyncIterator[Process]:
    """Another process, on the same database and folder."""
    async with _process(settings) as process:
        yield process


@asynccontextmanager
async def _process(settings: Settings) -> AsyncIterator[Process]:
    async with open_archive(settings) as archive:
        transport = httpx.ASGITransport(app=create_app(settings, archive))
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http:
            yield Process(archive, http, settings.policy_dir)


async def within_two_seconds(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(2):
        while not await true():  # noqa: ASYNC110 - another process is what we wait for
            await asyncio.sleep(0.02)


def same(rules: str) -> str:
    return rules


def more(rules: str) -> str:
    return rules + MORE


def typo(rules: str) -> str:
    return rules + MORE.replace("gender", "gander")


def without_administrators(rules: str) -> str:
    return "".join(
        line for line in rules.splitlines(keepends=True) if "admin, Policy.text, update" not in line
    )


async def test_an_administrator_reads_the_files_as_they_are(
    one: Process,
) -> None:
    told = (await one.ask(POLICY)).data["policy"]
    assert told["id"] == one.archive.book.current.version
    assert told["edition"] == files.edition(one.content)
    assert told["ok"] is True
    assert {file["name"]: file["text"].encode() for file in told["text"]} == one.content
    assert {problem["severity"] for problem in told["problems"]} <= {"warning"}
    event = await one.archive.database["audit_events"].find_one({"resource": "Policy"})
    assert event is not None
    assert (event["action"], event["outcome"], event["ids"]) == ("read", "allowed", [told["id"]])


async def test_a_saved_policy_is_in_force_with_the_answer_and_soon_everywhere(
    one: Process,
    two: Process,
) -> None:
    await store(one.archive, *study(1, 1, PatientID="G1", PatientSex="F"))
    refused = {"Patient.gender": ["patients.edges.node.gender"]}
    assert await one.gender() == await two.gender() == refused
    before = one.archive.book.current.version
    reply = await one.save(more, note="for the invoices")
    saved = reply.data["savePolicy"]["record"]
    assert await one.gender() == {}
    assert saved["id"] == one.archive.book.current.version != before
    assert saved["edition"] == files.edition(one.content) == await one.edition()
    assert saved["ok"] is True
    newest = saved["history"][0]
    assert newest == {
        "edition": saved["edition"],
        "version": saved["id"],
        "by": _subject(one),
        "note": "for the invoices",
        "files": [{"name": name} for name in FILES],
    }
    await within_two_seconds(lambda: _same(two.gender(), {}))
    assert two.archive.book.current.version == saved["id"]
    event = await one.archive.database["audit_events"].find_one({"action": "update"})
    assert event is not None
    assert (event["resource"], event["outcome"]) == ("Policy", "allowed")
    assert event["who"] == _subject(one)


async def _same(found: Awaitable[Any], expected: Any) -> bool:
    return bool(await found == expected)


def _subject(process: Process) -> str:
    issuer = DevelopmentIssuer(process.archive.settings.data_dir).issuer
    return f"{issuer.issuer}#admin"


async def test_of_two_who_began_with_the_same_the_second_is_told(
    one: Process,
    two: Process,
) -> None:
    edition = await one.edition()
    assert (await one.save(more, expected=edition)).data
    held = one.content
    reply = await two.save(same, expected=edition)
    assert reply.body["data"] == {"savePolicy": {"record": None}}
    assert reply.code == "CONFLICT"
    assert one.content == held
    history = (await one.ask("{policy {history {edition}}}")).data["policy"]["history"]
    assert [row["edition"] for row in history] == [files.edition(held), edition]


@pytest.mark.parametrize("role", ["auditor", "nurse", "patient", "billing", "radiologist"])
async def test_whoever_may_not_save_changes_nothing(one: Process, role: str) -> None:
    held, names = one.content, {path.name for path in one.folder.iterdir()}
    reply = await one.save(more, role)
    assert "data" not in reply.body
    closed = {error["extensions"]["coordinate"] for error in reply.errors}
    assert "Policy.text" in closed
    assert {error["extensions"]["code"] for error in reply.errors} == {"FORBIDDEN"}
    assert one.content == held
    assert {path.name for path in one.folder.iterdir()} == names
    kept = one.archive.database["policy_versions"].find({"by": {"$ne": None}})
    assert await kept.to_list(1) == []
    event = await one.archive.database["audit_events"].find_one({"action": "update"})
    assert event is not None
    assert event["outcome"] == "refused"


@pytest.mark.parametrize("role", ["nurse", "patient", "billing"])
async def test_the_words_of_the_policy_are_for_whom_it_says(one: Process, role: str) -> None:
    reply = await one.ask(POLICY, role)
    assert reply.body["data"] == {"policy": None}
    assert set(reply.forbidden) == {"Policy.id"}
    reply = await one.ask(CHECK, role, {"files": []})
    assert reply.body["data"] == {"checkPolicy": None}
    assert set(reply.forbidden) == {"Policy.text"}
    reply = await one.ask('{explainAccess(roles: [], element: "Patient.name") {verdict}}', role)
    assert reply.body["data"] == {"explainAccess": None}
    assert set(reply.forbidden) == {"Policy.text"}


async def test_an_element_of_the_policy_is_closed_by_itself(
    one: Process,
) -> None:
    edit = "p, billing, Policy.id, read, any, allow\np, billing, Policy.history, read, any, allow\n"
    assert (await one.save(lambda rules: rules + edit)).data
    reply = await one.ask(
        """{policy {id ok text {text} problems {message}
             h: history(first: 1) {by files {text}}}}""",
        "billing",
    )
    assert reply.forbidden == {"Policy.text": ["policy.h.files", "policy.problems", "policy.text"]}
    told = reply.body["data"]["policy"]
    assert told["id"] == one.archive.book.current.version
    assert (told["text"], told["problems"]) == (None, None)
    assert told["h"] == [{"by": _subject(one), "files": None}]


async def test_a_rule_that_opens_everything_of_ones_own_opens_no_policy(
    one: Process,
) -> None:
    assert (await one.save(lambda rules: rules + "p, billing, *, *, own, allow\n", tests="")).data
    reply = await one.ask("{policy {id text {text}}}", "billing")
    assert reply.body["data"] == {"policy": None}
    held = one.content
    reply = await one.save(more, "billing")
    assert {error["extensions"]["code"] for error in reply.errors} == {"FORBIDDEN"}
    assert one.content == held


async def test_a_token_for_something_else_does_not_reach_the_policy(
    one: Process,
) -> None:
    reply = await one.ask("{policy {id}}", scope="user/Patient.rs")
    assert reply.body["data"] == {"policy": None}
    assert (await one.ask("{policy {id}}", scope="user/Policy.r")).data["policy"]["id"]
    reply = await one.ask(
        SAVE,
        variables={"files": [], "expected": await one.edition()},
        scope="user/Policy.r",
    )
    assert set(reply.forbidden) == {"Policy.text"}


async def test_a_policy_with_problems_is_refused_with_all_of_them(
    one: Process,
) -> None:
    held = one.content
    lines = one.rules.count("\n")
    reply = await one.save(typo)
    assert reply.body["data"] == {"savePolicy": {"record": None}}
    assert reply.code == "POLICY_UNUSABLE"
    assert reply.errors[0]["extensions"]["problems"] == [
        {
            "file": "rules.csv",
            "line": lines + 1,
            "column": 13,
            "message": "unknown element 'Patient.gander'; write 'Patient.gender'",
            "severity": "error",
        }
    ]
    assert one.content == held
    assert await one.archive.database["policy_versions"].count_documents({"by": {"$ne": None}}) == 0
    event = await one.archive.database["audit_events"].find_one({"action": "update"})
    assert event is not None
    assert event["outcome"] == "failed"


async def test_nobody_locks_themselves_out(one: Process) -> None:
    held = one.content
    others = "p, auditor, Policy.text, update, any, allow\n"
    reply = await one.save(lambda rules: without_administrators(rules) + others, tests="")
    assert reply.body["data"] == {"savePolicy": {"record": None}}
    assert reply.code == "POLICY_LOCKS_OUT"
    assert one.content == held
    reply = await one.save(without_administrators, tests="")
    assert reply.code == "POLICY_UNUSABLE"
    assert one.content == held


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([{"name": "../rules.csv", "text": ""}], "files: a policy has"),
        ([{"name": "rules.csv", "text": ""}] * 2, "files: rules.csv is there twice"),
        ([{"name": "rules.csv", "text": "\ud800"}], "files: not Unicode text"),
    ],
)
async def test_only_files_of_a_policy_are_written(
    one: Process, sent: list[dict[str, str]], said: str
) -> None:
    held = one.content
    escaped = "\ud800" in sent[0]["text"]
    variables = {"files": [] if escaped else sent, "expected": await one.edition()}
    if escaped:
        text = 'name: "rules.csv", text: "\\ud800"'
        reply = await one.ask(
            f'mutation {{savePolicy(files: [{{{text}}}], expectedEdition: "x") {{record {{id}}}}}}'
        )
        assert reply.errors
    else:
        reply = await one.ask(SAVE, variables=variables)
        assert reply.errors[0]["message"].startswith(said)
        assert reply.code == "INVALID_REQUEST"
    assert one.content == held


async def test_a_check_says_what_is_wrong_and_what_would_change_and_saves_nothing(
    one: Process,
) -> None:
    held = one.content

    async def checked(edit: Rules) -> Any:
        sent = [{"name": "rules.csv", "text": edit(one.rules)}]
        return (await one.ask(CHECK, variables={"files": sent})).data["checkPolicy"]

    told = await checked(same)
    assert (told["ok"], told["changes"]) == (True, [])
    told = await checked(more)
    assert told["ok"] is True
    assert told["changes"][0] == "billing:"
    assert "Patient.gender" in told["changes"][1]
    told = await checked(typo)
    assert (told["ok"], told["changes"]) == (False, None)
    [problem] = [one for one in told["problems"] if one["severity"] == "error"]
    assert (problem["file"], problem["column"]) == ("rules.csv", 13)
    scopes = (one.folder / "scopes.toml").read_text(encoding="utf-8")
    scopes += '[some]\ndescription = "A policy has no rows"\nPolicy = "_id=x"\n'
    sent = [{"name": "scopes.toml", "text": scopes}]
    told = (await one.ask(CHECK, variables={"files": sent})).data["checkPolicy"]
    assert told["ok"] is False
    assert told["problems"][0]["message"].startswith("Policy has no search parameter")
    assert one.content == held
    # an auditor may read, and so check
    reply = await one.ask(CHECK, "auditor", {"files": []})
    assert reply.data["checkPolicy"]["ok"] is True


async def test_a_request_keeps_the_policy_that_it_began_with(
    one: Process,
) -> None:

    begun = await one.archive.access(Caller("x#y", frozenset({"billing"})))
    assert (await one.save(more)).data
    assert not begun.allows("Patient.gender")
    after = await one.archive.access(Caller("x#y", frozenset({"billing"})))
    assert after.allows("Patient.gender")
    reply = await one.ask(
        """mutation ($files: [PolicyFileInput!]!, $expected: String!) {
             savePolicy(files: $files, expectedEdition: $expected) {record {id}}
             again: savePolicy(files: $files, expectedEdition: "stale") {record {id}}}""",
        variables={
            "files": [{"name": "rules.csv", "text": one.rules.replace(MORE, "")}],
            "expected": await one.edition(),
        },
    )
    assert reply.body["data"]["savePolicy"]["record"] is not None
    assert reply.body["data"]["again"] == {"record": None}
    assert reply.code == "CONFLICT"


async def test_edits_by_hand_come_into_the_history_once(one: Process, two: Process) -> None:
    shipped = await one.edition()
    (one.folder / "rules.csv").write_text(more(one.rules), encoding="utf-8")
    edited = files.edition(one.content)

    async def history() -> list[tuple[str, str]]:
        rows = (await two.ask("{policy {history {edition by}}}")).data["policy"]["history"]
        return [(row["edition"], row["by"]) for row in rows]

    async with asyncio.timeout(20):
        while len(await history()) < 2:  # noqa: ASYNC110 - the file system is what we wait for
            await asyncio.sleep(0.02)
    for process in (one, two):
        await process.archive.desk._look("")
    assert await history() == [(edited, "file"), (shipped, "file")]
    # going back is a change too
    assert (await one.save(lambda rules: rules.replace(MORE, ""))).data
    assert await history() == [(shipped, _subject(one)), (edited, "file"), (shipped, "file")]


async def test_a_folder_that_cannot_be_used_is_shown_with_its_problems_and_mended(
    one: Process,
) -> None:
    in_force = one.archive.book.current.version
    (one.folder / "rules.csv").write_text(typo(one.rules), encoding="utf-8")
    one.archive.book.reload()
    told = (await one.ask(POLICY)).data["policy"]
    assert (told["id"], told["ok"]) == (in_force, False)
    assert [(p["file"], p["severity"]) for p in told["problems"]] == [("rules.csv", "error")]
    reply = await one.save(lambda rules: rules.replace("gander", "gender"))
    assert reply.data["savePolicy"]["record"]["ok"] is True
    assert reply.data["savePolicy"]["record"]["id"] != in_force


async def test_the_command_line_reads_what_was_saved(one: Process) -> None:
    saved = (await one.save(more)).data["savePolicy"]["record"]
    installation = Installation(one.archive.settings.data_dir, {"policy_dir": str(one.folder)})
    checked = await installation.run("policy", "check")
    assert checked.code == 0
    assert saved["id"] in checked.out
    shown = await installation.run("policy", "simulate", "--role", "billing")
    assert shown.code == 0
    _, _, patient = shown.out.partition("type Patient {")
    assert "gender: String" in patient.partition("\n}\n")[0]
    assert "birthDate" not in patient.partition("\n}\n")[0]


EXPLAIN = """query ($roles: [String!]!, $element: String!, $study: ID,
                    $variables: [ScopeVariableInput!]) {
  explainAccess(roles: $roles, element: $element, study: $study, variables: $variables) {
    roles unknown element action always never verdict open
    parts {element verdict lines {place text effect scope path links counts}}
    scopes {name description view holds searches {resource search}}}}"""


async def test_an_explanation_names_the_lines_and_holds_scopes_against_a_study(
    one: Process,
) -> None:
    await store(one.archive, *study(1, 1, StudyInstanceUID="1.8.7", PatientID="E1", PatientSex="F"))
    document = await one.archive.database["studies"].find_one({"_id": "1.8.7"})
    assert document is not None
    patient = document["resource"]["subject"]["reference"].removeprefix("Patient/")

    async def told(role: str, element: str, study: str | None, *values: str) -> Reply:
        return await one.ask(
            EXPLAIN,
            role,
            {
                "roles": ["nurse", "nobody"],
                "element": element,
                "study": study,
                "variables": [{"name": "care-team", "values": list(values)}] if values else [],
            },
        )

    said = (await told("admin", "ImagingStudy.note", None)).data["explainAccess"]
    assert (said["roles"], said["unknown"]) == (["nurse"], ["nobody"])
    assert (said["always"], said["never"], said["open"]) == (False, False, None)
    assert {scope["name"] for scope in said["scopes"]} >= {"care-team", "break-glass"}
    assert {scope["holds"] for scope in said["scopes"]} == {None}
    lines = said["parts"][-1]["lines"]
    rules = one.rules.splitlines()
    assert {line["text"] for line in lines} == {
        rules[int(line["place"].removeprefix("rules.csv:")) - 1] for line in lines
    }
    assert ["nurse", "treating"] in [line["path"] for line in lines]
    # administrators see that there is the study, not whom it is about
    closed = (await told("admin", "ImagingStudy.note", "1.8.7", patient)).data["explainAccess"]
    assert closed["open"] is None
    assert {scope["name"]: scope["holds"] for scope in closed["scopes"]}["care-team"] is None
    # whoever may read both is told
    edit = "p, radiologist, Policy.*, read, any, allow\n"
    assert (await one.save(lambda rules: rules + edit)).data
    said = (await told("radiologist", "ImagingStudy.note", "1.8.7", patient)).data["explainAccess"]
    assert said["open"] is True
    held = {scope["name"]: scope["holds"] for scope in said["scopes"]}
    assert (held["care-team"], held["break-glass"]) == (True, False)
    said = (await told("radiologist", "ImagingStudy.note", "1.8.7", "other")).data["explainAccess"]
    assert said["open"] is False
    said = (await told("radiologist", "Patient.name", "1.8.7", patient)).data["explainAccess"]
    assert said["open"] is True
    reply = await told("radiologist", "ImagingStudy.note", "1.8.8", patient)
    assert reply.code == "NOT_FOUND"
    reply = await told("auditor", "ImagingStudy.note", "1.8.7", patient)
    assert reply.body["data"] == {"explainAccess": None}
    assert set(reply.forbidden) == {"ImagingStudy.id"}
    for element, action in (("Patient.shoe", "read"), ("Patient.name", "eat")):
        reply = await one.ask(
            f'{{explainAccess(roles: [], element: "{element}", action: "{action}") {{verdict}}}}'
        )
        assert reply.code == "INVALID_REQUEST"
