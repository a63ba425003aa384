"""What is closed cannot be counted by, nor found by free text."""

import pytest

from schema.facets import DEFAULT_VALUES
from tests.doors.judge import Judge
from tests.doors.people import RESEARCHER, Person
from tests.doors.test_leaks import ASKING, NAMED, graphql
from tests.doors.world import World

# Words that are planted, and the one element that says each.
SAID = {
    "zzplantedname": "ImagingStudy.subject.display",
    "given": "ImagingStudy.subject.display",
    "PLANTEDACC": "ImagingStudy.identifier",
    "zzplanteddescription": "ImagingStudy.description",
    "zzplantedseries": "ImagingStudy.series.description",
    "tomography": "ImagingStudy.series.modality",
    "chest": "ImagingStudy.series.bodySite",
}
# Never looked at by text.
UNSAID = ("PLANTEDMRN", "zzplantedreferrer", "zzplantednote", "1961", "zzplantedoperator")
FACETS = {
    "modality": ("modality", "ImagingStudy.series.modality"),
    "bodySite": ("bodySite", "ImagingStudy.series.bodySite"),
    "status": ("status", "ImagingStudy.status"),
    "day": ("started", "ImagingStudy.started"),
}


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_text_finds_what_is_planted_by_the_words_that_are_open(
    person: Person, world: World, judge: Judge
) -> None:
    asked = (*SAID, *UNSAID)
    study = world.target(person).study
    for start in range(0, len(asked), 5):
        some = asked[start : start + 5]
        query = " ".join(
            f'a{at}: studies(text: "{word}", first: 50) {{ totalCount edges {{ node {{ id }} }} }} '
            f'b{at}: studyFacets(text: "{word}") {{ total }}'
            for at, word in enumerate(some)
        )
        pages = (await graphql(world, person, f"{{ {query} }}"))["data"]
        for at, word in enumerate(some):
            page, facets = pages[f"a{at}"], pages[f"b{at}"]
            found = [one["node"]["id"] for one in page["edges"]] if page else []
            told = {SAID[word], "ImagingStudy.id"} if word in SAID else set()
            opened = bool(told) and judge.allows_all(person, told)
            assert (study in found) is (opened and person != RESEARCHER), word
            assert (page is None) is (facets is None)
            if page is not None:
                assert page["totalCount"] == len(found) == facets["total"]


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_word_of_what_is_closed_adds_nothing_to_what_is_open(
    person: Person, world: World, judge: Judge
) -> None:
    study = world.target(person).study
    for word, element in sorted(SAID.items()):
        query = f'{{ it: studies(text: "tomography {word}") {{ edges {{ node {{ id }} }} }} }}'
        page = (await graphql(world, person, query))["data"]["it"]
        found = [one["node"]["id"] for one in page["edges"]] if page else []
        told = {element, SAID["tomography"], "ImagingStudy.id"}
        opened = judge.allows_all(person, told) and person != RESEARCHER
        assert (study in found) is opened, word


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_count_is_what_a_search_for_its_value_finds(
    person: Person, world: World, judge: Judge
) -> None:
    inner = " ".join(f"{name} {{ value count }}" for name in FACETS)
    body = await graphql(world, person, f"{{ it: studyFacets {{ total {inner} }} }}")
    whole = (await graphql(world, person, "{ it: studies { totalCount } }"))["data"]["it"]
    facets = body["data"]["it"]
    assert (facets is None) is (whole is None)
    if facets is None:
        return
    assert facets["total"] == whole["totalCount"]
    closed = {
        one["extensions"]["coordinate"]
        for one in body.get("errors", ())
        if one["extensions"]["code"] == "FORBIDDEN"
    }
    for name, (argument, element) in FACETS.items():
        assert (facets[name] is None) is (element in closed), name
        if judge.allows(person, element) and (person, name) != (RESEARCHER, "day"):
            assert facets[name], name
        for one in facets[name] or ():
            value = one["value"]
            said = f'{{from: "{value}", to: "{value}"}}' if name == "day" else f'["{value}"]'
            query = f"{{ it: studies({argument}: {said}) {{ totalCount }} }}"
            found = (await graphql(world, person, query))["data"]["it"]
            assert 0 < one["count"] == found["totalCount"], (name, value)


@pytest.mark.parametrize("person", sorted(NAMED, key=str), ids=str)
async def test_counting_by_what_is_closed_counts_nothing(
    person: Person, world: World, judge: Judge
) -> None:
    study = world.target(person).study
    for name, (_, element) in FACETS.items():
        # the one study alone, found by an element that says nothing else
        query = (
            f'{{ it: studyFacets(identifier: ["urn:oid:{study}"], most: {DEFAULT_VALUES}) '
            f"{{ total {name} {{ count }} }} }}"
        )
        facets = (await graphql(world, person, query))["data"]["it"]
        by_identifier = {"ImagingStudy.id", "ImagingStudy.identifier"}
        if not judge.allows_all(person, by_identifier):
            assert facets is None or facets["total"] == 0
        elif not judge.allows(person, element):
            assert facets["total"] == 1
            assert facets[name] in (None, [])
        else:
            assert [one["count"] for one in facets[name]] == [1], name
