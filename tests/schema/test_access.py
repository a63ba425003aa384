"""What is closed is null, named once, and nowhere in the answer."""

from typing import Any

import pytest

from app.archive import Archive
from fhir.access import Access
from fhir.elements import COORDINATES
from fhir.guarded import GuardedRepository
from policies.caller import Caller
from policies.grants import Policy
from policies.reader import read_rules
from policies.scopes import Scope
from schema.build import build_schema
from schema.execution import Query, run
from schema.limits import Limits
from tests.build import study
from tests.schema.asking import Ask, nodes
from tests.schema.library import store

TREE = """{patients(sort: [ID]) {totalCount edges {node {
  id name {text} birthDate gender identifier {value}
  studies {totalCount edges {node {
    id started description subject {reference display} referrer {display}
    series {uid number description instance {uid number
      image {rows frames {url} rendered file}}}
    patient {birthDate}
  }}}
}}}}"""

SECRETS = ("Secretive", "1931-07-09", "Hidden words", "Refer", "Closed series")


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    said = {
        "PatientName": "Secretive^Sue",
        "PatientBirthDate": "19310709",
        "StudyDescription": "Hidden words",
        "ReferringPhysicianName": "Refer^Ron",
        "SeriesDescription": "Closed series",
    }
    for patient in ("S1", "S2"):
        for number in (1, 2):
            root = f"1.9.{patient[1]}.{number}"
            await store(archive, *study(2, 2, StudyInstanceUID=root, PatientID=patient, **said))


async def test_whoever_may_see_all_is_refused_nothing(ask: Ask) -> None:
    reply = await ask(TREE, "radiologist")
    assert reply.data["patients"]["totalCount"] == 2
    for secret in SECRETS:
        assert secret in reply.text


async def test_closed_fields_are_null_and_named_once_however_many_rows(ask: Ask) -> None:
    reply = await ask(TREE, "billing")
    at = "patients.edges.node"
    inner = f"{at}.studies.edges.node"
    image = f"{inner}.series.instance.image"
    assert reply.forbidden == {
        "Patient.name": [f"{at}.name"],
        "Patient.birthDate": [f"{at}.birthDate", f"{inner}.patient.birthDate"],
        "Patient.gender": [f"{at}.gender"],
        "ImagingStudy.description": [f"{inner}.description"],
        "ImagingStudy.subject.display": [f"{inner}.subject.display"],
        "ImagingStudy.referrer": [f"{inner}.referrer"],
        "ImagingStudy.series": [f"{inner}.series"],
        "Image.id": [image],
        "Image.rows": [f"{image}.rows"],
        "Image.pixels": [f"{image}.frames", f"{image}.rendered"],
        "Image.numberOfFrames": [f"{image}.frames", f"{image}.rendered"],
        "Image.study": [f"{image}.file", f"{image}.frames", f"{image}.rendered"],
        "Image.series": [f"{image}.file", f"{image}.frames", f"{image}.rendered"],
        "Image.file": [f"{image}.file"],
    }
    for secret in SECRETS:
        assert secret not in reply.text
    page = reply.body["data"]["patients"]
    assert page["totalCount"] == 2
    for patient in page["edges"]:
        node = patient["node"]
        assert (node["name"], node["birthDate"], node["gender"]) == (None, None, None)
        assert node["identifier"][0]["value"] in {"S1", "S2"}
        assert node["studies"]["totalCount"] == 2
        for edge in node["studies"]["edges"]:
            one = edge["node"]
            assert (one["series"], one["description"], one["referrer"]) == (None, None, None)
            assert one["subject"] == {"reference": f"Patient/{node['id']}", "display": None}
            assert one["started"] == "2024-02-29"
            assert one["patient"] == {"birthDate": None}


async def test_a_researcher_sees_series_and_instances_under_pseudonyms_without_names(
    ask: Ask,
) -> None:
    reply = await ask(
        """{studies {totalCount edges {node {id description
             series {uid number description instance {uid number image {id rows}}}}}}}""",
        "researcher",
        project="trial-1",
    )
    at = "studies.edges.node"
    assert reply.forbidden == {
        "ImagingStudy.description": [f"{at}.description"],
        "ImagingStudy.series.description": [f"{at}.series.description"],
    }
    page = reply.body["data"]["studies"]
    assert page["totalCount"] == 4
    for edge in page["edges"]:
        assert edge["node"]["id"].startswith("2.25.")
        assert [one["number"] for one in edge["node"]["series"]] == [1, 2]
        for series in edge["node"]["series"]:
            assert (series["description"], series["uid"][:5]) == (None, "2.25.")
            assert [one["number"] for one in series["instance"]] == [1, 2]
            assert all(one["uid"] == one["image"]["id"] for one in series["instance"])
    for secret in (*SECRETS, "1.9.1.1"):
        assert secret not in reply.text


@pytest.mark.parametrize(
    ("root", "role", "coordinate"),
    [
        ("patients {totalCount edges {node {name {text}}}}", "auditor", "Patient.id"),
        ("PatientList {name {text}}", "auditor", "Patient.id"),
        ('patient(id: "x") {id}', "auditor", "Patient.id"),
        ("studies {totalCount}", "auditor", "ImagingStudy.id"),
        ('study(uid: "1.9.1.1") {id started}', "auditor", "ImagingStudy.id"),
        ("ImagingStudyConnection {count}", "auditor", "ImagingStudy.id"),
        ("images {totalCount}", "billing", "Image.id"),
        ('image(uid: "1.9.1.1.1.1") {id}', "billing", "Image.id"),
        ('endpoint(id: "dicomweb") {id}', "billing", "Endpoint.id"),
    ],
)
async def test_a_closed_type_is_one_refusal_and_no_data(
    ask: Ask, archive: Archive, root: str, role: str, coordinate: str
) -> None:
    reply = await ask(f"{{found: {root}}}", role)
    assert reply.status == 200
    assert reply.body["data"] == {"found": None}
    assert reply.forbidden == {coordinate: ["found"]}
    event = await archive.database["audit_events"].find_one({}, sort=[("recorded", -1)])
    assert event is not None
    assert "refused" in str(event)
    assert coordinate in str(event)


@pytest.mark.parametrize(
    ("root", "role", "coordinate"),
    [
        ('patients(name: "sec") {totalCount}', "billing", "Patient.name"),
        ('patients(birthDate: {from: "1931"}) {totalCount}', "billing", "Patient.birthDate"),
        ("patients(sort: [BIRTH_DATE]) {totalCount}", "billing", "Patient.birthDate"),
        ('PatientList(family: ["sec"]) {id}', "billing", "Patient.name"),
        ('PatientList(_sort: "birthdate") {id}', "billing", "Patient.birthDate"),
        ('studies(description: "hid") {totalCount}', "billing", "ImagingStudy.description"),
        ('studies(bodySite: ["CHEST"]) {totalCount}', "billing", "ImagingStudy.series.bodySite"),
        ('studies(patient: ["x"]) {totalCount}', "admin", "ImagingStudy.subject"),
        ("studies(sort: [PATIENT]) {totalCount}", "admin", "ImagingStudy.subject"),
        ('studies(bodySite: ["CHEST"]) {totalCount}', "admin", "ImagingStudy.series.bodySite"),
        ('series(uid: "1.9.1.1.1") {number}', "billing", "ImagingStudy.series.uid"),
    ],
)
async def test_nobody_filters_or_sorts_by_what_is_closed(
    ask: Ask, root: str, role: str, coordinate: str
) -> None:
    reply = await ask(f"{{found: {root} other: studies {{totalCount}}}}", role)
    assert reply.body["data"] == {"found": None, "other": {"totalCount": 4}}
    assert reply.forbidden == {coordinate: ["found"]}


async def test_a_closed_filter_inside_nulls_the_link_alone(ask: Ask) -> None:
    reply = await ask(
        '{patients {totalCount edges {node {found: studies(description: "x") {totalCount}}}}}',
        "billing",
    )
    assert nodes(reply.body["data"]["patients"], "found") == [None, None]
    assert reply.forbidden == {"ImagingStudy.description": ["patients.edges.node.found"]}


async def test_patients_see_and_count_themselves_alone(ask: Ask) -> None:
    people = (await ask('{PatientList(identifier: ["S1"]) {id}}')).data["PatientList"]
    me = people[0]["id"]
    reply = await ask(TREE, "patient", patient=me)
    assert nodes(reply.data["patients"]) == [me]
    assert reply.data["patients"]["totalCount"] == 1
    [mine] = nodes(reply.data["patients"], "studies")
    assert nodes(mine) == ["1.9.1.1", "1.9.1.2"]
    reply = await ask(
        """{studies {totalCount edges {node {id}}} images {totalCount}
            theirs: study(uid: "1.9.2.1") {id} image(uid: "1.9.2.1.1.1") {id}
            series(uid: "1.9.2.1.1") {uid}}""",
        "patient",
        patient=me,
    )
    assert nodes(reply.body["data"]["studies"]) == ["1.9.1.1", "1.9.1.2"]
    assert reply.body["data"]["studies"]["totalCount"] == 2
    assert reply.body["data"]["images"]["totalCount"] == 8
    for root in ("theirs", "image", "series"):
        assert reply.body["data"][root] is None
    assert {one["extensions"]["code"] for one in reply.errors} == {"NOT_FOUND"}
    assert "1.9.2" not in reply.text


async def test_a_refusal_does_not_depend_on_there_being_rows(ask: Ask) -> None:
    reply = await ask(
        """{studies(status: ["cancelled"]) {edges {node {description patient {name {text}}}}}
            patients(gender: null, identifier: ["none"]) {edges {node {
              studies {edges {node {note {text}}}}}}}}""",
        "billing",
    )
    assert reply.forbidden == {
        "ImagingStudy.description": ["studies.edges.node.description"],
        "Patient.name": ["studies.edges.node.patient.name"],
        "ImagingStudy.note": ["patients.edges.node.studies.edges.node.note"],
    }


async def test_at_most_twenty_places_are_named(ask: Ask) -> None:
    many = " ".join(f"a{number}: name {{text}}" for number in range(25))
    reply = await ask(f"{{patients {{edges {{node {{{many}}}}}}}}}", "billing")
    assert len(reply.forbidden["Patient.name"]) == 20


async def test_an_element_open_on_some_rows_is_null_on_the_others(archive: Archive) -> None:
    scopes = {"first": Scope("first", "", {"ImagingStudy": "_id=1.9.1.1"})}
    rules = """\
p, nurse, ImagingStudy.id, read, any, allow
p, nurse, ImagingStudy.subject, read, any, allow
p, nurse, ImagingStudy.description, read, first, allow
p, nurse, ImagingStudy.series, read, any, allow
p, nurse, ImagingStudy.series.instance, read, any, allow
p, nurse, ImagingStudy.series.instance.number, read, first, allow
p, nurse, Image.id, read, first, allow
p, nurse, Image.rows, read, any, allow
p, nurse, Image.study, read, any, allow
p, nurse, Image.series, read, any, allow
p, nurse, Image.numberOfFrames, read, any, allow
p, nurse, Image.pixels, read, first, allow
"""
    policy = Policy("test", read_rules(rules, COORDINATES, scopes), scopes)
    guarded = GuardedRepository(
        archive.repository, Access(Caller("me", frozenset({"nurse"})), policy)
    )
    text = """{studies(first: 2) {edges {node {description
      series {instance(first: 1) {number image {rows rendered}}}}}}}"""
    answer = await run(build_schema(), guarded, "", Query(text), Limits())
    first, second = nodes(answer.body["data"]["studies"], "description")
    assert (first, second) == ("Hidden words", None)
    [[opened], _], [[closed], _] = (
        [one["instance"] for one in series]
        for series in nodes(answer.body["data"]["studies"], "series")
    )
    url = "/dicomweb/studies/1.9.1.1/series/1.9.1.1.1/instances/1.9.1.1.1.1/rendered"
    assert opened == {"number": 1, "image": {"rows": 16, "rendered": url}}
    assert closed == {"number": None, "image": None}
    at = "studies.edges.node"
    refused: dict[str, Any] = {
        one["extensions"]["coordinate"]: one["extensions"]["paths"] for one in answer.body["errors"]
    }
    assert refused == {
        "ImagingStudy.description": [f"{at}.description"],
        "ImagingStudy.series.instance.number": [f"{at}.series.instance.number"],
        "Image.id": [f"{at}.series.instance.image"],
        "Image.pixels": [f"{at}.series.instance.image.rendered"],
    }
