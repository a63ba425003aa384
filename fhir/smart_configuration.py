"""What SMART apps are told of the authorization server: where it is, and what goes there.

All of it is derived from the server's own discovery document (RFC 8414, OpenID Connect Discovery),
so that nothing is claimed that it does not say.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Json = Any
Discovery = Mapping[str, object]

_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_ARGONAUT = "http://fhir.org/argonaut/smart-imaging/capabilities"

# What is handed on as the authorization server writes it.
_ADDRESSES = (
    "issuer",
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
)
_LISTS = (
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "response_types_supported",
)
_URIS = {
    "authorize": "authorization_endpoint",
    "token": "token_endpoint",
    "register": "registration_endpoint",
    "introspect": "introspection_endpoint",
    "revoke": "revocation_endpoint",
}
_GRANTS = ("authorization_code", "client_credentials", "refresh_token")
_LEVELS = ("patient", "user", "system")
_LAUNCH = ("openid", "fhirUser", "launch", "launch/patient", "offline_access", "online_access")
# Of the capabilities that an authorization server may list itself, those that are up to it.
_OF_THE_SERVER = ("launch-", "context-", "client-", "sso-", "permission-o", "authorize-")


def smart_configuration(server: Discovery, types: Iterable[str]) -> dict[str, Json]:
    """Write the document of `.well-known/smart-configuration`.

    Args:
        server: The authorization server's discovery document.
        types: Resource types that scopes can name.
    """
    told: dict[str, Json] = {
        name: server[name] for name in _ADDRESSES if isinstance(server.get(name), str)
    }
    told |= {name: found for name in _LISTS if (found := _texts(server, name))}
    scopes = [one for one in _LAUNCH if one in _texts(server, "scopes_supported")]
    scopes += [f"{level}/{one}.rs" for level in _LEVELS for one in ("*", *types)]
    return told | {
        "grant_types_supported": _grants(server),
        "code_challenge_methods_supported": _challenges(server),
        "scopes_supported": scopes,
        "capabilities": _capabilities(server),
    }


def security(server: Discovery | None) -> dict[str, Json]:
    """Write `CapabilityStatement.rest.security`.

    Args:
        server: The authorization server's discovery document, if there is one and it answers.
    """
    addresses = [
        {"url": name, "valueUri": server[source]}
        for name, source in _URIS.items()
        if server and isinstance(server.get(source), str)
    ]
    described: dict[str, Json] = {
        "cors": False,
        "service": [{"coding": [{"system": _SERVICES, "code": "SMART-on-FHIR"}]}],
        "description": "Bearer tokens (JWT) of the configured OpenID issuers. SMART scopes of "
        "versions 1 and 2 narrow what the roles of the token open.",
    }
    # the extension is of a server that apps can be authorized at: `authorize` has to be there
    if any(one["url"] == "authorize" for one in addresses):
        described["extension"] = [{"url": _OAUTH_URIS, "extension": addresses}]
    return described


def _capabilities(server: Discovery) -> list[str]:
    scopes, methods = (
        _texts(server, f"{name}_supported") for name in ("scopes", "token_endpoint_auth_methods")
    )
    grants = _grants(server)
    code = "authorization_code" in grants and bool(_challenges(server))
    found = {
        "permission-v1": True,
        "permission-v2": True,
        "permission-patient": True,
        "permission-user": True,
        "launch-standalone": code and "launch/patient" in scopes,
        "context-standalone-patient": code and "launch/patient" in scopes,
        "launch-ehr": code and "launch" in scopes,
        "context-ehr-patient": code and "launch" in scopes,
        "client-public": "none" in methods,
        "client-confidential-symmetric": "client_secret_basic" in methods,
        "client-confidential-asymmetric": "private_key_jwt" in methods,
        "permission-offline": "refresh_token" in grants and "offline_access" in scopes,
    }
    capabilities = [name for name, true in found.items() if true]
    capabilities += [
        one
        for one in _texts(server, "capabilities")
        if one.startswith(_OF_THE_SERVER) and one not in capabilities
    ]
    modes = {
        "app-launch": not {"launch-standalone", "launch-ehr"}.isdisjoint(capabilities),
        "backend-services": "client_credentials" in grants
        and "client-confidential-asymmetric" in capabilities,
    }
    imaging = [f"{_ARGONAUT}/{mode}" for mode, true in modes.items() if true]
    return [*capabilities, "smart-imaging-access", *imaging] if imaging else capabilities


def _grants(server: Discovery) -> list[str]:
    # OpenID Connect Discovery 3: absent means authorization_code (and implicit), if at all
    able = _texts(server, "grant_types_supported")
    if "grant_types_supported" not in server and "authorization_endpoint" in server:
        able = ["authorization_code"]
    return [one for one in _GRANTS if one in able]


def _challenges(server: Discovery) -> list[str]:
    # SMART App Launch forbids `plain`, whatever the server takes
    return ["S256"] if "S256" in _texts(server, "code_challenge_methods_supported") else []


def _texts(server: Discovery, name: str) -> list[str]:
    value = server.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
