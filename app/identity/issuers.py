"""Asks OIDC issuers for their keys, seldom: discovery, then the JWK Set it names."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic

import httpx
import structlog
from aiocache import SimpleMemoryCache

from app.identity.keys import KeySet, PublicKey, published
from app.settings import trusted_transport
from fhir.errors import Unavailable

ANSWER_BYTES = 2**20
ANSWER_SECONDS = 5
# An issuer that is down does not lock everybody out at once: keys hold this much past their time.
GRACE = timedelta(hours=1)

log = structlog.get_logger(__name__)


def may_hold_keys(address: str, issuer: str) -> bool:
    """Say whether `issuer` may send us to `address`: to plain http only on loopback, from there."""
    return trusted_transport(address) and (
        address.startswith("https:") or issuer.startswith("http:")
    )


class IssuerKeys:
    """The keys of one issuer, read when first needed and again when they are old.

    A `kid` nobody knows makes us ask again, since keys rotate; that, and asking after a
    failure, happens at most once per `cooldown`, so that invented `kid`s cost the issuer
    nothing. Requests that need keys at the same time share one answer.
    """

    def __init__(
        self,
        issuer: str,
        http: httpx.AsyncClient,
        cache: SimpleMemoryCache,
        ttl: timedelta,
        cooldown: timedelta,
    ) -> None:
        self._issuer = issuer
        self._http = http
        self._cache = cache
        self._ttl = ttl
        self._cooldown = cooldown
        self._lock = asyncio.Lock()
        self._not_before = 0.0
        self._failed = False

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key that signs with `algorithm` under this `kid`, or None.

        Raises:
            Unavailable: The issuer does not answer, and no key at hand fits.
        """
        held = await self._current()
        key = held.find(kid, algorithm)
        if key is None:
            held = await self._newer(held, needed=True)
            key = held.find(kid, algorithm)
        return key

    async def discovery(self) -> Mapping[str, object]:
        """Return the issuer's discovery document, as old as its keys.

        Raises:
            Unavailable: The issuer does not answer, and has not done so for long.
        """
        return (await self._current()).discovery

    async def forget(self) -> None:
        """Drop the keys and the timer that would have dropped them."""
        await self._cache.delete(self._issuer)

    async def _current(self) -> KeySet:
        held = await self._held()
        if held is None or monotonic() - held.read >= self._ttl.total_seconds():
            held = await self._newer(held, needed=held is None)
        return held

    async def _held(self) -> KeySet | None:
        held: KeySet | None = await self._cache.get(self._issuer)
        return held

    async def _newer(self, than: KeySet | None, *, needed: bool) -> KeySet:
        """Read the keys again, unless another request just has or the cooldown forbids it."""
        async with self._lock:
            held = await self._held()
            if held is not None and held is not than:
                return held
            if monotonic() >= self._not_before:
                return await self._ask(than, needed=needed)
            if than is None or (needed and self._failed):
                raise Unavailable("the token's issuer does not answer")
            return than

    async def _ask(self, than: KeySet | None, *, needed: bool) -> KeySet:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                keys = await self._read()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as why:
            self._failed = True
            self._not_before = monotonic() + self._cooldown.total_seconds()
            log.warning("issuer keys not read", issuer=self._issuer, reason=str(why) or repr(why))
            if than is None or needed:
                raise Unavailable("the token's issuer does not answer") from why
            return than
        self._failed = False
        if than is not None and needed:
            self._not_before = monotonic() + self._cooldown.total_seconds()
        await self._cache.set(self._issuer, keys, ttl=(self._ttl + GRACE).total_seconds())
        return keys

    async def _read(self) -> KeySet:
        discovery = await self._document(
            self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        )
        if discovery.get("issuer") != self._issuer:
            # OpenID Connect Discovery 4.3: or anybody's keys could be passed off as the issuer's.
            raise ValueError("its discovery document names another issuer")
        address = discovery.get("jwks_uri")
        if not isinstance(address, str) or not may_hold_keys(address, self._issuer):
            raise ValueError("its discovery document names no jwks_uri that may be asked")
        entries = (await self._document(address)).get("keys")
        keys = published(entries if isinstance(entries, list) else ())
        return KeySet(keys, monotonic(), discovery)

    async def _document(self, address: str) -> dict[str, object]:
        async with self._http.stream("GET", address) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"it answers {answer.status_code}")
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES:
                    raise ValueError(f"its answer has more than {ANSWER_BYTES} bytes")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("its answer is not a JSON object")  # noqa: TRY004 - data, not a type
        return document
