"""Fixtures that ask the GraphQL door."""

from collections.abc import Callable

import httpx
import pytest

from tests.schema.asking import Ask, Reply


@pytest.fixture
def ask(client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]) -> Ask:
    """Send one query: `await ask("{...}", "billing", variables={...})`."""

    async def send(
        query: str, role: str = "radiologist", variables: object = None, **who: str
    ) -> Reply:
        response = await client.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers=acting_as(role, **who),
        )
        return Reply(response.status_code, response.json(), response.text)

    return send
