"""Reading one resource, and asking again for it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx
import pytest

from app.imaging.outcome import Outcome
from tests.build import dicom, uid
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, issue


async def test_a_study_is_read_with_its_version_and_time(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    response = await radiologist.get(f"ImagingStudy/{known.chest}")
    study = fhir(response)
    assert (study["id"], study["numberOfInstances"]) == (known.chest, 4)
    assert study["subject"] == {"reference": f"Patient/{known.jane}", "display": "Jane Doe"}
    assert study["started"] == "2024-03-01T10:15:30+01:00"
    assert response.headers["etag"] == f'W/"{study["meta"]["versionId"]}"'
    said = parsedate_to_datetime(response.headers["last-modified"])
    assert study["meta"]["lastUpdated"].startswith(said.strftime("%Y-%m-%dT%H:%M:%S"))
    assert response.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("kind", ["Patient", "Endpoint"])
async def test_what_a_study_refers_to_can_be_read(
    radiologist: httpx.AsyncClient, known: Known, kind: str
) -> None:
    study = fhir(await radiologist.get(f"ImagingStudy/{known.skull}"))
    reference = (study["subject"] if kind == "Patient" else study["endpoint"][0])["reference"]
    resource = fhir(await radiologist.get(reference))
    assert f"{resource['resourceType']}/{resource['id']}" == reference
    assert reference.startswith(f"{kind}/")


async def test_who_has_the_version_already_is_told_so(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    path = f"ImagingStudy/{known.chest}"
    first = await radiologist.get(path)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(seconds=1), usegmt=True)
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": etag.removeprefix("W/")}, 304),
        ({"If-None-Match": f'W/"0", {etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": 'W/"0"'}, 200),
        ({"If-None-Match": 'W/"0"', "If-Modified-Since": modified}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": earlier}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ):
        for method in ("GET", "HEAD"):
            response = await radiologist.request(method, path, headers=headers)
            assert (response.status_code, response.headers["etag"]) == (status, etag), headers
            assert status == 200 or response.content == b""


async def test_another_instance_makes_another_version(
    radiologist: httpx.AsyncClient, load: Callable[..., Awaitable[list[Outcome]]]
) -> None:
    study = uid("grows")
    await load(dicom(StudyInstanceUID=study, PatientID="grows"))
    before = await radiologist.get(f"ImagingStudy/{study}")
    await load(dicom(StudyInstanceUID=study, PatientID="grows"))
    headers = {"If-None-Match": before.headers["etag"]}
    after = await radiologist.get(f"ImagingStudy/{study}", headers=headers)
    assert fhir(after)["numberOfInstances"] == 2
    assert after.headers["etag"] != before.headers["etag"]


async def test_a_patient_keeps_its_version_when_nothing_new_is_said(
    radiologist: httpx.AsyncClient, load: Callable[..., Awaitable[list[Outcome]]]
) -> None:
    study = uid("steady")
    await load(dicom(StudyInstanceUID=study, PatientID="steady", SeriesInstanceUID=f"{study}.1"))
    reference = fhir(await radiologist.get(f"ImagingStudy/{study}"))["subject"]["reference"]
    before = await radiologist.get(reference)
    await load(dicom(StudyInstanceUID=study, PatientID="steady", SeriesInstanceUID=f"{study}.1"))
    assert (await radiologist.get(reference)).headers["etag"] == before.headers["etag"]


async def test_pretty_is_the_same_in_more_lines(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    plain = await radiologist.get(f"ImagingStudy/{known.knee}")
    pretty = await radiologist.get(f"ImagingStudy/{known.knee}?_pretty=true")
    assert fhir(pretty) == fhir(plain)
    assert (plain.text.count("\n"), pretty.text.count("\n") > 20) == (0, True)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/*",
        "application/json",
        "application/fhir+json",
        "Application/FHIR+JSON",
        "application/fhir+json; fhirVersion=4.0",
        'application/fhir+json;fhirVersion="4.0.1"',
        "application/fhir+xml, application/fhir+json;q=0.5",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ],
)
async def test_whoever_takes_json_gets_fhir_json(
    radiologist: httpx.AsyncClient, known: Known, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for path in ("metadata", "ImagingStudy", f"ImagingStudy/{known.knee}"):
        fhir(await radiologist.get(path, headers=headers))


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "text/html",
        "text/turtle, application/xml;q=0.9",
        "application/fhir+json;q=0",
        "application/fhir+json; fhirVersion=5.0",
        "application/fhir+json; fhirVersion=3.0, application/xml",
    ],
)
async def test_whoever_takes_something_else_only_is_told_in_json(
    radiologist: httpx.AsyncClient, known: Known, accept: str
) -> None:
    for path in ("metadata", "ImagingStudy", f"ImagingStudy/{known.knee}"):
        response = await radiologist.get(path, headers={"Accept": accept})
        assert issue(response, 406)["code"] == "not-supported"


@pytest.mark.parametrize("name", ["json", "application/json", "application/fhir%2Bjson",
                                  "application/fhir+json", "text/json"])  # fmt: skip
async def test_the_format_parameter_outdoes_the_header(
    radiologist: httpx.AsyncClient, known: Known, name: str
) -> None:
    headers = {"Accept": "application/fhir+xml"}
    for path in ("metadata", "ImagingStudy", f"ImagingStudy/{known.knee}"):
        fhir(await radiologist.get(f"{path}?_format={name}", headers=headers))
        refused = await radiologist.get(f"{path}?_format=xml", headers={"Accept": "*/*"})
        assert issue(refused, 406)["code"] == "not-supported"
    form = {"_format": "xml"}
    assert issue(await radiologist.post("ImagingStudy/_search", data=form), 406)


async def test_the_capability_statement_says_who_we_are_to_anybody(
    client: httpx.AsyncClient,
) -> None:
    statement = fhir(await client.get("/fhir/metadata"))
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["kind"] == "instance"
    assert statement["format"] == ["application/fhir+json", "json"]
    assert statement["implementation"]["url"] == "http://127.0.0.1:8000/fhir"
    [rest] = statement["rest"]
    described = {one["type"]: one for one in rest["resource"]}
    assert list(described) == ["Patient", "ImagingStudy", "Endpoint"]
    definitions = {
        one["name"]: one.get("definition") for one in described["ImagingStudy"]["searchParam"]
    }
    assert definitions["started"] == "http://hl7.org/fhir/SearchParameter/ImagingStudy-started"
    assert definitions["patient"] == "http://hl7.org/fhir/SearchParameter/clinical-patient"
    assert definitions["accession"] is None
