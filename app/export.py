"""What a role sees, as files in a folder: for the operator of the machine, past no rule.

Records are those of the FHIR door and objects those of a download, through the same guard. What is
given out is in the audit before it is in the folder, as the act of the operating system's user.
"""

import asyncio
import os
import pwd
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from app.archive import Archive
from app.audit import Circumstances
from app.export_folder import append, claim, finish, write_object, write_refused
from app.identity.claims import LABEL, PATIENT_ID
from app.imaging.deidentify import outgoing
from app.store.ports import ObjectMissing
from fhir.answering import search
from fhir.errors import AccessDenied, Invalid, NotFound, ResourceError, Withheld
from fhir.guarded import GuardedRepository
from fhir.repository import StoredImage
from fhir.study_files import StudyFiles, study_files
from policies.caller import Caller
from policies.rules import ROLES

Json = Any

DOOR: Final = "export"
STUDIES: Final = "ImagingStudy.ndjson"
PATIENTS: Final = "Patient.ndjson"
REFUSED: Final = "refused.csv"
FILES: Final = "files"
_PAGE: Final = "100"
_CHOSEN: Final = frozenset(
    f"_{one}"
    for one in (
        *("count", "cursor", "elements", "format", "include", "pretty", "revinclude", "sort"),
        *("summary", "total"),
    )
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be exported, and as whom.

    Attributes:
        role: One of `ROLES`.
        folder: Where to; is made, or is empty.
        subject: `iss#sub` whose links count, such as care teams; None: nobody's.
        patient: Id of the Patient that they are.
        project: What a de-identified view is for.
        query: A FHIR search for studies; empty: all.
        files: Whether the DICOM objects are wanted, too.
    """

    role: str
    folder: Path
    subject: str | None = None
    patient: str | None = None
    project: str | None = None
    query: str = ""
    files: bool = False

    def caller(self, operator: str) -> Caller:
        """Say whose rights count.

        Raises:
            Invalid: There is no such role, or an id that can be none.
        """
        if self.role not in ROLES:
            raise Invalid(f"no such role; there are {', '.join(sorted(ROLES))}")
        if self.patient is not None and not PATIENT_ID.fullmatch(self.patient):
            raise Invalid("a Patient's id has 1 to 64 letters, digits, hyphens and dots")
        if self.project is not None and not LABEL.fullmatch(self.project):
            raise Invalid("a project has 1 to 64 letters, digits, dots, _ and hyphens")
        said = {"patient": self.patient, "project": self.project}
        variables = {name: (value,) for name, value in said.items() if value is not None}
        return Caller(self.subject or operator, frozenset({self.role}), variables=variables)

    def pairs(self) -> list[tuple[str, str]]:
        """Read the search.

        Raises:
            Invalid: It is none, or says how an answer should look.
        """
        try:
            pairs = parse_qsl(self.query, strict_parsing=True, keep_blank_values=True)
        except ValueError as error:
            if not self.query:
                return []
            raise Invalid(
                "a query is a FHIR search for studies: modality=CT&started=2024"
            ) from error
        if any(name.partition(":")[0] in _CHOSEN for name, _ in pairs):
            raise Invalid(f"a query has none of {', '.join(sorted(_CHOSEN))}")
        return pairs


@dataclass(slots=True)
class Exported:
    """What came of an export.

    Attributes:
        refused: Kind, id, code and reason of what was asked for and not given.
    """

    studies: int = 0
    patients: int = 0
    files: int = 0
    refused: list[tuple[str, str, str, str]] = field(default_factory=list)

    def refuse(self, kind: str, identifier: str, why: ResourceError) -> None:
        """Add what is not given."""
        self.refused.append((kind, identifier, why.code, why.message))


async def export(archive: Archive, order: Order) -> Exported:
    """Write what a role sees into a folder.

    A file appears whole or not at all: what is being written ends in `.part`.

    Raises:
        Invalid: The order makes no sense, or the folder holds something.
        AccessDenied: The role sees no studies, or may not search as the query does.
        Unavailable: A store does not answer; what is in the folder is not everything.
    """
    operator = _user()
    caller, pairs = order.caller(f"cli#{operator}"), order.pairs()
    access = await archive.access(caller)
    if access.view == "deidentified" and order.project is None:
        raise Invalid(
            "This role sees records without identity, under pseudonyms of one project: "
            "name it with --project."
        )
    name = f"operating-system user {operator}"
    name += f", as {order.subject}" if order.subject else ""
    agent = Caller(f"cli#{operator}", frozenset({order.role}), name=name)
    await asyncio.to_thread(claim, order.folder)
    return await _Export(archive, order, caller, agent).run(pairs)


@dataclass(slots=True)
class _Export:
    """One export while it runs.

    Attributes:
        caller: Whose rights count.
        agent: Who does it, for the audit.
    """

    archive: Archive
    order: Order
    caller: Caller
    agent: Caller
    done: Exported = field(default_factory=Exported)
    _patients: set[str] = field(default_factory=set)
    _request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def run(self, pairs: Sequence[tuple[str, str]]) -> Exported:
        folder = self.order.folder
        began = False
        async for studies in self._pages("ImagingStudy", pairs):
            patients = await self._patients_of(studies)
            await asyncio.to_thread(append, folder / STUDIES, studies)
            await asyncio.to_thread(append, folder / PATIENTS, patients)
            began = True
            self.done.studies += len(studies)
            self.done.patients += len(patients)
            if self.order.files:
                for study in studies:
                    await self._files(study["id"])
        if began:
            for name in (STUDIES, PATIENTS):
                await asyncio.to_thread(finish, folder / name)
        if self.done.refused or self.order.files:
            await asyncio.to_thread(write_refused, folder / REFUSED, self.done.refused)
        return self.done

    async def _pages(
        self, resource: str, pairs: Sequence[tuple[str, str]]
    ) -> AsyncIterator[list[dict[str, Json]]]:
        """Give what is found page by page, each by the policy that is in force then."""
        base_url = f"{self.archive.settings.base_url}/fhir"
        after: list[tuple[str, str]] = []
        while True:
            asked = [*pairs, ("_count", _PAGE), ("_total", "none"), *after]
            guarded = await self.archive.begin(self.caller)
            try:
                bundle = await search(guarded, base_url, resource, asked, strict=True)
            finally:
                await self._write_down(guarded)
            yield [one["resource"] for one in bundle.get("entry", ())]
            links = {one["relation"]: one["url"] for one in bundle.get("link", ())}
            if "next" not in links:
                return
            said = dict(parse_qsl(urlsplit(links["next"]).query))
            after = [("_cursor", said["_cursor"])]

    async def _patients_of(self, studies: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
        """Give whom studies are about and who was not given yet, as far as the role sees them."""
        named = (one.get("subject", {}).get("reference", "").partition("/") for one in studies)
        fresh = {identifier for kind, _, identifier in named if kind == "Patient"} - self._patients
        if not fresh:
            return []
        self._patients |= fresh
        found: list[dict[str, Json]] = []
        try:
            async for page in self._pages("Patient", [("_id", ",".join(sorted(fresh)))]):
                found += page
        except AccessDenied as error:
            self.done.refuse("Patient", "", error)
        return found

    async def _files(self, study: str) -> None:
        """Write the DICOM objects of a study, as far as they may leave."""
        guarded = await self.archive.begin(self.caller)
        found: StudyFiles | None = None
        try:
            found = await study_files(guarded, study, partial=True, asked=DOOR)
        except (AccessDenied, NotFound) as error:
            self.done.refuse("ImagingStudy", study, error)
        finally:
            await self._write_down(guarded)
        if found is None:
            return
        for image in found.withheld:
            self.done.refuse("Image", image.id, Withheld(image.withheld or ""))
        for image in found.images:
            await self._file(image)

    async def _file(self, image: StoredImage) -> None:
        path = self.order.folder / FILES / image.study / image.series / f"{image.id}.dcm"
        settings = self.archive.settings
        try:
            sent = await outgoing(image, self.archive.objects, zero_preamble=settings.zero_preamble)
            await write_object(path, sent)
        except ObjectMissing:
            gone = NotFound("the bytes of this image are gone: it is being deleted")
            self.done.refuse("Image", image.id, gone)
        except (Withheld, NotFound) as error:
            self.done.refuse("Image", image.id, error)
        else:
            self.done.files += 1

    async def _write_down(self, guarded: GuardedRepository) -> None:
        circumstances = Circumstances(DOOR, self._request_id, None)
        await self.archive.audit.write(guarded.access.entries, self.agent, circumstances)


def _user() -> str:
    """Name the user that the process runs as, whatever its environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without name, as containers have
        return str(os.getuid())
