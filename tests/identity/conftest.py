"""One OIDC provider for all tests that leave it as it is, and one apiece for the others."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.identity.tokens import Identity
from tests.identity.build import issuer_of, opened
from tests.oidc.server import OidcServer, SigningKey, oidc_server

CLIENTS: dict[str, dict[str, Any]] = {
    "viewer": {"roles": ["radiologist"], "specialty": "radiology"},
    "keycloak": {
        "realm_access": {"roles": ["offline_access", "radiology-technician"]},
        "preferred_username": "tech7",
    },
    "person": {"groups": ["patient"], "patient_id": "p-1"},
    "stranger": {"roles": ["pharmacist"]},
}


@pytest.fixture(scope="session")
def rsa_key() -> SigningKey:
    return SigningKey.rs256("rsa-1")


@pytest.fixture(scope="session")
def ec_key() -> SigningKey:
    return SigningKey.es256("ec-1")


@pytest.fixture(scope="session")
def oidc(rsa_key: SigningKey, ec_key: SigningKey) -> Iterator[OidcServer]:
    with oidc_server([rsa_key, ec_key], CLIENTS) as server:
        yield server


@pytest.fixture
def own_oidc(rsa_key: SigningKey, ec_key: SigningKey) -> Iterator[OidcServer]:
    """A provider that the test may rotate, count and cut off."""
    with oidc_server([rsa_key, ec_key], CLIENTS) as server:
        yield server


@pytest.fixture(scope="session")
async def identity(oidc: OidcServer) -> AsyncIterator[Identity]:
    async with opened(issuer_of(oidc.issuer)) as identity:
        yield identity
