"""What the shipped roles see through the FHIR door."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from fhir.parameters import index
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue
from tests.validators import assert_valid

Headers = Callable[..., dict[str, str]]
MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
NAMES = ("Doe", "Jane", "Røe", "Richard", "Yamada", "山田", "doe", "richard")


def is_subset(resource: dict[str, object]) -> bool:
    return "SUBSETTED" in str(resource.get("meta"))


async def test_a_provider_sees_everything_unmasked(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    for path in (f"ImagingStudy/{known.chest}", f"Patient/{known.jane}", "Endpoint/dicomweb"):
        resource = fhir(await client.get(f"/fhir/{path}", headers=acting_as("provider")))
        assert not is_subset(resource)
        assert "masked" not in str(resource)


async def test_a_patient_sees_their_own_studies_and_no_others(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    jane = acting_as("patient", patient=known.jane)
    bundle = fhir(
        await client.get("/fhir/ImagingStudy?_include=ImagingStudy:patient", headers=jane)
    )
    assert (set(ids(bundle)), bundle["total"]) == ({known.chest, known.liver}, 2)
    assert ids(bundle, "include") == [known.jane]
    assert not is_subset(bundle["entry"][0]["resource"])
    for query, total in (
        (f"patient={known.richard}", 0),
        (f"_id={known.knee}", 0),
        ("modality=MR", 0),
        ("modality:not=CT", 1),
        ("_count=0", 2),
        ("patient-name=richard", 0),
    ):
        bundle = fhir(await client.get(f"/fhir/ImagingStudy?{query}", headers=jane))
        assert bundle["total"] == total, query
    for path in (f"ImagingStudy/{known.knee}", f"Patient/{known.richard}"):
        hidden = issue(await client.get(f"/fhir/{path}", headers=jane), 404)
        nowhere = issue(await client.get(f"/fhir/{path}1", headers=jane), 404)
        assert hidden == nowhere
    patients = fhir(await client.get("/fhir/Patient", headers=jane))
    assert (ids(patients), patients["total"]) == ([known.jane], 1)


async def test_a_patient_token_without_a_patient_sees_nobody(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    for kind in ("ImagingStudy", "Patient"):
        bundle = fhir(await client.get(f"/fhir/{kind}", headers=acting_as("patient")))
        assert (ids(bundle), bundle["total"]) == ([], 0)


@pytest.mark.parametrize("label", ["R", "V", "N", None])
async def test_a_sensitive_or_withheld_study_is_not_there_for_its_patient(
    archive: Archive, client: httpx.AsyncClient, known: Known, acting_as: Headers, label: str | None
) -> None:
    studies = archive.database["studies"]
    before = await studies.find_one({"_id": known.chest})
    assert before is not None
    resource = dict(before["resource"])
    resource["meta"] = dict(resource["meta"])
    if label is None:
        del resource["meta"]["tag"]
    else:
        resource["meta"]["security"] = [{"system": CONFIDENTIALITY, "code": label}]
    fresh = {"resource": resource, "index": index(resource)}
    await studies.update_one({"_id": known.chest}, {"$set": fresh})
    jane = acting_as("patient", patient=known.jane)
    bundle = fhir(await client.get("/fhir/ImagingStudy", headers=jane))
    response = await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=jane)
    as_provider = await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=acting_as("nurse"))
    await studies.replace_one({"_id": known.chest}, before)
    seen = label == "N"
    assert (known.chest in ids(bundle), bundle["total"]) == (seen, 1 + seen)
    assert response.status_code == (200 if seen else 404)
    assert as_provider.status_code == 200


async def test_a_researcher_sees_of_what_studies_consist_and_of_whom_nothing(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    researcher = acting_as("researcher")
    response = await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=researcher)
    study = fhir(response)
    sop_class = {
        "system": "urn:ietf:rfc:3986",
        "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2",
        "display": "CT Image Storage",
    }
    assert [part["instance"] for part in study["series"]] == [
        [{"_uid": MASKED, "sopClass": sop_class, "number": at} for at in (1, 2)]
    ] * 2
    assert [(part["_uid"], part["number"]) for part in study["series"]] == [
        (MASKED, 1),
        (MASKED, 2),
    ]
    assert study["subject"] == MASKED
    assert study["meta"] == {"security": [{"system": OBSERVATION, "code": "SUBSETTED"}]}
    assert set(study) == {
        "resourceType", "id", "meta", "status", "modality", "subject", "numberOfSeries",
        "numberOfInstances", "series",
    }  # fmt: skip
    assert set(study["series"][0]) == {
        "_uid", "number", "modality", "numberOfInstances", "bodySite", "instance",
    }  # fmt: skip
    assert "etag" not in response.headers
    assert "last-modified" not in response.headers
    bundle = fhir(await client.get("/fhir/ImagingStudy?modality=CT", headers=researcher))
    assert set(ids(bundle)) == {known.chest, known.skull}
    assert not any(name in str(bundle) for name in (*NAMES, "2024", known.jane, "ACC-"))


OBSERVATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"


async def test_billing_sees_record_numbers_and_no_names(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    billing = acting_as("billing")
    address = "/fhir/ImagingStudy?_include=ImagingStudy:patient&_include=ImagingStudy:endpoint"
    bundle = fhir(await client.get(address, headers=billing))
    assert set(ids(bundle)) == known.studies
    assert set(ids(bundle, "include")) == {known.jane, known.richard, known.taro}
    assert not any(name in str(bundle) for name in NAMES)
    resources = {entry["resource"]["id"]: entry["resource"] for entry in bundle["entry"]}
    assert resources[known.chest]["subject"] == {"reference": f"Patient/{known.jane}"}
    assert [one["value"] for one in resources[known.jane]["identifier"]] == ["P1"]
    assert set(resources[known.jane]) == {"resourceType", "id", "meta", "identifier"}
    assert all(is_subset(one) for one in resources.values())


@pytest.mark.parametrize(
    ("role", "query", "coordinates"),
    [
        ("billing", "Patient?name=doe", ["Patient.name"]),
        ("billing", "Patient?family:missing=false", ["Patient.name"]),
        ("billing", "Patient?birthdate=1970", ["Patient.birthDate"]),
        ("billing", "Patient?_sort=birthdate", ["Patient.birthDate"]),
        ("billing", "ImagingStudy?patient-name=doe", ["ImagingStudy.subject.display"]),
        ("billing", "ImagingStudy?_sort=-patient-name", ["ImagingStudy.subject.display"]),
        ("billing", "ImagingStudy?description=ct", ["ImagingStudy.description"]),
        ("billing", "Endpoint", ["Endpoint.id"]),
        ("admin", "Patient", ["Patient.id"]),
        ("admin", "ImagingStudy?patient=x", ["ImagingStudy.subject"]),
        ("admin", "ImagingStudy?subject:missing=true", ["ImagingStudy.subject"]),
        ("admin", "ImagingStudy?_sort=patient", ["ImagingStudy.subject"]),
        ("researcher", "ImagingStudy?identifier=ACC-CHEST", ["ImagingStudy.identifier"]),
        ("researcher", "ImagingStudy?started=2024", ["ImagingStudy.started"]),
        ("researcher", "ImagingStudy?series=x", ["ImagingStudy.series.uid"]),
        ("researcher", "ImagingStudy?_lastUpdated=gt2020", ["ImagingStudy.meta"]),
        ("researcher", "ImagingStudy?_sort=started,patient",
         ["ImagingStudy.started", "ImagingStudy.subject"]),
        ("researcher", "Patient", ["Patient.id"]),
        ("auditor", "ImagingStudy", ["ImagingStudy.id"]),
    ],
)  # fmt: skip
async def test_nobody_searches_or_sorts_by_what_they_may_not_read(
    client: httpx.AsyncClient,
    known: Known,
    acting_as: Headers,
    role: str,
    query: str,
    coordinates: list[str],
) -> None:
    refusal = issue(await client.get(f"/fhir/{query}", headers=acting_as(role)), 403)
    assert refusal["code"] == "forbidden"
    assert refusal["expression"] == coordinates


async def test_a_refused_search_is_in_the_audit(
    archive: Archive, client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    headers = acting_as("billing") | {"X-Request-Id": "refused"}
    await client.get("/fhir/Patient?name=doe", headers=headers)
    await client.get(f"/fhir/Patient/{known.jane}1", headers=headers)
    written = archive.database["audit_events"].find({"requestId": "refused"}).sort("recorded")
    assert [
        (one["action"], one["outcome"], one["ids"], one["refused"]) async for one in written
    ] == [
        ("search", "refused", [], ["Patient.name"]),
        ("read", "failed", [f"{known.jane}1"], []),
    ]


async def test_what_a_closed_element_refers_to_does_not_come_along(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    includes = "_include=ImagingStudy:patient&_include=ImagingStudy:endpoint"
    for role, included in (("admin", ["dicomweb"]), ("researcher", [])):
        response = await client.get(f"/fhir/ImagingStudy?{includes}", headers=acting_as(role))
        bundle = fhir(response)
        assert (bundle["total"], ids(bundle, "include")) == (4, included)


async def test_an_admin_sees_masks_where_fhir_demands_a_value(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    study = fhir(await client.get(f"/fhir/ImagingStudy/{known.knee}", headers=acting_as("admin")))
    assert study["subject"] == MASKED
    assert study["started"] == "2024-03-01T23:30:00-05:00"
    assert "description" not in study
    assert_valid(study)
