"""What a researcher gets through every door, and what nobody can get out of it."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import pydicom
import pytest

from app.archive import Archive
from app.main import create_app
from fhir.paging import encode
from fhir.pseudonyms import SYSTEM, Pseudonyms
from tests.build import dicom, ramp, uid
from tests.doors.planted import WORDS, planted
from tests.validators import assert_valid

STUDY, SERIES, IMAGE = (uid("planted", word) for word in ("study", "series", "instance"))
OTHER, OTHER_SERIES, OTHER_IMAGE = (uid("other", word) for word in ("study", "series", "image"))
SCREEN, SCREEN_SERIES, SCREEN_IMAGE = (uid("screen", word) for word in ("study", "series", "image"))
REAL = (STUDY, SERIES, IMAGE, OTHER, OTHER_SERIES, OTHER_IMAGE, SCREEN, SCREEN_SERIES, SCREEN_IMAGE)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

Get = Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    async def pieces(data: bytes) -> Any:
        yield data

    other = dicom(
        StudyInstanceUID=OTHER,
        SeriesInstanceUID=OTHER_SERIES,
        SOPInstanceUID=OTHER_IMAGE,
        PatientID="PLANTEDMRN2",
        PatientName="Zzplantedname^Other",
        StudyDate="20240229",
        frames=2,
    )
    screen = dicom(
        StudyInstanceUID=SCREEN,
        SeriesInstanceUID=SCREEN_SERIES,
        SOPInstanceUID=SCREEN_IMAGE,
        SOPClassUID=SECONDARY_CAPTURE,
        PatientID="PLANTEDMRN2",
        Modality="OT",
    )
    for data in (planted(), other, screen):
        await archive.ingest.store(pieces(data))


@pytest.fixture
def get(client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]) -> Get:
    """Ask as a researcher of project A, and see that nothing real comes back."""

    async def ask(path: str, project: str | None = "A", **headers: str) -> httpx.Response:
        answer = await client.get(path, headers=acting_as("researcher", project=project) | headers)
        assert_nothing_real(answer, path)
        return answer

    return ask


@pytest.fixture
def made(archive: Archive) -> Pseudonyms:
    """The pseudonyms of project A."""
    return Pseudonyms(archive.pseudonym_key, "A")


def assert_nothing_real(answer: httpx.Response, asked: str = "") -> None:
    said = answer.content + repr(answer.headers).encode()
    # cursors say things in base64
    said += b"".join(
        base64.urlsafe_b64decode(one + b"=" * (-len(one) % 4))
        for one in re.findall(rb"[A-Za-z0-9_-]{24,}", said)
        if len(one) % 4 != 1
    )
    for word in (*WORDS, "PLANTEDMRN", "Rita", "Jane", "20240229", "2024-02-29"):
        assert word.encode() not in said or word in asked, word
    for real in REAL:
        assert real.encode() not in said or real in asked, real
    assert "last-modified" not in answer.headers


async def patient_of(archive: Archive, mrn: str) -> str:
    document = await archive.database["patients"].find_one({"index.identifier": mrn})
    assert document is not None
    return str(document["_id"])


def resources(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json().get("entry", ())]


async def test_a_study_is_found_under_pseudonyms_and_is_valid_r4(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")
    found = {one["id"]: one for one in resources(await get("/fhir/ImagingStudy?_count=50"))}
    assert set(found) == {made.uid(STUDY), made.uid(OTHER), made.uid(SCREEN)}
    study = found[made.uid(STUDY)]
    for one in found.values():
        assert_valid(one)
    assert study["subject"] == {"reference": f"Patient/{made.patient(patient)}"}
    official, accession = study["identifier"]
    assert official == {
        "use": "official",
        "system": "urn:dicom:uid",
        "value": f"urn:oid:{made.uid(STUDY)}",
    }
    assert (accession["system"], accession["value"]) == (SYSTEM, made.accession("PLANTEDACC"))
    assert {one["code"] for one in study["meta"]["security"]} >= {"PSEUDED"}
    assert set(study["meta"]) == {"security"}
    assert set(study) == {
        "resourceType",
        "id",
        "meta",
        "identifier",
        "status",
        "modality",
        "subject",
        "endpoint",
        "numberOfSeries",
        "numberOfInstances",
        "series",
    }
    [series] = study["series"]
    assert (series["uid"], series["number"]) == (made.uid(SERIES), 3)
    assert series["bodySite"] == {"system": "http://snomed.info/sct", "code": "816094009"}


async def test_a_patient_is_a_number_and_a_gender(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    await get("/fhir/ImagingStudy")
    patient = await patient_of(archive, "PLANTEDMRN")
    shown = (await get(f"/fhir/Patient/{made.patient(patient)}")).json()
    assert_valid(shown)
    [number] = shown.pop("identifier")
    assert (number["system"], number["value"]) == (SYSTEM, made.number(patient))
    shown["meta"]["security"] = [one["code"] for one in shown["meta"]["security"]][:1]
    assert shown == {
        "resourceType": "Patient",
        "id": made.patient(patient),
        "meta": {"security": ["PSEUDED"]},
        "gender": "female",
    }


async def test_pseudonyms_find_what_they_stand_for(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")
    await get("/fhir/ImagingStudy?_include=ImagingStudy:patient")
    for criterion in (
        f"_id={made.uid(STUDY)}",
        f"patient={made.patient(patient)}",
        f"patient=Patient/{made.patient(patient)}",
        f"subject=Patient/{made.patient(patient)}",
        f"series={made.uid(SERIES)}",
        f"identifier=urn:oid:{made.uid(STUDY)}",
        f"identifier=urn:dicom:uid|urn:oid:{made.uid(STUDY)}",
        f"identifier={made.accession('PLANTEDACC')}",
        f"identifier={SYSTEM}|{made.accession('PLANTEDACC')}",
        f"accession={made.accession('PLANTEDACC')}",
    ):
        found = resources(await get(f"/fhir/ImagingStudy?{criterion}"))
        assert [one["id"] for one in found] == [made.uid(STUDY)], criterion
    [one] = resources(await get(f"/fhir/Patient?identifier={made.number(patient)}"))
    assert one["id"] == made.patient(patient)


async def test_what_is_real_finds_nothing_and_looks_like_what_is_unknown(
    get: Get, archive: Archive
) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")
    unknown = uid("nobody")
    for real, other in (
        (f"/fhir/ImagingStudy/{STUDY}", f"/fhir/ImagingStudy/{unknown}"),
        (f"/fhir/Patient/{patient}", "/fhir/Patient/6f1f1a4e-7f0e-4d8c-8b5e-5a2f4a9f6f2b"),
        (f"/postdicom/images/{IMAGE}", f"/postdicom/images/{unknown}"),
        (f"/postdicom/studies/{STUDY}", f"/postdicom/studies/{unknown}"),
    ):
        answers = [await get(path) for path in (real, other)]
        assert [one.status_code for one in answers] == [404, 404]
        assert answers[0].text.replace(real, "") == answers[1].text.replace(other, "")
    for criterion in (
        f"_id={STUDY}",
        f"patient={patient}",
        f"series={SERIES}",
        f"identifier=urn:oid:{STUDY}",
        "identifier=PLANTEDACC",
        "accession=PLANTEDACC",
        f"_id={unknown}",
    ):
        answer = await get(f"/fhir/ImagingStudy?{criterion}")
        assert (answer.json()["total"], resources(answer)) == (0, []), criterion
    assert resources(await get("/fhir/Patient?identifier=PLANTEDMRN")) == []


async def test_what_one_project_was_given_means_nothing_in_another(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    given = {one["id"] for one in resources(await get("/fhir/ImagingStudy"))}
    others = {one["id"] for one in resources(await get("/fhir/ImagingStudy", project="B"))}
    assert len(given) == len(others) == 3
    assert given.isdisjoint(others)
    for one in given:
        assert (await get(f"/fhir/ImagingStudy/{one}", project="B")).status_code == 404
        assert (await get(f"/fhir/ImagingStudy/{one}")).status_code == 200


async def test_another_process_knows_what_a_pseudonym_stands_for(
    get: Get, made: Pseudonyms, archive: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    await get("/fhir/ImagingStudy")
    fresh = replace(archive, register=type(archive.register)(archive.database))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(archive.settings, fresh)),
        base_url=archive.settings.base_url,
    ) as client:
        headers = acting_as("researcher", project="A")
        answer = await client.get(f"/fhir/ImagingStudy/{made.uid(STUDY)}", headers=headers)
    assert (answer.status_code, answer.json()["id"]) == (200, made.uid(STUDY))


@pytest.mark.parametrize(
    "asked",
    [
        "ImagingStudy?started=ge2000",
        "ImagingStudy?started=2023-06-07",
        "ImagingStudy?_lastUpdated=ge2000",
        "ImagingStudy?description=x",
        "ImagingStudy?description:missing=true",
        "ImagingStudy?_tag=released",
        "ImagingStudy?_sort=started",
        "ImagingStudy?_sort=-_lastUpdated",
        "Patient?name=Zz",
        "Patient?birthdate=1961-04-12",
        "Patient?birthdate:missing=false",
        "ImagingStudy?patient.name=Zz",
        "ImagingStudy?patient.name:missing=true",
        "ImagingStudy?patient.birthdate=1961-04-12",
        "ImagingStudy?patient.text=Zz",
        "ImagingStudy?subject:Patient._lastUpdated=ge2000",
        "Patient?_has:ImagingStudy:patient:started=ge2000",
        "Patient?_has:ImagingStudy:patient:description=x",
        "Patient?_has:ImagingStudy:patient:patient-name=Zz",
        "Patient?_has:ImagingStudy:patient:_lastUpdated=ge2000",
        "Endpoint?_has:ImagingStudy:endpoint:started=ge2000",
        "Endpoint?_has:ImagingStudy:endpoint:modality=CT",
        "ImagingStudy?endpoint.status=active",
        "ImagingStudy?endpoint=dicomweb",
    ],
)
async def test_what_is_not_there_cannot_be_searched_or_sorted_by(get: Get, asked: str) -> None:
    answer = await get(f"/fhir/{asked}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "forbidden")


async def test_references_are_followed_by_pseudonyms_both_ways(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")
    await get("/fhir/ImagingStudy?_include=ImagingStudy:patient&_count=50")
    name, number = made.patient(patient), made.number(patient)
    every = sorted([made.uid(STUDY), made.uid(OTHER), made.uid(SCREEN)])
    for path, found in (
        (f"ImagingStudy?patient._id={name}", [made.uid(STUDY)]),
        (f"ImagingStudy?subject:Patient.identifier={number}", [made.uid(STUDY)]),
        (f"ImagingStudy?patient.identifier={SYSTEM}|{number}", [made.uid(STUDY)]),
        (f"ImagingStudy?patient.gender=female&patient._id={name}", [made.uid(STUDY)]),
        (f"ImagingStudy?patient.gender=male&patient._id={name}", []),
        ("ImagingStudy?patient._id:missing=false", every),
        (f"Patient?_has:ImagingStudy:patient:_id={made.uid(STUDY)}", [name]),
        (f"Patient?_has:ImagingStudy:subject:series={made.uid(SERIES)}", [name]),
        (f"Patient?_has:ImagingStudy:patient:accession={made.accession('PLANTEDACC')}", [name]),
    ):
        answer = await get(f"/fhir/{path}")
        assert sorted(one["id"] for one in resources(answer)) == found, path
        assert answer.json()["total"] == len(found)
    short = resources(await get(f"/fhir/Patient?_id={name}&_revinclude=*&_summary=true"))
    assert [one["id"] for one in short] == [name, made.uid(STUDY)]
    assert "instance" not in json.dumps(short)
    whole = resources(await get(f"/fhir/Patient?_id={name}&_revinclude=ImagingStudy:patient"))
    [alone] = resources(await get(f"/fhir/ImagingStudy?_id={made.uid(STUDY)}"))
    assert whole[1] == alone
    assert "instance" in alone["series"][0]
    # a search by it is refused, too: it needs an element that researchers have no right to
    [endpoint] = resources(await get("/fhir/Endpoint?_revinclude=ImagingStudy:endpoint"))
    assert endpoint["id"] == "dicomweb"


@pytest.mark.parametrize(
    ("path", "resource", "refused"),
    [
        ("/fhir/ImagingStudy?started=ge2000", "ImagingStudy", "ImagingStudy.started"),
        ("/fhir/Patient?_sort=birthdate", "Patient", "Patient.birthDate"),
        ("/fhir/ImagingStudy?patient._lastUpdated=ge2000", "Patient", "Patient.meta"),
        ("/dicomweb/studies?StudyTime=10", "ImagingStudy", "ImagingStudy.started"),
    ],
)
async def test_what_is_refused_without_identity_is_in_the_audit(
    get: Get, archive: Archive, path: str, resource: str, refused: str
) -> None:
    request = uuid4().hex
    assert (await get(path, **{"X-Request-Id": request})).status_code == 403
    [told] = await archive.database["audit_events"].find({"requestId": request}).to_list()
    assert (told["outcome"], told["resource"], told["refused"]) == ("refused", resource, [refused])


async def test_no_reference_leads_from_what_is_real(get: Get, archive: Archive) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")
    await get("/fhir/ImagingStudy?_include=ImagingStudy:patient&_count=50")
    for path in (
        f"ImagingStudy?patient._id={patient}",
        "ImagingStudy?patient.identifier=PLANTEDMRN",
        f"Patient?_has:ImagingStudy:patient:_id={STUDY}",
        f"Patient?_has:ImagingStudy:patient:series={SERIES}",
        "Patient?_has:ImagingStudy:patient:accession=PLANTEDACC",
        f"Patient?_has:ImagingStudy:patient:identifier=urn:oid:{STUDY}",
        f"Patient?_has:ImagingStudy:patient:patient={patient}",
        f"Patient?_id={patient}&_revinclude=ImagingStudy:patient",
    ):
        answer = await get(f"/fhir/{path}")
        assert (answer.json()["total"], resources(answer)) == (0, []), path


async def test_another_project_follows_no_pseudonym_of_this_one(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")
    await get("/fhir/ImagingStudy?_include=ImagingStudy:patient&_count=50")
    for path in (
        f"ImagingStudy?patient._id={made.patient(patient)}",
        f"ImagingStudy?patient.identifier={made.number(patient)}",
        f"Patient?_has:ImagingStudy:patient:_id={made.uid(STUDY)}",
    ):
        assert resources(await get(f"/fhir/{path}", project="B")) == [], path


async def test_a_batch_gives_pseudonyms(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]], made: Pseudonyms
) -> None:
    urls = ("ImagingStudy?_count=50", "Patient?name=Zz", f"ImagingStudy/{STUDY}")
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    answer = await client.post(
        "/fhir",
        json={"resourceType": "Bundle", "type": "batch", "entry": entries},
        headers=acting_as("researcher", project="A"),
    )
    assert_nothing_real(answer)
    assert_valid(answer.json())
    studies, closed, unknown = answer.json()["entry"]
    found = {one["resource"]["id"] for one in studies["resource"]["entry"]}
    assert found == {made.uid(STUDY), made.uid(OTHER), made.uid(SCREEN)}
    assert [one["response"]["status"][:3] for one in (closed, unknown)] == ["403", "404"]


async def test_pages_go_on_by_pseudonyms(get: Get, archive: Archive) -> None:
    for order in ("", "&_sort=patient", "&_sort=-_id", "&_sort=modality"):
        seen: list[str] = []
        path = f"/fhir/ImagingStudy?_count=1{order}"
        while path:
            answer = await get(path)
            seen += [one["id"] for one in resources(answer)]
            links = {one["relation"]: one["url"] for one in answer.json()["link"]}
            path = links.get("next", "")
        assert len(seen) == len(set(seen)) == 3


async def test_a_cursor_of_a_real_id_is_none(get: Get) -> None:
    for position in ((STUDY,), (uid("nobody"),)):
        answer = await get(f"/fhir/ImagingStudy?_cursor={encode(position, ())}")
        assert answer.status_code == 400


async def test_a_token_without_a_project_is_told_to_name_one(get: Get) -> None:
    answer = await get("/fhir/ImagingStudy", project=None)
    assert answer.status_code == 403
    assert "project" in answer.json()["issue"][0]["diagnostics"]


async def test_graphql_shows_the_same(
    client: httpx.AsyncClient,
    acting_as: Callable[..., dict[str, str]],
    made: Pseudonyms,
    archive: Archive,
) -> None:
    patient = await patient_of(archive, "PLANTEDMRN")

    async def ask(query: str, *, found: bool = True) -> Any:
        answer = await client.post(
            "/graphql", json={"query": query}, headers=acting_as("researcher", project="A")
        )
        assert_nothing_real(answer, query)
        assert ("errors" in answer.json()) is not found, answer.text
        return answer.json()

    found = await ask(
        """{studies {totalCount edges {cursor node {
          id numberOfInstances modality {code} identifier {value} started meta {lastUpdated}
          subject {reference} patient {id gender identifier {value} studies {totalCount}}
          series {uid number bodySite {code display} instance {uid sopClass {code} image {
            id study series rows columns file rendered frames(first: 2) {url}
          }}}
        }}}}"""
    )
    nodes = {one["node"]["id"]: one["node"] for one in found["data"]["studies"]["edges"]}
    assert set(nodes) == {made.uid(STUDY), made.uid(OTHER), made.uid(SCREEN)}
    study = nodes[made.uid(STUDY)]
    assert study["patient"]["id"] == made.patient(patient)
    assert study["patient"]["studies"] == {"totalCount": 1}
    assert nodes[made.uid(OTHER)]["patient"]["studies"] == {"totalCount": 2}
    assert (study["started"], study["meta"]["lastUpdated"]) == (None, None)
    [series] = study["series"]
    [instance] = series["instance"]
    assert instance["uid"] == instance["image"]["id"] == made.uid(IMAGE)
    assert instance["image"]["study"] == made.uid(STUDY)
    assert instance["image"]["file"].endswith(
        f"/studies/{made.uid(STUDY)}/series/{made.uid(SERIES)}/instances/{made.uid(IMAGE)}"
    )
    one = await ask(
        f'{{series(uid: "{made.uid(SERIES)}") {{uid}} image(uid: "{made.uid(IMAGE)}") {{id}} '
        f'images(study: "{made.uid(OTHER)}") {{edges {{node {{id study}}}}}}}}'
    )
    assert one["data"]["series"] == {"uid": made.uid(SERIES)}
    assert one["data"]["image"] == {"id": made.uid(IMAGE)}
    [edge] = one["data"]["images"]["edges"]
    assert edge["node"] == {"id": made.uid(OTHER_IMAGE), "study": made.uid(OTHER)}
    real = await ask(
        f'{{study(uid: "{STUDY}") {{id}} series(uid: "{SERIES}") {{uid}} '
        f'image(uid: "{IMAGE}") {{id}}}}',
        found=False,
    )
    assert real["data"] == {"study": None, "series": None, "image": None}
    assert {one["extensions"]["code"] for one in real["errors"]} == {"NOT_FOUND"}


def path_of(made: Pseudonyms, study: str, series: str, image: str) -> str:
    return (
        f"/dicomweb/studies/{made.uid(study)}/series/{made.uid(series)}/instances/{made.uid(image)}"
    )


async def test_the_object_leaves_without_identity_through_every_door(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    await get("/fhir/ImagingStudy")
    patient = await patient_of(archive, "PLANTEDMRN2")
    await listed(get, made)
    path = path_of(made, OTHER, OTHER_SERIES, OTHER_IMAGE)
    rest = await get(f"/postdicom/images/{made.uid(OTHER_IMAGE)}")
    wado = await get(path, accept="application/dicom")
    parts = await get(path, accept='multipart/related; type="application/dicom"')
    series = await get(path.partition("/instances")[0])
    assert [one.status_code for one in (rest, wado, parts, series)] == [200] * 4
    assert rest.content == wado.content
    assert rest.content in parts.content
    assert rest.content in series.content
    found = pydicom.dcmread(BytesIO(rest.content))
    assert found.PatientID == made.number(patient)
    assert found.StudyInstanceUID == made.uid(OTHER)
    assert (found.pixel_array == ramp(2)).all()
    assert rest.headers["content-disposition"] == (
        f'attachment; filename="{made.uid(OTHER_IMAGE)}.dcm"'
    )
    assert rest.headers["content-length"] == str(len(rest.content))
    document = await archive.database["instances"].find_one({"_id": OTHER_IMAGE})
    assert document is not None
    for answer in (rest, wado, parts, series):
        assert document["sha256"] not in repr(answer.headers)
        assert str(document["size"]) != answer.headers.get("content-length")
    again = await get(
        f"/postdicom/images/{made.uid(OTHER_IMAGE)}", **{"if-none-match": rest.headers["etag"]}
    )
    assert again.status_code == 304
    ranged = await get(f"/postdicom/images/{made.uid(OTHER_IMAGE)}", range="bytes=0-9")
    assert (ranged.status_code, ranged.content) == (200, rest.content)


async def listed(get: Get, made: Pseudonyms) -> None:
    """See the instances, so that their pseudonyms are given out."""
    for study in (STUDY, OTHER, SCREEN):
        assert (await get(f"/postdicom/studies/{made.uid(study)}")).status_code == 200
        assert (await get(f"/fhir/ImagingStudy/{made.uid(study)}")).status_code == 200


async def test_frames_and_pictures_are_those_of_the_object(get: Get, made: Pseudonyms) -> None:
    path = path_of(made, OTHER, OTHER_SERIES, OTHER_IMAGE)
    frame = await get(f"{path}/frames/2", accept="application/octet-stream")
    assert frame.content == ramp(2)[1].tobytes()
    for name in ("rendered", "thumbnail", "frames/1/rendered"):
        assert (await get(f"{path}/{name}", accept="image/jpeg")).status_code == 200
    study = path.partition("/series")[0]
    assert (await get(f"{study}/thumbnail", accept="image/jpeg")).status_code == 200
    real = f"/dicomweb/studies/{OTHER}/series/{OTHER_SERIES}/instances/{OTHER_IMAGE}"
    for tail in ("", "/frames/1", "/rendered"):
        assert (await get(f"{real}{tail}")).status_code == 404


async def test_what_may_show_text_does_not_leave_in_any_form_and_says_why(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    path = path_of(made, SCREEN, SCREEN_SERIES, SCREEN_IMAGE)
    series, study = path.partition("/instances")[0], path.partition("/series")[0]
    for asked in (
        path,
        f"{path}/frames/1",
        f"{path}/rendered",
        f"{path}/thumbnail",
        f"{path}/frames/1/thumbnail",
        f"{series}/thumbnail",
        series,
        study,
        f"/postdicom/images/{made.uid(SCREEN_IMAGE)}",
    ):
        answer = await get(asked)
        assert (answer.status_code, "captures of screens" in answer.text) == (403, True), asked
    refused = archive.database["audit_events"].find({"outcome": "refused", "ids": SCREEN_IMAGE})
    assert len(await refused.to_list(100)) >= 6


async def test_the_audit_names_the_real_records(
    get: Get, made: Pseudonyms, archive: Archive
) -> None:
    await get(f"/fhir/ImagingStudy/{made.uid(STUDY)}")
    patient = await patient_of(archive, "PLANTEDMRN")
    [last] = await (
        archive.database["audit_events"]
        .find({"action": "read"})
        .sort([("recorded", -1)])
        .to_list(1)
    )
    assert (last["ids"], last["patients"]) == ([STUDY], [patient])


async def test_nothing_can_be_written(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]], made: Pseudonyms
) -> None:
    headers = acting_as("researcher", project="A")
    stored = await client.post(
        "/dicomweb/studies",
        content=dicom(),
        headers=headers | {"content-type": "application/dicom"},
    )
    deleted = await client.delete(f"/postdicom/studies/{made.uid(STUDY)}", headers=headers)
    assert (stored.status_code, deleted.status_code) == (403, 403)


async def test_dates_are_moved_alike_in_fhir_and_in_the_object(
    archive: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    settings = archive.settings.model_copy(update={"date_shift_days": 30})
    made = Pseudonyms(archive.pseudonym_key, "A", 30)
    patient = await patient_of(archive, "PLANTEDMRN2")
    days = made.days(patient)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(settings, replace(archive, settings=settings))),
        base_url=settings.base_url,
        headers=acting_as("researcher", project="A"),
    ) as client:
        study = (await client.get(f"/fhir/ImagingStudy/{made.uid(OTHER)}")).json()
        assert_valid(study)
        await client.get(f"/postdicom/studies/{made.uid(OTHER)}")
        path = path_of(made, OTHER, OTHER_SERIES, OTHER_IMAGE)
        data = await client.get(path, headers={"accept": "application/dicom"})
        searched = await client.get("/fhir/ImagingStudy?started=ge2000")
    found = pydicom.dcmread(BytesIO(data.content))
    moved = pydicom.valuerep.DA(found.StudyDate)
    real = pydicom.valuerep.DA("20240229")
    assert moved is not None
    assert real is not None
    assert (moved - real).days == days
    assert study["started"][:10] == moved.isoformat()
    assert searched.status_code == 403
    assert json.dumps(study).count("2024-02-29") == 0
