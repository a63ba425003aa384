"""A door that reads while the session is still being looked up gives nothing out before."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo.errors import AutoReconnect

from app.identity.sessions import Sessions
from app.identity.signin import SignIn
from app.main import create_app
from fhir.errors import Unauthenticated
from tests.doors.people import Person
from tests.doors.world import World

WHO = Person("radiologist", "no relation")
TURNS = 2_000  # of the event loop: more than a request takes


class Late(Sessions):
    """Sessions that are looked up for as long as a test likes."""

    def __init__(self) -> None:
        self.found = asyncio.Event()
        self.failure: Exception | None = None

    async def enter(self, sign_in: SignIn, address: str | None) -> None:
        """Wait, and let in or not."""
        await self.found.wait()
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def late() -> Late:
    return Late()


@pytest.fixture
async def http(world: World, late: Late) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(world.archive.settings, replace(world.archive, sessions=late))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


def frame(world: World) -> str:
    one = world.normal
    return f"/dicomweb/studies/{one.study}/series/{one.series}/instances/{one.instance}/frames/1"


async def asked(
    http: httpx.AsyncClient, world: World, path: str
) -> tuple[str, asyncio.Task[httpx.Response]]:
    """Ask, and wait for longer than the answer takes; give the request's id too."""
    request = uuid4().hex
    named = {**world.headers(WHO), "X-Request-Id": request}
    answer = asyncio.create_task(http.get(path, headers=named))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert not answer.done()
    return request, answer


async def audited(world: World, request: str) -> list[tuple[Any, ...]]:
    found = await world.archive.database["audit_events"].find({"requestId": request}).to_list(None)
    return [(one["action"], one["resource"], one["outcome"], one["query"]) for one in found]


async def test_what_is_asked_for_leaves_once_the_session_is_found_to_hold(
    http: httpx.AsyncClient, world: World, late: Late
) -> None:
    request, answer = await asked(http, world, frame(world))
    assert await audited(world, request) == []
    late.found.set()
    assert (await answer).status_code == 200
    assert await audited(world, request) == [("read", "Image", "allowed", "Image.pixels")]


@pytest.mark.parametrize("path", ["{frame}", "{frame}9", "/dicomweb/nothing"])
async def test_whoever_turns_out_to_have_no_session_learns_nothing(
    http: httpx.AsyncClient, world: World, late: Late, path: str
) -> None:
    late.failure = Unauthenticated("this session was ended; sign in again")
    request, answer = await asked(http, world, path.format(frame=frame(world)))
    late.found.set()
    refused = await answer
    assert refused.status_code == 401
    assert refused.json()["detail"] == "this session was ended; sign in again"
    assert await audited(world, request) == [("login", "", "refused", Unauthenticated.code)]


async def test_a_session_that_cannot_be_looked_up_is_an_outage(
    http: httpx.AsyncClient, world: World, late: Late
) -> None:
    late.failure = AutoReconnect("gone")
    request, answer = await asked(http, world, frame(world))
    late.found.set()
    failed = await answer
    assert (failed.status_code, failed.json()["title"]) == (503, "UNAVAILABLE")
    assert await audited(world, request) == []
