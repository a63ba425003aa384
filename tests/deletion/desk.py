"""Deleting, restoring and holding studies through GraphQL, and what is stored then."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import httpx

from app.archive import Archive
from app.imaging.retention import Retention
from app.store.duties import Duties
from tests.build import study, uid
from tests.rest.forms import ActingAs, put

Json = Any
KINDS = ("studies", "instances", "patients", "deleted_studies", "holds")
ERRORS = "errors { __typename code message }"


@dataclass(frozen=True)
class Desk:
    """An archive, and whoever asks it for something."""

    archive: Archive
    client: httpx.AsyncClient
    acting_as: ActingAs

    async def ask(self, query: str, role: str = "admin", **who: str) -> dict[str, Json]:
        """Send one GraphQL operation."""
        headers = self.acting_as(role, **who)
        answer = await self.client.post("/graphql", headers=headers, json={"query": query})
        body: dict[str, Json] = answer.json()
        return body

    async def do(self, mutation: str, shown: str = "id", role: str = "admin") -> dict[str, Json]:
        """Do one mutation; give its payload."""
        query = f"mutation {{ it: {mutation} {{ record {{ {shown} }} {ERRORS} }} }}"
        body = await self.ask(query, role)
        assert "errors" not in body, body
        payload: dict[str, Json] = body["data"]["it"]
        return payload

    async def delete(self, study: str, reason: str = "Wrong person") -> dict[str, Json]:
        """Delete a study."""
        return await self.do(f'deleteStudy(study: "{study}", reason: "{reason}")')

    async def restore(self, study: str) -> dict[str, Json]:
        """Restore a study."""
        return await self.do(f'restoreStudy(study: "{study}")')

    async def hold(self, study: str) -> dict[str, Json]:
        """Put a hold on a study."""
        return await self.do(f'holdStudy(study: "{study}", reason: "Case 7")')

    async def lift(self, hold: str) -> dict[str, Json]:
        """Lift a hold."""
        return await self.do(f'liftHold(id: "{hold}", reason: "Case closed")')

    async def load(self, root: str | None = None, instances: int = 2, **said: Any) -> str:
        """Take a study in; give its UID."""
        root = root or uid()
        said = {"PatientID": root} | said
        outcomes = await put(
            self.archive, *study(instances=instances, StudyInstanceUID=root, **said)
        )
        assert {one.status for one in outcomes} == {"stored"}
        return root

    async def everything(self) -> dict[str, list[bytes]]:
        """Give all that is stored of studies, as bytes."""
        database = self.archive.database
        found = {
            name: sorted([bson.encode(one) async for one in database[name].find()])
            for name in KINDS
        }
        objects = sorted([one.key.encode() async for one in self.archive.objects.list()])
        return found | {"objects": objects}

    async def document(self, study: str) -> dict[str, Json]:
        """Give the document of a study."""
        found = await self.archive.ledger.study(study)
        assert found is not None
        return found

    async def let_time_pass(self, study: str) -> None:
        """Let the time of a deleted study be up."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        done = await self.archive.database["studies"].update_one(
            {"_id": study}, {"$set": {"deleted.until": past}}
        )
        assert done.matched_count

    def retention(self, archive: Archive | None = None) -> Retention:
        """Give what purges."""
        of = archive or self.archive
        return Retention(of.custody, of.audit, Duties(of.database))


def codes(payload: dict[str, Json]) -> list[str]:
    """Give the codes of a payload's errors; there is a record or an error."""
    assert (payload["record"] is None) == bool(payload["errors"]), payload
    return [one["code"] for one in payload["errors"]]
