"""Fields, the arguments of lists, and companions of primitives (R4 graphql.html#fields, #list)."""

import pytest

from tests.fhir.graphql.asking import Ask
from tests.fhir.graphql.known import CT, XR, Known

SERIES = [{"number": 1}, {"number": 2}]


async def test_a_primitive_has_a_companion_for_what_is_said_about_it(
    ask: Ask, known: Known
) -> None:
    query = "{ birthDate _birthDate { id extension { url valueDateTime } } gender _gender { id } }"
    assert (await ask(query, at=f"Patient/{known.yamada}")).data == {
        "birthDate": "1970-08-09",
        "_birthDate": {
            "id": None,
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                    "valueDateTime": "1970-08-09T10:11:12+01:00",
                }
            ],
        },
        "gender": "male",
        "_gender": None,
    }
    chosen = '{ _birthDate { extension(url: "http://elsewhere") { url } } }'
    assert (await ask(chosen, at=f"Patient/{known.yamada}")).data == {
        "_birthDate": {"extension": []}
    }


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", ["Yamada", "山田", "やまだ"]),
        ("_count: 2", ["Yamada", "山田"]),
        ("_offset: 1", ["山田", "やまだ"]),
        ("_count: 1, _offset: 2", ["やまだ"]),
        ("_offset: 3", []),
        ("_count: 0", []),
        ('family: "山田"', ["山田"]),
        ("family: Yamada", ["Yamada"]),
        ('text: "Tarou Yamada"', ["Yamada"]),
        ("use: official", []),
        ("use: null", ["Yamada", "山田", "やまだ"]),
        ('fhirpath: "family.exists()"', ["Yamada", "山田", "やまだ"]),
        ('fhirpath: "use.exists()"', []),
        ('fhirpath: "$index = 0"', ["Yamada"]),
        ("fhirpath: \"extension.valueCode = 'IDE'\"", ["山田"]),
        ("fhirpath: \"family = 'Yamada' or given = 'たろう'\"", ["Yamada", "やまだ"]),
        ('fhirpath: "$index > 0", _count: 1', ["山田"]),
        ('fhirpath: "$index > 0", family: "やまだ"', ["やまだ"]),
    ],
)
async def test_lists_are_picked_from(
    arguments: str, found: list[str], ask: Ask, known: Known
) -> None:
    called = f"({arguments})" if arguments else ""
    reply = await ask(f"{{ name{called} {{ family }} }}", at=f"Patient/{known.yamada}")
    assert [one["family"] for one in reply.data["name"]] == found


async def test_a_list_is_asked_for_in_parts_under_several_names(ask: Ask) -> None:
    query = (
        "query($first: Int, $uid: element_value) { "
        "one: series(_count: $first) { number instance(uid: $uid) { number } } "
        "two: series(number: 2) { number instance(_count: 1, _offset: 1) { uid } } "
        '  study: identifier(system: "urn:dicom:uid") { value } }'
    )
    said = {"first": 1, "uid": f"{CT}.1.3"}
    assert (await ask(query, at=f"ImagingStudy/{CT}", variables=said)).data == {
        "one": [{"number": 1, "instance": [{"number": 3}]}],
        "two": [{"number": 2, "instance": [{"uid": f"{CT}.2.2"}]}],
        "study": [{"value": f"urn:oid:{CT}"}],
    }


async def test_all_instances_of_a_series_are_a_plain_list(ask: Ask) -> None:
    query = "{ series { uid instance { uid number sopClass { code } } } }"
    reply = await ask(query, at=f"ImagingStudy/{CT}")
    assert reply.data["series"] == [
        {
            "uid": f"{CT}.{series}",
            "instance": [
                {
                    "uid": f"{CT}.{series}.{number}",
                    "number": number,
                    "sopClass": {"code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
                }
                for number in (1, 2, 3)
            ],
        }
        for series in (1, 2)
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("_count: -1", "INVALID_REQUEST"),
        ("_offset: -1", "INVALID_REQUEST"),
        ('fhirpath: "shoe.exists()"', "NOT_SUPPORTED"),
        ('fhirpath: "family.resolve()"', "NOT_SUPPORTED"),
        ('fhirpath: "family ~ given"', "NOT_SUPPORTED"),
        ('fhirpath: ""', "NOT_SUPPORTED"),
        ("given: Tarou", "GRAPHQL_VALIDATION_FAILED"),
        ("use: {a: 1}", "INVALID_REQUEST"),
        ("first: 1", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_arguments_that_make_no_sense_stop_the_whole_query(
    arguments: str, code: str, ask: Ask, known: Known
) -> None:
    reply = await ask(f"{{ name({arguments}) {{ family }} }}", at=f"Patient/{known.yamada}")
    assert "data" not in reply.body
    assert reply.problem[:2] == (400, code)


async def test_values_are_compared_and_never_run(ask: Ask, known: Known) -> None:
    at = f"Patient/{known.yamada}"
    for value in ("' or true or '", "Yamada' or '1' = '1", '{"$ne": null}', "$where", "\\"):
        query = (
            "query($v: element_value, $t: [string], $f: String, $p: String) { name(family: $v) "
            "{ family } name2: name(fhirpath: $p) { family } }"
        )
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        variables = {"v": value, "p": f"family = '{quoted}'"}
        reply = await ask(
            query.replace(", $t: [string], $f: String", ""), at=at, variables=variables
        )
        assert reply.data == {"name": [], "name2": []}
        found = await ask(
            "query($t: [token]) { PatientList(identifier: $t, _id: $t) { id } }",
            variables={"t": [value]},
        )
        assert found.body["data"]["PatientList"] in ([], None)
    objects = await ask(
        "query($v: element_value) { name(family: $v) { family } }",
        at=at,
        variables={"v": {"$ne": None}},
    )
    assert objects.problem == (400, "INVALID_REQUEST", "invalid")


async def test_skip_and_include_work(ask: Ask) -> None:
    query = (
        "query($yes: Boolean!) { id status @skip(if: $yes) started @include(if: $yes) "
        "... @skip(if: $yes) { series { number } } }"
    )
    reply = await ask(query, at=f"ImagingStudy/{XR}", variables={"yes": True})
    assert reply.data == {"id": XR, "started": None}
