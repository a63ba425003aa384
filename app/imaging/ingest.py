"""Taking DICOM objects in: bytes first, index second, study third.

A lost step leaves garbage that `app.imaging.sweep` removes, never an acknowledged instance that
is gone: an object counts as kept once its bytes, its instance and its study are journalled.
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from app.imaging.part10 import Part10, Part10Parser, Refused
from app.store.ledger import Ledger, SeriesCount
from app.store.ports import ObjectStore
from fhir.attributes import Attributes, text
from fhir.from_dicom.image import image
from fhir.from_dicom.imaging_study import assemble, imaging_study, subject
from fhir.from_dicom.patient import patient, patient_key, same_patient
from fhir.from_dicom.series import image_laterality, series
from fhir.from_dicom.site import Site
from fhir.parameters import index

Json = Any
Status = Literal["stored", "duplicate", "conflict", "refused"]

ENDPOINT_ID = "dicomweb"
LEASE = timedelta(seconds=30)
RELEASED = {"system": "https://radiograph.dev/fhir/release", "code": "released"}
NORMAL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
_IN_MEMORY = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object.

    Attributes:
        status: `stored`; `duplicate`: the same bytes were there; `conflict`: other bytes, or
            another patient, are there under this UID; `refused`: not an object we can hold.
        reason: Stable slug for anything but `stored`; empty otherwise.
        message: What is wrong and what to do, without values of the object.
        size: Bytes of the object, as far as it was read.
        warnings: What was odd and tolerated.
    """

    status: Status
    reason: str = ""
    message: str = ""
    sop_class: str | None = None
    instance: str | None = None
    series: str | None = None
    study: str | None = None
    size: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the object is in the archive now."""
        return self.status in {"stored", "duplicate"}


@dataclass(slots=True)
class _Turn:
    """Settling one study in this process: whoever waits may be served by the next run."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Ingest:
    """The one way in, whatever the door.

    Attributes:
        release: Whether patients see a new study at once.
        max_bytes: Of one object.
    """

    objects: ObjectStore
    ledger: Ledger
    site: Site
    release: bool
    max_bytes: int
    _turns: dict[str, _Turn] = field(default_factory=dict)
    _lease: str = field(default_factory=lambda: secrets.token_hex(16))
    _leased: float = -math.inf

    async def store(self, chunks: AsyncIterator[bytes], *, study: str | None = None) -> Outcome:
        """Take in one object and settle its study before saying so.

        Args:
            chunks: The object's bytes, as they arrive; memory does not grow with them.
            study: Study Instance UID the object has to belong to.
        """
        outcome = await self.add(chunks, study=study)
        if outcome.kept and outcome.study:
            await self.settle(outcome.study)
        return outcome

    async def add(self, chunks: AsyncIterator[bytes], *, study: str | None = None) -> Outcome:
        """Take in one object; nothing may be acknowledged before its study is settled too."""
        key = _new_key()
        parser = Part10Parser(max_bytes=self.max_bytes)
        parsed = self._parsed(parser, chunks)
        try:
            head, complete = await _head(parsed)
            if complete:
                return await self._file(parser.close(), key, study, unwritten=head)
            await self.objects.put(key, _joined(head, parsed))
            part10 = parser.close()
        except Refused as refusal:
            await self.objects.delete(key)
            return Outcome("refused", refusal.reason, refusal.message)
        outcome = await self._file(part10, key, study)
        if outcome.status != "stored":
            await self.objects.delete(key)
        return outcome

    async def _parsed(
        self, parser: Part10Parser, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            await self._stay()
            parser.feed(chunk)
            yield chunk
        await self._stay()

    async def _file(
        self, part10: Part10, key: str, study: str | None, unwritten: list[bytes] | None = None
    ) -> Outcome:
        """Enter an object in the index; bytes not yet written are put first, if it is new."""
        problem = await self._problem(part10, study)
        if problem is not None:
            return problem
        if unwritten is not None:
            await self.objects.put(key, _each(unwritten))
        if await self.ledger.add(_document(part10, key)):
            return _outcome(part10, "stored")
        # somebody else was quicker with the same instance
        if unwritten is not None:
            await self.objects.delete(key)
        stored = await self.ledger.digest(part10.sop_instance_uid)
        return _known(part10, stored)

    async def _problem(self, part10: Part10, study: str | None) -> Outcome | None:
        """Say why an object is not entered; nothing is wrong with a new one."""
        if study not in {None, part10.study_instance_uid}:
            return _outcome(
                part10, "refused", "wrong-study", "belongs to another study than the address names"
            )
        stored = await self.ledger.digest(part10.sop_instance_uid)
        if stored is not None:
            return _known(part10, stored)
        owner = patient_key(part10.attributes, self.site)
        claim = await self.ledger.claim(part10.study_instance_uid, owner)
        if claim.deleting:
            return _outcome(
                part10, "conflict", "being-deleted", "its study is being deleted; send it again"
            )
        if not same_patient(claim.patient_key, owner):
            return _outcome(
                part10,
                "conflict",
                "wrong-patient",
                "its study belongs to another patient; correct PatientID or StudyInstanceUID",
            )
        return None

    async def settle(self, study: str) -> None:
        """Make a study's record, and its patient's, true for the instances that are there.

        The record is a function of the set of instances, and is written only over the version
        that was read before counting; so any interleaving of processes ends with true counts.
        """
        turn = self._turns.setdefault(study, _Turn())
        # a run that has begun already may have counted before our instance was there
        enough = turn.begun + 1
        turn.waiting += 1
        try:
            async with turn.lock:
                if turn.begun < enough:
                    turn.begun += 1
                    while not await self._settled(study):
                        pass
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                self._turns.pop(study, None)

    async def settle_all(self, studies: Iterable[str]) -> None:
        """Settle several studies, each once."""
        for study in dict.fromkeys(studies):
            await self.settle(study)

    async def _settled(self, study: str, *, anew: bool = False) -> bool:
        document = await self.ledger.study(study)
        counts = await self.ledger.series_of(study)
        if not counts or (document and "deleting" in document):
            return True
        if document is None:  # a sweep took the claim for abandoned
            header = await self.ledger.attributes_of([counts[0].representative])
            for attributes in header.values():
                await self.ledger.claim(study, patient_key(attributes, self.site))
            return False
        derived_from = [
            [one.uid, one.instances, one.representative, one.laterality] for one in counts
        ]
        if document.get("derivedFrom") == derived_from and not anew:
            return True
        headers = await self.ledger.attributes_of([one.representative for one in counts])
        if len(headers) != len(counts):
            return False  # one was deleted in between
        speaker = headers[min(headers)]
        owner = await self.ledger.patient_id(document["patientKey"])
        rank = (text(speaker, "StudyDate") or "", study)
        await self.ledger.save_patient(owner, patient(speaker, self.site), rank)
        record = self._record(study, owner, counts, headers)
        record["meta"] = self._labels(document)
        return await self.ledger.save_study(study, document["version"], record, derived_from)

    async def derive(self, study: str) -> None:
        """Derive a study's record again although its instances are the same (`reindex`)."""
        while not await self._settled(study, anew=True):
            pass

    def _record(
        self,
        study: str,
        owner: str,
        counts: Iterable[SeriesCount],
        headers: Mapping[str, Attributes],
    ) -> dict[str, Json]:
        speaker = headers[min(headers)]
        parts = []
        for one in counts:
            header = headers[one.representative]
            part = series(header, self.site, uniform_laterality=one.laterality)
            parts.append({**part, "numberOfInstances": one.instances})
        return assemble(
            imaging_study(speaker, self.site),
            id=study,
            subject=subject(owner, speaker),
            series=parts,
            endpoint=f"Endpoint/{ENDPOINT_ID}",
        )

    def _labels(self, document: Mapping[str, Json]) -> dict[str, Json]:
        """Keep the labels of a known study; a new one is normal, and released if so configured."""
        if "resource" in document:
            meta = document["resource"].get("meta", {})
            return {name: meta[name] for name in ("security", "tag") if name in meta}
        return {"security": [NORMAL]} | ({"tag": [RELEASED]} if self.release else {})

    async def _stay(self) -> None:
        """Keep `sweep` away from objects that are not in the index yet."""
        if time.monotonic() - self._leased > LEASE.total_seconds() / 3:
            self._leased = time.monotonic()
            await self.ledger.renew_lease(self._lease, LEASE)

    async def close(self) -> None:
        """Say that nothing is under way any more."""
        await self.ledger.end_lease(self._lease)


def _new_key() -> str:
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name[2:4]}/{name}"


async def _head(chunks: AsyncIterator[bytes]) -> tuple[list[bytes], bool]:
    """Take as many chunks as may lie in memory; say whether those were all."""
    head, size = [], 0
    async for chunk in chunks:
        head.append(chunk)
        size += len(chunk)
        if size >= _IN_MEMORY:
            return head, False
    return head, True


async def _each(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _joined(head: Iterable[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in head:
        yield chunk
    async for chunk in rest:
        yield chunk


def _document(part10: Part10, key: str) -> dict[str, Json]:
    attributes = part10.attributes
    frames = part10.frames
    record = image(
        attributes,
        transfer_syntax=part10.transfer_syntax,
        size=part10.size,
        number_of_frames=frames.count if frames else 0,
    )
    return {
        "_id": part10.sop_instance_uid,
        "study": part10.study_instance_uid,
        "series": part10.series_instance_uid,
        "number": record.get("number"),
        "laterality": image_laterality(attributes),
        "transferSyntax": part10.transfer_syntax,
        "object": key,
        "size": part10.size,
        "sha256": part10.sha256,
        "warnings": list(part10.warnings),
        "version": 1,
        "lastUpdated": datetime.now(UTC),
        "resource": record,
        "index": index(record),
        "frames": frames.to_record() if frames else None,
        "attributes": attributes,
    }


def _known(part10: Part10, digest: str | None) -> Outcome:
    if digest == part10.sha256:
        return _outcome(part10, "duplicate", "duplicate", "is stored already, byte for byte")
    return _outcome(
        part10,
        "conflict",
        "different-bytes",
        "other bytes are stored under this SOP Instance UID; give the changed object a new UID",
    )


def _outcome(part10: Part10, status: Status, reason: str = "", message: str = "") -> Outcome:
    return Outcome(
        status,
        reason,
        message,
        sop_class=part10.sop_class_uid,
        instance=part10.sop_instance_uid,
        series=part10.series_instance_uid,
        study=part10.study_instance_uid,
        size=part10.size,
        warnings=part10.warnings,
    )
