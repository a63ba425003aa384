"""Nothing that a signed token may say breaks anything."""

import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.claims import PATIENT_ID
from app.identity.roles import CONFIDENTIALITY, ROLES, SPECIALTIES
from app.identity.tokens import Identity
from fhir.errors import AccessDenied, Unauthenticated
from policies.caller import Caller
from tests.identity.build import claims_of, issuer_of, opened
from tests.oidc.server import base64url

SECRET = "a secret that thirty-two bytes fit in"
HEADER = base64url(json.dumps({"alg": "HS256"}).encode())

texts = st.text(st.characters()) | st.sampled_from(
    ["admin", "provider", "RADIOLOGY", "Patient/p1", "p1", "https://e.example/Patient/p1", "a b"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
NAMES = [
    "iss",
    "aud",
    "sub",
    "iat",
    "exp",
    "nbf",
    "jti",
    "roles",
    "groups",
    "permissions",
    "realm_access",
    "patient_id",
    "patient",
    "fhirUser",
    "specialty",
    "specialties",
    "scope",
    "scp",
    "name",
    "preferred_username",
    "client_id",
    "clearance",
    "site",
    "project",
]


@pytest.fixture(scope="module")
async def central() -> AsyncIterator[Identity]:
    async with opened(issuer_of("central", secret=SECRET)) as identity:
        yield identity


async def outcome(identity: Identity, claims: object) -> Caller | None:
    """Present claims that are signed as they should be, whatever they are."""
    signing_input = f"{HEADER}.{base64url(json.dumps(claims).encode())}"
    signature = jwt.get_algorithm_by_name("HS256").sign(signing_input.encode(), SECRET.encode())
    try:
        return await identity.caller(f"Bearer {signing_input}.{base64url(signature)}")
    except (Unauthenticated, AccessDenied):
        return None


@given(st.dictionaries(st.sampled_from(NAMES), values))
async def test_any_claims_give_a_whole_caller_or_a_refusal(
    central: Identity, changes: dict[str, Any]
) -> None:
    caller = await outcome(central, claims_of("central", **changes))

    if caller is not None:
        assert caller.roles
        assert caller.roles <= set(ROLES)
        assert set(caller.variables.get("specialty", ())) <= SPECIALTIES
        assert set(caller.variables.get("clearance", ())) <= set(CONFIDENTIALITY)
        assert len(caller.variables.get("project", ())) <= 1
        assert caller.context is None or PATIENT_ID.fullmatch(caller.context)
        json.dumps([caller.subject, caller.name, *caller.scopes], ensure_ascii=False).encode()


@given(st.dictionaries(st.sampled_from(NAMES[7:]), values))
async def test_claims_about_the_caller_never_unmake_a_role(
    central: Identity, changes: dict[str, Any]
) -> None:
    caller = await outcome(central, claims_of("central", **{**changes, "groups": ["auditor"]}))

    assert caller is not None
    assert "auditor" in caller.roles


@given(values)
async def test_a_payload_of_any_json_is_refused_or_read(central: Identity, payload: Any) -> None:
    assert await outcome(central, payload) is None


@given(st.text(st.characters()) | st.text("Bearer .eyJ0", min_size=1).map("Bearer {}".format))
async def test_any_header_without_a_token_is_refused(central: Identity, header: str) -> None:
    with pytest.raises(Unauthenticated):
        await central.caller(header)
