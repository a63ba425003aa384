"""Verification keys, as issuers publish them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

RSA_BITS = 2048  # RFC 7518 3.3
RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVE_ALGORITHMS = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | bytes | None:
        """Return the key that signs with `algorithm` under this `kid`, or None.

        Raises:
            Unavailable: The issuer does not answer, and no key at hand fits.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedKey:
    """A key that is known without asking anybody; it has no `kid`."""

    key: PublicKey | bytes

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | bytes | None:
        """Return the key; the caller has checked that the algorithm is one of the issuer's."""
        return self.key


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One usable key of a JWK Set."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one answer of an issuer.

    Attributes:
        keys: In the order of the JWK Set.
        read: When they were read, seconds of the monotonic clock.
        discovery: The issuer's discovery document, read on the way.
    """

    keys: tuple[PublishedKey, ...]
    read: float
    discovery: Mapping[str, object] = field(default_factory=dict)

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key for a token's header; without `kid` only if there is no choice."""
        fitting = [key for key in self.keys if algorithm in key.algorithms]
        if kid is None:
            # OpenID Connect Core 10.1: with several keys in the set, `kid` must be given.
            return fitting[0].key if len(fitting) == 1 else None
        return next((key.key for key in fitting if key.kid == kid), None)


def published(entries: Iterable[object]) -> tuple[PublishedKey, ...]:
    """Pick what can verify signatures from the `keys` of a JWK Set; the rest is passed over."""
    return tuple(key for entry in entries if (key := _published(entry)) is not None)


def _published(entry: object) -> PublishedKey | None:
    if not isinstance(entry, dict) or not _for_signatures(entry):
        return None
    algorithms = _algorithms(entry)
    if not algorithms:
        return None
    try:
        key = PyJWK(entry, algorithm=min(algorithms)).key
    except (PyJWTError, TypeError, ValueError, AttributeError, KeyError):
        # PyJWT checks that members are present, not always that they are text.
        return None
    # A private key that is published is nobody's any more; it is not a `PublicKey`.
    if not isinstance(key, PublicKey) or (
        isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS
    ):
        return None
    kid = entry.get("kid")
    return PublishedKey(kid if isinstance(kid, str) else None, algorithms, key)


def _for_signatures(entry: dict[str, object]) -> bool:
    # Issuers publish `sign` too, meaning their own half of the pair.
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and (
        isinstance(operations, list) and ("verify" in operations or "sign" in operations)
    )


def _algorithms(entry: dict[str, object]) -> frozenset[str]:
    kind, curve, named = entry.get("kty"), entry.get("crv"), entry.get("alg")
    if kind == "RSA":
        able = RSA_ALGORITHMS
    elif isinstance(kind, str) and isinstance(curve, str):
        able = CURVE_ALGORITHMS.get((kind, curve), frozenset())
    else:
        able = frozenset()
    return able if named is None else able.intersection({named} if isinstance(named, str) else ())
