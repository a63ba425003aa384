"""Sending the operations of the portal as it does, and reading what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from app.archive import Archive
from app.operations import operations
from app.settings import DEVELOPMENT_ISSUER
from tests.build import study, uid
from tests.care import patient_of
from tests.rest.forms import put

Json = Any
Who = str | Mapping[str, str]
"""A role, or one with more of what a token says."""

TEXTS = operations()


def subject(name: str) -> str:
    """Say who a development token's subject is to us."""
    return f"{DEVELOPMENT_ISSUER}#{name}"


@dataclass(frozen=True, slots=True)
class Portal:
    """An archive and its doors; a role is also the name of who has it."""

    archive: Archive
    client: httpx.AsyncClient
    acting_as: Callable[..., dict[str, str]]

    async def run(self, name: str, who: Who, /, **said: Json) -> Json:
        """Run an operation with these variables; give its data, which is without errors."""
        body = {"query": TEXTS[name], "operationName": name, "variables": said}
        headers = self._headers(who)
        answer = await self.client.post("/graphql", json=body, headers=headers)
        told = answer.json()
        assert "errors" not in told, told["errors"]
        assert answer.status_code == 200
        return told["data"]

    async def done(self, name: str, who: Who, /, **said: Json) -> Json:
        """Run a mutation; give its payload, which is without errors."""
        [payload] = (await self.run(name, who, **said)).values()
        assert payload.pop("errors") == []
        return payload

    async def heard(self, name: str, who: Who, /, **said: Json) -> list[Json]:
        """Listen to the events of a subscription until it ends; give what each one holds."""
        body = {"query": TEXTS[name], "operationName": name, "variables": said}
        headers = self._headers(who) | {"Accept": "text/event-stream"}
        answer = await self.client.post("/graphql", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        events = [one.split("\n") for one in answer.text.split("\n\n")]
        assert "event: complete" in events[-2], events
        held = [
            orjson.loads(line.removeprefix("data: "))
            for lines in events
            if "event: next" in lines
            for line in lines
            if line.startswith("data: ")
        ]
        assert all("errors" not in one for one in held), held
        return [value for one in held for value in one["data"].values()]

    def _headers(self, who: Who) -> dict[str, str]:
        return self.acting_as(**({"role": who} if isinstance(who, str) else who))

    async def load(self, **keywords: Json) -> tuple[str, str]:
        """Take a study of its own patient in; give its UID and the id of the Patient."""
        root = uid()
        said: dict[str, Json] = {"StudyInstanceUID": root, "PatientID": root} | keywords
        outcomes = await put(self.archive, *study(**said))
        assert {one.status for one in outcomes} == {"stored"}
        return root, await patient_of(self.archive, root)


def nodes(connection: Json) -> list[Json]:
    """Give the rows of a page."""
    return [edge["node"] for edge in connection["edges"]]
