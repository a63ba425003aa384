"""Searching resources (R4 graphql.html#searching, #reverse)."""

from typing import Any

import pytest

from app.archive import Archive
from schema.fhir_schema import MOST_LISTED
from tests.fhir.graphql.asking import Ask
from tests.fhir.graphql.known import CT, MR, US, XR, Known

EVERYTHING = "count offset pagesize edges { mode score resource { id } } first previous next last"


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in found]


async def test_one_resource_is_named_by_its_id(ask: Ask, known: Known) -> None:
    reply = await ask(f'{{ Patient(id: "{known.berg}") {{ id name {{ family given }} }} }}')
    assert reply.data == {
        "Patient": {"id": known.berg, "name": [{"family": "van der Berg", "given": ["Bo"]}]}
    }


async def test_one_that_is_not_there_is_null_with_an_error(ask: Ask) -> None:
    reply = await ask('{ Patient(id: "nobody") { id } ImagingStudyList(_id: "1.2.31") { id } }')
    assert reply.body["data"] == {"Patient": None, "ImagingStudyList": [{"id": CT}]}
    assert reply.problem == (200, "NOT_FOUND", "not-found")
    assert reply.errors[0]["path"] == ["Patient"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", [CT, MR, US, XR]),
        ("modality: CT", [CT]),
        ('modality: "CT"', [CT]),
        ("modality: [CT, MR]", [CT, MR]),
        ('modality: ["CT", "MR", "none"], identifier: "A2"', [MR]),
        ('started: ["ge2024", "lt2023"]', [CT, US]),
        ('started: "2022-06-06"', [US]),
        ('patient_name: ["yamada", "doe"]', [CT, MR, XR]),
        ('_filter: "started ge 2023-01-01 and started le 2023-12-31"', [MR]),
        ('_filter: "modality ne CT and started pr true"', [MR, US]),
        ('_filter: "started pr false"', [XR]),
        ('_filter: "description sw \\"of the\\""', [CT]),
        ('_filter: "modality eq CT", modality: MR', []),
        ('_sort: "-started"', [CT, MR, US, XR]),
        ('_sort: "started"', [XR, US, MR, CT]),
        ('_sort: "-started", _count: 2', [CT, MR]),
        ('fhirpath: "numberOfSeries = 2"', [CT]),
        ("fhirpath: \"series.modality.code = 'MR' or description.startsWith('CT of')\"", [CT, MR]),
        ("modality: null", [CT, MR, US, XR]),
    ],
)
async def test_arguments_are_search_parameters_and_arrays_alternatives(
    arguments: str, found: list[str], ask: Ask
) -> None:
    called = f"({arguments})" if arguments else ""
    reply = await ask(f"{{ ImagingStudyList{called} {{ id }} }}")
    assert ids(reply.data["ImagingStudyList"]) == found


async def test_values_come_as_variables_of_fhirs_own_types(ask: Ask, known: Known) -> None:
    query = (
        "query($p: [reference], $d: [date], $m: [token]) "
        "{ ImagingStudyList(patient: $p, started: $d, modality: $m) { id } }"
    )
    who = {"p": [known.yamada], "d": "ge2024-01-01", "m": ["CT", "MR"]}
    assert ids((await ask(query, variables=who)).data["ImagingStudyList"]) == [CT]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('started: "yesterday"', ("NOT_SUPPORTED", "not-supported")),
        ("modality: []", ("INVALID_REQUEST", "invalid")),
        ('_filter: "modality eq CT or modality eq MR"', ("NOT_SUPPORTED", "not-supported")),
        ('_filter: "not(modality eq CT)"', ("NOT_SUPPORTED", "not-supported")),
        ('_filter: "modality gt CT"', ("NOT_SUPPORTED", "not-supported")),
        ('_filter: "shoe eq 42"', ("NOT_SUPPORTED", "not-supported")),
        ('_filter: ""', ("NOT_SUPPORTED", "not-supported")),
        ('_filter: "started pr maybe"', ("INVALID_REQUEST", "invalid")),
        ('_sort: "description"', ("NOT_SUPPORTED", "not-supported")),
        ("_count: 0", ("INVALID_REQUEST", "invalid")),
        (f"_count: {MOST_LISTED + 1}", ("INVALID_REQUEST", "invalid")),
    ],
)
async def test_what_cannot_be_searched_for_is_an_error_and_null(
    arguments: str, problem: tuple[str, str], ask: Ask
) -> None:
    reply = await ask(f"{{ ImagingStudyList({arguments}) {{ id }} }}")
    assert reply.body["data"] == {"ImagingStudyList": None}
    assert reply.problem == (200, *problem)


@pytest.mark.parametrize(
    "path",
    [
        "a +",
        "name.family = ",
        "matches('x')",
        "shoe.exists()",
        "series.instance.exists()",
        "(" * 99,
    ],
)
async def test_fhirpath_that_is_not_understood_is_refused_before_anything_runs(
    path: str, ask: Ask
) -> None:
    reply = await ask(f'{{ ImagingStudyList(fhirpath: "{path}") {{ id }} }}')
    assert "data" not in reply.body
    assert reply.problem == (400, "NOT_SUPPORTED", "not-supported")


async def test_a_connection_is_walked_by_its_cursors_alone(ask: Ask) -> None:
    first = await ask(
        f'{{ ImagingStudyConnection(_count: 2, _sort: "-started") {{ {EVERYTHING} }} }}'
    )
    page = dict(first.data["ImagingStudyConnection"])
    begin, after = page.pop("first"), page.pop("next")
    assert page == {
        "count": 4,
        "offset": 0,
        "pagesize": 2,
        "edges": [
            {"mode": "match", "score": None, "resource": {"id": CT}},
            {"mode": "match", "score": None, "resource": {"id": MR}},
        ],
        "previous": None,
        "last": None,
    }
    second = await ask(f'{{ ImagingStudyConnection(_cursor: "{after}") {{ {EVERYTHING} }} }}')
    page = second.data["ImagingStudyConnection"]
    assert [one["resource"]["id"] for one in page["edges"]] == [US, XR]
    assert (page["count"], page["pagesize"], page["first"], page["next"]) == (4, 2, begin, None)
    again = await ask(f'{{ ImagingStudyConnection(_cursor: "{begin}") {{ {EVERYTHING} }} }}')
    assert again.data == first.data


async def test_a_cursor_is_for_its_own_search(ask: Ask) -> None:
    query = "{ ImagingStudyConnection(_count: 1, modality: [CT, MR]) { next } }"
    cursor = (await ask(query)).data["ImagingStudyConnection"]["next"]
    alone = f'{{ ImagingStudyConnection(_cursor: "{cursor}") {{ edges {{ resource {{ id }} }} }} }}'
    edges = (await ask(alone)).data["ImagingStudyConnection"]["edges"]
    assert edges == [{"resource": {"id": MR}}]
    other = await ask(
        f'{{ ImagingStudyConnection(_cursor: "{cursor}", modality: "US") {{ count }} }}'
    )
    assert other.problem == (200, "INVALID_REQUEST", "invalid")
    for wrong in ("x", "e30", cursor[:-4], "W10", "A" * 40_000):
        reply = await ask(f'{{ ImagingStudyConnection(_cursor: "{wrong}") {{ count }} }}')
        assert reply.problem[1:] == ("INVALID_REQUEST", "invalid")
    strange = await ask(f'{{ PatientConnection(_cursor: "{cursor}") {{ count }} }}')
    assert strange.problem == (200, "INVALID_REQUEST", "invalid")


async def test_what_refers_to_a_resource_is_found_from_there(ask: Ask, known: Known) -> None:
    query = (
        "{ name(_count: 1) { family } "
        '  ImagingStudyList(_reference: patient, _sort: "started") { id started } '
        "  ct: ImagingStudyList(_reference: subject, modality: CT) { id } "
        "  one: ImagingStudyConnection(_reference: patient, _count: 1) "
        "    { count edges { resource { id } } next } }"
    )
    found = (await ask(query, at=f"Patient/{known.yamada}")).data
    cursor = found["one"].pop("next")
    assert found == {
        "name": [{"family": "Yamada"}],
        "ImagingStudyList": [
            {"id": MR, "started": "2023-01-15"},
            {"id": CT, "started": "2024-03-01T10:15:30+01:00"},
        ],
        "ct": [{"id": CT}],
        "one": {"count": 2, "edges": [{"resource": {"id": CT}}]},
    }
    following = await ask(
        f'{{ ImagingStudyConnection(_cursor: "{cursor}") {{ edges {{ resource {{ id }} }} }} }}'
    )
    assert following.data == {"ImagingStudyConnection": {"edges": [{"resource": {"id": MR}}]}}


async def test_of_many_resources_each_has_its_own(ask: Ask, known: Known) -> None:
    query = "{ PatientList { id ImagingStudyList(_reference: patient) { id } } }"
    found = {
        one["id"]: ids(one["ImagingStudyList"]) for one in (await ask(query)).data["PatientList"]
    }
    assert found == {known.yamada: [CT, MR], known.berg: [US], known.doe: [XR]}
    endpoints = "{ EndpointList { id ImagingStudyList(_reference: endpoint) { id } } }"
    assert (await ask(endpoints)).data == {
        "EndpointList": [
            {"id": "dicomweb", "ImagingStudyList": [{"id": one} for one in (CT, MR, US, XR)]}
        ]
    }


async def test_a_nested_connection_takes_no_cursor_and_a_reverse_search_needs_its_parameter(
    ask: Ask,
) -> None:
    for arguments in ('_reference: patient, _cursor: "x"', "modality: CT", "_reference: modality"):
        reply = await ask(
            f"{{ PatientList {{ ImagingStudyConnection({arguments}) {{ count }} }} }}"
        )
        assert reply.status == 400
        assert {one["extensions"]["code"] for one in reply.errors} <= {
            "GRAPHQL_VALIDATION_FAILED",
            "INVALID_REQUEST",
        }


async def test_a_list_gives_everything_or_an_error_and_is_never_cut_short(
    ask: Ask, archive: Archive, known: Known
) -> None:
    patients = archive.database["patients"]
    one = await patients.find_one({"_id": known.doe})
    assert one is not None
    copies = [
        one
        | {
            "_id": f"copy-{number}",
            "key": f"copy-{number}",
            "resource": one["resource"] | {"id": f"copy-{number}"},
        }
        for number in range(MOST_LISTED - 3)
    ]
    await patients.insert_many(copies)
    full = await ask("{ PatientList { id } }")
    assert len(full.data["PatientList"]) == MOST_LISTED
    extra = copies[0] | {
        "_id": "extra",
        "key": "extra",
        "resource": copies[0]["resource"] | {"id": "extra"},
    }
    await patients.insert_one(extra)
    reply = await ask("{ PatientList { id } }")
    assert reply.body["data"] == {"PatientList": None}
    assert reply.problem == (200, "TOO_LARGE", "too-costly")
    assert "PatientConnection" in reply.message
    some = await ask("{ PatientList(_count: 5) { id } }")
    assert len(some.data["PatientList"]) == 5

    await patients.delete_many({"_id": {"$regex": "^(copy-|extra)"}})
