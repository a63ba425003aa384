"""Letting uploads fail whose time is over, whoever was at work on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from app.background import in_background
from app.logs import place
from fhir.jobs import Tickets, fail_over
from fhir.repository import Repository

log = structlog.get_logger()

_EVERY: Final = timedelta(minutes=1)


@asynccontextmanager
async def failing_when_over(repository: Repository, tickets: Tickets) -> AsyncIterator[None]:
    """Look for such uploads in the background, every minute; every process may."""
    async with in_background(_look(repository, tickets)):
        yield


async def _look(repository: Repository, tickets: Tickets) -> None:
    while True:
        try:
            failed = await fail_over(repository, tickets, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 -- the edge of a task that has to go on
            log.error("uploads not looked through", **place(error))  # noqa: TRY400 -- may hold PHI
        else:
            if failed:
                log.info("uploads failed, for their time is over", count=failed)
        await asyncio.sleep(_EVERY.total_seconds())
