"""What apps are told before they have a token."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from app.archive import Archive
from app.main import create_app
from app.settings import Settings
from fhir.smart_configuration import security, smart_configuration
from tests.fhir_answers import fhir, issue
from tests.identity.build import opened
from tests.oidc.server import OidcServer
from tests.smart.conftest import BASE, CONFIGURATION, FHIR

TYPES = ("Patient", "ImagingStudy")
ARGONAUT = "http://fhir.org/argonaut/smart-imaging/capabilities"
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
SERVER: Mapping[str, Any] = {
    "issuer": "https://a.example",
    "authorization_endpoint": "https://a.example/authorize",
    "token_endpoint": "https://a.example/token",
    "scopes_supported": ["openid", "launch", "launch/patient", "offline_access", "email"],
    "grant_types_supported": ["authorization_code", "refresh_token", "password", "implicit"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
}


async def test_the_configuration_leads_to_the_real_authorization_server(
    client: httpx.AsyncClient, oidc: OidcServer
) -> None:
    answer = await client.get(CONFIGURATION)
    assert answer.status_code == 200
    told = answer.json()
    async with httpx.AsyncClient() as http:
        discovery = (await http.get(f"{oidc.issuer}/.well-known/openid-configuration")).json()
    for name in (
        "issuer",
        "jwks_uri",
        "authorization_endpoint",
        "token_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "response_types_supported",
    ):
        assert told[name] == discovery[name], name
    assert told["issuer"] == oidc.issuer
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["grant_types_supported"] == [
        "authorization_code",
        "client_credentials",
        "refresh_token",
    ]
    assert {"launch/patient", "patient/ImagingStudy.rs", "system/ImagingStudy.rs"} <= set(
        told["scopes_supported"]
    )
    assert told["capabilities"] == [
        "permission-v1",
        "permission-v2",
        "permission-patient",
        "permission-user",
        "launch-standalone",
        "context-standalone-patient",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "permission-offline",
        "smart-imaging-access",
        f"{ARGONAUT}/app-launch",
        f"{ARGONAUT}/backend-services",
    ]


@pytest.mark.parametrize(
    "accept", ["application/json", "application/fhir+json", "text/html", "image/png", "nonsense"]
)
async def test_the_configuration_is_json_for_anybody_whatever_they_accept(
    client: httpx.AsyncClient, accept: str
) -> None:
    headers = {"Accept": accept, "Origin": "https://app.example"}
    answer = await client.get(CONFIGURATION, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_capability_statement_names_the_authorization_server(
    client: httpx.AsyncClient, oidc: OidcServer
) -> None:
    statement = fhir(await client.get("/fhir/metadata"))
    described = statement["rest"][0]["security"]
    assert described["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    [extension] = described["extension"]
    assert extension["url"] == OAUTH_URIS
    addresses = {one["url"]: one["valueUri"] for one in extension["extension"]}
    assert addresses.keys() == {"authorize", "token", "introspect", "revoke"}
    assert all(one.startswith(oidc.issuer) for one in addresses.values())


async def test_an_authorization_server_that_is_down_is_503_and_metadata_go_on(
    archive: Archive, oidc: OidcServer
) -> None:
    async with opened(*archive.settings.issuers) as fresh:
        with oidc.unreachable():
            other = type(archive)(**{**_fields(archive), "identity": fresh})
            transport = httpx.ASGITransport(app=create_app(archive.settings, other))
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                answer = await client.get(CONFIGURATION)
                assert issue(answer, 503)["code"] == "transient"
                assert answer.headers["access-control-allow-origin"] == "*"
                statement = fhir(await client.get("/fhir/metadata"))
                assert "extension" not in statement["rest"][0]["security"]


def _fields(archive: Archive) -> dict[str, Any]:
    return {name: getattr(archive, name) for name in archive.__dataclass_fields__}


@pytest.mark.parametrize("development", [True, False])
async def test_without_an_issuer_the_configuration_says_what_there_is(
    archive: Archive, *, development: bool
) -> None:
    settings = Settings.model_validate(
        {
            "public_url": BASE,
            "development_issuer": development,
            "data_dir": archive.settings.data_dir,
        }
    )
    async with opened(development_issuer=development, data_dir=settings.data_dir) as identity:
        other = type(archive)(**{**_fields(archive), "identity": identity, "settings": settings})
        transport = httpx.ASGITransport(app=create_app(settings, other))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            answer = await client.get(CONFIGURATION)
    if not development:
        assert issue(answer, 404)["code"] == "not-found"
        return
    told = answer.json()
    assert told["token_endpoint"] == f"{BASE}/development/token"
    assert told["grant_types_supported"] == told["code_challenge_methods_supported"] == []
    assert told["capabilities"] == [
        "permission-v1",
        "permission-v2",
        "permission-patient",
        "permission-user",
    ]
    assert told.keys() == {
        "token_endpoint",
        "grant_types_supported",
        "code_challenge_methods_supported",
        "scopes_supported",
        "capabilities",
    }


def test_nothing_is_claimed_that_the_server_does_not_say() -> None:
    told = smart_configuration(SERVER, TYPES)
    assert told["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["scopes_supported"] == [
        "openid",
        "launch",
        "launch/patient",
        "offline_access",
        *(f"{level}/{one}.rs" for level in ("patient", "user", "system") for one in ("*", *TYPES)),
    ]
    assert told["capabilities"] == [
        "permission-v1",
        "permission-v2",
        "permission-patient",
        "permission-user",
        "launch-standalone",
        "context-standalone-patient",
        "launch-ehr",
        "context-ehr-patient",
        "client-public",
        "client-confidential-symmetric",
        "permission-offline",
        "smart-imaging-access",
        f"{ARGONAUT}/app-launch",
    ]
    assert "jwks_uri" not in told


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"code_challenge_methods_supported": ["plain"]}, "app-launch"),
        ({"code_challenge_methods_supported": None}, "app-launch"),
        ({"scopes_supported": ["openid"]}, "app-launch"),
        ({"grant_types_supported": ["implicit"]}, "app-launch"),
    ],
)
def test_a_launch_needs_a_code_a_challenge_and_a_context(
    changes: dict[str, Any], lost: str
) -> None:
    capabilities = smart_configuration({**SERVER, **changes}, TYPES)["capabilities"]
    assert f"{ARGONAUT}/{lost}" not in capabilities
    assert "smart-imaging-access" not in capabilities
    assert not any(one.startswith(("launch-", "context-")) for one in capabilities)


def test_capabilities_of_a_server_that_knows_smart_are_handed_on() -> None:
    own = ["context-banner", "sso-openid-connect", "permission-v1", "something-else", 7]
    capabilities = smart_configuration({**SERVER, "capabilities": own}, TYPES)["capabilities"]
    assert capabilities.count("permission-v1") == 1
    assert {"context-banner", "sso-openid-connect"} <= set(capabilities)
    assert "something-else" not in capabilities


@pytest.mark.parametrize("server", [None, {}, {"token_endpoint": f"{FHIR}/token"}, {"issuer": 7}])
def test_without_a_place_to_authorize_there_is_no_extension(server: Any) -> None:
    assert "extension" not in security(server)
