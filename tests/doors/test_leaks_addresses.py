"""However an address is written, and whatever goes wrong, nothing comes out that is closed."""

import httpx
import jwt
import pytest

from fhir.repository import Wanted
from fhir.search import Has
from tests.doors.addresses import addresses, spellings
from tests.doors.judge import Judge
from tests.doors.people import PEOPLE, RESEARCHER, Person
from tests.doors.planted import WORDS
from tests.doors.sight import Target, as_text
from tests.doors.world import World, real_ids

STRANGERS = tuple(
    one for one in PEOPLE if one.relation == "stranger" or one.role in {"billing", "auditor"}
)
RADIOLOGIST = Person("radiologist", "no relation")
FINDER = Person("nurse", "no relation")
SECRET = "Zzsecretvalue"


def closed_words(judge: Judge, person: Person) -> list[str]:
    return [
        word
        for word, coordinates in sorted(WORDS.items())
        if not any(judge.allows(one, each) for one in person.sees for each in coordinates)
    ]


@pytest.mark.parametrize("person", sorted(STRANGERS, key=str), ids=str)
async def test_no_spelling_of_an_address_opens_what_is_closed(
    person: Person, world: World, judge: Judge
) -> None:
    headers, closed = world.headers(person), closed_words(judge, person)
    for path, accept in addresses(world.target(person)):
        plain = await world.client.get(path, headers={**headers, "Accept": accept})
        for spelling in spellings(path):
            # as it is: a client library would tidy it up
            scope = httpx.URL(
                scheme="http", host="127.0.0.1", port=8000, raw_path=spelling.encode()
            )
            answer = await world.client.get(scope, headers={**headers, "Accept": accept})
            assert answer.status_code in {plain.status_code, 200, 400, 401, 403, 404, 405, 406}
            text = as_text(answer)
            assert not [word for word in closed if word in text], spelling
            if plain.status_code in {403, 404} and path in spelling:
                assert answer.status_code != 200 or "/fhir/metadata" in spelling, spelling


@pytest.mark.parametrize("person", sorted(STRANGERS, key=str), ids=str)
async def test_no_other_method_opens_what_is_closed(
    person: Person, world: World, judge: Judge
) -> None:
    headers, closed = world.headers(person), closed_words(judge, person)
    before = await world.stored()
    for path, accept in addresses(world.target(person)):
        for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "PROPFIND", "POST"):
            more = {"X-HTTP-Method-Override": "GET", "X-Original-URL": path, "X-Rewrite-URL": path}
            answer = await world.client.request(
                method, path, headers={**headers, **more, "Accept": accept}
            )
            assert answer.status_code in {200, 400, 403, 404, 405, 415}
            text = as_text(answer)
            assert not [word for word in closed if word in text], (method, path)
            assert method != "HEAD" or answer.content == b""
    assert await world.stored() == before


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_head_tells_no_more_than_get(person: Person, world: World) -> None:
    target, headers = world.target(person), world.headers(person)
    for path in (
        f"/fhir/Patient/{target.patient}",
        f"/fhir/ImagingStudy/{target.study}",
        "/fhir/ImagingStudy",
    ):
        got = await world.client.get(path, headers=headers)
        head = await world.client.head(path, headers=headers)
        assert head.status_code == got.status_code
        assert head.headers.keys() <= got.headers.keys()
        assert head.headers.get("etag") == got.headers.get("etag")


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_a_patient_is_the_same_in_every_spelling_of_a_search(
    person: Person, world: World, judge: Judge
) -> None:
    target, headers = world.target(person), world.headers(person)
    base = f"{world.archive.settings.base_url}/fhir"
    opened = judge.allows_all(person, {"ImagingStudy.id", "ImagingStudy.subject"})
    for name in ("patient", "subject", "patient:Patient", "subject:Patient"):
        for value in (
            target.patient,
            f"Patient/{target.patient}",
            f"{base}/Patient/{target.patient}",
            f"Patient/{target.patient.upper()}",
            f"{base}//Patient/{target.patient}",
            f"https://elsewhere.example/fhir/Patient/{target.patient}",
        ):
            form = {name: value, "_count": "50"}
            got = await world.client.get("/fhir/ImagingStudy", params=form, headers=headers)
            posted = await world.client.post(
                "/fhir/ImagingStudy/_search", data=form, headers=headers
            )
            for answer in (got, posted):
                ids = [one["resource"]["id"] for one in answer.json().get("entry", ())]
                assert opened or target.study not in ids, (name, value)
                assert target.patient in value or target.study not in ids, (name, value)
            assert got.status_code == posted.status_code


@pytest.mark.parametrize("person", sorted(PEOPLE, key=str), ids=str)
async def test_a_closed_record_is_answered_like_one_that_is_not_there(
    person: Person, world: World, judge: Judge
) -> None:
    target, headers = world.target(person), world.headers(person)
    found = judge.allows(person, "ImagingStudy.id")
    absent = Target("00000000-0000-4000-8000-000000000000", "2.25.1", "2.25.2", "2.25.3")
    more = {"If-None-Match": "*", "Range": "bytes=0-3"}
    for (path, accept), (missing, _) in zip(addresses(target), addresses(absent), strict=True):
        asked = {**headers, **more, "Accept": accept}
        one = await world.client.get(path, headers=asked)
        other = await world.client.get(missing, headers=asked)
        if one.status_code == 404 and not found:
            assert (one.status_code, one.content) == (other.status_code, other.content), path
            assert told(one) == told(other)
        else:
            assert one.status_code in {200, 206, 304, 403, 404}


def told(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


@pytest.mark.parametrize("person", [RADIOLOGIST, FINDER, RESEARCHER], ids=str)
async def test_no_error_repeats_what_was_sent(person: Person, world: World) -> None:
    headers, target = world.headers(person), world.target(person)
    instance = (
        f"/dicomweb/studies/{target.study}/series/{target.series}/instances/{target.instance}"
    )
    asked = [f"/fhir/{SECRET}", f"/fhir/{SECRET}/1", f"/fhir/Patient/{SECRET}"]
    asked += [
        f"/fhir/ImagingStudy?{name}={SECRET}"
        for name in ("started", "_count", "_sort", "_cursor", "_include", "_total", "_lastUpdated")
    ]
    asked += [f"/fhir/ImagingStudy?patient:{SECRET}=x", f"/fhir/Patient?birthdate={SECRET}"]
    asked += [f"/fhir/Patient?_format={SECRET}", f"/{SECRET}", f"/postdicom/{SECRET}"]
    asked += [f"/postdicom/studies/{SECRET}", f"/postdicom/images/{SECRET}"]
    asked += [
        f"/postdicom/studies?{name}={SECRET}"
        for name in ("studyDate", "modality", "specialty", "accessLevel", "sortBy", "limit")
    ]
    asked += [f"/postdicom/audit/logs?{one}={SECRET}" for one in ("startDate", "action", "success")]
    asked += [f"/postdicom/sessions?ended={SECRET}", f"/dicomweb/studies/{SECRET}"]
    asked += [f"/dicomweb/{SECRET}", f"{instance}/frames/{SECRET}", f"{instance}/{SECRET}"]
    asked += [
        f"{instance}/rendered?{name}={SECRET}"
        for name in ("window", "viewport", "quality", "annotation", "accept")
    ]
    wrong = 0
    for path in asked:
        for more in ({}, {"Prefer": "handling=strict"}, {"Accept": SECRET}):
            answer = await world.client.get(path, headers={**headers, **more})
            if answer.status_code >= 400:
                wrong += 1
                assert SECRET not in as_text(answer), path
    assert wrong > len(asked)
    for path, kind in (
        ("/postdicom/studies", f"multipart/form-data; boundary={SECRET}"),
        ("/dicomweb/studies", f"multipart/related; boundary={SECRET}"),
        ("/dicomweb/studies", SECRET),
        (f"/dicomweb/studies/{SECRET}", "application/dicom"),
        ("/fhir/Patient/_search", SECRET),
        ("/graphql", SECRET),
        ("/graphql", "application/json"),
    ):
        answer = await world.client.post(
            path, content=SECRET.encode(), headers={**headers, "Content-Type": kind}
        )
        assert answer.status_code >= 400
        assert SECRET not in as_text(answer), path


@pytest.mark.parametrize(
    "person", [RADIOLOGIST, Person("provider", "care team"), RESEARCHER], ids=str
)
async def test_the_headers_of_a_download_name_nobody(person: Person, world: World) -> None:
    target, headers = world.target(person), world.headers(person)
    stored = await world.archive.repository.stored_image(world.normal.instance)
    assert stored is not None
    downloads = 0
    for path, accept in addresses(target):
        answer = await world.client.get(path, headers={**headers, "Accept": accept})
        if "/fhir/" not in path and answer.status_code == 200:
            downloads += 1
        said = repr(answer.headers.multi_items())
        assert not [word for word in WORDS if word in said], path
        if person == RESEARCHER:
            assert not [one for one in (*real_ids(world), stored.sha256) if one in said], path
        disposition = answer.headers.get("content-disposition")
        assert disposition in {None, f'attachment; filename="{target.instance}.dcm"'}
    assert downloads == 22


async def test_an_entity_tag_counts_changes_and_tells_no_value(world: World, judge: Judge) -> None:
    # of a masked row it is the version: it moves with hidden elements and says nothing else
    assert judge.allows(FINDER, "ImagingStudy.meta")
    assert not judge.allows(FINDER, "ImagingStudy.note")
    before, repository = await world.stored(), world.archive.repository
    address, tags = f"/fhir/ImagingStudy/{world.normal.study}", []
    for said in ("one", "another"):
        [found] = await repository.find(
            "ImagingStudy", Has("_id", world.normal.study), wanted=Wanted(None), limit=1
        )
        assert await repository.replace({**found.resource, "note": [{"text": said}]}, found.version)
        answer = await world.client.get(address, headers=world.headers(FINDER))
        tags.append(answer.headers["etag"])
        assert answer.headers["etag"] == f'W/"{found.version + 1}"'
        assert said not in as_text(answer)
        await world.restore(before)
    assert tags[0] == tags[1]
    billing = Person("billing", "no relation")
    assert not judge.allows(billing, "ImagingStudy.meta")
    answer = await world.client.get(address, headers=world.headers(billing))
    assert not {"etag", "last-modified"} & answer.headers.keys()


@pytest.mark.parametrize(
    "role",
    ["Radiologist", "RADIOLOGIST", " radiologist", "radiologist\u200b", "r\u0430diologist", "*"],
)
async def test_a_role_in_another_spelling_is_no_role(role: str, world: World) -> None:
    token = world.issuer.token("radiologist", subject="spelled")
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"Authorization": f"Bearer {world.signed({**claims, 'roles': [role]})}"}
    answer = await world.client.get("/fhir/ImagingStudy", headers=headers)
    assert answer.status_code in {401, 403}
    plain = {"Authorization": f"Bearer {world.signed(claims)}"}
    assert (await world.client.get("/fhir/ImagingStudy", headers=plain)).status_code == 200
