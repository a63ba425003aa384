"""From the `Authorization` header to the caller: every token is verified here or refused."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Self

import httpx
from aiocache import SimpleMemoryCache
from jwt import PyJWT
from jwt.exceptions import (
    InvalidAudienceError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from app.identity.claims import caller
from app.identity.development import DevelopmentIssuer
from app.identity.issuers import ANSWER_SECONDS, IssuerKeys
from app.identity.keys import FixedKey, KeySource, PublicKey
from app.identity.memory import Known, Memory, Span
from app.identity.signin import SignIn, sign_in
from app.settings import Issuer, Settings
from fhir.errors import Unauthenticated
from policies.caller import Caller

TOKEN_BYTES = 16 * 1024
REQUIRED = ("exp", "iat", "iss", "aud", "sub")
TIMES = ("exp", "iat", "nbf")
_BEYOND = 2.0**53  # seconds: no clock gets there
BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2})")

REASONS: tuple[tuple[type[PyJWTError], str], ...] = (
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
    """Says who sends a request.

    Of a token that held it is remembered that its signature fits its key, as that never changes.
    Everything else is verified each time: that the key is still its issuer's, and the times.
    """

    def __init__(
        self,
        trusted: Mapping[str, Trusted],
        clock_skew: timedelta,
        http: httpx.AsyncClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set whom to believe.

        Args:
            trusted: By issuer.
            clock_skew: By how much clocks may differ.
            http: Asks issuers.
            clock: Tells the time, in seconds since 1970.
        """
        self._trusted = trusted
        self._skew_seconds = clock_skew.total_seconds()
        self._http = http
        self._clock = clock
        self.memory = Memory()
        self._jwt = PyJWT(
            {
                "require": list(REQUIRED),
                "enforce_minimum_key_length": True,
                # times are held against our clock whether or not the signature is known already
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            }
        )

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
        known = self.memory.find(token)
        if known is None or await self._key(known) is not known.key:
            known = await self._verified(token)
            self.memory.keep(token, known)
        self._check_time(known.span)
        return known.caller, known.sign_in

    async def _key(self, known: Known) -> PublicKey | bytes | None:
        """Give the key that a known token's issuer has for it now."""
        return await self._trusted[known.issuer].keys.find(known.kid, known.algorithm)

    async def _verified(self, token: str) -> Known:
        header, unverified = (_json(part) for part in token.split(".")[:2])
        issuer = unverified.get("iss")
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise Unauthenticated("the token's issuer is not trusted here")
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
            )
        except PyJWTError as refusal:
            raise Unauthenticated(_reason(refusal)) from refusal
        span = _span(claims)
        self._check_time(span)
        bearer = caller(trusted.issuer, claims)
        entering = sign_in(bearer, claims, token.rpartition(".")[0])
        return Known(trusted.issuer.issuer, kid, algorithm, key, span, bearer, entering)

    def _check_time(self, span: Span) -> None:
        now = self._clock()
        if now < span.begins - self._skew_seconds:
            raise Unauthenticated("the token is not valid yet")
        if now >= span.ends + self._skew_seconds:
            raise Unauthenticated("the token has expired; sign in again")


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


def _span(claims: Mapping[str, object]) -> Span:
    """Read when a token holds; every time that is given has to be one."""
    times = {name: _seconds(claims[name]) for name in TIMES if name in claims}
    return Span(max(times["iat"], times.get("nbf", times["iat"])), times["exp"])


def _seconds(value: object) -> float:
    # RFC 7519 2: a number, and none that stands in quotes
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated("the token is malformed")
    if isinstance(value, float) and not isfinite(value):
        raise Unauthenticated("the token is malformed")
    return float(min(max(value, -_BEYOND), _BEYOND))
