"""Taking DICOM objects in: bytes first, index second, study third.

A lost step leaves garbage that `app.imaging.sweep` removes, never an acknowledged instance that
is gone: an object counts as kept once its bytes, its instance and its study are journalled.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from app.imaging.lease import Lease
from app.imaging.outcome import Outcome, Status
from app.imaging.part10 import Part10, Part10Parser, Refused
from app.imaging.studies import ENDPOINT_ID, Studies
from app.store.entries import Claim, Encoded, Unfit, encoded
from app.store.ledger import Ledger
from app.store.ports import ObjectStore
from fhir.dicom_answers import instance_dicom
from fhir.dicom_keys import BUILT_IN_KEYS, Catalogue
from fhir.from_dicom.image import image
from fhir.from_dicom.patient import patient_key, same_patient
from fhir.from_dicom.series import image_laterality
from fhir.from_dicom.site import Site
from fhir.parameters import index

__all__ = ["ENDPOINT_ID", "Ingest", "Outcome", "Status"]

_IN_MEMORY: Final = 2**20
_FILING: Final = 64
_UNFIT: Final = Refused("header-too-large", "The header is too large or nested too deeply.")


@dataclass(slots=True)
class _Arrival:
    """One object on its way in.

    Attributes:
        head: Its bytes, as long as they are not written.
    """

    key: str
    parser: Part10Parser
    head: list[bytes] = field(default_factory=list)
    written: bool = False


class Ingest:
    """The one way in, whatever the door.

    Attributes:
        filing: Places for objects that are complete and not filed yet, among all requests: what
            they hold in memory is bounded, whoever reads ahead takes one.
    """

    def __init__(
        self,
        objects: ObjectStore,
        ledger: Ledger,
        site: Site,
        release: bool,
        max_bytes: int,
        catalogue: Catalogue = BUILT_IN_KEYS,
    ) -> None:
        """Set where objects go, and how they are read.

        Args:
            objects: Holds the bytes.
            ledger: Holds everything else.
            site: Reads what headers leave open.
            release: Whether patients see a new study at once.
            max_bytes: Of one object.
            catalogue: What DICOM searches can be by.
        """
        self.objects = objects
        self.ledger = ledger
        self.filing = asyncio.Semaphore(_FILING)
        self._site = site
        self._max_bytes = max_bytes
        self._catalogue = catalogue
        self._lease = Lease(ledger.leases)
        self._studies = Studies(ledger, site, release=release, catalogue=catalogue)
        self._arriving: dict[str, asyncio.Event] = {}

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

    async def add(
        self, chunks: AsyncIterator[bytes], *, study: str | None = None, patient: str | None = None
    ) -> Outcome:
        """Take in one object; nothing may be acknowledged before its study is settled too.

        Args:
            chunks: The object's bytes, as they arrive.
            study: Study Instance UID the object has to belong to.
            patient: `patient_key` of the Patient it has to be filed under.
        """
        async with self._lease.held() as lease:
            arrival = _Arrival(self._lease.new_key(lease), Part10Parser(max_bytes=self._max_bytes))
            try:
                part10 = await self._receive(arrival, chunks)
                async with self._in_turn(part10.sop_instance_uid):
                    outcome = await self._file(part10, arrival, lease, study, patient)
            except Refused as refusal:
                outcome = Outcome("refused", refusal.reason, refusal.message)
            if arrival.written and outcome.status != "stored":
                await self.objects.delete(arrival.key)
            return outcome

    async def settle(self, study: str) -> None:
        """Make a study's record, and its patient's, true for the instances that are there."""
        await self._studies.settle(study)

    async def settle_all(self, studies: Iterable[str]) -> None:
        """Settle several studies, each once."""
        await asyncio.gather(*(self.settle(study) for study in set(studies)))

    async def derive(self, study: str) -> None:
        """Derive a study's record again although its instances are the same (`reindex`)."""
        await self.ledger.rewrite(
            study, lambda header, syntax: instance_dicom(header, syntax, self._catalogue)
        )
        await self._studies.derive(study)

    async def close(self) -> None:
        """Say that nothing is under way any more."""
        await self._lease.close()

    async def _receive(self, arrival: _Arrival, chunks: AsyncIterator[bytes]) -> Part10:
        """Read an object to its end; write it if it is too large to wait in memory."""
        async with aclosing(_parsed(arrival.parser, chunks)) as pieces:
            size = 0
            async for piece in pieces:
                arrival.head.append(piece)
                size += len(piece)
                if size >= _IN_MEMORY:
                    await self.objects.put(arrival.key, _joined(arrival.head, pieces))
                    arrival.written = True
                    break
        return arrival.parser.close()

    @asynccontextmanager
    async def _in_turn(self, instance: str) -> AsyncIterator[None]:
        """Let objects of one UID be filed one after the other: the first that came wins."""
        before = self._arriving.get(instance)
        mine = self._arriving[instance] = asyncio.Event()
        try:
            if before is not None:
                await before.wait()
            yield
        finally:
            mine.set()
            if self._arriving.get(instance) is mine:
                del self._arriving[instance]

    async def _file(
        self,
        part10: Part10,
        arrival: _Arrival,
        lease: str,
        study: str | None,
        patient: str | None,
    ) -> Outcome:
        """Enter an object in the index; bytes not yet written are put first, if it is new."""
        if study not in {None, part10.study_instance_uid}:
            return _outcome(
                part10, "refused", "wrong-study", "belongs to another study than the address names"
            )
        owner = patient_key(part10.attributes, self._site)
        record = _record(part10, arrival.key, owner, self._catalogue)
        claim = await self._claimed(part10, owner, lease, patient)
        if isinstance(claim, Outcome):
            return claim
        if not arrival.written:
            await self.objects.put(arrival.key, _joined(arrival.head))
            arrival.written = True
        match await self.ledger.enter(record):
            case "unfit":
                await self.ledger.remove_claim(part10.study_instance_uid, claim.id, lease)
                raise _UNFIT
            case "known":
                seen = await self.ledger.seen(part10.sop_instance_uid, part10.study_instance_uid)
                if seen.object != arrival.key:  # somebody else was quicker, not our own retry
                    known = _known(part10, seen.sha256) if seen.sha256 else None
                    return known or _gone(part10, seen.claim)
        # Only now is it certain that no deletion and no sweep has begun before it was entered.
        holding = await self.ledger.claim_on(part10.study_instance_uid)
        lives = holding is not None and holding.id == claim.id and not holding.gone
        if lives and await self._lease.holds(lease):
            return _outcome(part10, "stored")
        await self.ledger.remove_instances([(part10.sop_instance_uid, arrival.key)])
        # the study may be back meanwhile, and have counted it
        await self.settle(part10.study_instance_uid)
        return _gone(part10, holding)

    async def _claimed(
        self, part10: Part10, owner: str, lease: str, patient: str | None
    ) -> Claim | Outcome:
        """Claim the study for an object that is new, or say what is wrong with that."""
        study = part10.study_instance_uid
        seen = await self.ledger.seen(part10.sop_instance_uid, study)
        claim = seen.claim
        # before anything is claimed, and again once it is: somebody else may have been quicker
        if patient not in {None, _agreed(claim.patient_key, owner) if claim else owner}:
            return _of_another(part10)
        if claim and claim.gone:
            return _gone(part10, claim)
        if seen.sha256 is not None:
            return _known(part10, seen.sha256)
        if claim is None:
            claim = await self.ledger.claim(study, owner, lease)
        if claim.lease not in {None, lease}:
            await self.ledger.adopt(study, claim, lease)
        while (agreed := _agreed(claim.patient_key, owner)) is not None and not claim.gone:
            if patient not in {None, agreed}:
                return _of_another(part10)
            if agreed == claim.patient_key and (owner == agreed or claim.mixed):
                return claim
            await self.ledger.sharpen(study, claim, agreed)
            claim = await self.ledger.claim(study, owner, lease)
        if claim.gone:
            return _gone(part10, claim)
        return _outcome(
            part10,
            "conflict",
            "wrong-patient",
            "its study belongs to another patient; correct PatientID or StudyInstanceUID",
        )


def _agreed(claimed: str, said: str) -> str | None:
    """Give the more telling of two keys of one patient, or None if they are of two."""
    if same_patient(claimed, said) or same_patient(said, claimed):
        return max(claimed, said, key=_tells)
    return None


def _tells(key: str) -> int:
    return 0 if key.startswith("study:") else 1 if key.startswith("issuer:|") else 2


async def _parsed(
    parser: Part10Parser, chunks: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        parser.feed(chunk)
        yield chunk


async def _joined(
    head: Iterable[bytes], rest: AsyncIterator[bytes] | None = None
) -> AsyncIterator[bytes]:
    for chunk in head:
        yield chunk
    if rest is not None:
        async for chunk in rest:
            yield chunk


def _record(part10: Part10, key: str, owner: str, catalogue: Catalogue) -> Encoded:
    attributes = part10.attributes
    frames = part10.frames
    resource = image(
        attributes,
        transfer_syntax=part10.transfer_syntax,
        size=part10.size,
        number_of_frames=frames.count if frames else 0,
    )
    record = {
        "_id": part10.sop_instance_uid,
        "study": part10.study_instance_uid,
        "series": part10.series_instance_uid,
        "patientKey": owner,
        "number": resource.get("number"),
        "laterality": image_laterality(attributes),
        "transferSyntax": part10.transfer_syntax,
        "object": key,
        "size": part10.size,
        "sha256": part10.sha256,
        "warnings": list(part10.warnings),
        "version": 1,
        "lastUpdated": datetime.now(UTC),
        "resource": resource,
        "index": index(resource),
        "frames": frames.to_record() if frames else None,
    }
    try:
        return encoded(
            record | instance_dicom(attributes, part10.transfer_syntax, catalogue), attributes
        )
    except (Unfit, orjson.JSONEncodeError) as error:
        raise Refused(_UNFIT.reason, _UNFIT.message) from error


def _known(part10: Part10, digest: str) -> Outcome:
    if digest == part10.sha256:
        return _outcome(part10, "duplicate", "duplicate", "is stored already, byte for byte")
    return _outcome(
        part10,
        "conflict",
        "different-bytes",
        "other bytes are stored under this SOP Instance UID; give the changed object a new UID",
    )


def _of_another(part10: Part10) -> Outcome:
    return _outcome(
        part10,
        "conflict",
        "wrong-patient",
        "is not of the patient that the upload was announced for; correct PatientID, or announce "
        "an upload for the other patient",
    )


def _gone(part10: Part10, claim: Claim | None) -> Outcome:
    if claim is not None and claim.kept_until is not None and not claim.deleting:
        until = claim.kept_until.astimezone(UTC)
        return _outcome(
            part10,
            "conflict",
            "study-deleted",
            f"its study is deleted, and kept until {until:%Y-%m-%d %H:%M} UTC; have it restored, "
            "or send this again once it is purged",
        )
    return _outcome(
        part10,
        "conflict",
        "being-deleted",
        "its study is being deleted, or was swept away meanwhile; send it again",
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
