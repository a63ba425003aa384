"""Counts are those of the studies that a caller may see, by what the caller may read."""

from typing import Any

import pytest

from app.archive import Archive
from app.store.facets import count_by
from fhir.errors import Unavailable
from fhir.repository import Tally
from tests.schema.asking import Ask

QUERY = """query($text: String, $modality: [String!], $most: Int) {
  it: studyFacets(text: $text, modality: $modality, most: $most) {
    total modality {value display count} bodySite {value display count}
    status {value display count} day {value display count}}}"""


def counts(facet: list[dict[str, Any]]) -> dict[str, int]:
    return {one["value"]: one["count"] for one in facet}


async def test_a_study_counts_once_for_each_of_its_values(ask: Ask) -> None:
    facets = (await ask(QUERY)).data["it"]
    assert facets == {
        "total": 4,
        "modality": [
            {"value": "CT", "display": "Computed Tomography", "count": 2},
            {"value": "MR", "display": "Magnetic Resonance", "count": 1},
            {"value": "PT", "display": "Positron emission tomography", "count": 1},
            {"value": "|ZZ", "display": None, "count": 1},
        ],
        "bodySite": [
            {"value": "69536005", "display": "Head", "count": 2},
            {"value": "816094009", "display": "Chest", "count": 1},
        ],
        "status": [{"value": "available", "display": None, "count": 4}],
        "day": [
            {"value": "2024-03-01", "display": None, "count": 1},
            {"value": "2024-02-29", "display": None, "count": 2},
        ],
    }


async def test_what_is_counted_is_what_the_search_finds(ask: Ask) -> None:
    facets = (await ask(QUERY, variables={"text": "mueller"})).data["it"]
    assert (facets["total"], counts(facets["modality"])) == (1, {"CT": 1})
    facets = (await ask(QUERY, variables={"modality": ["PT"]})).data["it"]
    assert (facets["total"], counts(facets["modality"])) == (1, {"CT": 1, "PT": 1})
    facets = (await ask(QUERY, variables={"text": "nobody"})).data["it"]
    assert facets == {"total": 0, "modality": [], "bodySite": [], "status": [], "day": []}


async def test_every_value_finds_as_many_studies_as_it_counts(ask: Ask) -> None:
    facets = (await ask(QUERY)).data["it"]
    asked = {
        **{
            f'{kind}: ["{one["value"]}"]': one["count"]
            for kind in ("modality", "bodySite", "status")
            for one in facets[kind]
        },
        **{
            f'started: {{from: "{one["value"]}", to: "{one["value"]}"}}': one["count"]
            for one in facets["day"]
        },
    }
    for argument, count in asked.items():
        reply = await ask(f"{{studies({argument}) {{totalCount}}}}")
        assert reply.data["studies"]["totalCount"] == count, argument


async def test_so_many_values_are_listed_as_are_asked_for(ask: Ask) -> None:
    facets = (await ask(QUERY, variables={"most": 1})).data["it"]
    assert counts(facets["modality"]) == {"CT": 2}
    assert len(facets["day"]) == 2
    for most in (0, 101):
        reply = await ask(QUERY, variables={"most": most})
        assert reply.code == "INVALID_REQUEST"
        assert reply.errors[0]["message"] == "most: ask for 1 to 100"


async def test_a_closed_element_is_not_counted_by(ask: Ask, archive: Archive) -> None:
    await archive.database["audit_events"].delete_many({})
    reply = await ask(QUERY, "technologist", {"text": "ct"})
    assert reply.forbidden == {
        "ImagingStudy.series.bodySite": ["it.bodySite"],
        "ImagingStudy.started": ["it.day"],
    }
    facets = reply.body["data"]["it"]
    assert (facets["bodySite"], facets["day"]) == (None, None)
    assert counts(facets["modality"]) == {"CT": 2, "PT": 1}
    [entry] = await archive.database["audit_events"].find({}).to_list(None)
    assert entry["query"] == "text=ct"
    assert entry["total"] == 2
    assert entry["refused"] == ["ImagingStudy.series.bodySite", "ImagingStudy.started"]


async def test_what_is_open_on_some_rows_is_counted_on_these(ask: Ask) -> None:
    reply = await ask(QUERY, "nurse")
    facets = reply.body["data"]["it"]
    assert set(reply.forbidden) == {"ImagingStudy.series.bodySite", "ImagingStudy.status"}
    assert facets["total"] == 4
    assert counts(facets["modality"]) == {"CT": 2, "PT": 1}
    assert counts(facets["day"]) == {"2024-03-01": 1, "2024-02-29": 2}


async def test_only_rows_that_are_seen_are_counted(ask: Ask) -> None:
    reply = await ask(
        "{studyFacets {total bodySite {value count} modality {value count}}}", "resident"
    )
    facets = reply.data["studyFacets"]
    assert facets["total"] == 2
    assert counts(facets["modality"]) == {"CT": 2, "PT": 1}
    assert counts(facets["bodySite"]) == {"816094009": 1, "69536005": 1}


async def test_counting_by_what_may_not_be_searched_by_is_refused(ask: Ask) -> None:
    reply = await ask('{studyFacets(accession: ["B2"]) {total}}', "technologist")
    assert reply.body["data"]["studyFacets"] is None
    assert reply.forbidden == {"ImagingStudy.identifier": ["studyFacets"]}
    reply = await ask("{studyFacets {total}}", "auditor")
    assert reply.body["data"]["studyFacets"] is None
    assert reply.forbidden == {"ImagingStudy.id": ["studyFacets"]}


async def test_without_identity_days_are_closed_and_only_standard_codes_are_counted(
    ask: Ask,
) -> None:
    reply = await ask(QUERY, "researcher", project="x")
    facets = reply.body["data"]["it"]
    assert reply.forbidden == {"ImagingStudy.started": ["it.day"]}
    assert facets["total"] == 4
    assert counts(facets["modality"]) == {"CT": 2, "MR": 1, "PT": 1}
    assert counts(facets["bodySite"]) == {"69536005": 2, "816094009": 1}
    assert facets["day"] is None


async def test_aliases_count_the_same(ask: Ask) -> None:
    reply = await ask("{a: studyFacets {one: modality {v: value} two: modality {n: count}}}")
    assert [one["v"] for one in reply.data["a"]["one"]] == ["CT", "MR", "PT", "|ZZ"]
    assert [one["n"] for one in reply.data["a"]["two"]] == [2, 1, 1, 1]


async def test_counting_is_given_up_where_it_takes_too_long(archive: Archive) -> None:
    many = {"$range": [0, {"$multiply": [1_000_000, {"$strLenCP": "$_id"}]}]}
    added = {"$add": ["$$value", {"$mod": ["$$this", 7]}]}
    summed = {"$reduce": {"input": many, "initialValue": 0, "in": added}}
    slow = {"$expr": {"$gt": [summed, 0]}}
    studies = archive.database["studies"]
    with pytest.raises(Unavailable, match=r"longer than 0\.1 seconds; narrow"):
        await count_by(studies, "ImagingStudy", slow, [Tally("modality", 1)], seconds=0.1)
