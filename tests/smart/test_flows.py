"""Apps and services get real tokens and come through every door with them."""

import secrets
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest

from app.archive import Archive
from tests.dicomweb.parts import address, parts_of
from tests.fhir_answers import fhir, ids, issue
from tests.identity.build import FromNow, claims_of, signed
from tests.oidc.flows import App
from tests.oidc.server import OidcServer, SigningKey
from tests.smart.conftest import CHEST, FHIR, FILES, KNEE, SKULL, Known

CT = "http://dicom.nema.org/resources/ontology/DCM|CT"
ARGONAUT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
STUDIES = (CHEST, KNEE, SKULL)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def seen(client: httpx.AsyncClient, token: str) -> dict[str, set[str]]:
    """List the studies that a token opens, door by door and way by way."""
    headers = bearer(token)
    query = {"query": "{ studies { edges { node { id } } totalCount } }"}
    listed = (await client.post("/graphql", headers=headers, json=query)).json()
    assert "errors" not in listed, listed
    edges = listed["data"]["studies"]["edges"]
    assert listed["data"]["studies"]["totalCount"] == len(edges)
    found = {
        "search": set(ids(fhir(await client.get("/fhir/ImagingStudy", headers=headers)))),
        "graphql": {one["node"]["id"] for one in edges},
        "read": set(),
        "node": set(),
        "study": set(),
        "instance": set(),
        "frame": set(),
    }
    for study, data in FILES.items():
        for way, path in (
            ("read", f"/fhir/ImagingStudy/{study}"),
            ("study", f"/dicomweb/studies/{study}"),
            ("instance", address(data)),
            ("frame", f"{address(data)}/frames/1"),
        ):
            answer = await client.get(path, headers=headers)
            assert answer.status_code in {200, 403, 404}, answer.text
            if answer.status_code == 200:
                found[way].add(study)
        query = {"query": f'{{ study(uid: "{study}") {{ id }} }}'}
        one = (await client.post("/graphql", headers=headers, json=query)).json()
        if one["data"]["study"]:
            found["node"].add(study)
    return found


def everywhere(*studies: str) -> dict[str, set[str]]:
    ways = ("search", "graphql", "read", "node", "study", "instance", "frame")
    return {way: set(studies) for way in ways}


async def test_a_patient_launches_an_app_and_it_sees_their_studies_everywhere(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    told = viewer.launch("jane", "openid launch/patient patient/ImagingStudy.rs")
    assert told["patient"] == known.jane
    assert set(told["scope"].split()) == {"launch/patient", "patient/ImagingStudy.rs"}
    assert await seen(client, told["access_token"]) == everywhere(CHEST, KNEE)


@pytest.mark.parametrize("scope", [CT, quote(CT, safe=":/.")])
async def test_a_granular_scope_shows_only_ct_through_every_door(
    client: httpx.AsyncClient, viewer: App, known: Known, scope: str
) -> None:
    told = viewer.launch("doctor", f"launch/patient patient/ImagingStudy.rs?modality={scope}")
    assert told["patient"] == known.jane
    assert await seen(client, told["access_token"]) == everywhere(CHEST)


async def test_scopes_of_a_user_reach_as_far_as_their_role(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    doctor = viewer.launch("doctor", f"user/ImagingStudy.rs?modality={CT}")
    assert await seen(client, doctor["access_token"]) == everywhere(CHEST, SKULL)
    jane = viewer.launch("jane", "user/*.read")
    assert await seen(client, jane["access_token"]) == everywhere(CHEST, KNEE)


async def test_scopes_never_open_what_the_role_does_not(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    token = viewer.launch("clerk", "launch/patient patient/*.cruds user/*.cruds")["access_token"]
    found = await seen(client, token)
    assert found["search"] == set(STUDIES)
    assert found["study"] == found["instance"] == found["frame"] == set()
    patient = fhir(await client.get(f"/fhir/Patient/{known.jane}", headers=bearer(token)))
    assert "name" not in patient


@pytest.mark.parametrize(
    "scope",
    [
        "openid launch/patient",
        "launch/patient patient/Patient.rs",
        "launch/patient patient/ImagingStudy.cud",
        "launch/patient patient/ImagingStudy.dus",
        "launch/patient patient/ImagingStudy.rs?subject:Patient.name=Doe",
        "patient/ImagingStudy.rs",
    ],
)
async def test_without_a_scope_that_covers_it_a_search_is_403(
    client: httpx.AsyncClient, viewer: App, known: Known, scope: str
) -> None:
    headers = bearer(viewer.launch("doctor", scope)["access_token"])
    refusal = issue(await client.get("/fhir/ImagingStudy", headers=headers), 403)
    assert refusal["code"] == "forbidden"
    assert (await client.get(f"/dicomweb/studies/{CHEST}", headers=headers)).status_code == 403
    query = {"query": "{ studies { edges { node { id } } } }"}
    told = (await client.post("/graphql", headers=headers, json=query)).json()
    assert told["data"] == {"studies": None}
    assert {one["extensions"]["code"] for one in told["errors"]} == {"FORBIDDEN"}


async def test_another_patient_than_that_of_the_launch_is_403_and_not_an_empty_bundle(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    headers = bearer(viewer.launch("doctor", "launch/patient patient/*.rs")["access_token"])
    for query in (
        f"ImagingStudy?patient={known.taro}",
        f"ImagingStudy?patient=Patient/{known.taro}&_include=ImagingStudy:endpoint",
        f"ImagingStudy?subject={FHIR}/Patient/{known.taro}",
        "ImagingStudy?patient=nobody",
        f"Patient/{known.taro}",
        f"Patient?_id={known.taro}",
        "Patient/nobody",
    ):
        refusal = issue(await client.get(f"/fhir/{query}", headers=headers), 403)
        assert (
            refusal["details"]["text"] == "The token is for another patient than the one asked for."
        )
    bundle = fhir(await client.get(f"/fhir/ImagingStudy?patient={known.jane}", headers=headers))
    assert set(ids(bundle)) == {CHEST, KNEE}
    assert (await client.get(f"/fhir/ImagingStudy/{SKULL}", headers=headers)).status_code == 404


async def test_searches_of_smart_imaging_access_give_studies_and_where_their_images_are(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    token = viewer.launch("jane", "launch/patient patient/ImagingStudy.rs")["access_token"]
    patient = f"/fhir/ImagingStudy?patient={known.jane}&_include=ImagingStudy:endpoint"
    for more, expected in (
        ("", {CHEST, KNEE}),
        ("&_lastUpdated=gt2020-01-01T00:00:00Z", {CHEST, KNEE}),
        ("&_lastUpdated=lt2020-01-01T00:00:00Z", set()),
        (f"&identifier=urn:oid:{CHEST}", {CHEST}),
        (f"&identifier=urn:dicom:uid|urn:oid:{KNEE}", {KNEE}),
    ):
        bundle = fhir(await client.get(patient + more, headers=bearer(token)))
        assert set(ids(bundle)) == expected
        assert len(ids(bundle, "include")) == bool(expected)
    bundle = fhir(await client.get(patient, headers=bearer(token)))
    resources = {one["resource"]["id"]: one["resource"] for one in bundle["entry"]}
    study = resources[CHEST]
    assert study["subject"]["reference"] == f"Patient/{known.jane}"
    assert study["modality"][0]["code"] == "CT"
    uids = [one for one in study["identifier"] if one.get("system") == "urn:dicom:uid"]
    assert [one["value"] for one in uids] == [f"urn:oid:{CHEST}"]
    endpoint = resources[study["endpoint"][0]["reference"].removeprefix("Endpoint/")]
    assert endpoint["connectionType"]["code"] == "dicom-wado-rs"
    [extension] = endpoint["extension"]
    assert extension["url"].endswith("/StructureDefinition/requires-access-token")
    assert extension["valueBoolean"] is True

    path = f"{endpoint['address']}/studies/{CHEST}"
    answer = await client.get(path, headers=bearer(token) | {"Accept": ARGONAUT})
    assert answer.status_code == 200, answer.text
    assert [content for _, content in parts_of(answer)] == [FILES[CHEST]]


async def test_what_a_study_repeats_of_its_patient_needs_a_scope_for_patients(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    for scope, display in (
        ("launch/patient patient/ImagingStudy.rs", False),
        ("launch/patient patient/ImagingStudy.rs patient/Patient.r", True),
    ):
        headers = bearer(viewer.launch("doctor", scope)["access_token"])
        study = fhir(await client.get(f"/fhir/ImagingStudy/{CHEST}", headers=headers))
        assert ("display" in study["subject"]) is display
        search = await client.get("/fhir/ImagingStudy?patient-name=doe", headers=headers)
        assert search.status_code == (200 if display else 403)


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_a_service_signs_for_itself_and_sees_what_its_role_and_scopes_leave(
    client: httpx.AsyncClient,
    configuration: dict[str, Any],
    service_keys: dict[str, SigningKey],
    algorithm: str,
) -> None:
    service = App(f"service-{algorithm}", configuration, FHIR)
    whole = service.backend(service_keys[algorithm], "system/ImagingStudy.rs").json()
    assert whole["scope"] == "system/ImagingStudy.rs"
    assert await seen(client, whole["access_token"]) == everywhere(*STUDIES)
    granular = f"system/ImagingStudy.rs?modality={CT}"
    part = service.backend(service_keys[algorithm], granular).json()
    assert await seen(client, part["access_token"]) == everywhere(CHEST, SKULL)
    headers = bearer(part["access_token"])
    assert (await client.get("/fhir/Patient", headers=headers)).status_code == 403


async def test_a_service_with_another_key_gets_no_token(
    configuration: dict[str, Any], service_keys: dict[str, SigningKey]
) -> None:
    service = App("service-ES384", configuration, FHIR)
    thief = SigningKey.es384(service_keys["ES384"].kid)
    refused = service.backend(thief, "system/ImagingStudy.rs")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


async def test_a_service_whose_role_is_unmapped_has_none(
    client: httpx.AsyncClient,
    configuration: dict[str, Any],
    service_keys: dict[str, SigningKey],
) -> None:
    service = App("stranger", configuration, FHIR)
    token = service.backend(service_keys["ES384"], "system/*.cruds").json()["access_token"]
    refusal = issue(await client.get("/fhir/ImagingStudy", headers=bearer(token)), 403)
    assert refusal["details"]["text"] == "the token gives no role that is known here"


async def test_scopes_of_patients_open_nothing_for_a_service_without_launch(
    client: httpx.AsyncClient,
    configuration: dict[str, Any],
    service_keys: dict[str, SigningKey],
) -> None:
    service = App("service-ES384", configuration, FHIR)
    told = service.backend(service_keys["ES384"], "launch/patient patient/*.cruds").json()
    headers = bearer(told["access_token"])
    assert (await client.get("/fhir/ImagingStudy", headers=headers)).status_code == 403
    assert (await client.get(f"/dicomweb/studies/{CHEST}", headers=headers)).status_code == 403


async def test_a_refreshed_token_keeps_its_launch_and_can_be_narrowed(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    granular = f"patient/ImagingStudy.rs?modality={CT}"
    scope = f"openid offline_access launch/patient patient/Patient.rs {granular}"
    first = viewer.launch("doctor", scope)
    second = viewer.refresh(first["refresh_token"])
    assert second["access_token"] != first["access_token"]
    assert second["patient"] == known.jane
    assert await seen(client, second["access_token"]) == everywhere(CHEST)
    path = f"/fhir/Patient/{known.jane}"
    fhir(await client.get(path, headers=bearer(second["access_token"])))
    third = viewer.refresh(second["refresh_token"], scope=f"launch/patient {granular}")
    assert await seen(client, third["access_token"]) == everywhere(CHEST)
    assert (await client.get(path, headers=bearer(third["access_token"]))).status_code == 403


async def test_a_token_for_another_server_is_401_at_every_door(
    client: httpx.AsyncClient, viewer: App, known: Known
) -> None:
    other = viewer.launch("jane", "user/*.read", resource="https://other.example/fhir")
    headers = bearer(other["access_token"])
    for path in ("/fhir/ImagingStudy", f"/dicomweb/studies/{CHEST}", "/postdicom/studies"):
        assert (await client.get(path, headers=headers)).status_code == 401
    query = {"query": "{ studies { totalCount } }"}
    assert (await client.post("/graphql", headers=headers, json=query)).status_code == 401


async def test_an_expired_token_is_401_although_it_held(
    client: httpx.AsyncClient, oidc: OidcServer, issuer_key: SigningKey, viewer: App, known: Known
) -> None:
    told = viewer.launch("jane", "launch/patient patient/*.rs")
    held = jwt.decode(told["access_token"], options={"verify_signature": False})
    assert (await client.get("/fhir/ImagingStudy", headers=bearer(told["access_token"]))).is_success
    claims = claims_of(oidc.issuer, **{**held, "iat": FromNow(-900), "exp": FromNow(-90)})
    answer = await client.get("/fhir/ImagingStudy", headers=bearer(signed(issuer_key, claims)))
    assert issue(answer, 401)["code"] == "login"


async def test_an_app_that_is_refused_or_has_no_verifier_gets_no_token(
    viewer: App, known: Known
) -> None:
    scope, verifier = "launch/patient patient/*.rs", secrets.token_urlsafe(48)
    assert viewer.authorized("", scope, verifier)["error"] == "access_denied"
    assert viewer.authorized("jane", scope, verifier, aud="https://other.example")["error"] == (
        "invalid_target"
    )
    plain = viewer.authorized("jane", scope, verifier, code_challenge_method="plain")
    assert plain["error"] == "invalid_request"
    code = viewer.authorized("jane", scope, verifier)["code"]
    stolen = viewer.redeem(code, secrets.token_urlsafe(48))
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")


async def test_refusals_of_scopes_are_in_the_audit(
    client: httpx.AsyncClient, archive: Archive, viewer: App, known: Known
) -> None:
    token = viewer.launch("doctor", "launch/patient patient/Patient.rs")["access_token"]
    await client.get("/fhir/ImagingStudy", headers=bearer(token) | {"X-Request-Id": "uncovered"})
    await client.get(
        f"/fhir/Patient/{known.taro}", headers=bearer(token) | {"X-Request-Id": "mismatch"}
    )
    written = archive.database["audit_events"].find(
        {"requestId": {"$in": ["uncovered", "mismatch"]}}
    )
    assert {
        (one["requestId"], one["action"], one["resource"], one["outcome"]) async for one in written
    } == {
        ("uncovered", "search", "ImagingStudy", "refused"),
        ("mismatch", "read", "Patient", "refused"),
    }
