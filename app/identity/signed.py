"""Signed addresses: who has one gets one image as whoever had it signed, for a short while.

The token in an address is drawn by chance and says nothing. What it stands for is kept under its
digest: which image, who asked for it, and from which sign-in. It opens nothing by itself: whoever
redeems it asks again whether that session goes on, and what the policy lets that caller have.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from app.identity.signin import SignIn
from app.store.signed import SignedStore
from fhir.errors import NotFound, Unauthenticated
from fhir.sharing import digest
from policies.caller import Caller

Json = Any
Clock = Callable[[], datetime]

_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_SECOND: Final = timedelta(seconds=1)


class NothingSigned(NotFound):
    """The address was never signed, or does not hold any more: which of them is not said."""

    def __init__(self) -> None:
        super().__init__("this address leads nowhere, or not any more; ask for another one")


@dataclass(frozen=True, slots=True)
class Signed:
    """What an address was signed for.

    Attributes:
        image: SOP Instance UID, as the caller knows it.
        caller: Who had it signed, as their token said then.
        sign_in: Which that token came from.
    """

    image: str
    caller: Caller
    sign_in: SignIn


def _now() -> datetime:
    return datetime.now(UTC)


class SignedAddresses:
    """Addresses that need no token of their own besides the one that stands in them."""

    def __init__(self, store: SignedStore, clock: Clock = _now) -> None:
        self._store = store
        self._clock = clock

    async def sign(self, signed: Signed, lasting: timedelta) -> str:
        """Make a token that holds for so long from now.

        Args:
            signed: What it stands for.
            lasting: As `lasting` gave it.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        await self._store.keep(digest(token), _document(signed), self._clock() + lasting)
        return token

    def lasting(self, sign_in: SignIn, asked: timedelta) -> timedelta:
        """Say how long an address may hold: never longer than the token of who asks for it.

        Returns:
            Whole seconds, 1 at least.

        Raises:
            Unauthenticated: That token is about to expire.
        """
        left = min(asked, sign_in.expires - self._clock()) // _SECOND * _SECOND
        if left < _SECOND:
            raise Unauthenticated("the token is about to expire; sign in again")
        return left

    def until(self, lasting: timedelta) -> datetime:
        """Say to the second until when what is signed now holds in any case."""
        return self._clock().replace(microsecond=0) + lasting

    async def redeem(self, token: str) -> Signed:
        """Say what a token stands for.

        Raises:
            NothingSigned: Nothing, or not any more.
        """
        if not _TOKEN.fullmatch(token):
            raise NothingSigned
        found = await self._store.find(digest(token), self._clock())
        if found is None:
            raise NothingSigned
        return _signed(found)


def _document(signed: Signed) -> Mapping[str, Json]:
    caller, entered = signed.caller, signed.sign_in
    return {
        "image": signed.image,
        "caller": {
            "subject": caller.subject,
            "name": caller.name,
            "roles": sorted(caller.roles),
            "variables": {name: list(values) for name, values in caller.variables.items()},
            "scopes": sorted(caller.scopes),
            "context": caller.context,
        },
        "signIn": {
            "id": entered.id,
            "agent": entered.agent,
            "name": entered.name,
            "roles": list(entered.roles),
            "issued": entered.issued,
            "expires": entered.expires,
            "program": entered.program,
        },
    }


def _signed(document: Mapping[str, Json]) -> Signed:
    caller, entered = document["caller"], document["signIn"]
    variables = {name: tuple(values) for name, values in caller["variables"].items()}
    return Signed(
        document["image"],
        Caller(
            subject=caller["subject"],
            roles=frozenset(caller["roles"]),
            name=caller["name"],
            variables=MappingProxyType(variables),
            scopes=frozenset(caller["scopes"]),
            context=caller["context"],
        ),
        SignIn(**{**entered, "roles": tuple(entered["roles"])}),
    )
