"""Records as the repository gives them: order, pages, groups, and nothing beyond what was asked."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from app.archive import Archive
from app.store.filters import mongo_filter, within_order
from fhir.parameters import PARAMETERS, index, sort_keys
from fhir.repository import Position, Record, Sort, Wanted
from fhir.search import EVERYTHING, Filter, Has, Not, Search, criteria, matches

NOW = datetime(2024, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
ID_ONLY = Wanted(frozenset({"id"}))
STARTED = (None, "2024", "2024-02-29", "2024-02-29T10:15:30.123Z", "1753-01-01", "9998")
MODALITIES = ("CT", "MR", "PT")


def study(number: int) -> dict[str, Any]:
    """One of 120 studies: half of them tie in every key, some say nothing of when or whom."""
    kind = number % 6
    subject = {"reference": f"Patient/{number % 4}"} if kind else {"display": "Phantom"}
    resource = {
        "resourceType": "ImagingStudy",
        "id": f"1.2.{number}",
        "meta": {"lastUpdated": f"2024-03-0{1 + number % 3}T00:00:00.000Z"},
        "status": "available" if number % 2 else "cancelled",
        "subject": subject,
        "started": STARTED[kind],
        "description": f"study {number}",
        "series": [
            {"uid": f"1.2.{number}.{at}", "modality": {"code": MODALITIES[(number + at) % 3]}}
            for at in range(2)
        ],
    }
    return {name: value for name, value in resource.items() if value is not None}


def stored(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "_id": resource["id"],
        "resource": resource,
        "index": index(resource),
        "keys": sort_keys(resource),
        "version": 3,
        "lastUpdated": NOW,
    }


@pytest.fixture(scope="module", autouse=True)
async def studies(archive: Archive) -> list[dict[str, Any]]:
    """120 studies, and one that is claimed but has no instance yet."""
    documents = [stored(study(number)) for number in range(120)]
    claimed = {"_id": "1.2.999", "patientKey": "k", "version": 0}
    await archive.database["studies"].insert_many([*documents, claimed])
    return documents


async def pages(
    archive: Archive, sort: Iterable[Sort], size: int, tree: Filter = EVERYTHING
) -> list[Record]:
    """Walk all pages."""
    found: list[Record] = []
    after: Position | None = None
    while True:
        page = await archive.repository.find(
            "ImagingStudy", tree, wanted=ID_ONLY, sort=tuple(sort), limit=size, after=after
        )
        found += page
        assert len(found) <= 120
        if len(page) < size:
            return found
        after = page[-1].position


SORTABLE = [row.name for row in PARAMETERS["ImagingStudy"].values() if row.sortable]
ORDERS = [
    (),
    *((Sort(name, descending=down),) for name in SORTABLE for down in (False, True)),
    *(
        (Sort(first, descending=True), Sort(second))
        for first, second in permutations(("started", "status", "patient", "_id"), 2)
    ),
]


# What covers a year, a month, a day and an instant, and what touches or cuts each of them.
ASKED = (
    "2024",
    "2024-02",
    "2024-02-29",
    "2024-02-29T10:15:30.123Z",
    "1753",
    "2023",
    "9998",
    "9999",
)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("prefix", ["", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
async def test_what_is_sorted_by_the_time_it_is_searched_by_is_all_there(
    archive: Archive, studies: list[dict[str, Any]], prefix: str, descending: bool
) -> None:
    for asked in ASKED:
        tree = criteria("ImagingStudy", [("started", f"{prefix}{asked}")]).tree
        found = await pages(archive, [Sort("started", descending)], 7, tree)
        expected = [one for one in studies if matches(tree, one["index"])]
        expected.sort(key=lambda one: (one["keys"]["started"], one["_id"]), reverse=descending)
        assert [one.id for one in found] == [one["_id"] for one in expected]


async def test_a_range_in_its_own_order_is_read_from_where_it_begins(archive: Archive) -> None:
    tree = criteria("ImagingStudy", [("started", "ge2024"), ("started", "lt2025")]).tree
    assert within_order(tree, [Sort("started")]) == {
        "$and": [
            {"keys.started": {"$gte": datetime(2024, 1, 1, tzinfo=UTC)}},
            {"keys.started": {"$lt": datetime(2025, 1, 1, tzinfo=UTC)}},
        ]
    }
    assert within_order(tree, [Sort("status"), Sort("started")]) == {}
    assert within_order(Not(tree), [Sort("started")]) == {}


@pytest.mark.parametrize("sort", ORDERS, ids=str)
async def test_pages_visit_each_record_once_in_one_order(
    archive: Archive, studies: list[dict[str, Any]], sort: tuple[Sort, ...]
) -> None:
    whole = await pages(archive, sort, 1000)
    ids = [record.id for record in whole]
    for size in (1, 7, 40):
        assert [record.id for record in await pages(archive, sort, size)] == ids
    keys = {one["_id"]: one["keys"] | {"_id": one["_id"]} for one in studies}
    expected = sorted(keys, reverse=bool(sort) and sort[-1].descending)
    for one in reversed(sort):  # each pass keeps the order of the one before among equals
        values = {identifier: keys[identifier][one.parameter] for identifier in keys}
        expected.sort(key=values.__getitem__, reverse=one.descending)
    assert ids == expected


async def test_skipping_gives_what_pages_give(archive: Archive) -> None:
    sort = (Sort("started", descending=True),)
    whole = await pages(archive, sort, 1000)
    skipped = await archive.repository.find(
        "ImagingStudy", EVERYTHING, wanted=ID_ONLY, sort=sort, limit=10, skip=50
    )
    assert skipped == whole[50:60]


async def test_a_study_without_instance_is_not_there(archive: Archive) -> None:
    assert await archive.repository.count("ImagingStudy", EVERYTHING) == 120
    assert await archive.repository.count("ImagingStudy", Has("_id", "1.2.999")) == 0
    assert await archive.repository.count("ImagingStudy", Not(Has("_id", "1.2.1"))) == 119


@pytest.mark.parametrize(
    ("by", "values"),
    [
        ("patient", ["Patient/0", "Patient/3", "Patient/none"]),
        ("modality", ["CT", "MR", "|PT"]),
        ("_id", ["1.2.5", "1.2.999", "1.2.6"]),
    ],
)
@pytest.mark.parametrize("limit", [0, 1, 5, 200])
async def test_one_query_for_several_values_equals_one_for_each(
    archive: Archive, by: str, values: list[str], limit: int
) -> None:
    tree = criteria("ImagingStudy", [("status", "available,cancelled")]).tree
    sort = (Sort("started", descending=True), Sort("status"))
    wanted = Wanted(frozenset({"id", "description"}), frozenset({"status"}))
    grouped = await archive.repository.find_each(
        "ImagingStudy", tree, parameter=by, values=values, wanted=wanted, sort=sort, limit=limit
    )
    assert list(grouped) == values
    for value in values:
        both = Search("ImagingStudy", tree).and_also(Search("ImagingStudy", Has(by, value))).tree
        apart = await archive.repository.find(
            "ImagingStudy", both, wanted=wanted, sort=sort, limit=max(limit, 1)
        )
        total = await archive.repository.count("ImagingStudy", both)
        assert grouped[value] == (total, apart[:limit])


async def test_no_more_comes_out_than_was_asked_for(archive: Archive) -> None:
    [record] = await archive.repository.find(
        "ImagingStudy",
        Has("_id", "1.2.1"),
        wanted=Wanted(frozenset({"series.uid", "status"}), frozenset({"patient"})),
        limit=1,
    )
    assert record == Record(
        id="1.2.1",
        resource={
            "resourceType": "ImagingStudy",
            "id": "1.2.1",
            "status": "available",
            "series": [{"uid": "1.2.1.0"}, {"uid": "1.2.1.1"}],
        },
        version=3,
        last_updated=NOW,
        index={"patient": ["Patient/1"]},
        position=("1.2.1",),
    )


async def test_a_whole_resource_is_as_it_was_stored(archive: Archive) -> None:
    wanted = Wanted()
    [record] = await archive.repository.find(
        "ImagingStudy", Has("_id", "1.2.7"), wanted=wanted, limit=1
    )
    assert record.resource == study(7)
    assert record.index == {}


def stages(plan: Any) -> set[str]:
    """List the stages of a query plan."""
    if isinstance(plan, dict):
        own = {plan["stage"]} if "stage" in plan else set()
        return own.union(*(stages(inner) for inner in plan.values()))
    return set().union(*(stages(one) for one in plan)) if isinstance(plan, list) else set()


@pytest.mark.parametrize(
    ("resource", "pairs"),
    [
        ("ImagingStudy", [("_id", "1.2.1")]),
        ("ImagingStudy", [("identifier", "urn:dicom:uid|urn:oid:1.2.1")]),
        ("ImagingStudy", [("accession", "A1")]),
        ("ImagingStudy", [("patient", "1,2")]),
        ("ImagingStudy", [("patient", "1"), ("started", "ge2024-02"), ("started", "le2024-03")]),
        *(
            ("ImagingStudy", [("started", f"{prefix}2024-02-29")])
            for prefix in ("eq", "gt", "lt", "ge", "le", "sa", "eb")
        ),
        ("ImagingStudy", [("modality", "CT")]),
        ("ImagingStudy", [("series", "1.2.1.1")]),
        ("Patient", [("identifier", "P1")]),
        ("Patient", [("family", "do")]),
        ("Patient", [("birthdate", "1970")]),
        ("Image", [("study", "1.2.1")]),
    ],
)
async def test_a_search_reads_an_index_and_not_the_collection(
    archive: Archive, resource: str, pairs: list[tuple[str, str]]
) -> None:
    name = {"ImagingStudy": "studies", "Patient": "patients", "Image": "instances"}[resource]
    query = mongo_filter(criteria(resource, pairs).tree)
    plan = (
        await archive.database[name]
        .find({"$and": [query, {"resource": {"$exists": True}}]})
        .explain()
    )
    used = stages(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in used
    assert used & {"IXSCAN", "IDHACK"}


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", [one for one in SORTABLE if one != "_id"])
async def test_an_order_is_read_from_an_index(archive: Archive, name: str, direction: int) -> None:
    ordered = [(f"keys.{name}", direction), ("_id", direction)]
    found = archive.database["studies"].find({"resource": {"$exists": True}}).sort(ordered)
    plan = await found.limit(20).explain()
    assert "SORT" not in stages(plan["queryPlanner"]["winningPlan"])
