"""A client that sends the hash of an operation, and remembers what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from starlette.types import ASGIApp

Json = Any


@dataclass(frozen=True, slots=True)
class Told:
    """One answer that has data, or one event.

    Attributes:
        name: Of the operation.
        variables: As they were sent.
    """

    name: str
    variables: Json
    data: Json


@dataclass(frozen=True)
class ByHash(httpx.AsyncBaseTransport):
    """Sends the hash of each document that it knows, in place of the text.

    Attributes:
        known: Texts to their hashes.
        told: What was answered to these, in order.
    """

    app: ASGIApp
    known: Mapping[str, str]
    told: list[Told] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        through = httpx.ASGITransport(app=self.app)
        asked = orjson.loads(await request.aread()) if request.url.path == "/graphql" else {}
        name = self.known.get(asked.pop("query", ""))
        if name is None:
            return await through.handle_async_request(request)
        headers = {one: request.headers[one] for one in ("Authorization", "Accept")}
        asked["documentId"] = f"sha256:{name}"
        answer = await through.handle_async_request(
            httpx.Request("POST", request.url, json=asked, headers=headers)
        )
        content = await answer.aread()
        for one in _bodies(answer.headers["Content-Type"], content):
            if "data" in one:
                self.told.append(Told(asked["operationName"], asked["variables"], one["data"]))
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)


def _bodies(media_type: str, content: bytes) -> list[Json]:
    if not media_type.startswith("text/event-stream"):
        return [orjson.loads(content)]
    lines = [line.removeprefix(b"data:").strip() for line in content.split(b"\n")]
    return [orjson.loads(line) for line in lines if line.startswith(b"{")]
