"""@flatten, @first, @singleton, @slice: the examples of R4 graphql.html#flattening, on our data."""

from typing import Any

import pytest

from tests.fhir.graphql.asking import Ask
from tests.fhir.graphql.known import CT, MR, US, Known

NAMES = (("Tarou", "Yamada"), ("太郎", "山田"), ("たろう", "やまだ"))


@pytest.mark.parametrize(
    ("query", "data"),
    [
        (
            "{ identifier { system value } active name { given family } }",
            {
                "identifier": [{"system": None, "value": "P1"}],
                "active": None,
                "name": [{"given": [given], "family": family} for given, family in NAMES],
            },
        ),
        (
            "{ identifier @flatten { system value } active name @flatten { given family } }",
            {
                "value": ["P1"],
                "active": None,
                "given": ["Tarou", "太郎", "たろう"],
                "family": ["Yamada", "山田", "やまだ"],
            },
        ),
        (
            "{ name @flatten { prefix given @first family } }",
            {"given": ["Tarou", "太郎", "たろう"], "family": ["Yamada", "山田", "やまだ"]},
        ),
        (
            "{ identifier @flatten { system @singleton value @singleton } active "
            "  name @flatten @first { text given family @singleton } }",
            {
                "value": "P1",
                "active": None,
                "text": "Tarou Yamada",
                "given": ["Tarou"],
                "family": "Yamada",
            },
        ),
        (
            '{ name @slice(path: "$index") @flatten { given @first @singleton family } }',
            {
                "given.0": "Tarou",
                "family.0": ["Yamada"],
                "given.1": "太郎",
                "family.1": ["山田"],
                "given.2": "たろう",
                "family.2": ["やまだ"],
            },
        ),
        (
            '{ name @flatten @slice(fhirpath: "extension.valueCode") { given family @singleton } }',
            {
                "given.ABC": ["Tarou"],
                "family.ABC": "Yamada",
                "given.IDE": ["太郎"],
                "family.IDE": "山田",
                "given.SYL": ["たろう"],
                "family.SYL": "やまだ",
            },
        ),
        (
            '{ name(_count: 2) @slice(path: "extension.valueCode") { family } }',
            {"name.ABC": [{"family": "Yamada"}], "name.IDE": [{"family": "山田"}]},
        ),
        (
            '{ n: name(_count: 1) @slice(path: "$index") @singleton { family } }',
            {"n.0": {"family": "Yamada"}},
        ),
        (
            "{ name @first { family given @first } }",
            {"name": {"family": "Yamada", "given": "Tarou"}},
        ),
        ("{ name(use: old) @first { family } }", {"name": None}),
        ("{ name(_count: 1) @singleton { family } }", {"name": {"family": "Yamada"}}),
        (
            '{ name(_count: 1) { given @slice(path: "$index") } }',
            {"name": [{"given.0": ["Tarou"]}]},
        ),
        (
            '{ name @flatten @slice(path: "$index") { extension @flatten '
            '@slice(path: "$index") { valueCode @singleton } } }',
            {"valueCode.0.0": "ABC", "valueCode.1.0": "IDE", "valueCode.2.0": "SYL"},
        ),
        (
            "query($no: Boolean = false) { id @include(if: $no) gender "
            "name @flatten { ... N @skip(if: $no) } } fragment N on HumanName { family }",
            {"gender": "male", "family": ["Yamada", "山田", "やまだ"]},
        ),
        ("{ meta @flatten { versionId } gender }", {"versionId": "3", "gender": "male"}),
    ],
)
async def test_an_answer_gets_the_shape_that_is_asked_for(
    query: str, data: dict[str, Any], ask: Ask, known: Known
) -> None:
    reply = await ask(query, at=f"Patient/{known.yamada}")
    data = data | ({"versionId": reply.data["versionId"]} if "versionId" in data else {})
    assert reply.data == data
    assert list(reply.data) == list(data)


async def test_searches_are_flattened_too_and_what_is_behind_references(
    ask: Ask, known: Known
) -> None:
    query = (
        '{ ImagingStudyList(_sort: started, _filter: "started pr true") @flatten { id subject '
        "@flatten { resource @flatten { ... on Patient { gender who: id } } } } }"
    )
    reply = await ask(query.replace("_sort: started", '_sort: "started"'))
    assert reply.data == {
        "id": [US, MR, CT],
        "gender": ["female", "male", "male"],
        "who": [known.berg, known.yamada, known.yamada],
    }
    sliced = await ask(
        '{ ImagingStudyList(_sort: "started", _filter: "started pr true") '
        '@slice(path: "series.modality.code") @singleton { id } }'
    )
    assert sliced.data == {
        "ImagingStudyList.US": {"id": US},
        "ImagingStudyList.MR": {"id": MR},
        "ImagingStudyList.CT": {"id": CT},
    }
    edges = await ask(
        "{ ImagingStudyConnection(_count: 1) { edges @flatten { resource @flatten { id } } } }"
    )
    assert edges.data == {"ImagingStudyConnection": {"id": ["1.2.31"]}}


async def test_identifiers_are_sliced_by_their_use(ask: Ask) -> None:
    query = '{ id identifier @flatten @slice(path: "use") { value @singleton } }'
    assert (await ask(query, at=f"ImagingStudy/{CT}")).data == {
        "id": CT,
        "value.official": f"urn:oid:{CT}",
        "value.usual": "A1",
        "value.secondary": "1",
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ name @flatten { family @singleton } }", "INVALID_REQUEST"),
        ("{ name @singleton { family } }", "INVALID_REQUEST"),
        (
            "{ identifier @flatten { it: value } name @flatten { it: given } meta @flatten "
            "{ it: lastUpdated } }",
            "INVALID_REQUEST",
        ),
        ('{ name @slice(path: "$index") @first { family } }', "INVALID_REQUEST"),
        ("{ name @slice { family } }", "INVALID_REQUEST"),
        ('{ name @slice(path: "use", fhirpath: "use") { family } }', "INVALID_REQUEST"),
        ('{ name @slice(path: "use.first()") { family } }', "NOT_SUPPORTED"),
        ('{ name @slice(path: "shoe") { family } }', "NOT_SUPPORTED"),
        ('{ name { given @slice(path: "use") } }', "NOT_SUPPORTED"),
        ("{ gender @flatten }", "INVALID_REQUEST"),
        ("{ name @first(if: true) { family } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ name @first @first { family } }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_shapes_that_cannot_be_had_are_errors_without_data(
    query: str, code: str, ask: Ask, known: Known
) -> None:
    reply = await ask(query, at=f"Patient/{known.yamada}")
    assert "data" not in reply.body
    assert reply.status == 400
    assert {one["extensions"]["code"] for one in reply.errors} == {code}
