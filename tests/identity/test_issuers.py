"""How seldom issuers are asked, what happens when keys rotate, and when nobody answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from app.identity.issuers import ANSWER_BYTES, may_hold_keys
from fhir.errors import Unavailable
from tests.identity.build import ABSENT, claims_of, issuer_of, opened, refusal, signed
from tests.oidc.server import OidcServer, SigningKey

LONG = timedelta(minutes=10)
OTHER_ISSUER = "the token's issuer is not trusted here"
OTHER_KEY = "the token's key is not one of its issuer's"
BAD_SIGNATURE = "the token's signature does not hold"
NO_ANSWER = "the token's issuer does not answer"


async def test_no_issuer_is_asked_before_one_of_its_tokens_comes(own_oidc: OidcServer) -> None:
    async with opened(issuer_of(own_oidc.issuer)):
        assert own_oidc.key_requests() == 0


async def test_requests_at_the_same_time_share_one_answer(own_oidc: OidcServer) -> None:
    token = own_oidc.token("viewer")
    async with opened(issuer_of(own_oidc.issuer)) as identity:
        callers = await asyncio.gather(*(identity.caller(f"Bearer {token}") for _ in range(50)))

        assert [caller.roles for caller in callers] == [{"radiologist"}] * 50
        assert own_oidc.key_requests() == 1


async def test_a_flood_of_invented_keys_costs_the_issuer_one_request(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    good = signed(rsa_key, claims_of(own_oidc.issuer))
    invented = [signed(rsa_key, claims_of(own_oidc.issuer), kid=f"k{n}") for n in range(60)]
    async with opened(issuer_of(own_oidc.issuer), keys_cooldown=LONG) as identity:
        assert (await identity.caller(f"Bearer {good}")).roles == {"radiologist"}
        own_oidc.reset()
        one_by_one = [await refusal(identity, token) for token in invented[:30]]
        together = await asyncio.gather(*(refusal(identity, token) for token in invented[30:]))

        assert [*one_by_one, *together] == [OTHER_KEY] * 60
        assert own_oidc.key_requests() == 1
        assert (await identity.caller(f"Bearer {good}")).roles == {"radiologist"}


async def test_a_new_key_is_believed_at_once_and_the_old_one_no_more(
    own_oidc: OidcServer, rsa_key: SigningKey, ec_key: SigningKey
) -> None:
    async with opened(issuer_of(own_oidc.issuer), keys_cooldown=LONG) as identity:
        before = own_oidc.token("viewer")
        assert (await identity.caller(f"Bearer {before}")).roles == {"radiologist"}

        own_oidc.rotate([SigningKey.rs256("rsa-2"), ec_key])
        after = own_oidc.token("viewer")

        assert (await identity.caller(f"Bearer {after}")).roles == {"radiologist"}
        assert own_oidc.key_requests() == 2
        assert await refusal(identity, before) == OTHER_KEY
        assert await refusal(identity, signed(rsa_key, claims_of(own_oidc.issuer))) == OTHER_KEY
        assert own_oidc.key_requests() == 2


async def test_a_withdrawn_key_is_refused_once_the_keys_are_old(
    own_oidc: OidcServer, ec_key: SigningKey
) -> None:
    token = own_oidc.token("viewer")
    async with (
        opened(issuer_of(own_oidc.issuer), keys_ttl=0, keys_cooldown=LONG) as forgetful,
        opened(issuer_of(own_oidc.issuer), keys_ttl=LONG, keys_cooldown=LONG) as trusting,
    ):
        for identity in (forgetful, trusting):
            assert (await identity.caller(f"Bearer {token}")).roles == {"radiologist"}

        own_oidc.rotate([ec_key])

        assert await refusal(forgetful, token) == OTHER_KEY
        assert (await trusting.caller(f"Bearer {token}")).roles == {"radiologist"}


async def test_a_new_key_under_an_old_name_replaces_it_once_the_keys_are_old(
    own_oidc: OidcServer, rsa_key: SigningKey, ec_key: SigningKey
) -> None:
    async with opened(issuer_of(own_oidc.issuer), keys_ttl=0) as identity:
        before = own_oidc.token("viewer")
        assert (await identity.caller(f"Bearer {before}")).roles == {"radiologist"}

        own_oidc.rotate([SigningKey.rs256(rsa_key.kid), ec_key])

        after = own_oidc.token("viewer")
        assert (await identity.caller(f"Bearer {after}")).roles == {"radiologist"}
        assert await refusal(identity, before) == BAD_SIGNATURE


async def test_keys_at_hand_serve_while_the_issuer_is_down(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    good = signed(rsa_key, claims_of(own_oidc.issuer))
    unknown = signed(rsa_key, claims_of(own_oidc.issuer), kid="new")
    stranger = signed(rsa_key, claims_of("https://issuer.example"))
    async with opened(issuer_of(own_oidc.issuer), keys_ttl=0, keys_cooldown=0) as identity:
        assert (await identity.caller(f"Bearer {good}")).roles == {"radiologist"}
        with own_oidc.unreachable():
            assert (await identity.caller(f"Bearer {good}")).roles == {"radiologist"}
            assert await refusal(identity, stranger) == OTHER_ISSUER
            with pytest.raises(Unavailable, match=NO_ANSWER) as down:
                await identity.caller(f"Bearer {unknown}")
            assert down.value.status == 503
        assert await refusal(identity, unknown) == OTHER_KEY


async def test_without_keys_an_issuer_that_is_down_means_try_again_later(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    token = signed(rsa_key, claims_of(own_oidc.issuer))
    async with opened(issuer_of(own_oidc.issuer), keys_cooldown=0) as identity:
        with own_oidc.unreachable(), pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {token}")

        assert (await identity.caller(f"Bearer {token}")).roles == {"radiologist"}


async def test_an_issuer_that_failed_is_left_alone_for_the_cooldown(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    token = signed(rsa_key, claims_of(own_oidc.issuer))
    async with opened(issuer_of(own_oidc.issuer), keys_cooldown=LONG) as identity:
        with own_oidc.unreachable(), pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {token}")
        with pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {token}")

        assert own_oidc.key_requests() == 0


async def test_a_key_nobody_could_be_asked_about_stays_undecided_for_the_cooldown(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    good = signed(rsa_key, claims_of(own_oidc.issuer))
    unknown = signed(rsa_key, claims_of(own_oidc.issuer), kid="new")
    async with opened(issuer_of(own_oidc.issuer), keys_cooldown=LONG) as identity:
        assert (await identity.caller(f"Bearer {good}")).roles == {"radiologist"}
        with own_oidc.unreachable(), pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {unknown}")
        with pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {unknown}")

        assert own_oidc.key_requests() == 1
        assert (await identity.caller(f"Bearer {good}")).roles == {"radiologist"}


async def test_a_request_that_is_given_up_leaves_the_keys_to_the_next(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    token = signed(rsa_key, claims_of(own_oidc.issuer))
    async with opened(issuer_of(own_oidc.issuer)) as identity:
        given_up = asyncio.create_task(identity.caller(f"Bearer {token}"))
        waiting = asyncio.create_task(identity.caller(f"Bearer {token}"))
        await asyncio.sleep(0)
        given_up.cancel()

        assert (await waiting).roles == {"radiologist"}
        with pytest.raises(asyncio.CancelledError):
            await given_up


async def test_two_issuers_speak_for_themselves_only(
    oidc: OidcServer, own_oidc: OidcServer, rsa_key: SigningKey, ec_key: SigningKey
) -> None:
    theirs = SigningKey.rs256("rsa-other")
    own_oidc.rotate([theirs, ec_key])
    trusted = (issuer_of(oidc.issuer), issuer_of(own_oidc.issuer, audiences=("pacs",)))
    async with opened(*trusted) as identity:
        tokens = (oidc.token("viewer"), own_oidc.token("viewer", audience="pacs"))
        callers = [await identity.caller(f"Bearer {token}") for token in tokens]

        assert [caller.subject for caller in callers] == [
            f"{oidc.issuer}#viewer",
            f"{own_oidc.issuer}#viewer",
        ]
        assert await refusal(identity, signed(theirs, claims_of(oidc.issuer))) == OTHER_KEY
        named = signed(theirs, claims_of(oidc.issuer), kid=rsa_key.kid)
        assert await refusal(identity, named) == BAD_SIGNATURE
        message = "the token is meant for another audience"
        assert await refusal(identity, own_oidc.token("viewer")) == message


async def test_a_discovery_document_of_another_issuer_is_not_believed(
    own_oidc: OidcServer, rsa_key: SigningKey
) -> None:
    alias = own_oidc.issuer.replace("127.0.0.1", "localhost")
    async with opened(issuer_of(alias)) as identity:
        with pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {signed(rsa_key, claims_of(alias))}")

        assert own_oidc.key_requests() == 0


@asynccontextmanager
async def answering(answer: Callable[[str], bytes]) -> AsyncIterator[str]:
    """Serve one answer, made from the server's own address, to every request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(address))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    async with server:
        yield address


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(here: str, key: SigningKey, **members: object) -> bytes:
    """One document that serves as discovery and as JWK Set."""
    public = {name: key.jwk[name] for name in ("kty", "n", "e", "kid")}
    found = {"issuer": here, "jwks_uri": f"{here}/jwks", "keys": [public], **members}
    return json.dumps(
        {name: value for name, value in found.items() if value is not ABSENT}
    ).encode()


async def test_an_answer_in_the_right_form_is_used(rsa_key: SigningKey) -> None:
    def answer(here: str) -> bytes:
        return http(whole(here, rsa_key))

    async with answering(answer) as address, opened(issuer_of(address)) as identity:
        token = signed(rsa_key, claims_of(address))

        assert (await identity.caller(f"Bearer {token}")).subject == f"{address}#u1"


# Each is the right answer but for one thing.
@pytest.mark.parametrize(
    "answer",
    [
        lambda here, key: http(whole(here, key), "302 Found", f"Location: {here}/elsewhere"),
        lambda here, key: http(whole(here, key), "500 Internal Server Error"),
        lambda here, key: http(whole(here, key)[:-1]),
        lambda here, key: http(b"[" + whole(here, key) + b"]"),
        lambda here, key: http(b"[" * 100_000),
        lambda here, key: http(b"\xff" + whole(here, key)),
        lambda here, key: http(whole(here, key) + b" " * ANSWER_BYTES),
        lambda here, key: b"not HTTP\r\n\r\n" + whole(here, key),
        lambda here, key: http(whole(f"{here}/", key, jwks_uri=f"{here}/jwks")),
        lambda here, key: http(whole(here, key, jwks_uri=ABSENT)),
        lambda here, key: http(whole(here, key, jwks_uri=[f"{here}/jwks"])),
        lambda here, key: http(whole(here, key, jwks_uri="/jwks")),
        lambda here, key: http(whole(here, key, jwks_uri="http://[/jwks")),
        # Not loopback to the rule, and answered by loopback all the same.
        lambda here, key: http(
            whole(here, key, jwks_uri=here.replace("127.0.0.1", "0.0.0.0") + "/jwks")
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_is_no_answer(
    rsa_key: SigningKey, answer: Callable[[str, SigningKey], bytes]
) -> None:
    def bad(here: str) -> bytes:
        return answer(here, rsa_key)

    async with answering(bad) as address, opened(issuer_of(address)) as identity:
        token = signed(rsa_key, claims_of(address))

        with pytest.raises(Unavailable, match=NO_ANSWER):
            await identity.caller(f"Bearer {token}")


@pytest.mark.parametrize(
    ("address", "issuer", "may"),
    [
        ("https://keys.example/jwks", "https://issuer.example", True),
        ("https://keys.example/jwks", "http://127.0.0.1:8080", True),
        ("http://127.0.0.1:8080/jwks", "http://localhost:8080", True),
        ("http://127.0.0.1:8080/jwks", "https://issuer.example", False),
        ("http://keys.example/jwks", "https://issuer.example", False),
        ("http://keys.example/jwks", "http://127.0.0.1:8080", False),
        ("file:///etc/passwd", "http://127.0.0.1:8080", False),
    ],
)
def test_only_an_issuer_on_loopback_may_send_us_to_plain_http(
    address: str, issuer: str, may: bool
) -> None:
    assert may_hold_keys(address, issuer) is may


@pytest.mark.parametrize("keys", [ABSENT, None, [], {}, "keys", [7, None, {}]])
async def test_an_issuer_without_usable_keys_is_believed_nothing(
    rsa_key: SigningKey, keys: object
) -> None:
    def answer(here: str) -> bytes:
        return http(whole(here, rsa_key, keys=keys))

    async with answering(answer) as address, opened(issuer_of(address)) as identity:
        assert await refusal(identity, signed(rsa_key, claims_of(address))) == OTHER_KEY
