"""The database finds exactly what the search tree says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store.database import Database, open_database
from app.store.filters import mongo_filter, needs_index
from fhir.parameters import index
from fhir.search import (
    AllOf,
    AnyOf,
    During,
    Filter,
    Has,
    Not,
    Prefix,
    Present,
    Text,
    Words,
    criteria,
    escape,
    matches,
    parameter,
)
from fhir.words import fold

PREFIXES: tuple[Prefix, ...] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database."""
    database = open_database(database_url, f"test-{uuid4().hex}", timedelta(seconds=10))
    yield database
    await database.client.drop_database(database.name)
    database.client.close()


async def found_by(database: Database, trees: list[Filter], indexes: list[Any]) -> list[set[str]]:
    """Give the numbers of the indexes that each tree finds in the database."""
    stored = database.get_collection(uuid4().hex)
    await stored.insert_many(
        [{"_id": str(at), "index": one | {"_id": [str(at)]}} for at, one in enumerate(indexes)]
    )
    found = [{one["_id"] async for one in stored.find(mongo_filter(tree))} for tree in trees]
    await stored.drop()
    return found


def said_by_tree(trees: list[Filter], indexes: list[Any]) -> list[set[str]]:
    return [
        {str(at) for at, one in enumerate(indexes) if matches(tree, one | {"_id": [str(at)]})}
        for tree in trees
    ]


# Few values, so that they meet; and such as are something else to MongoDB.
CODES = st.sampled_from(["CT", "MR", "a|CT", "|CT", "a|", "$ne", "$gt", "1", "true", "null", "ä"])
WORDS = st.sampled_from(
    ["ct", "ct thorax", "thorax", "t", "山田", "が", "か", "कि", "क", "احمد", "1"]
)
TIMES = st.integers(0, 6).map(
    lambda hours: datetime(2024, 2, 29, tzinfo=UTC) + timedelta(hours=hours)
)
# Of these, some begin others, also in another element.
ELEMENTS = st.sampled_from(["description", "series.description", "subject.display"])
SPELLED = st.sampled_from(["muller", "mu", "mueller", "山田", "山", "やまだ", "a.b", "$", "1"])
SPANS = st.tuples(TIMES, TIMES).filter(lambda two: two[0] < two[1])


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3)


INDEXES = st.fixed_dictionaries(
    {},
    optional={
        "modality": some(CODES),
        "identifier": some(CODES),
        "description": some(WORDS),
        "text": some(st.builds(lambda *two: " ".join(two), ELEMENTS, SPELLED)),
        "started": some(SPANS.map(lambda two: {"low": two[0], "high": two[1]})),
    },
)
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Has, st.sampled_from(["modality", "identifier"]), CODES),
    st.builds(Has, st.just("_id"), st.sampled_from(["0", "1", "7"])),
    st.builds(Present, st.sampled_from(["modality", "description", "started", "_id"])),
    st.builds(Text, st.just("description"), WORDS, st.booleans()),
    st.builds(
        Words,
        st.just("text"),
        st.lists(ELEMENTS, max_size=2, unique=True).map(tuple),
        st.lists(SPELLED, min_size=1, max_size=2, unique=True).map(tuple),
    ),
    st.builds(
        lambda prefix, span: During("started", prefix, *span), st.sampled_from(PREFIXES), SPANS
    ),
)
TREES: st.SearchStrategy[Filter] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, max_size=4).map(tuple)),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(st.lists(TREES, min_size=1, max_size=5), st.lists(INDEXES, min_size=1, max_size=8))
async def test_the_database_finds_what_the_tree_says(
    database: Database, trees: list[Filter], indexes: list[Any]
) -> None:
    assert await found_by(database, trees, indexes) == said_by_tree(trees, indexes)


@given(TREES)
def test_a_tree_that_needs_an_index_does_not_find_what_has_none(tree: Filter) -> None:
    if needs_index(tree):
        assert not matches(tree, {"_id": ["0"]})
    assert needs_index(AllOf((Not(tree), Has("modality", "CT"))))
    assert not needs_index(AnyOf((tree, Has("_id", "0"))))


async def test_every_relation_of_two_times_is_found_under_every_prefix(database: Database) -> None:
    start = datetime(2024, 2, 29, tzinfo=UTC)
    moments = [start + timedelta(milliseconds=one) for one in range(5)]
    spans = [(low, high) for low in moments for high in moments if low < high]
    indexes = [{"started": [{"low": low, "high": high}]} for low, high in spans]
    trees: list[Filter] = [
        During("started", prefix, low, high) for prefix in PREFIXES for low, high in spans
    ]
    assert await found_by(database, trees, indexes) == said_by_tree(trees, indexes)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=6, unique=True))
async def test_an_escaped_value_finds_exactly_the_resources_that_have_it(
    database: Database, values: list[str]
) -> None:
    studies = [
        {"resourceType": "ImagingStudy", "id": str(at), "identifier": [{"value": value}]}
        for at, value in enumerate(values)
    ]
    trees = [criteria("ImagingStudy", [("identifier", escape(value))]).tree for value in values]
    found = await found_by(database, trees, [index(one) for one in studies])
    assert found == [{str(at)} for at in range(len(values))]


@settings(deadline=None)
@given(st.lists(TEXTS.filter(lambda text: fold(text) != ""), min_size=1, max_size=6))
async def test_a_name_in_any_script_is_found_by_itself_and_its_beginnings(
    database: Database, names: list[str]
) -> None:
    patients = [
        {"resourceType": "Patient", "id": str(at), "name": [{"family": name}]}
        for at, name in enumerate(names)
    ]
    trees = [criteria("Patient", [("family", escape(name))]).tree for name in names]
    indexes = [index(one) for one in patients]
    found = await found_by(database, trees, indexes)
    assert found == said_by_tree(trees, indexes)
    assert all(str(at) in one for at, one in enumerate(found))


@pytest.mark.parametrize("text", [".*", "^", "a|b", "(", "[a-z]", "\\", "a{2}", "?i"])
async def test_text_is_never_an_expression(database: Database, text: str) -> None:
    indexes = [{"description": ["aa"]}, {"description": [f"x{text}y"]}, {"description": [text]}]
    trees: list[Filter] = [Text("description", text, anywhere=True), Text("description", text)]
    assert await found_by(database, trees, indexes) == [{"1", "2"}, {"2"}]


def test_many_values_of_one_parameter_are_one_clause() -> None:
    asked = criteria("ImagingStudy", [("modality", "CT,MR"), ("_id", "1,2")]).tree
    assert mongo_filter(asked) == {
        "$and": [{"index.modality": {"$in": ["CT", "MR"]}}, {"_id": {"$in": ["1", "2"]}}]
    }
    assert parameter("ImagingStudy", "modality").kind == "token"
