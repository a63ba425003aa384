"""From the `Authorization` header to the caller: every token is verified here or refused."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import httpx
from aiocache import SimpleMemoryCache
from jwt import PyJWT
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from app.identity.claims import caller
from app.identity.development import DevelopmentIssuer
from app.identity.issuers import ANSWER_SECONDS, IssuerKeys
from app.identity.keys import FixedKey, KeySource
from app.identity.signin import SignIn, sign_in
from app.settings import Issuer, Settings
from fhir.errors import Unauthenticated
from policies.caller import Caller

TOKEN_BYTES = 16 * 1024
REQUIRED = ("exp", "iat", "iss", "aud", "sub")
TIMES = ("exp", "iat", "nbf")
BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2})")

REASONS: tuple[tuple[type[PyJWTError], str], ...] = (
    (ExpiredSignatureError, "the token has expired; sign in again"),
    (ImmatureSignatureError, "the token is not valid yet"),
    (InvalidSignatureError, "the token's signature does not hold"),
    (InvalidAudienceError, "the token is meant for another audience"),
)


@dataclass(frozen=True, slots=True)
class Trusted:
    """One issuer, the algorithms it may use and where its keys come from."""

    issuer: Issuer
    algorithms: tuple[str, ...]
    keys: KeySource


class Identity:
    """Says who sends a request. Nothing is remembered of a token: each is verified each time."""

    def __init__(
        self,
        trusted: Mapping[str, Trusted],
        clock_skew: timedelta,
        http: httpx.AsyncClient,
    ) -> None:
        self._trusted = trusted
        self._clock_skew = clock_skew
        self._http = http
        self._jwt = PyJWT({"require": list(REQUIRED), "enforce_minimum_key_length": True})

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Prepare for the configured issuers; none is asked before one of its tokens comes.

        Raises:
            Invalid: The development issuer's key file holds no key.
        """
        http = httpx.AsyncClient(timeout=ANSWER_SECONDS, headers={"Accept": "application/json"})
        cache = SimpleMemoryCache(timeout=None)
        trusted = {
            issuer.issuer: _trusted(issuer, settings, http, cache) for issuer in settings.issuers
        }
        if settings.development_issuer:
            development = await asyncio.to_thread(DevelopmentIssuer, settings.data_dir)
            issuer = development.issuer
            keys = FixedKey(development.public_key)
            trusted[issuer.issuer] = Trusted(issuer, issuer.algorithms, keys)
        return cls(trusted, settings.clock_skew, http)

    async def close(self) -> None:
        """Close connections and forget keys."""
        for trusted in self._trusted.values():
            if isinstance(trusted.keys, IssuerKeys):
                await trusted.keys.forget()
        await self._http.aclose()

    async def discovery(self) -> Mapping[str, object] | None:
        """Give the discovery document of the first issuer that has one; None without such.

        Raises:
            Unavailable: It does not answer.
        """
        for trusted in self._trusted.values():
            if isinstance(trusted.keys, IssuerKeys):
                return await trusted.keys.discovery()
        return None

    async def caller(self, authorization: str | None) -> Caller:
        """Say who the bearer of a token is, as `signed_in` does."""
        return (await self.signed_in(authorization))[0]

    async def signed_in(self, authorization: str | None) -> tuple[Caller, SignIn]:
        """Say who the bearer of a token is, and from which sign-in it comes.

        Args:
            authorization: The header's value, or None without one.

        Raises:
            Unauthenticated: There is no token, or it does not hold; the message says why and
                repeats nothing of it.
            AccessDenied: The token holds and gives no role.
            Unavailable: Its issuer does not answer, and no key at hand fits.
        """
        token = _bearer(authorization)
        header, unverified = (_json(part) for part in token.split(".")[:2])
        issuer = unverified.get("iss")
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise Unauthenticated("the token's issuer is not trusted here")
        claims = await self._verified(token, header, trusted)
        bearer = caller(trusted.issuer, claims)
        return bearer, sign_in(bearer, claims, token.rpartition(".")[0])

    async def _verified(
        self, token: str, header: Mapping[str, object], trusted: Trusted
    ) -> Mapping[str, object]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in trusted.algorithms:
            raise Unauthenticated("the token's algorithm is not one of its issuer's")
        if kid is not None and not isinstance(kid, str):
            raise Unauthenticated("the token is malformed")
        key = await trusted.keys.find(kid, algorithm)
        if key is None:
            raise Unauthenticated("the token's key is not one of its issuer's")
        try:
            claims: Mapping[str, object] = self._jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=trusted.issuer.issuer,
                audience=trusted.issuer.audiences,
                leeway=self._clock_skew,
            )
        except PyJWTError as refusal:
            raise Unauthenticated(_reason(refusal)) from refusal
        if not all(_is_time(claims[name]) for name in TIMES if name in claims):
            raise Unauthenticated("the token is malformed")
        return claims


def _trusted(
    issuer: Issuer, settings: Settings, http: httpx.AsyncClient, cache: SimpleMemoryCache
) -> Trusted:
    if issuer.secret is not None:
        key = FixedKey(issuer.secret.get_secret_value().encode())
        return Trusted(issuer, ("HS256",), key)
    keys = IssuerKeys(issuer.issuer, http, cache, settings.keys_ttl, settings.keys_cooldown)
    return Trusted(issuer, issuer.algorithms, keys)


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated("a bearer token is needed")
    if len(authorization) > TOKEN_BYTES:
        raise Unauthenticated(f"a token has at most {TOKEN_BYTES} bytes")
    match = BEARER.fullmatch(authorization)
    if match is None:
        raise Unauthenticated("the authorization is not a bearer token of three parts")
    return match[1]


def _json(part: str) -> Mapping[str, object]:
    """Read one part of a token that nobody has verified yet."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError) as why:
        raise Unauthenticated("the token is malformed") from why
    if not isinstance(value, dict):
        raise Unauthenticated("the token is malformed")
    return value


def _reason(refusal: PyJWTError) -> str:
    if isinstance(refusal, MissingRequiredClaimError) and refusal.claim in REQUIRED:
        return f"the token lacks the claim {refusal.claim}"
    return next(
        (text for kind, text in REASONS if isinstance(refusal, kind)), "the token is malformed"
    )


def _is_time(value: object) -> bool:
    # PyJWT takes "1700000000" and true for numbers; RFC 7519 2 does not.
    return isinstance(value, int | float) and not isinstance(value, bool)
