"""Announcing an upload, sending it, and ending it."""

import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from app.archive import Archive
from fhir.repository import Record, Wanted
from fhir.search import Has
from tests.rest.forms import FORM, form
from tests.schema.asking import Reply, sent

Json = Any
ANNOUNCE = """mutation($patient: ID, $study: ID, $files: Int!, $bytes: Integer64!) {
  it: createUpload(patient: $patient, study: $study, files: $files, bytes: $bytes) {
    url record {id kind agent patient {reference} study recorded expires status total done refused
                bytes maxFiles maxBytes problems {reason count}}
    errors {__typename code message}}}"""
END = """mutation($id: ID!) {it: %s(id: $id) {
  record {id status done} errors {__typename code message}}}"""
JOB = '{job(id: "%s") {status total done refused bytes problems {reason count}}}'


@dataclass(frozen=True)
class Uploads:
    """A technologist who announces and sends, and others who do not."""

    archive: Archive
    client: httpx.AsyncClient
    acting_as: Callable[..., dict[str, str]]

    async def ask(
        self, query: str, role: str = "technologist", variables: object = None, **who: str
    ) -> Reply:
        """Send one GraphQL operation."""
        return await sent(self.client, self.acting_as(role, **who), query, variables)

    async def announce(self, role: str = "technologist", **said: Any) -> Reply:
        """Try to announce an upload."""
        who = {name: said.pop(name) for name in ("subject",) if name in said}
        return await self.ask(ANNOUNCE, role, {"files": 10, "bytes": 10**6} | said, **who)

    async def announced(self, role: str = "technologist", **said: Any) -> str:
        """Announce an upload; give its id."""
        made = (await self.announce(role, **said)).data["it"]
        assert made["errors"] == []
        return str(made["record"]["id"])

    async def send(self, job: str, *contents: bytes, role: str = "technologist") -> httpx.Response:
        """Send files as a form."""
        return await self.post(job, form(*contents), FORM["Content-Type"], role)

    async def post(
        self,
        job: str,
        content: bytes | AsyncIterator[bytes],
        kind: str,
        role: str = "technologist",
        **who: str,
    ) -> httpx.Response:
        """Send a body."""
        headers = self.acting_as(role, **who) | {"Content-Type": kind}
        return await self.client.post(f"/postdicom/uploads/{job}", content=content, headers=headers)

    async def end(self, how: str, job: str, role: str = "technologist", **who: str) -> Json:
        """Complete or cancel an upload; give the payload."""
        return (await self.ask(END % how, role, {"id": job}, **who)).data["it"]

    async def told(self, job: str) -> Json:
        """Say how far it is."""
        return (await self.ask(JOB % job)).data["job"]

    async def record(self, job: str) -> Record:
        """Give a job as it is stored."""
        [found] = await self.archive.repository.find(
            "Job", Has("_id", job), wanted=Wanted(None), limit=1
        )
        return found

    async def held(self) -> tuple[int, int, int, int]:
        """Count instances, studies, patients and objects."""
        counted = [
            await self.archive.database[name].count_documents({})
            for name in ("instances", "studies", "patients")
        ]
        objects = len([one async for one in self.archive.objects.list()])
        return counted[0], counted[1], counted[2], objects


def zipped(*contents: bytes) -> bytes:
    """Write a zip file."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.dcm", content)
    return written.getvalue()
