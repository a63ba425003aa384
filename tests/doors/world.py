"""The archive with everything planted, and who comes to its doors."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import httpx
import jwt

from app.archive import Archive
from app.identity.development import KEY_FILE, DevelopmentIssuer
from app.store.sessions import Kept, SessionStore
from policies.files import FILES, edition
from tests.doors.people import PROJECT, RESEARCHER, WITHOUT_IDENTITY, Person
from tests.doors.planted import SERIES_NUMBER, SOMEBODY, SPECIMEN
from tests.doors.probes import PROBES
from tests.doors.sight import Sight, Target, Visit

Json = Any
Stored = dict[str, dict[Any, bytes]]
"""By collection and id; the policy by name of the file."""
# What every request adds to.
PASSING = {
    "sessions",
    "audit_events",
    "pseudonyms",
    "leases",
    "changes",
    "duties",
    "signed_addresses",
}


@dataclass(slots=True)
class World:
    """The archive with everything planted, its doors, and what was seen before.

    Attributes:
        stranger: Id of a Patient with nothing planted.
        burned_in: A study of the planted patient whose pixels hold text.
        found: In the de-identified view: the planted study, and the one that is burned in.
    """

    archive: Archive
    client: httpx.AsyncClient
    issuer: DevelopmentIssuer
    normal: Target
    sensitive: Target
    stranger: str
    burned_in: Target
    found: dict[str, Target] = field(default_factory=dict)
    _seen: dict[tuple[str, Person], Sight] = field(default_factory=dict)

    def target(self, person: Person) -> Target:
        """Give what somebody comes for, by the ids that they know."""
        if person.role in WITHOUT_IDENTITY:
            return self.found["planted"]
        return self.sensitive if person.sensitive else self.normal

    def headers(self, person: Person, issuer: DevelopmentIssuer | None = None) -> dict[str, str]:
        """Sign somebody in."""
        claims: dict[str, Any] = {"subject": person.subject}
        if person.role in WITHOUT_IDENTITY:
            claims["project"] = PROJECT
        if person.relation.startswith("own"):
            claims["patient"] = self.normal.patient
        elif person.relation == "stranger":
            claims["patient"] = self.stranger
        token = (issuer or self.issuer).token(person.role, **claims)
        return {"Authorization": f"Bearer {token}"}

    def visit(self, person: Person, target: Target | None = None) -> Visit:
        """Bring somebody to the doors."""
        return Visit(self.client, self.headers(person), target or self.target(person), person.agent)

    async def look(self, door: str, person: Person, target: Target | None = None) -> Sight:
        """Look through one door."""
        visit = self.visit(person, target)
        await PROBES[door](visit)
        return visit.sight

    async def everything(self, door: str, person: Person) -> Sight:
        """Look once at what somebody sees through a door, and remember it."""
        key = (door, person)
        if key not in self._seen:
            self._seen[key] = await self.look(door, person)
        return self._seen[key]

    async def find_without_identity(self) -> None:
        """Search as a researcher: a pseudonym that nobody was given yet finds nothing."""
        answer = await self.client.get("/fhir/ImagingStudy", headers=self.headers(RESEARCHER))
        studies = [one["resource"] for one in answer.json()["entry"]]
        [planted] = [one for one in studies if one["series"][0]["number"] == SERIES_NUMBER]
        [burned] = [
            one for one in studies if one is not planted and one["subject"] == planted["subject"]
        ]
        for name, study in (("planted", planted), ("burned in", burned)):
            [series] = study["series"]
            [instance] = series["instance"]
            patient = study["subject"]["reference"].removeprefix("Patient/")
            self.found[name] = Target(patient, study["id"], series["uid"], instance["uid"])

    async def load(self, data: bytes) -> None:
        """Take a DICOM object in."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        outcome = await self.archive.ingest.store(chunks())
        assert outcome.status == "stored", outcome

    def another_sign_in(self) -> DevelopmentIssuer:
        """Give an issuer whose tokens are of other sessions."""
        return DevelopmentIssuer(self.archive.settings.data_dir)

    def signed(self, claims: Mapping[str, Any]) -> str:
        """Sign claims as the development issuer would not."""
        key = (self.archive.settings.data_dir / KEY_FILE).read_bytes()
        return jwt.encode(dict(claims), key, algorithm="EdDSA")

    def policy(self) -> dict[str, bytes]:
        """Read the files of the policy."""
        folder = self.archive.settings.policy_dir
        return {one: (folder / one).read_bytes() for one in FILES}

    @property
    def edition(self) -> str:
        """Name what the policy's folder holds."""
        return edition(self.policy())

    async def stored(self) -> Stored:
        """Copy the whole database and the policy, but for what every request adds to."""
        found: Stored = {"policy": dict(self.policy())}
        for name in await self.archive.database.list_collection_names():
            if name not in PASSING:
                documents = await self.archive.database[name].find({}).to_list(None)
                found[name] = {one["_id"]: bson.encode(one) for one in documents}
        planted = self.archive.database["sessions"].find({"resource.agent": SOMEBODY})
        documents = await planted.to_list(None)
        found["sessions"] = {one["_id"]: bson.encode(one) for one in documents}
        return found

    async def restore(self, before: Stored) -> None:
        """Bring database and policy back to a copy."""
        now = await self.stored()
        for name in {*now, *before} - {"policy"}:
            kept, found = before.get(name, {}), now.get(name, {})
            collection = self.archive.database[name]
            for key in {*kept, *found}:
                if key not in kept:
                    await collection.delete_one({"_id": key})
                elif kept[key] != found.get(key):
                    document = bson.decode(kept[key])
                    await collection.replace_one({"_id": key}, document, upsert=True)
        for name, text in before["policy"].items():
            if self.policy()[name] != text:
                (self.archive.settings.policy_dir / name).write_bytes(text)

    async def keep(self, said: dict[str, Json]) -> None:
        """Store a session."""
        now = datetime.now(UTC)
        vanish = now + timedelta(days=1)
        kept = Kept(said, program=False, pending=False, issued=now, void=None, vanish=vanish)
        await SessionStore(self.archive.database).create(kept)


def real_ids(world: World) -> list[str]:
    """List what must not be in an answer without identity."""
    targets = (world.normal, world.sensitive)
    uids = (one for each in targets for one in (each.study, each.series, each.instance))
    return [*uids, SPECIMEN, world.normal.patient, world.stranger, "STRANGER"]
