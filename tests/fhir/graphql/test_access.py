"""What is closed is null and named once with an OperationOutcome, however it is asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.archive import Archive
from tests.fhir.graphql.asking import Ask, Reply
from tests.fhir.graphql.known import CT, Known
from tests.policy import book, doors

SECRETS = ("Yamada", "山田", "1970-08-09", "10:11:12", "Thin slices", "thorax", "Refer")
TREE = """{ ImagingStudyList(patient: "%s") {
  id description started
  subject { reference display resource { ... on Patient {
    id birthDate _birthDate { extension { valueDateTime } } name(family: "Yamada") { text } } } }
  referrer { display }
  series(number: 1) { uid _description { id } instance(title: "x") { uid } }
} }"""


async def test_whoever_may_see_all_is_refused_nothing(ask: Ask, known: Known) -> None:
    reply = await ask(TREE % known.yamada)
    assert reply.status == 200
    assert reply.errors == []
    for secret in ("Yamada", "1970-08-09", "10:11:12", "thorax", "Refer"):
        assert secret in reply.text


async def test_closed_elements_are_null_and_named_once_with_an_outcome(
    ask: Ask, known: Known
) -> None:
    reply = await ask(TREE % known.yamada, "billing")
    at = "ImagingStudyList"
    patient = f"{at}.subject.resource"
    assert reply.forbidden == {
        "ImagingStudy.description": [f"{at}.description"],
        "ImagingStudy.subject.display": [f"{at}.subject.display"],
        "ImagingStudy.referrer": [f"{at}.referrer"],
        "ImagingStudy.series": [f"{at}.series"],
        "Patient.birthDate": [f"{patient}._birthDate", f"{patient}.birthDate"],
        "Patient.name": [f"{patient}.name"],
    }
    for secret in SECRETS:
        assert secret not in reply.text
    assert len(reply.body["data"]["ImagingStudyList"]) == 2
    assert reply.body["data"]["ImagingStudyList"][0] == {
        "id": CT,
        "description": None,
        "started": "2024-03-01T10:15:30+01:00",
        "subject": {
            "reference": f"Patient/{known.yamada}",
            "display": None,
            "resource": {"id": known.yamada, "birthDate": None, "_birthDate": None, "name": None},
        },
        "referrer": None,
        "series": None,
    }


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [
        ('name: "Yamada"', "Patient.name"),
        ('given: ["Tarou", "none"]', "Patient.name"),
        ('_filter: "family sw Yamada"', "Patient.name"),
        ('_filter: "identifier eq P1 and name co Yama"', "Patient.name"),
        ('_sort: "birthdate"', "Patient.birthDate"),
    ],
)
async def test_what_is_closed_is_not_searched_by(arguments: str, closed: str, ask: Ask) -> None:
    for root, inner in (("PatientList", "{ id }"), ("PatientConnection", "{ count }")):
        reply = await ask(f"{{ {root}({arguments}) {inner} }}", "billing")
        assert reply.forbidden == {closed: [root]}
        assert reply.body["data"] == {root: None}


async def test_a_cursor_opens_no_search_that_is_closed(ask: Ask) -> None:
    query = '{ PatientConnection(name: "Yamada", _count: 1) { first } }'
    cursor = (await ask(query)).data["PatientConnection"]["first"]
    reply = await ask(f'{{ PatientConnection(_cursor: "{cursor}") {{ count }} }}', "billing")
    assert reply.forbidden == {"Patient.name": ["PatientConnection"]}


async def test_what_is_closed_is_not_sifted_by(ask: Ask) -> None:
    for path, found in (("name.family = 'Yamada'", []), ("identifier.value = 'P1'", ["P1"])):
        reply = await ask(
            f'{{ PatientList(fhirpath: "{path}") {{ identifier {{ value }} }} }}', "billing"
        )
        values = [one["identifier"][0]["value"] for one in reply.body["data"]["PatientList"]]
        assert values == found
        if not found:
            assert reply.forbidden == {"Patient.name": ["PatientList"]}


@pytest.mark.parametrize(
    "picked",
    [
        'series(description: "Thin slices") { uid }',
        'series(description: "wrong") { uid }',
        "series(fhirpath: \"description.startsWith('Thin')\") { uid }",
        'series @slice(path: "description") { uid }',
        'series @flatten @slice(path: "description") { uid }',
    ],
)
async def test_a_list_is_not_picked_from_by_what_is_closed(
    picked: str,
    ask: Ask,
    archive: Archive,
    acting_as: Callable[..., dict[str, str]],
    tmp_path: Path,
) -> None:
    opened = await ask(f"{{ {picked} }}", at=f"ImagingStudy/{CT}")
    assert opened.status == 200
    assert opened.errors == []
    lines = "p, nurse, ImagingStudy.*, read, any, allow"
    closing = "p, nurse, ImagingStudy.series.description, read, any, deny"
    async with doors(archive, book(tmp_path, f"{lines}\n{closing}")) as http:

        async def nurse(query: str) -> Reply:
            answer = await http.post(
                f"/fhir/ImagingStudy/{CT}/$graphql",
                json={"query": query},
                headers=acting_as("nurse"),
            )
            return Reply(answer.status_code, answer.json(), answer.text)

        reply = await nurse(f"{{ {picked} id }}")
        assert list(reply.forbidden) == ["ImagingStudy.series.description"]
        assert reply.body["data"] in ({"series": None, "id": CT}, {"id": CT})
        assert "Thin" not in reply.text
        by_number = await nurse("{ series(number: 1) { uid } }")
        assert by_number.data == {"series": [{"uid": f"{CT}.1"}]}


async def test_a_reference_is_not_followed_to_a_type_that_is_closed(ask: Ask, known: Known) -> None:
    query = "{ PatientList { id } EndpointList { id } ImagingStudyList { id } }"
    reply = await ask(query, "auditor")
    assert reply.body["data"] == {
        "PatientList": None,
        "EndpointList": None,
        "ImagingStudyList": None,
    }
    assert set(reply.forbidden) == {"Patient.id", "Endpoint.id", "ImagingStudy.id"}


async def test_patients_see_their_own_and_no_trace_of_others(ask: Ask, known: Known) -> None:
    query = (
        "{ PatientList { id ImagingStudyList(_reference: patient) { id } } "
        f'other: Patient(id: "{known.berg}") {{ id }} missing: Patient(id: "x") {{ id }} }}'
    )
    reply = await ask(query, "patient", patient=known.yamada)
    assert [one["id"] for one in reply.body["data"]["PatientList"]] == [known.yamada]
    assert reply.body["data"]["other"] is reply.body["data"]["missing"] is None
    other, missing = ([e for e in reply.errors if e["path"] == [n]] for n in ("other", "missing"))
    assert {**other[0], "path": []} == {**missing[0], "path": []}
    assert known.berg not in reply.text
    at = await ask("{ id }", "patient", at=f"Patient/{known.berg}", patient=known.yamada)
    assert at.problem == (404, "NOT_FOUND", "not-found")


async def test_a_researcher_sees_pseudonyms_behind_references_and_in_reverse(
    ask: Ask, known: Known
) -> None:
    query = (
        "{ ImagingStudyList { id subject { reference resource { ... on Patient { id birthDate "
        "_birthDate { id } ImagingStudyList(_reference: patient) { id } } } } } }"
    )
    reply = await ask(query, "researcher", project="p")
    for real in (CT, known.yamada, known.berg, known.doe, *SECRETS):
        assert real not in reply.text
    studies = reply.body["data"]["ImagingStudyList"]
    assert len(studies) == 4
    for study in studies:
        patient = study["subject"]["resource"]
        assert study["subject"]["reference"] == f"Patient/{patient['id']}"
        assert study["id"] in [one["id"] for one in patient["ImagingStudyList"]]


async def test_every_access_is_in_the_audit(ask: Ask, archive: Archive, known: Known) -> None:
    events = archive.database["audit_events"]
    before = await events.distinct("_id")
    await ask("{ name { text } }", "billing", at=f"Patient/{known.yamada}")
    await ask('{ PatientList(name: "x") { id } }', "billing")
    found = [
        (one["action"], one["resource"], one["outcome"], one.get("refused"))
        async for one in events.find({"_id": {"$nin": before}, "door": "fhir-graphql"})
    ]
    assert sorted(found, key=str) == [
        ("read", "Patient", "allowed", ["Patient.name"]),
        ("search", "Patient", "refused", ["Patient.name"]),
    ]
