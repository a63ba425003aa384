"""Views are their owner's alone, checked when they are saved, and gone when they are deleted."""

import json
from typing import Any

import pytest

from app.archive import Archive
from fhir.saved_views import MOST_VIEWS
from tests.schema.asking import Ask, Reply, nodes

SAVE = """mutation($id: ID, $name: String!, $kind: ViewKind!, $query: String!, $sort: [String!]) {
  it: saveView(id: $id, name: $name, kind: $kind, query: $query, sort: $sort) {
    record {id agent name kind query sort recorded} errors {__typename code message}}}"""
DELETE = """mutation($id: ID!) {
  it: deleteView(id: $id) {record {id name} errors {__typename code message}}}"""
LIST = "{savedViews {totalCount edges {node {id name kind query sort}}}}"
QUERY = {
    "text": "Zzsecretname",
    "modality": ["CT"],
    "started": {"from": "2024-01-01", "to": None},
    "patient": None,
}
ME, OTHER = {"subject": "me"}, {"subject": "somebody-else"}


@pytest.fixture(autouse=True)
async def _empty(archive: Archive) -> None:
    for name in ("saved_views", "audit_events"):
        await archive.database[name].delete_many({})


async def save(ask: Ask, role: str = "nurse", who: Any = None, **said: Any) -> Reply:
    asked = {"name": "mine", "kind": "studies", "query": json.dumps(QUERY)} | said
    return await ask(SAVE, role, asked, **(who or ME))


async def names(ask: Ask, who: Any = None, role: str = "nurse") -> list[str]:
    page = (await ask(LIST, role, **(who or ME))).data["savedViews"]
    assert page["totalCount"] == len(page["edges"])
    return sorted(nodes(page, "name"))


def failed(reply: Reply) -> tuple[str, str]:
    """Give kind and message of the one failure."""
    it = reply.data["it"]
    assert it["record"] is None
    [error] = it["errors"]
    return error["code"], error["message"]


async def test_a_view_is_kept_replaced_and_deleted(ask: Ask, archive: Archive) -> None:
    made = (await save(ask, sort=["STARTED_DESC", "ID"])).data["it"]
    assert made["errors"] == []
    view = made["record"]
    assert view["agent"] == "urn:radiograph:development#me"
    assert json.loads(view["query"]) == QUERY
    assert (view["name"], view["kind"], view["sort"]) == ("mine", "studies", ["STARTED_DESC", "ID"])
    kept = (await save(ask, id=view["id"], name=" renamed ", query="{}")).data["it"]["record"]
    assert (kept["id"], kept["name"], kept["query"], kept["sort"]) == (
        view["id"],
        "renamed",
        "{}",
        [],
    )
    assert await names(ask) == ["renamed"]
    gone = (await ask(DELETE, "nurse", {"id": view["id"]}, **ME)).data["it"]
    assert gone == {"record": {"id": view["id"], "name": None}, "errors": []}
    assert await archive.database["saved_views"].count_documents({}) == 0
    again = await ask(DELETE, "nurse", {"id": view["id"]}, **ME)
    assert failed(again)[0] == "NOT_FOUND"


async def test_a_view_is_its_owners_alone(ask: Ask, archive: Archive) -> None:
    view = (await save(ask)).data["it"]["record"]
    before = await archive.database["saved_views"].find({}).to_list(None)
    for role in ("nurse", "admin", "auditor", "radiologist", "researcher"):
        who = OTHER | ({"project": "x"} if role == "researcher" else {})
        assert await names(ask, who, role) == []
        assert failed(await save(ask, role, who, id=view["id"]))[0] == "NOT_FOUND"
        deleted = await ask(DELETE, role, {"id": view["id"]}, **who)
        assert failed(deleted)[0] == "NOT_FOUND"
    assert await archive.database["saved_views"].find({}).to_list(None) == before
    assert await names(ask) == ["mine"]


async def test_a_researcher_keeps_views_too(ask: Ask) -> None:
    who = {"subject": "r", "project": "x"}
    made = (await save(ask, "researcher", who)).data["it"]["record"]
    assert await names(ask, who, "researcher") == ["mine"]
    deleted = await ask(DELETE, "researcher", {"id": made["id"]}, **who)
    assert deleted.data["it"]["errors"] == []
    assert await names(ask, who, "researcher") == []


async def test_a_name_stands_for_one_view_of_a_kind(ask: Ask) -> None:
    first = (await save(ask)).data["it"]["record"]
    second = (await save(ask, name="other")).data["it"]["record"]
    taken = ("CONFLICT", "there is a SavedView like this already")
    assert failed(await save(ask)) == taken
    assert failed(await save(ask, name=" mine ")) == taken
    renamed = await save(ask, id=second["id"], name="mine")
    assert failed(renamed) == ("CONFLICT", "there is another SavedView like this already")
    assert (await save(ask, kind="patients", query="{}")).data["it"]["errors"] == []
    assert (await save(ask, who=OTHER)).data["it"]["errors"] == []
    assert (await save(ask, id=first["id"], query="{}")).data["it"]["errors"] == []
    assert await names(ask) == ["mine", "mine", "other"]


async def test_one_person_keeps_a_hundred_views(ask: Ask, archive: Archive) -> None:
    for at in range(MOST_VIEWS):
        assert (await save(ask, name=f"view {at}")).data["it"]["errors"] == []
    assert failed(await save(ask)) == ("CONFLICT", "you have 100 views; delete one first")
    assert await archive.database["saved_views"].count_documents({}) == MOST_VIEWS == 100
    assert (await save(ask, who=OTHER)).data["it"]["errors"] == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"name": ""}, "name: 1 to 80 characters, on one line"),
        ({"name": "   "}, "name: 1 to 80 characters, on one line"),
        ({"name": "x" * 81}, "name: 1 to 80 characters, on one line"),
        ({"name": "a\nb"}, "name: 1 to 80 characters, on one line"),
        ({"query": "{"}, "query: not JSON; write the arguments as an object"),
        ({"query": "[" * 4000}, "query: not JSON; write the arguments as an object"),
        ({"query": "[]"}, "query: write the arguments as a JSON object"),
        ({"query": '{"text": "' + "x" * 4096 + '"}'}, "query: at most 4,096 bytes"),
        ({"query": '{"text": "' + "山" * 1400 + '"}'}, "query: at most 4,096 bytes"),
        ({"query": '{"modality": "CT"}'}, "query: modality is not of its type"),
        ({"query": '{"modality": [1]}'}, "query: modality is not of its type"),
        ({"query": '{"text": ["x"]}'}, "query: text is not of its type"),
        ({"query": '{"started": {"since": "2024"}}'}, "query: started is not of its type"),
        ({"query": '{"started": {"from": 2024}}'}, "query: started is not of its type"),
        ({"query": '{"modality": []}'}, "modality: an empty list; leave the argument out instead"),
        ({"query": '{"text": "..."}'}, "text: nothing to look for"),
        ({"sort": ["STARTED", "STARTED_DESC"]}, "sort: names something twice"),
    ],
)
async def test_a_view_that_could_not_be_run_is_not_kept(
    ask: Ask, archive: Archive, said: dict[str, Any], message: str
) -> None:
    assert failed(await save(ask, **said)) == ("INVALID_REQUEST", message)
    assert await archive.database["saved_views"].count_documents({}) == 0


async def test_what_its_root_does_not_take_is_not_kept(ask: Ask, archive: Archive) -> None:
    for said, begins in (
        ({"query": '{"colour": ["red"]}'}, "query: studies takes patient, identifier, "),
        ({"query": '{"first": 3}'}, "query: studies takes "),
        ({"query": "{}", "sort": ["NAME"]}, "sort: studies sorts by ID, "),
        ({"kind": "patients", "query": '{"modality": ["CT"]}'}, "query: patients takes "),
        ({"kind": "patients", "query": "{}", "sort": ["STARTED"]}, "sort: patients sorts by "),
    ):
        code, message = failed(await save(ask, **said))
        assert code == "INVALID_REQUEST"
        assert message.startswith(begins)
        assert "colour" not in message
    assert await archive.database["saved_views"].count_documents({}) == 0


async def test_what_a_view_looks_for_is_in_no_audit_and_no_log(
    ask: Ask, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    view = (await save(ask, name="Zzsecretview")).data["it"]["record"]
    await save(ask, name="Zzsecretview")
    await save(ask, id=view["id"], name="Zzsecretview", query='{"text": "Zzsecretname"}')
    await ask('{savedViews(kind: ["studies"]) {edges {node {query}}}}', "nurse", **ME)
    await ask(DELETE, "nurse", {"id": view["id"]}, **ME)
    entries = await archive.database["audit_events"].find({}).to_list(None)
    assert {one["action"] for one in entries} >= {"create", "update", "delete", "search"}
    assert "Zzsecret" not in repr(entries)
    assert "Zzsecret" not in "".join(capsys.readouterr())


async def test_a_saved_view_runs_as_it_was_saved(ask: Ask) -> None:
    view = (await save(ask, query='{"text": "thorax", "status": ["available"]}')).data["it"][
        "record"
    ]
    reply = await ask(
        "query($text: String, $status: [String!]) {studies(text: $text, status: $status) "
        "{totalCount}}",
        "radiologist",
        json.loads(view["query"]),
    )
    assert reply.data["studies"]["totalCount"] == 0
