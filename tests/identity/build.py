"""Settings, identities and tokens for these tests; every default can be overridden."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from app.identity.tokens import Identity
from app.settings import Issuer, Settings
from fhir.errors import Unauthenticated
from tests.oidc.server import SigningKey, base64url

ABSENT = object()


@dataclass(frozen=True, slots=True)
class FromNow:
    """A NumericDate so many seconds after its token is made, however late the test runs."""

    seconds: int

    def numeric(self) -> int:
        return int((datetime.now(UTC) + timedelta(seconds=self.seconds)).timestamp())


def issuer_of(address: str, **overrides: Any) -> Issuer:
    return Issuer(**{"issuer": address, "audiences": ("radiograph",), **overrides})


def settings_of(*issuers: Issuer | dict[str, Any], **overrides: Any) -> Settings:
    return Settings(**{"_env_file": None, "issuers": issuers, **overrides})


@asynccontextmanager
async def opened(*issuers: Issuer, **overrides: Any) -> AsyncIterator[Identity]:
    identity = await Identity.open(settings_of(*issuers, **overrides))
    try:
        yield identity
    finally:
        await identity.close()


def claims_of(issuer: str, **overrides: Any) -> dict[str, Any]:
    """Claims that hold, with others in their place; `ABSENT` leaves one out."""
    claims = {
        "iss": issuer,
        "aud": "radiograph",
        "sub": "u1",
        "iat": FromNow(0),
        "exp": FromNow(600),
        "roles": ["radiologist"],
        **overrides,
    }
    return {
        name: value.numeric() if isinstance(value, FromNow) else value
        for name, value in claims.items()
        if value is not ABSENT
    }


def signed(key: SigningKey, claims: Mapping[str, Any], **header: Any) -> str:
    """Sign as the issuer does; `header` replaces members of the JOSE header."""
    members = {"kid": key.kid, **header}
    present = {name: value for name, value in members.items() if value is not ABSENT}
    return unchecked(present, claims, key)


def unchecked(header: Mapping[str, Any], claims: Mapping[str, Any], key: SigningKey) -> str:
    """Sign any JSON whatever, where `jwt.encode` would refuse some."""
    whole = {"alg": key.algorithm, "typ": "JWT", **header}
    parts = [base64url(json.dumps(part).encode()) for part in (whole, claims)]
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    signature = algorithm.sign(".".join(parts).encode(), key.private)
    return ".".join([*parts, base64url(signature)])


async def refusal(identity: Identity, token: str) -> str:
    """The message of a 401, after a look that it repeats nothing of the token."""
    with pytest.raises(Unauthenticated) as refused:
        await identity.caller(f"Bearer {token}")
    assert refused.value.status == 401
    assert not any(part in str(refused.value) for part in token.split(".") if part)
    return str(refused.value)
