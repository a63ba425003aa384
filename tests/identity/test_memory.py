"""What is remembered of tokens that held, and what is asked anew each time."""

from datetime import timedelta

import httpx

from app.identity.keys import FixedKey
from app.identity.memory import Known, Memory, Span
from app.identity.signin import sign_in
from app.identity.tokens import Identity, Trusted
from policies.caller import Caller
from tests.identity.build import claims_of, issuer_of, refusal, signed
from tests.oidc.server import SigningKey

ISSUER = "https://issuer.example"
NOW = 1_800_000_000
SKEW = 30


class Believer:
    """An `Identity` for one key, and the hands of its clock."""

    def __init__(self, key: SigningKey) -> None:
        self.now = float(NOW)
        public = key.private.public_key()
        trusted = {ISSUER: Trusted(issuer_of(ISSUER), (key.algorithm,), FixedKey(public))}
        skew = timedelta(seconds=SKEW)
        self.identity = Identity(trusted, skew, httpx.AsyncClient(), lambda: self.now)


def token_of(key: SigningKey, **claims: object) -> str:
    times = {"iat": NOW - 60, "exp": NOW + 600}
    return signed(key, claims_of(ISSUER, **{**times, **claims}))


async def test_a_token_that_held_holds_until_it_expires(rsa_key: SigningKey) -> None:
    believer = Believer(rsa_key)
    token = token_of(rsa_key)
    first = await believer.identity.signed_in(f"Bearer {token}")
    believer.now = NOW + 600 + SKEW - 1
    assert await believer.identity.signed_in(f"Bearer {token}") == first
    believer.now = NOW + 600 + SKEW
    assert await refusal(believer.identity, token) == "the token has expired; sign in again"


async def test_a_token_that_held_does_not_hold_before_its_time(rsa_key: SigningKey) -> None:
    believer = Believer(rsa_key)
    token = token_of(rsa_key, nbf=NOW)
    await believer.identity.signed_in(f"Bearer {token}")
    believer.now = NOW - SKEW - 1
    assert await refusal(believer.identity, token) == "the token is not valid yet"


async def test_a_token_that_held_lends_nothing_to_one_with_another_signature(
    rsa_key: SigningKey,
) -> None:
    believer = Believer(rsa_key)
    token = token_of(rsa_key)
    await believer.identity.signed_in(f"Bearer {token}")
    signature = token_of(rsa_key, sub="u2").rpartition(".")[2]
    forged = f"{token.rpartition('.')[0]}.{signature}"
    assert await refusal(believer.identity, forged) == "the token's signature does not hold"
    other = Believer(SigningKey.rs256(rsa_key.kid))
    assert await refusal(other.identity, token) == "the token's signature does not hold"


async def test_a_token_without_expiry_that_can_be_counted_is_refused(rsa_key: SigningKey) -> None:
    believer = Believer(rsa_key)
    for value in (float("nan"), True, "1800000600"):
        assert await refusal(believer.identity, token_of(rsa_key, exp=value)) == (
            "the token is malformed"
        )
    await believer.identity.signed_in(f"Bearer {token_of(rsa_key, exp=10**400)}")


def test_only_the_tokens_that_were_seen_last_are_remembered() -> None:
    memory = Memory(most=2)
    for token in ("a", "b"):
        memory.keep(token, _known(token))
    assert memory.find("a") == _known("a")
    memory.keep("c", _known("c"))
    assert memory.find("b") is None
    assert [memory.find(token) for token in ("a", "c")] == [_known("a"), _known("c")]


def _known(subject: str) -> Known:
    caller = Caller(subject, frozenset({"radiologist"}))
    entering = sign_in(caller, {"iat": NOW, "exp": NOW + 1}, subject)
    return Known(ISSUER, None, "RS256", b"", Span(NOW, NOW + 1), caller, entering)
