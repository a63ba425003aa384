"""Which keys of a JWK Set are used, and for what."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.identity.keys import RSA_ALGORITHMS, KeySet, published
from tests.oidc.server import SigningKey


def rsa_jwk(bits: int = 2048, **members: Any) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k", **members}


def ec_jwk(curve: ec.EllipticCurve, **members: Any) -> dict[str, Any]:
    key = ec.generate_private_key(curve).public_key()
    return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": "k", **members}


def ed25519_jwk(**members: Any) -> dict[str, Any]:
    key = Ed25519PrivateKey.generate().public_key()
    return {**OKPAlgorithm.to_jwk(key, as_dict=True), "kid": "k", **members}


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (rsa_jwk(), RSA_ALGORITHMS),
        (rsa_jwk(alg="RS256"), {"RS256"}),
        (rsa_jwk(alg="PS256", use="sig"), {"PS256"}),
        (rsa_jwk(key_ops=["verify"]), RSA_ALGORITHMS),
        (rsa_jwk(key_ops=["sign"]), RSA_ALGORITHMS),
        (ec_jwk(ec.SECP256R1()), {"ES256"}),
        (ec_jwk(ec.SECP384R1()), {"ES384"}),
        (ec_jwk(ec.SECP521R1()), {"ES512"}),
        (ed25519_jwk(), {"EdDSA"}),
    ],
)
def test_a_key_serves_the_algorithms_of_its_kind(
    jwk: dict[str, Any], algorithms: frozenset[str]
) -> None:
    assert [(key.kid, key.algorithms) for key in published([jwk])] == [("k", algorithms)]


@pytest.mark.parametrize(
    "jwk",
    [
        rsa_jwk(use="enc"),
        rsa_jwk(key_ops=["encrypt"]),
        rsa_jwk(key_ops="verify"),
        rsa_jwk(alg="RSA-OAEP"),
        rsa_jwk(alg="ES256"),
        rsa_jwk(alg="HS256"),
        rsa_jwk(alg=["RS256"]),
        rsa_jwk(kty=["RSA"]),
        rsa_jwk(n=7),
        rsa_jwk(n=None),
        rsa_jwk(e="!"),
        rsa_jwk(bits=1024),
        ec_jwk(ec.SECP256K1()),
        ec_jwk(ec.SECP256R1(), crv="P-384"),
        ec_jwk(ec.SECP256R1(), x="AAAA"),
        ec_jwk(ec.SECP256R1(), y=7),
        ed25519_jwk(x="AAAA"),
        ed25519_jwk(crv={"Ed25519": 1}),
        {**SigningKey.rs256("k").jwk, "key_ops": ["verify"]},
        {**SigningKey.es256("k").jwk, "key_ops": ["verify"]},
        OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        {"kid": "k"},
        {},
        [],
        None,
        "RSA",
    ],
)
def test_a_key_that_cannot_or_may_not_verify_is_passed_over(jwk: object) -> None:
    good = ed25519_jwk(kid="good")

    assert [key.kid for key in published([jwk, good])] == ["good"]


def test_a_key_is_found_by_its_name_and_kind() -> None:
    keys = KeySet(published([rsa_jwk(kid="a"), rsa_jwk(kid="b"), ed25519_jwk(kid="a")]), read=0)
    first, second, third = (key.key for key in keys.keys)

    assert keys.find("a", "RS256") is first
    assert keys.find("b", "RS256") is second
    assert keys.find("a", "EdDSA") is third
    assert keys.find("b", "EdDSA") is None
    assert keys.find("A", "RS256") is None


def test_without_a_name_there_must_be_no_choice() -> None:
    keys = KeySet(published([rsa_jwk(kid="a"), rsa_jwk(kid="b"), ed25519_jwk()]), read=0)

    assert keys.find(None, "RS256") is None
    assert keys.find(None, "EdDSA") is keys.keys[2].key
    assert keys.find(None, "ES256") is None
