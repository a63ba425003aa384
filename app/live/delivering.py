"""Telling webhooks of changes: in order, at least once, and for a day where they do not listen."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import orjson
import structlog

from app.audit import Audit, Circumstances
from app.background import in_background
from app.live.duty import Duty
from app.live.signature import headers
from app.live.webhooks import Hook
from app.logs import place
from app.store.hook_places import HookPlaces
from fhir.changes import Change, Changes, HistoryLost, known_to
from fhir.dates import instant
from fhir.errors import AccessDenied
from fhir.guarded import GuardedRepository
from policies.caller import Caller

DELIVERING: Final = "webhooks"
"""The duty of whoever tells."""

_TIMEOUT_SECONDS: Final = 10.0  # of each step of an attempt
_ATTEMPT_SECONDS: Final = 15.0
_REST_SECONDS: Final = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody is tried who does not listen.

    Attributes:
        first: Pause after the first failure; each further one doubles it.
        longest: Pause at most. Half of a pause is left to chance, so that those who failed
            together do not come again together.
        whole: From the first failure on; then the change is left out.
    """

    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(hours=1)
    whole: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The hooks, and what telling them needs.

    Attributes:
        begin: Begins a request of somebody, under the policy that is in force now.
    """

    hooks: Sequence[Hook]
    changes: Changes
    places: HookPlaces
    begin: Callable[[Caller], Awaitable[GuardedRepository]]
    audit: Audit
    patience: Patience = field(default_factory=Patience)

    @asynccontextmanager
    async def delivering(self, duty: Duty) -> AsyncIterator[None]:
        """Tell in the background whenever it is this process's turn."""
        async with in_background(duty.run(self._work)) if self.hooks else nullcontext():
            yield

    async def _work(self, _holder: str) -> None:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for hook in self.hooks:
                tasks.create_task(self._keep_telling(hook, client))

    async def _keep_telling(self, hook: Hook, client: httpx.AsyncClient) -> None:
        while True:
            try:
                await self._tell(hook, client)
            except HistoryLost:
                log.error("webhook missed changes", hook=hook.name)  # noqa: TRY400 -- it is told
                await self._begin_anew(hook)
            except Exception as error:  # noqa: BLE001 -- the edge of a task: later it may do
                log.warning("webhook not told", hook=hook.name, **place(error))
            await asyncio.sleep(_REST_SECONDS)

    async def _begin_anew(self, hook: Hook) -> None:
        with contextlib.suppress(Exception):  # it is tried again
            await self.places.begin_anew(hook.name, await self.changes.newest())

    async def _tell(self, hook: Hook, client: httpx.AsyncClient) -> None:
        stands = await self.places.of(hook.name, await self.changes.newest())
        async with aclosing(self.changes.follow(stands.sequence)) as followed:
            async for changes in followed:
                for change in changes:
                    if hook.wants(change):
                        await self._deliver(hook, client, change)
                if changes:
                    await self.places.reach(hook.name, changes[-1].sequence)

    async def _deliver(self, hook: Hook, client: httpx.AsyncClient, change: Change) -> None:
        """Tell of one change, however long it takes; the policy is asked before each attempt."""
        pause = self.patience.first
        identifier = f"{hook.name}_{change.sequence}"
        while known := await self._known(hook, change, identifier):
            if await _told(hook, client, known, identifier):
                await self.places.reach(hook.name, change.sequence)
                return
            since = await self.places.failing(hook.name, change.sequence)
            if datetime.now(UTC) - since >= self.patience.whole:
                log.error("webhook left out a change", hook=hook.name, sequence=change.sequence)
                await self.places.reach(hook.name, change.sequence, skipped=1)
                return
            await asyncio.sleep(pause.total_seconds() * (0.5 + secrets.randbelow(500) / 1000))
            pause = min(2 * pause, self.patience.longest)

    async def _known(self, hook: Hook, change: Change, identifier: str) -> Change | None:
        """Give a change as the hook may know of it; it is in the audit before it leaves."""
        try:
            guarded = await self.begin(hook.caller)
        except AccessDenied:
            log.warning("webhook needs a project", hook=hook.name)
            return None
        known = await known_to(guarded, [change])
        if not known:
            return None
        circumstances = Circumstances("webhook", identifier, None)
        await self.audit.write(guarded.access.entries, hook.caller, circumstances)
        return known[0]


async def _told(hook: Hook, client: httpx.AsyncClient, change: Change, identifier: str) -> bool:
    body = orjson.dumps(
        {
            "sequence": change.sequence,
            "at": instant(change.at),
            "kind": change.kind,
            "resource": change.resource,
            "id": change.id,
        }
    )
    signed = headers(hook.secret, identifier, int(time.time()), body)
    signed["content-type"] = "application/json"
    said: dict[str, object]
    try:
        async with (
            asyncio.timeout(_ATTEMPT_SECONDS),
            # what is answered is not read
            client.stream("POST", hook.url, content=body, headers=signed) as answer,
        ):
            if answer.is_success:
                return True
            said = {"status": answer.status_code}
    except (httpx.HTTPError, TimeoutError) as error:
        said = {"error": type(error).__name__}
    log.warning("webhook not told", hook=hook.name, sequence=change.sequence, **said)
    return False
