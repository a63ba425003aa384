"""What the shipped roles see through the FHIR door."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from app.archive import Archive
from fhir.parameters import index
from fhir.pseudonyms import SYSTEM, Pseudonyms
from tests.care import TREATING, look_after, take_off
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue, told
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
# what the studies and patients here say beyond what whoever treats patients sees of everybody
UNSEEN = {
    "ImagingStudy": {
        "ImagingStudy.subject.display",
        "ImagingStudy.referrer",
        "ImagingStudy.series.performer",
        "ImagingStudy.series.instance.title",
    },
    "Patient": {"Patient.name", "Patient.gender", "Patient.birthDate", "Patient.meta"},
}
NAMES = ("Doe", "Jane", "Røe", "Richard", "Yamada", "山田", "doe", "richard")


def is_subset(resource: dict[str, object]) -> bool:
    return "SUBSETTED" in str(resource.get("meta"))


@pytest.mark.parametrize("role", ["radiologist", "technologist"])
async def test_whoever_makes_or_reports_images_sees_everything_unmasked(
    client: httpx.AsyncClient, known: Known, acting_as: Headers, role: str
) -> None:
    for path in (f"ImagingStudy/{known.chest}", f"Patient/{known.jane}", "Endpoint/dicomweb"):
        resource = fhir(await client.get(f"/fhir/{path}", headers=acting_as(role)))
        assert not is_subset(resource)
        assert "masked" not in str(resource)


@pytest.mark.parametrize("role", TREATING)
async def test_whoever_treats_patients_finds_every_study_and_sees_whose_they_look_after_alone(
    archive: Archive, client: httpx.AsyncClient, known: Known, acting_as: Headers, role: str
) -> None:
    me = acting_as(role, subject=f"fhir-{role}")
    whole = acting_as("radiologist")
    paths = {
        name: f"/fhir/{kind}/{getattr(known, name)}"
        for kind, names in (("ImagingStudy", "chest knee"), ("Patient", "jane richard"))
        for name in names.split()
    }
    full = {name: fhir(await client.get(path, headers=whole)) for name, path in paths.items()}

    async def seen() -> dict[str, dict[str, object]]:
        bundle = fhir(await client.get("/fhir/ImagingStudy", headers=me))
        assert set(ids(bundle)) == known.studies
        return {name: fhir(await client.get(path, headers=me)) for name, path in paths.items()}

    async def found() -> set[str]:
        searches = ("Patient?name=doe,roe", "ImagingStudy?patient-name=doe,roe")
        bundles = [fhir(await client.get(f"/fhir/{one}", headers=me)) for one in searches]
        return {one for bundle in bundles for one in ids(bundle)}

    masked = await seen()
    for name, resource in masked.items():
        assert told(full[name]) - told(resource) == UNSEEN[full[name]["resourceType"]]
        assert is_subset(resource)
        assert not any(word in str(resource) for word in NAMES)
    assert await found() == set()
    link = await look_after(archive, f"fhir-{role}", known.jane)
    try:
        assert await seen() == {
            "chest": full["chest"],
            "knee": masked["knee"],
            "jane": full["jane"],
            "richard": masked["richard"],
        }
        assert await found() == {known.jane, known.chest, known.liver}
    finally:
        await take_off(client, acting_as("admin"), link)
    assert await seen() == masked
    assert await found() == set()


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


@pytest.fixture
async def relabelled(
    archive: Archive, known: Known
) -> AsyncIterator[Callable[[str | None], Awaitable[None]]]:
    """Give the chest study another label, or withhold it: None; afterwards it is as before."""
    studies = archive.database["studies"]
    before = await studies.find_one({"_id": known.chest})
    assert before is not None

    async def relabel(label: str | None) -> None:
        meta = dict(before["resource"]["meta"])
        if label is None:
            del meta["tag"]
        else:
            meta["security"] = [{"system": CONFIDENTIALITY, "code": label}]
        resource = before["resource"] | {"meta": meta}
        fresh = {"resource": resource, "index": index(resource)}
        await studies.update_one({"_id": known.chest}, {"$set": fresh})

    yield relabel
    await studies.replace_one({"_id": known.chest}, before)


Relabel = Callable[[str | None], Awaitable[None]]


@pytest.mark.parametrize(
    ("label", "seen"), [("U", True), ("N", True), ("R", True), ("V", False), (None, False)]
)
async def test_a_very_restricted_or_withheld_study_is_not_there_for_its_patient(
    client: httpx.AsyncClient,
    known: Known,
    acting_as: Headers,
    relabelled: Relabel,
    label: str | None,
    seen: bool,
) -> None:
    await relabelled(label)
    jane = acting_as("patient", patient=known.jane)
    bundle = fhir(await client.get("/fhir/ImagingStudy", headers=jane))
    assert (known.chest in ids(bundle), bundle["total"]) == (seen, 1 + seen)
    response = await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=jane)
    if not seen:
        nowhere = await client.get(f"/fhir/ImagingStudy/{known.chest}1", headers=jane)
        assert issue(response, 404) == issue(nowhere, 404)
    else:
        assert is_subset(fhir(response)) == (label == "R")
    for role in ("radiologist", "nurse"):
        headers = acting_as(role)
        assert (
            await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=headers)
        ).status_code == 200


async def test_of_a_restricted_study_its_patient_sees_that_it_was_made_when_and_with_what(
    client: httpx.AsyncClient, known: Known, acting_as: Headers, relabelled: Relabel
) -> None:
    await relabelled("R")
    jane = acting_as("patient", patient=known.jane)
    response = await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=jane)
    study = fhir(response)
    assert [one["code"] for one in study.pop("modality")] == ["CT"]
    assert study == {
        "resourceType": "ImagingStudy",
        "id": known.chest,
        "meta": {"security": [{"system": OBSERVATION, "code": "SUBSETTED"}]},
        "status": "available",
        "subject": {"reference": f"Patient/{known.jane}"},
        "started": "2024-03-01T10:15:30+01:00",
    }
    assert not {"etag", "last-modified"} & set(response.headers)
    for query, found in (
        ("status=available", {known.chest, known.liver}),
        ("modality=CT", set()),
        ("modality:not=US", set()),
        ("modality:missing=true", set()),
        ("started=2024", {known.chest}),
        ("identifier=ACC-CHEST", set()),
        ("_security=R", set()),
        (f"patient={known.jane}", {known.chest, known.liver}),
        (f"series={known.chest}.1", set()),
        ("description=thorax", set()),
    ):
        bundle = fhir(await client.get(f"/fhir/ImagingStudy?{query}", headers=jane))
        assert (set(ids(bundle)), bundle["total"]) == (found, len(found)), query
    bundle = fhir(await client.get("/fhir/ImagingStudy?_sort=started", headers=jane))
    assert ids(bundle) == [known.liver, known.chest]
    # an order would tell what the restricted one says
    refusal = await client.get("/fhir/ImagingStudy?_sort=_lastUpdated", headers=jane)
    assert issue(refusal, 403)["expression"] == ["ImagingStudy.meta"]
    richard = acting_as("patient", patient=known.richard)
    issue(await client.get(f"/fhir/ImagingStudy/{known.chest}", headers=richard), 404)


async def test_a_researcher_sees_of_what_studies_consist_and_of_whom_nothing(
    archive: Archive, client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    researcher = acting_as("researcher", project="trial-1")
    made = Pseudonyms(archive.pseudonym_key, "trial-1")
    bundle = fhir(await client.get("/fhir/ImagingStudy?modality=CT", headers=researcher))
    assert set(ids(bundle)) == {made.uid(known.chest), made.uid(known.skull)}
    hidden = (*NAMES, "2024", known.jane, known.taro, known.chest, known.skull, "ACC-", "Thorax")
    assert not any(word in str(bundle) for word in hidden)
    response = await client.get(f"/fhir/ImagingStudy/{made.uid(known.chest)}", headers=researcher)
    study = fhir(response)
    sop_class = {
        "system": "urn:ietf:rfc:3986",
        "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2",
    }
    assert study["series"] == [
        {
            "uid": made.uid(f"{known.chest}.{series}"),
            "number": series,
            "modality": {"system": DCM, "code": "CT"},
            "numberOfInstances": 2,
            "bodySite": {"system": "http://snomed.info/sct", "code": "816094009"},
            "instance": [
                {
                    "uid": made.uid(f"{known.chest}.{series}.{at}"),
                    "sopClass": sop_class,
                    "number": at,
                }
                for at in (1, 2)
            ],
        }
        for series in (1, 2)
    ]
    assert study["subject"] == {"reference": f"Patient/{made.patient(known.jane)}"}
    assert [one["value"] for one in study["identifier"]] == [
        f"urn:oid:{made.uid(known.chest)}",
        made.accession("ACC-CHEST"),
    ]
    assert [one["code"] for one in study["meta"]["security"]] == ["N", "PSEUDED", "SUBSETTED"]
    assert set(study) == {
        "resourceType", "id", "meta", "identifier", "status", "modality", "subject", "endpoint",
        "numberOfSeries", "numberOfInstances", "series",
    }  # fmt: skip
    # how often it grew is told, when it did is not
    assert response.headers["etag"] == 'W/"4"'
    assert "last-modified" not in response.headers
    people = fhir(await client.get("/fhir/Patient", headers=researcher))
    people_of = {entry["resource"]["id"]: entry["resource"] for entry in people["entry"]}
    assert {one: shown["gender"] for one, shown in people_of.items()} == {
        made.patient(known.jane): "female",
        made.patient(known.richard): "male",
        made.patient(known.taro): "male",
    }
    for shown in people_of.values():
        assert set(shown) == {"resourceType", "id", "meta", "identifier", "gender"}
        assert [one["system"] for one in shown["identifier"]] == [SYSTEM]


async def test_a_researcher_asks_by_pseudonyms_and_not_by_what_they_stand_for(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    researcher = acting_as("researcher", project="trial-1")
    for path in (f"ImagingStudy/{known.chest}", f"Patient/{known.jane}"):
        hidden = issue(await client.get(f"/fhir/{path}", headers=researcher), 404)
        assert hidden == issue(await client.get(f"/fhir/{path}1", headers=researcher), 404)
    for query in (
        f"ImagingStudy?_id={known.chest}",
        f"ImagingStudy?patient={known.jane}",
        "ImagingStudy?identifier=ACC-CHEST",
        f"ImagingStudy?series={known.chest}.1",
        "Patient?identifier=P1",
    ):
        bundle = fhir(await client.get(f"/fhir/{query}", headers=researcher))
        assert (ids(bundle), bundle["total"]) == ([], 0)


async def test_a_researcher_whose_token_names_no_project_sees_nothing(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    for path in ("ImagingStudy", f"ImagingStudy/{known.chest}", "Patient", "ImagingStudy?_count=0"):
        refusal = issue(await client.get(f"/fhir/{path}", headers=acting_as("researcher")), 403)
        assert "the token has to name it" in refusal["diagnostics"]
        assert "expression" not in refusal


DCM = "http://dicom.nema.org/resources/ontology/DCM"
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
        ("admin", "Patient?name=doe", ["Patient.name"]),
        ("admin", "Patient?birthdate=1985", ["Patient.birthDate"]),
        ("admin", "ImagingStudy?description=ct", ["ImagingStudy.description"]),
        ("admin", "ImagingStudy?patient=x", ["ImagingStudy.subject"]),
        ("admin", "ImagingStudy?subject:missing=true", ["ImagingStudy.subject"]),
        ("admin", "ImagingStudy?_sort=patient", ["ImagingStudy.subject"]),
        ("researcher", "ImagingStudy?started=2024", ["ImagingStudy.started"]),
        ("researcher", "ImagingStudy?started:missing=true", ["ImagingStudy.started"]),
        ("researcher", "ImagingStudy?_lastUpdated=gt2020", ["ImagingStudy.meta"]),
        ("researcher", "ImagingStudy?_sort=started,patient", ["ImagingStudy.started"]),
        ("researcher", "ImagingStudy?_sort=-_lastUpdated", ["ImagingStudy.meta"]),
        ("researcher", "ImagingStudy?description=ct", ["ImagingStudy.description"]),
        ("researcher", "ImagingStudy?patient-name=doe", ["ImagingStudy.subject.display"]),
        ("researcher", "Patient?name=doe", ["Patient.name"]),
        ("researcher", "Patient?birthdate=1985", ["Patient.birthDate"]),
        ("researcher", "Patient?_sort=birthdate", ["Patient.birthDate"]),
        # orders tell something of every row, so they need the right on every row
        *((role, "ImagingStudy?_sort=patient-name", ["ImagingStudy.subject.display"])
          for role in TREATING),
        *((role, "Patient?_sort=birthdate", ["Patient.birthDate"]) for role in TREATING),
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
    headers = acting_as(role, project="trial-1" if role == "researcher" else None)
    refusal = issue(await client.get(f"/fhir/{query}", headers=headers), 403)
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
    response = await client.get(f"/fhir/ImagingStudy?{includes}", headers=acting_as("admin"))
    bundle = fhir(response)
    assert (bundle["total"], ids(bundle, "include")) == (4, ["dicomweb"])


async def test_an_admin_sees_of_patients_the_record_number_alone(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    bundle = fhir(await client.get("/fhir/Patient?identifier=P2", headers=acting_as("admin")))
    [entry] = bundle["entry"]
    assert told(entry["resource"]) == {"Patient.id", "Patient.identifier"}
    assert (entry["resource"]["id"], is_subset(entry["resource"])) == (known.richard, True)


async def test_an_admin_sees_masks_where_fhir_demands_a_value(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    study = fhir(await client.get(f"/fhir/ImagingStudy/{known.knee}", headers=acting_as("admin")))
    assert study["subject"] == MASKED
    assert study["started"] == "2024-03-01T23:30:00-05:00"
    assert "description" not in study
    assert_valid(study)
