"""From which sign-in a token comes, by what its issuer says; nothing of the token is kept."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from policies.caller import Caller

Json = Any

_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a token says of the sign-in it comes from.

    Attributes:
        id: Of its session: 64 hexadecimal digits.
        agent: `iss#sub`.
        issued: When this token was, to the second.
        expires: When this token does; another of the same sign-in may later.
        program: Whether a program signed in for itself, and no person.
    """

    id: str
    agent: str
    name: str | None
    roles: tuple[str, ...]
    issued: datetime
    expires: datetime
    program: bool


def sign_in(caller: Caller, claims: Mapping[str, Json], signed: str) -> SignIn:
    """Tell from which sign-in a verified token comes.

    Args:
        caller: Of the token.
        claims: Of the token.
        signed: The part of the token that its signature is over. The signature would not do to
            know a token by: whoever has one can often write another that holds as well.
    """
    client = _client(claims)
    mark = _mark(claims, signed) if client is None else ("client", client)
    return SignIn(
        id=hashlib.sha256(orjson.dumps([caller.subject, *mark])).hexdigest(),
        agent=caller.subject,
        name=caller.name,
        roles=tuple(sorted(caller.roles)),
        issued=_moment(claims["iat"]),
        expires=_moment(claims["exp"]),
        program=client is not None,
    )


def _mark(claims: Mapping[str, Json], signed: str) -> tuple[str, ...]:
    sid, jti, authenticated = (_text(claims, name) for name in ("sid", "jti", "auth_time"))
    if sid:
        # who proves again who they are keeps the issuer's session, and begins another one here
        return ("sid", sid, authenticated)
    return ("jti", jti) if jti else ("token", signed)


def _client(claims: Mapping[str, Json]) -> str | None:
    """Name the program that has a token of its own (RFC 6749 4.4), by what no person chooses."""
    named, party, subject = (_text(claims, name) for name in ("client_id", "azp", "sub"))
    if subject in {named, party}:
        return subject
    # Keycloak adds the address to tokens of service accounts alone
    service = _text(claims, "preferred_username") == f"service-account-{named}"
    if named and service and "clientAddress" in claims:
        return named
    # Auth0
    return party if party and claims.get("gty") == "client-credentials" else None


def _text(claims: Mapping[str, Json], name: str) -> str:
    value = claims.get(name, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).encode(errors="replace").decode()  # half a surrogate pair


def _moment(seconds: float) -> datetime:
    """Read a NumericDate; what lies beyond all dates is the last one that counts."""
    return datetime.fromtimestamp(int(min(max(seconds, 0), _LAST)), UTC)
