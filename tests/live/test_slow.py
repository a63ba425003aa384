"""Who takes nothing is left alone with it: nothing is kept for them, and they are closed."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
from starlette.types import ASGIApp

from app.archive import Archive
from app.main import create_app
from tests.live.talking import STUDIES
from tests.sockets import connected, socket

Load = Callable[..., Awaitable[str]]
Bearer = Callable[..., dict[str, str]]
Json = Any
QUICK = timedelta(milliseconds=50)


def impatient(archive: Archive) -> ASGIApp:
    """Give an application that waits for nobody for long."""
    settings = archive.settings.model_copy(update={"live_patience": QUICK})
    app: ASGIApp = create_app(settings, replace(archive, settings=settings))
    return app


def asked(after: int) -> dict[str, Json]:
    return {"query": STUDIES, "variables": {"after": after}}


async def test_a_socket_that_takes_nothing_is_closed_with_4429(
    archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    async with socket(impatient(archive), bearer("radiologist")) as line:
        line.taking.clear()
        line.say(type="subscribe", id="1", payload=asked(after))
        for number in range(3):
            await load(f"waits for a socket {number}")
        await line.waits.acquire()
        await line.waits.acquire()  # what waited first was given up, and the end waits now
        line.taking.set()
        end = await line.sent.get()
        assert (end["type"], end["code"]) == ("websocket.close", 4429)
        assert end["reason"] == "Events were not taken in time: subscribe again, with `after`."
        assert line.sent.empty()


async def test_a_stream_of_which_nothing_is_taken_ends_with_a_code(
    archive: Archive, load: Load, bearer: Bearer
) -> None:
    after = await archive.changes.newest()
    headers = {"accept": "text/event-stream", "content-type": "application/json"}
    headers["authorization"] = bearer("radiologist")["Authorization"]
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "headers": sent}
    async with connected(impatient(archive), scope) as line:
        body = orjson.dumps(asked(after))
        line.said.put_nowait({"type": "http.request", "body": body, "more_body": False})
        assert (await line.sent.get())["status"] == 200
        assert (await line.sent.get())["body"] == f"id: {after}\n\n".encode()
        line.taking.clear()
        for number in range(3):
            await load(f"waits for a stream {number}")
        await line.waits.acquire()
        await line.waits.acquire()
        line.taking.set()
        end = await line.sent.get()
        assert not end.get("more_body", False)
        error, complete = end["body"].decode().strip().split("\n\n")
        assert complete == "event: complete\ndata:"
        [told] = orjson.loads(error.partition("data: ")[2])["errors"]
        assert told["extensions"] == {"code": "TOO_SLOW"}
        assert line.sent.empty()
