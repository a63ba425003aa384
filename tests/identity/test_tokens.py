"""Tokens of a real provider, and tokens that its real keys signed with something wrong."""

import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.identity.tokens import TOKEN_BYTES, Identity
from fhir.errors import AccessDenied, Unauthenticated
from policies.caller import Caller
from tests.identity.build import (
    ABSENT,
    FromNow,
    claims_of,
    issuer_of,
    opened,
    refusal,
    signed,
    unchecked,
)
from tests.oidc.server import OidcServer, SigningKey, base64url

MALFORMED = "the token is malformed"
NO_ROLE = "the token gives no role that is known here"
OTHER_ALGORITHM = "the token's algorithm is not one of its issuer's"
OTHER_AUDIENCE = "the token is meant for another audience"
OTHER_ISSUER = "the token's issuer is not trusted here"
OTHER_KEY = "the token's key is not one of its issuer's"
BAD_SIGNATURE = "the token's signature does not hold"
EXPIRED = "the token has expired; sign in again"
TOO_EARLY = "the token is not valid yet"
NO_BEARER = "the authorization is not a bearer token of three parts"
BAD_SUBJECT = "the token's sub is not 1 to 255 printable characters"

SECRET = "thirty-two bytes, and not one less"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_token_of_a_real_provider_says_who_calls(
    identity: Identity, oidc: OidcServer, algorithm: str
) -> None:
    token = oidc.token("viewer", algorithm, scope="user/*.rs openid")

    assert await identity.caller(f"Bearer {token}") == Caller(
        subject=f"{oidc.issuer}#viewer",
        roles=frozenset({"radiologist"}),
        name="viewer",
        variables={
            "specialty": ("RADIOLOGY",),
            "modality": ("CT", "MR", "CR", "DX", "US", "RF", "MG"),
        },
        scopes=frozenset({"user/*.rs", "openid"}),
    )


async def test_roles_of_a_keycloak_realm_are_translated(
    identity: Identity, oidc: OidcServer
) -> None:
    caller = await identity.caller(f"Bearer {oidc.token('keycloak')}")

    assert caller.roles == {"technologist"}
    assert caller.name == "tech7"


async def test_a_patient_is_linked_by_claim(identity: Identity, oidc: OidcServer) -> None:
    caller = await identity.caller(f"Bearer {oidc.token('person')}")

    assert caller.roles == {"patient"}
    assert caller.variables == {"patient": ("p-1",)}


async def test_a_good_token_without_a_known_role_is_denied(
    identity: Identity, oidc: OidcServer
) -> None:
    with pytest.raises(AccessDenied, match=NO_ROLE) as denied:
        await identity.caller(f"Bearer {oidc.token('stranger')}")

    assert denied.value.status == 403


async def test_a_token_of_the_provider_for_another_audience_is_refused(
    identity: Identity, oidc: OidcServer
) -> None:
    assert await refusal(identity, oidc.token("viewer", audience="laboratory")) == OTHER_AUDIENCE


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "a bearer token is needed"),
        ("", "a bearer token is needed"),
        ("Bearer", NO_BEARER),
        ("Bearer ", NO_BEARER),
        ("Basic dXNlcjpwYXNz", NO_BEARER),
        ("Bearer one.two", NO_BEARER),
        ("Bearer one.two.three.four.five", NO_BEARER),
        ("Bearer one.two.", NO_BEARER),
        ("Bearer one.two.three one.two.three", NO_BEARER),
        ("Bearer ünö.two.three", NO_BEARER),
        ("Bearer one.two.three\n", NO_BEARER),
        ("Bearer one.two.three", MALFORMED),
        ("Bearer a.two.three", MALFORMED),
        (f"Bearer {base64url(b'[]')}.{base64url(b'{}')}.three", MALFORMED),
        (f"Bearer {base64url(b'{}')}.{base64url(b'{}')}.three", OTHER_ISSUER),
        (f"Bearer {base64url(b'{}')}.{base64url(b'[' * 9000)}.three", MALFORMED),
        (f"Bearer {'a' * TOKEN_BYTES}.b.c", f"a token has at most {TOKEN_BYTES} bytes"),
    ],
)
async def test_what_is_no_token_is_refused(
    identity: Identity, header: str | None, message: str
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await identity.caller(header)

    assert str(refused.value) == message


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_may_be_written_in_any_case(
    identity: Identity, oidc: OidcServer, rsa_key: SigningKey, scheme: str
) -> None:
    token = signed(rsa_key, claims_of(oidc.issuer))

    assert (await identity.caller(f"{scheme} {token}")).subject == f"{oidc.issuer}#u1"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"exp": FromNow(-90)}, EXPIRED),
        ({"exp": 0}, EXPIRED),
        ({"iat": FromNow(300)}, TOO_EARLY),
        ({"nbf": FromNow(300)}, TOO_EARLY),
        ({"aud": "laboratory"}, OTHER_AUDIENCE),
        ({"aud": ["laboratory", "radiograph/"]}, OTHER_AUDIENCE),
        ({"aud": {"radiograph": True}}, OTHER_AUDIENCE),
        ({"iss": "https://issuer.example"}, OTHER_ISSUER),
        ({"iss": ["radiograph"]}, OTHER_ISSUER),
        ({"iss": ABSENT}, OTHER_ISSUER),
        ({"exp": ABSENT}, "the token lacks the claim exp"),
        ({"iat": ABSENT}, "the token lacks the claim iat"),
        ({"aud": ABSENT}, "the token lacks the claim aud"),
        ({"aud": []}, "the token lacks the claim aud"),
        ({"sub": ABSENT}, "the token lacks the claim sub"),
        ({"sub": None}, "the token lacks the claim sub"),
        ({"exp": "9999999999"}, MALFORMED),
        ({"exp": [9999999999]}, MALFORMED),
        ({"exp": float("inf")}, MALFORMED),
        ({"exp": float("nan")}, MALFORMED),
        ({"iat": True}, MALFORMED),
        ({"nbf": None}, MALFORMED),
        ({"nbf": "0"}, MALFORMED),
        ({"sub": 7}, MALFORMED),
        ({"sub": ""}, BAD_SUBJECT),
        ({"sub": "u\n1"}, BAD_SUBJECT),
        ({"sub": "u\ud800"}, BAD_SUBJECT),
        ({"sub": "u" * 256}, BAD_SUBJECT),
    ],
)
async def test_a_claim_that_does_not_hold_is_refused(
    identity: Identity,
    oidc: OidcServer,
    rsa_key: SigningKey,
    overrides: dict[str, Any],
    message: str,
) -> None:
    assert await refusal(identity, signed(rsa_key, claims_of(oidc.issuer, **overrides))) == message


@pytest.mark.parametrize(
    ("overrides", "strict"),
    [
        ({"exp": FromNow(-20)}, EXPIRED),
        ({"iat": FromNow(45)}, TOO_EARLY),
        ({"nbf": FromNow(45)}, TOO_EARLY),
    ],
)
async def test_clocks_may_differ_by_the_skew_and_no_more(
    identity: Identity,
    oidc: OidcServer,
    rsa_key: SigningKey,
    overrides: dict[str, Any],
    strict: str,
) -> None:
    token = signed(rsa_key, claims_of(oidc.issuer, **overrides))

    assert (await identity.caller(f"Bearer {token}")).roles == {"radiologist"}
    async with opened(issuer_of(oidc.issuer), clock_skew=0) as exact:
        assert await refusal(exact, token) == strict


async def test_any_configured_audience_will_do(oidc: OidcServer, rsa_key: SigningKey) -> None:
    async with opened(issuer_of(oidc.issuer, audiences=("radiograph", "pacs"))) as identity:
        token = signed(rsa_key, claims_of(oidc.issuer, aud=["account", "pacs"]))

        assert (await identity.caller(f"Bearer {token}")).roles == {"radiologist"}


async def test_a_changed_payload_breaks_the_signature(identity: Identity, oidc: OidcServer) -> None:
    header, payload, signature = oidc.token("stranger").split(".")
    claims = jwt.decode(f"{header}.{payload}.{signature}", options={"verify_signature": False})
    raised = base64url(json.dumps({**claims, "roles": ["admin"]}).encode())

    assert await refusal(identity, f"{header}.{raised}.{signature}") == BAD_SIGNATURE


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_changed_or_foreign_signature_is_refused(
    identity: Identity, oidc: OidcServer, algorithm: str
) -> None:
    first, second = (oidc.token(client, algorithm).split(".") for client in ("viewer", "person"))

    assert await refusal(identity, ".".join([*first[:2], second[2]])) == BAD_SIGNATURE
    assert await refusal(identity, ".".join([*first[:2], "AAAA"])) == BAD_SIGNATURE


async def test_a_key_that_takes_the_name_of_another_is_refused(
    identity: Identity, oidc: OidcServer, rsa_key: SigningKey
) -> None:
    thief = SigningKey.rs256(rsa_key.kid)

    assert await refusal(identity, signed(thief, claims_of(oidc.issuer))) == BAD_SIGNATURE


async def test_a_key_that_the_token_brings_along_is_not_believed(
    identity: Identity, oidc: OidcServer
) -> None:
    thief = SigningKey.rs256("thief")
    public = {name: thief.jwk[name] for name in ("kty", "n", "e", "kid", "alg")}
    token = signed(thief, claims_of(oidc.issuer), jwk=public, jku="http://127.0.0.1:9/jwks")

    assert await refusal(identity, token) == OTHER_KEY


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, ["RS256"], "HS256"])
async def test_a_token_cannot_choose_an_algorithm_that_is_not_its_issuers(
    identity: Identity, oidc: OidcServer, rsa_key: SigningKey, algorithm: object
) -> None:
    token = unchecked({"alg": algorithm, "kid": rsa_key.kid}, claims_of(oidc.issuer), rsa_key)

    assert await refusal(identity, token) == OTHER_ALGORITHM


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
async def test_a_public_key_does_not_serve_as_a_shared_secret(
    identity: Identity, oidc: OidcServer, rsa_key: SigningKey, encoding: Encoding
) -> None:
    public = rsa_key.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    parts = [
        base64url(json.dumps(part).encode())
        for part in ({"alg": "HS256", "kid": rsa_key.kid}, claims_of(oidc.issuer))
    ]
    signature = hmac.digest(public, ".".join(parts).encode(), "sha256")

    assert await refusal(identity, ".".join([*parts, base64url(signature)])) == OTHER_ALGORITHM


async def test_a_key_serves_only_its_own_algorithm(
    identity: Identity, oidc: OidcServer, rsa_key: SigningKey, ec_key: SigningKey
) -> None:
    claims = claims_of(oidc.issuer)

    assert await refusal(identity, signed(rsa_key, claims, kid=ec_key.kid)) == OTHER_KEY
    assert await refusal(identity, signed(ec_key, claims, alg="RS256")) == OTHER_KEY


async def test_an_issuer_may_be_held_to_fewer_algorithms(
    oidc: OidcServer, rsa_key: SigningKey, ec_key: SigningKey
) -> None:
    async with opened(issuer_of(oidc.issuer, algorithms=("ES256",))) as identity:
        claims = claims_of(oidc.issuer)

        assert (await identity.caller(f"Bearer {signed(ec_key, claims)}")).name is None
        assert await refusal(identity, signed(rsa_key, claims)) == OTHER_ALGORITHM


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"kid": 7}, MALFORMED),
        ({"kid": ["rsa-1"]}, MALFORMED),
        ({"kid": "nobody's"}, OTHER_KEY),
        ({"crit": ["exp"], "exp": 1}, MALFORMED),
        ({"b64": False}, MALFORMED),
    ],
)
async def test_a_header_that_cannot_be_honoured_is_refused(
    identity: Identity,
    oidc: OidcServer,
    rsa_key: SigningKey,
    header: dict[str, Any],
    message: str,
) -> None:
    token = signed(rsa_key, claims_of(oidc.issuer), **header)

    assert await refusal(identity, token) == message


async def test_a_token_without_kid_is_believed_if_only_one_key_fits(
    identity: Identity, oidc: OidcServer, rsa_key: SigningKey
) -> None:
    token = signed(rsa_key, claims_of(oidc.issuer), kid=ABSENT)

    assert (await identity.caller(f"Bearer {token}")).roles == {"radiologist"}


async def test_a_shared_secret_signs_for_its_issuer_alone(
    oidc: OidcServer, rsa_key: SigningKey
) -> None:
    shared = issuer_of("central", secret=SECRET)
    async with opened(shared, issuer_of(oidc.issuer)) as identity:
        token = jwt.encode(claims_of("central"), SECRET, "HS256")

        assert (await identity.caller(f"Bearer {token}")).subject == "central#u1"
        foreign = jwt.encode(claims_of("central"), SECRET[::-1], "HS256")
        assert await refusal(identity, foreign) == BAD_SIGNATURE
        crossed = jwt.encode(claims_of(oidc.issuer), SECRET, "HS256")
        assert await refusal(identity, crossed) == OTHER_ALGORITHM
        asymmetric = signed(rsa_key, claims_of("central"))
        assert await refusal(identity, asymmetric) == OTHER_ALGORITHM
