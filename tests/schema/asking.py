"""Asking the GraphQL door, and reading what it says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

Ask = Callable[..., Awaitable["Reply"]]


@dataclass(frozen=True)
class Reply:
    """One answer, read and as it was sent."""

    status: int
    body: dict[str, Any]
    text: str

    @property
    def data(self) -> Any:
        """Data of an answer without errors."""
        assert "errors" not in self.body, self.body["errors"]
        return self.body["data"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """All errors."""
        found: list[dict[str, Any]] = self.body.get("errors", [])
        return found

    @property
    def code(self) -> str:
        """Code of the one error."""
        [error] = self.errors
        return str(error["extensions"]["code"])

    @property
    def forbidden(self) -> dict[str, list[str]]:
        """Refused coordinates and where; there is no other error."""
        assert {one["extensions"]["code"] for one in self.errors} <= {"FORBIDDEN"}, self.errors
        found = {one["extensions"]["coordinate"]: one["extensions"]["paths"] for one in self.errors}
        assert len(found) == len(self.errors)
        for one in self.errors:
            coordinate = one["extensions"]["coordinate"]
            assert one["message"] == f"Access to '{coordinate}' is not permitted."
        return found


async def sent(
    client: httpx.AsyncClient,
    headers: dict[str, str],
    query: str,
    variables: object = None,
    operation_name: str | None = None,
) -> Reply:
    """Send one operation."""
    asked = {"query": query, "variables": variables, "operationName": operation_name}
    response = await client.post("/graphql", json=asked, headers=headers)
    return Reply(response.status_code, response.json(), response.text)


def nodes(connection: Any, name: str = "id") -> list[Any]:
    """Give one field of every node of a connection."""
    return [edge["node"][name] for edge in connection["edges"]]
