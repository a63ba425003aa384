"""Pages: every row once, in every order, whatever is equal or missing."""

from typing import Any

import pytest

from app.archive import Archive
from schema.arguments import PatientSort, StudySort
from tests.schema.asking import Ask, nodes
from tests.schema.library import PEOPLE, STUDIES, fill


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    await fill(archive)


async def walk(ask: Ask, root: str, sort: str, size: int) -> list[Any]:
    """Give the nodes of all pages, and hold every page to what it says of itself."""
    query = f"""query ($after: String) {{{root}(first: {size}, after: $after, sort: [{sort}]) {{
      totalCount pageInfo {{hasNextPage hasPreviousPage startCursor endCursor}}
      edges {{cursor node {{id}}}}}}}}"""
    found: list[Any] = []
    after = None
    while True:
        page = (await ask(query, variables={"after": after})).data[root]
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert (page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"]) == (
            cursors[0],
            cursors[-1],
        )
        found += nodes(page)
        assert page["pageInfo"]["hasNextPage"] is (len(found) < page["totalCount"])
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = cursors[-1]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("sort", [one.name for one in PatientSort])
async def test_a_walk_over_patients_meets_each_once_in_one_order(
    ask: Ask, sort: str, size: int
) -> None:
    found = await walk(ask, "patients", sort, size)
    assert len(set(found)) == len(found) == len(PEOPLE)
    assert found == await walk(ask, "patients", sort, 100)


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("sort", [one.name for one in StudySort])
async def test_a_walk_over_studies_meets_each_once_in_one_order(
    ask: Ask, sort: str, size: int
) -> None:
    found = await walk(ask, "studies", sort, size)
    assert sorted(found) == sorted(STUDIES)
    assert found == await walk(ask, "studies", sort, 100)


async def test_studies_are_in_the_order_asked_for_and_equal_ones_by_id(ask: Ask) -> None:
    def started(uid: str) -> str:
        return STUDIES[uid]["StudyDate"] or ""

    oldest = sorted(STUDIES, key=lambda uid: (started(uid), uid))
    assert await walk(ask, "studies", "STARTED", 3) == oldest
    newest = sorted(STUDIES, key=lambda uid: (started(uid), uid), reverse=True)
    assert await walk(ask, "studies", "STARTED_DESC", 3) == newest
    assert await walk(ask, "studies", "ID_DESC", 3) == sorted(STUDIES, reverse=True)
    by_status = sorted(sorted(STUDIES), reverse=True)
    assert await walk(ask, "studies", "STATUS, ID_DESC", 3) == by_status


async def test_patients_are_in_the_order_of_their_birth(ask: Ask) -> None:
    query = "{patients(sort: [BIRTH_DATE_DESC]) {edges {node {birthDate}}}}"
    found = nodes((await ask(query)).data["patients"], "birthDate")
    assert found == ["2001-12-31", *["1960-02-02"] * 3, "1950-01-01", None, None]


async def test_a_patients_studies_are_walked_from_cursor_to_cursor(ask: Ask) -> None:
    [ann] = (await ask('{PatientList(family: ["adams"]) {id}}')).data["PatientList"]
    query = """query ($id: ID!, $after: String) {patient(id: $id) {
      studies(first: 1, after: $after, sort: [STARTED]) {
        totalCount pageInfo {hasNextPage endCursor} edges {node {id}}}}}"""
    first = (await ask(query, variables=ann)).data["patient"]["studies"]
    assert (first["totalCount"], nodes(first)) == (2, ["1.2.1"])
    after = first["pageInfo"]["endCursor"]
    second = (await ask(query, variables=ann | {"after": after})).data["patient"]["studies"]
    assert (second["totalCount"], nodes(second)) == (2, ["1.2.2"])
    assert second["pageInfo"]["hasNextPage"] is False


async def test_a_cursor_of_many_patients_studies_is_refused(ask: Ask) -> None:
    page = (await ask("{studies(first: 1) {pageInfo {endCursor}}}")).data["studies"]
    reply = await ask(
        "query ($after: String) {patients {edges {node {studies(after: $after) {totalCount}}}}}",
        variables={"after": page["pageInfo"]["endCursor"]},
    )
    assert reply.body["data"] == {"patients": None}
    assert reply.code == "INVALID_REQUEST"
    assert reply.errors[0]["message"].startswith("after: ")


@pytest.mark.parametrize(
    "after",
    ["x", "W10", "AAAA", "WyJzdGFydGVkIiwxLDJd", "é", "=" * 2000, "bnVsbA", "Ww"],
)
async def test_a_cursor_that_is_not_ours_is_refused(ask: Ask, after: str) -> None:
    reply = await ask(
        "query ($after: String) {studies(after: $after) {totalCount}}", variables={"after": after}
    )
    assert reply.body["data"] == {"studies": None}
    assert reply.code == "INVALID_REQUEST"


async def test_a_cursor_of_another_order_is_refused(ask: Ask) -> None:
    page = (await ask("{studies(first: 1, sort: [STARTED]) {pageInfo {endCursor}}}")).data
    reply = await ask(
        "query ($after: String) {studies(after: $after) {totalCount}}",
        variables={"after": page["studies"]["pageInfo"]["endCursor"]},
    )
    assert reply.code == "INVALID_REQUEST"
