"""The application with other settings, in front of the same archive."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.archive import Archive
from app.main import create_app

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"


@asynccontextmanager
async def served(archive: Archive, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve with other settings; what is not valid as a setting is taken all the same."""
    changed = archive.settings.model_copy(update=settings)
    transport = httpx.ASGITransport(app=create_app(changed, archive))
    async with httpx.AsyncClient(transport=transport, base_url=changed.base_url) as http:
        yield http


async def post(
    client: httpx.AsyncClient, body: bytes | str, headers: Mapping[str, str], **more: str
) -> httpx.Response:
    """Post a body as it is."""
    return await client.post(
        "/graphql", content=body, headers={"Content-Type": JSON, **headers, **more}
    )


def code(answer: httpx.Response) -> str:
    """Give the code of the one error of an answer without data."""
    body = answer.json()
    assert "data" not in body
    [error] = body["errors"]
    return str(error["extensions"]["code"])


def cost(objects: int) -> dict[str, Any]:
    """Give the extensions of an answer that asked for so many."""
    return {"cost": {"objects": objects, "max": 50_000}}
