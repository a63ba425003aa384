"""Parts of resources: `_summary` and `_elements` through the FHIR door."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.archive import Archive
from app.store.records import MongoRepository
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue, link
from tests.policy import book, doors

Headers = Callable[..., dict[str, str]]
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}


def marked(resource: dict[str, Any]) -> bool:
    return SUBSETTED in resource["meta"].get("tag", ())


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of which studies instances were read from the database."""
    asked: list[str] = []
    images_of = MongoRepository.images_of

    async def noted(self: MongoRepository, studies: Any, *rest: Any) -> Any:
        asked.extend(studies)
        return await images_of(self, studies, *rest)

    monkeypatch.setattr(MongoRepository, "images_of", noted)
    return asked


async def test_a_summary_leaves_out_the_instances_and_does_not_read_them(
    radiologist: httpx.AsyncClient, known: Known, unread: list[str]
) -> None:
    whole = fhir(await radiologist.get(f"ImagingStudy/{known.chest}"))
    assert unread == [known.chest]
    unread.clear()
    for path in (f"ImagingStudy/{known.chest}?", f"ImagingStudy?_id={known.chest}&"):
        answer = fhir(await radiologist.get(f"{path}_summary=true"))
        study = answer["entry"][0]["resource"] if "entry" in answer else answer
        assert marked(study)
        expected = {**whole, "meta": study["meta"]}
        expected["series"] = [
            {name: value for name, value in one.items() if name != "instance"}
            for one in whole["series"]
        ]
        assert study == expected
    assert unread == []


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("_summary=text", "id meta status subject"),
        ("_elements=started", "id meta status subject started"),
        ("_elements=started,numberOfSeries", "id meta status subject started numberOfSeries"),
        ("_elements=started&_elements=modality", "id meta status subject started modality"),
        ("_elements=ImagingStudy.started", "id meta status subject started"),
        ("_elements=id", "id meta status subject"),
        ("_elements=encounter", "id meta status subject"),
    ],
)
async def test_a_part_keeps_what_is_mandatory(
    radiologist: httpx.AsyncClient, known: Known, unread: list[str], query: str, kept: str
) -> None:
    whole = fhir(await radiologist.get(f"ImagingStudy/{known.chest}"))
    unread.clear()
    for path in (f"ImagingStudy/{known.chest}?", f"ImagingStudy?_id={known.chest}&"):
        answer = fhir(await radiologist.get(f"{path}{query}"))
        study = answer["entry"][0]["resource"] if "entry" in answer else answer
        assert study.keys() - {"resourceType"} == set(kept.split())
        assert marked(study)
        assert study["meta"]["versionId"] == whole["meta"]["versionId"]
    assert unread == []


async def test_series_that_are_named_come_with_their_instances(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    whole = fhir(await radiologist.get(f"ImagingStudy/{known.chest}"))
    part = fhir(await radiologist.get(f"ImagingStudy/{known.chest}?_elements=series"))
    assert part["series"] == whole["series"]


@pytest.mark.parametrize("query", ["_summary=false", "_summary=", "_elements=", "_summary=data"])
async def test_everything_may_be_asked_for_too(
    radiologist: httpx.AsyncClient, known: Known, query: str
) -> None:
    whole = fhir(await radiologist.get(f"ImagingStudy/{known.chest}"))
    part = fhir(await radiologist.get(f"ImagingStudy/{known.chest}?{query}"))
    assert marked(part) == (query == "_summary=data")
    assert {**part, "meta": whole["meta"]} == whole


async def test_a_summary_is_of_all_that_comes_and_elements_of_what_is_searched(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    path = f"Patient?_id={known.jane}&_revinclude=ImagingStudy:patient"
    short = fhir(await radiologist.get(f"{path}&_summary=true"))
    assert [marked(one["resource"]) for one in short["entry"]] == [True] * 3
    assert "instance" not in str(short["entry"][1:])
    some = fhir(await radiologist.get(f"{path}&_elements=gender"))
    assert [marked(one["resource"]) for one in some["entry"]] == [True, False, False]
    patient = some["entry"][0]["resource"]
    assert patient.keys() == {"resourceType", "id", "meta", "gender"}
    assert "_elements=gender" in str(link(some, "self"))


async def test_a_patient_and_an_endpoint_have_summaries(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    patient = fhir(await radiologist.get(f"Patient/{known.richard}?_summary=true"))
    assert {"identifier", "name", "gender", "birthDate"} <= patient.keys()
    endpoint = fhir(await radiologist.get("Endpoint/dicomweb?_summary=text"))
    assert endpoint.keys() == {
        "resourceType",
        "id",
        "meta",
        "status",
        "connectionType",
        "payloadType",
        "address",
    }
    assert marked(patient)
    assert marked(endpoint)


async def test_counting_gives_the_total_alone_and_only_to_a_search(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    counted = fhir(await radiologist.get("ImagingStudy?_summary=count&_include=*&_elements=id"))
    assert (counted["total"], ids(counted)) == (4, [])
    refused = await radiologist.get(f"ImagingStudy/{known.chest}?_summary=count")
    assert issue(refused, 400)["code"] == "invalid"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("_summary=short", "invalid"),
        ("_elements=colour", "not-supported"),
        ("_elements=series.uid", "not-supported"),
        ("_summary=text&_elements=status", "invalid"),
    ],
)
async def test_a_part_that_there_is_none_of_is_refused(
    radiologist: httpx.AsyncClient, known: Known, query: str, code: str
) -> None:
    refused = await radiologist.get(f"ImagingStudy/{known.chest}?{query}")
    assert issue(refused, 400)["code"] == code


async def test_who_has_the_version_is_told_so_of_a_part_too(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    path = f"ImagingStudy/{known.chest}?_elements=status"
    tag = (await radiologist.get(path)).headers["etag"]
    assert (await radiologist.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_a_part_shows_nothing_that_the_whole_would_not(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    rules = """
        p, provider, ImagingStudy.*, read, any, allow
        p, provider, ImagingStudy.meta, read, any, deny
        p, provider, ImagingStudy.subject, read, any, deny
        p, provider, ImagingStudy.description, read, any, deny
        p, provider, ImagingStudy.series.description, read, ct, deny
    """
    scopes = '[ct]\ndescription = "CT"\nImagingStudy = "modality=CT"'
    masked = [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
               "valueCode": "masked"}]  # fmt: skip
    async with doors(archive, book(tmp_path, rules, scopes)) as client:
        client.headers.update(acting_as("provider"))
        client.base_url = client.base_url.join("/fhir/")
        for query in ("_summary=true", "_summary=text", "_summary=data", "_elements=description"):
            response = await client.get(f"ImagingStudy/{known.chest}?{query}")
            study = fhir(response)
            assert study["meta"] == {"security": [SUBSETTED], "tag": [SUBSETTED]}
            assert study["subject"] == {"extension": masked}
            assert "description" not in study
            assert not any("description" in one for one in study.get("series", ()))
            assert "etag" not in response.headers
