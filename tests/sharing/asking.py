"""Sharing a study, taking it, and ending it, through the GraphQL door."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir.dates import instant
from fhir.repository import Record, Wanted
from fhir.search import Has
from tests.granting.world import World
from tests.schema.asking import Reply

Json = Any
SHARE = """mutation($study: ID!, $access: ShareAccess!, $until: DateTime!, $uses: Int!,
                    $reason: String) {
  it: shareStudy(study: $study, access: $access, until: $until, maxUses: $uses, reason: $reason) {
    token record {id study patient {reference} agent access reason period {start end} recorder
                  maxUses uses revoked {at}}
    errors {__typename code message}}}"""
ACCEPT = """mutation($token: String!) {it: acceptShare(token: $token) {
  record {id study access revoked {at}} errors {__typename code message}}}"""
REVOKE = """mutation($id: ID!) {it: revokeShare(id: $id) {
  record {id revoked {by}} errors {__typename code message}}}"""


def in_days(number: float) -> str:
    return instant(datetime.now(UTC) + timedelta(days=number))


@dataclass(frozen=True)
class Sharing:
    """Those who share, and those with whom they do."""

    world: World

    async def share(self, role: str = "radiologist", **said: Any) -> Reply:
        """Try to share the study 1.2.1."""
        who = {name: said.pop(name) for name in ("subject", "patient") if name in said}
        fine = {"study": "1.2.1", "access": "VIEW", "until": in_days(7), "uses": 3}
        return await self.world.ask(SHARE, role, fine | said, **who)

    async def shared(self, role: str = "radiologist", **said: Any) -> tuple[str, str]:
        """Share it; give id and token."""
        made = (await self.share(role, **said)).data["it"]
        assert made["errors"] == []
        return made["record"]["id"], made["token"]

    async def accept(self, token: str, role: str = "nurse", **who: str) -> Json:
        """Try to take what is shared; give the payload."""
        return (await self.world.ask(ACCEPT, role, {"token": token}, **who)).data["it"]

    async def revoke(self, identifier: str, role: str = "radiologist", **who: str) -> Json:
        """Try to end a share; give the payload."""
        return (await self.world.ask(REVOKE, role, {"id": identifier}, **who)).data["it"]

    async def record(self, identifier: str) -> Record:
        """Give a share as it is stored."""
        repository = self.world.archive.repository
        [found] = await repository.find(
            "Share", Has("_id", identifier), wanted=Wanted(None), limit=1
        )
        return found

    async def change(self, identifier: str, **said: Any) -> None:
        """Change what is stored of a share."""
        found = await self.record(identifier)
        replaced = await self.world.archive.repository.replace(
            {**found.resource, **said}, found.version
        )
        assert replaced is not None

    async def file(self, uid: str, role: str, **who: str) -> int:
        """Try to download a file; give the status."""
        headers = self.world.acting_as(role, **who)
        answer = await self.world.client.get(f"/postdicom/images/{uid}.1.1", headers=headers)
        return answer.status_code
