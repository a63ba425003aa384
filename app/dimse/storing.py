"""C-STORE (PS3.4 annex B): an object is taken in as it arrives, with file meta of our own."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from app.archive import Archive
from app.dimse.callers import Peer
from app.dimse.operation import Operation, begin
from app.dimse.statuses import status_of, status_of_error
from app.dimse.streams import BrokenOff
from app.imaging.outcome import Outcome
from app.imaging.writing import encoded, opening
from fhir.access import Entry
from fhir.errors import ResourceError
from fhir.guarded import patients_by_study


@dataclass(frozen=True, slots=True)
class Sent:
    """What a C-STORE request says of the data set that follows it."""

    sop_class: str
    instance: str
    transfer_syntax: str

    @property
    def head(self) -> bytes:
        """Preamble and file meta information."""
        return opening(
            encoded("UI", self.sop_class.encode("ascii", "replace")),
            encoded("UI", self.instance.encode("ascii", "replace")),
            self.transfer_syntax,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a C-STORE request: its status, and why."""

    status: int
    message: str = ""


async def store(archive: Archive, peer: Peer, sent: Sent, data_set: AsyncIterator[bytes]) -> Stored:
    """Take in one object; its study is settled, and it is in the audit, when this returns.

    Raises:
        BrokenOff: The association ended first; nothing of the object is kept.
    """
    try:
        operation = await begin(archive, peer)
    except ResourceError as error:
        return Stored(status_of_error(error), error.message)
    try:
        operation.access.require("Image.file", "create")
        async with aclosing(_file(sent, data_set)) as chunks:
            outcome = await archive.ingest.store(chunks)
    except BrokenOff:
        operation.access.note(Entry("create", "Image", "failed", total=0, query="broken-off"))
        await operation.write_down()
        raise
    except ResourceError as error:
        await operation.write_down()
        return Stored(status_of_error(error), error.message)
    await _note(operation, outcome)
    await operation.write_down()
    said = "; ".join(outcome.warnings) if outcome.kept else f"{outcome.reason}: {outcome.message}"
    return Stored(status_of(outcome), said)


async def _file(sent: Sent, data_set: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield sent.head
    async for chunk in data_set:
        yield chunk


async def _note(operation: Operation, outcome: Outcome) -> None:
    patients = {}
    if outcome.kept and outcome.study:
        patients = await patients_by_study(operation.guarded.repository, [outcome.study])
    operation.access.note(
        Entry(
            "create",
            "Image",
            "allowed" if outcome.kept else "failed",
            ids=(outcome.instance,) if outcome.instance else (),
            patients=patients.get(outcome.study or "", ()),
            total=1 if outcome.kept else 0,
            query=None if outcome.kept else outcome.reason,
        )
    )
