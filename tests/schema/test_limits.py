"""What one operation may ask for, and how quickly too much is noticed."""

from typing import Any

import pytest

from app.archive import Archive
from app.graphql.exchange import MAX_BODY_BYTES
from fhir.access import Access
from fhir.guarded import GuardedRepository
from policies.caller import Caller
from schema.build import build_schema
from schema.execution import Query, run
from schema.limits import Limits
from tests.build import study
from tests.schema.asking import Ask, Reply
from tests.schema.library import store


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    await store(archive, *study(2, 3, StudyInstanceUID="1.7.1"))


def refused(reply: Reply) -> tuple[str, int, int]:
    """Give limit, value and maximum of an operation that was not run."""
    assert "data" not in reply.body
    extensions = reply.errors[0]["extensions"]
    assert extensions["code"] == "OPERATION_TOO_COMPLEX"
    return extensions["limit"], extensions["value"], extensions["max"]


def nested(levels: int) -> str:
    """Write a query of so many levels."""
    return (
        '{study(uid: "1.7.1") {'
        + "patient {studies(first: 1) {edges {node {" * levels
        + ("id" + "}}}}" * levels + "}}")
    )


def bomb(fragments: int, times: int = 2) -> str:
    """Write fragments of which each is spread so many times in the one before."""
    return (
        "{...F0}"
        + "".join(f"fragment F{n} on Query {{{f'...F{n + 1} ' * times}}}" for n in range(fragments))
        + f"fragment F{fragments} on Query {{__typename}}"
    )


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{" + "__typename " * 2000 + "}", ("tokens", 2001, 2000)),
        (nested(4), ("depth", 18, 15)),
        (
            "{" + " ".join(f"a{n}: __typename" for n in range(31)) + "}",
            ("aliases", 31, 30),
        ),
        (
            '{study(uid: "x") {' + " ".join(f"a{n}: id" for n in range(31)) + "}}",
            ("aliases", 31, 30),
        ),
        ("{" + "__typename " * 11 + "}", ("rootFields", 11, 10)),
        ('{study(uid: "x") {' + "id " * 1000 + "}}", ("fields", 1001, 1000)),
        (bomb(30), ("fragments", 31, 30)),
        (bomb(3, 11), ("rootFields", 1331, 10)),
        (bomb(29, 4).replace("__typename", "study {id}"), ("rootFields", 10**9, 10)),
        (
            bomb(28, 4).replace("on Query", "on Patient").replace("{...F0}", "{patient {...F0}}"),
            ("fields", 10**9, 1000),
        ),
        ("query A {__typename}" + "{__typename} " * 5, ("operations", 6, 5)),
        ("{...A} fragment A on Query {" + "__typename " * 11 + "}", ("rootFields", 11, 10)),
        (
            "{a: __typename "
            + "@skip(if: false) " * 15
            + "... "
            + "@include(if: true) " * 15
            + "{__typename @skip(if: true)}}",
            ("directives", 31, 30),
        ),
        (
            f"query A({''.join(f'$a{n}: Int @b ' for n in range(31))}) {{__typename}}",
            ("directives", 31, 30),
        ),
        # what would not run is read all the same
        ("query A {__typename} query B {" + "__typename " * 11 + "}", ("rootFields", 11, 10)),
        ("query A {__typename} query B {study {" + "id " * 31 + "}}", ("repeats", 31, 30)),
        (
            "query A {__typename} fragment B on ImagingStudy {" + "id " * 31 + "}",
            ("repeats", 31, 30),
        ),
        (
            "query A {__typename} fragment B on ImagingStudy {" + "id " * 1001 + "}",
            ("fields", 1001, 1000),
        ),
        (
            "{patients(first: 100) {edges {node {studies(first: 100) {edges {node {"
            "patient {studies(first: 100) {totalCount}}}}}}}}}",
            ("cost", 1_020_100, 50_000),
        ),
        ("{PatientList(_count: 60000) {id}}", ("cost", 60_000, 50_000)),
    ],
)
async def test_too_much_is_refused_before_it_is_run(
    ask: Ask, query: str, limit: tuple[str, int, int]
) -> None:
    name = "A" if query.startswith("query A") else None
    assert refused(await ask(query, operation_name=name)) == limit


async def test_cost_counts_what_variables_ask_for(ask: Ask) -> None:
    query = """query ($n: Int = 100) {patients(first: $n) {edges {node {
      studies(first: $n) {edges {node {patient {studies(first: $n) {totalCount}}}}}}}}}"""
    assert refused(await ask(query)) == ("cost", 1_020_100, 50_000)
    assert refused(await ask(query, variables={"n": 50})) == ("cost", 130_050, 50_000)
    assert (await ask(query, variables={"n": 5})).data["patients"]["edges"]


async def test_fragments_count_wherever_they_are_spread(ask: Ask) -> None:
    fragment = """fragment F on ImagingStudy {
      id started description status numberOfSeries numberOfInstances
      subject {reference type display} referrer {reference type display}
      location {reference type display} encounter {reference type display}
      modality {code system display} meta {versionId lastUpdated}
      series {uid number description numberOfInstances started}
    }"""  # 35 fields
    query = '{study(uid: "1.7.1") {' + "...F " * 28 + "}}" + fragment
    assert (await ask(query)).data["study"]["id"] == "1.7.1"
    query = '{study(uid: "1.7.1") {' + "...F " * 29 + "}}" + fragment
    assert refused(await ask(query)) == ("fields", 1016, 1000)


@pytest.mark.parametrize(
    "inside",
    [
        "id " * 31,
        "subject {reference} " * 31,
        "subject {" + "reference " * 6 + "} " + "... {subject {" + "reference " * 25 + "}}",
        "...F ...F ...F ...F",
    ],
)
async def test_a_field_at_one_place_is_written_a_few_times_at_most(ask: Ask, inside: str) -> None:
    fragment = "fragment F on ImagingStudy {" + "id " * 8 + "}"
    query = f'{{study(uid: "1.7.1") {{{inside}}}}}'
    reply = await ask(query + (fragment if "...F" in inside else ""))
    assert refused(reply) == ("repeats", 31, 30)


async def test_fragments_in_circles_are_no_endless_work(ask: Ask) -> None:
    reply = await ask(
        "{...A} fragment A on Query {...B __typename} fragment B on Query {...A __typename}"
    )
    assert {one["extensions"]["code"] for one in reply.errors} == {"GRAPHQL_VALIDATION_FAILED"}


async def test_the_introspection_of_tools_is_within_the_limits(ask: Ask) -> None:
    deep = "kind name " + "ofType {kind name " * 9 + "}" * 9
    reply = await ask(
        f"{{__schema {{types {{name fields {{name args {{name type {{{deep}}}}} "
        f"type {{{deep}}}}}}}}}}}"
    )
    assert "Patient" in {one["name"] for one in reply.data["__schema"]["types"]}


async def test_records_that_no_argument_bounds_count_as_they_are_read(archive: Archive) -> None:
    caller = Caller("me", frozenset({"radiologist"}))
    schema = build_schema()

    async def answer(text: str, cost: int) -> dict[str, Any]:
        guarded = GuardedRepository(archive.repository, await archive.access(caller))
        assert isinstance(guarded.access, Access)
        return (await run(schema, guarded, "", Query(text), Limits(cost=cost))).body

    text = '{study(uid: "1.7.1") {series {instance {image {frames {number}}}}} __typename}'
    # 1 study, 2 series, 6 instances, 6 images, 6 frames
    assert "errors" not in await answer(text, 21)
    body = await answer(text, 20)
    assert body["data"] == {"study": None, "__typename": "Query"}
    [error] = body["errors"]
    assert error["path"] == ["study"]
    assert error["extensions"] == {
        "code": "OPERATION_TOO_COMPLEX",
        "limit": "cost",
        "value": 21,
        "max": 20,
    }
    [error] = (await answer(text, 6))["errors"]
    # no more instances are read than it takes to know
    assert error["extensions"]["value"] == 7


async def test_a_page_of_whole_trees_is_possible(ask: Ask) -> None:
    reply = await ask(
        """{studies(first: 100) {edges {node {series {instance {uid image {
             rows columns frames {url} rendered}}}}}}
            patients(first: 50) {edges {node {studies(first: 100) {edges {node {
             series {instance {uid image {rows}}}}}}}}}}"""
    )
    assert reply.data["studies"]["edges"]


async def test_a_body_beyond_the_limit_is_refused(ask: Ask) -> None:
    reply = await ask("{__typename} #" + "x" * MAX_BODY_BYTES)
    assert reply.status == 413
    assert reply.code == "TOO_LARGE"
