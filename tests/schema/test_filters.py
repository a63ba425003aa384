"""Each filter alone and together, on records that differ in just that."""

import pytest

from app.archive import Archive
from tests.schema.asking import Ask, nodes
from tests.schema.library import PEOPLE, fill

ALL = ["1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7", "1.2.8"]


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    await fill(archive)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", ALL),
        ("sort: null, patient: null, after: null, first: null", ALL),
        ('identifier: ["urn:dicom:uid|urn:oid:1.2.3"]', ["1.2.3"]),
        ('identifier: ["urn:oid:1.2.3", "urn:oid:1.2.4"]', ["1.2.3", "1.2.4"]),
        ('accession: ["A1"]', ["1.2.1"]),
        ('accession: ["A,5", "A2"]', ["1.2.2", "1.2.5"]),
        ('accession: ["A"]', []),
        ('modality: ["CT"]', ["1.2.1", "1.2.7", "1.2.8"]),
        ('modality: ["mri"]', ["1.2.2"]),
        ('modality: ["MR", "US"]', ["1.2.2", "1.2.3"]),
        ('modality: ["XR"]', ["1.2.4", "1.2.5"]),
        ('modality: ["x-ray"]', ["1.2.4", "1.2.5"]),
        ('modality: ["Echo", "PET"]', ["1.2.3", "1.2.6"]),
        ('bodySite: ["69536005"]', ["1.2.2"]),
        ('bodySite: ["http://snomed.info/sct|69536005"]', ["1.2.2"]),
        ('bodySite: ["head", "Heart"]', ["1.2.2", "1.2.3"]),
        ('started: {from: "2021-03-01", to: "2021-03-01"}', ["1.2.2", "1.2.3", "1.2.4"]),
        ('started: {from: "2021"}', ["1.2.2", "1.2.3", "1.2.4", "1.2.7", "1.2.8"]),
        ('started: {to: "2020-01"}', ["1.2.1"]),
        ('started: {from: "2021-03-02", to: "2022-06-14"}', []),
        ('started: {from: "2022-06-15T12:00:00Z"}', ["1.2.7", "1.2.8"]),
        ("started: {}", ALL),
        ("started: {from: null, to: null}", ALL),
        ('status: ["available"]', ALL),
        ('status: ["cancelled", "unknown"]', []),
        ('description: "contrast"', ["1.2.2"]),
        ('description: "HEAD with"', ["1.2.2"]),
        ('description: "views, chest"', ["1.2.4"]),
        ('modality: ["CT"], started: {from: "2022"}, accession: ["A8"]', ["1.2.8"]),
    ],
)
async def test_studies_are_narrowed(ask: Ask, arguments: str, found: list[str]) -> None:
    reply = await ask(
        f"{{studies({arguments}) {{totalCount edges {{node {{id}}}}}}}}"
        if arguments
        else "{studies {totalCount edges {node {id}}}}"
    )
    assert nodes(reply.data["studies"]) == found
    assert reply.data["studies"]["totalCount"] == len(found)


async def test_studies_are_narrowed_to_patients(ask: Ask) -> None:
    people = await ask('{PatientList(family: ["baker"]) {id}}')
    ids = [one["id"] for one in people.data["PatientList"]]
    reply = await ask(
        "query ($ids: [ID!]) {studies(patient: $ids) {totalCount edges {node {id}}}}",
        variables={"ids": ids},
    )
    assert nodes(reply.data["studies"]) == ["1.2.3", "1.2.4"]
    reply = await ask(
        "query ($ids: [ID!]) {studies(patient: $ids) {totalCount}}",
        variables={"ids": [f"Patient/{ids[0]}"]},
    )
    assert reply.data["studies"]["totalCount"] == 1


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("first: 100", list(PEOPLE)),
        ('identifier: ["P1"]', ["P1"]),
        ('identifier: ["P1", "P2"]', ["P1", "P2"]),
        ('name: "b"', ["P2", "P3"]),
        ('name: "zoe"', ["P7"]),
        ('family: "muller"', ["P7"]),
        ('family: "MÜLL"', ["P7"]),
        ('given: "be"', ["P3"]),
        ('given: "baker"', []),
        ('birthDate: {from: "1960-02-02", to: "1960-02-02"}', ["P2", "P3", "P4"]),
        ('birthDate: {to: "1959"}', ["P1"]),
        ('birthDate: {from: "1960"}', ["P2", "P3", "P4", "P7"]),
        ('gender: ["female"]', ["P1", "P3", "P5"]),
        ('gender: ["male", "other"]', ["P2", "P4", "P7"]),
        ('name: "b", gender: ["female"]', ["P3"]),
    ],
)
async def test_patients_are_narrowed(ask: Ask, arguments: str, found: list[str]) -> None:
    reply = await ask(
        f"{{patients({arguments}) {{totalCount edges {{node {{identifier {{value}}}}}}}}}}"
    )
    page = reply.data["patients"]
    assert sorted(one[0]["value"] for one in nodes(page, "identifier")) == found
    assert page["totalCount"] == len(found)


async def test_operators_in_values_are_only_text(ask: Ask) -> None:
    for value in ("$ne", ".*", '{"$gt": ""}', "A1|", "\\\\"):
        reply = await ask(
            "query ($v: [String!]) {studies(accession: $v) {totalCount}}", variables={"v": [value]}
        )
        assert reply.data["studies"]["totalCount"] == 0
    reply = await ask('{patients(name: ".*") {totalCount}}')
    assert reply.code == "INVALID_REQUEST"
