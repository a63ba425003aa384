"""One request and its responses."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import structlog
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE
from pynetdicom.presentation import PresentationContext

from app.archive import Archive
from app.dimse.association import Arriving, ServedAssociation, wait_for_room
from app.dimse.bridge import Bridge
from app.dimse.callers import Peer
from app.dimse.contexts import SERVICES, STORE, Root
from app.dimse.finding import Answers, understood
from app.dimse.identifiers import character_set, read, write
from app.dimse.operation import Operation, begin
from app.dimse.retrieving import Wanted, wanted
from app.dimse.sending import Originator, reserved
from app.dimse.statuses import (
    CANCELLED,
    CANNOT_UNDERSTAND,
    DESTINATION_UNKNOWN,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_WITHOUT_SOME_KEYS,
    PROCESSING_FAILURE,
    SUCCESS,
    comment,
    status_of_error,
)
from app.dimse.streams import BrokenOff
from app.dimse.suboperations import Tally, Transfer
from app.logs import place
from app.store.database import is_outage
from fhir.attributes import Attributes, tag
from fhir.errors import ResourceError

Open = Callable[[str, Sequence[Wanted]], Association | None]
"""Opens an association to a destination for some objects."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request of a peer; runs in the thread of its association."""

    archive: Archive
    bridge: Bridge
    open: Open
    association: ServedAssociation
    peer: Peer
    request: Any
    context: PresentationContext

    def answer(self) -> None:
        """Do what is asked for, and say what came of it.

        Raises:
            ConnectionAbortedError: The association is over, or cannot go on.
        """
        try:
            self._do()
        except ResourceError as error:
            self._respond(status_of_error(error), error.message)
        except (BrokenOff, ConnectionAbortedError):
            raise
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("database does not answer", error=type(error).__name__)
            self._respond(OUT_OF_RESOURCES, "the database does not answer; try again later")

    def _do(self) -> None:
        service, root = SERVICES.get(str(self.context.abstract_syntax), STORE)
        match service, self.request:
            case "store", C_STORE():
                self._store()
            case "echo", C_ECHO():
                self._respond(SUCCESS)
            case "find", C_FIND():
                self._find(root)
            case "get", C_GET():
                self._get(root)
            case "move", C_MOVE():
                self._move(root)
            case _:
                raise ConnectionAbortedError("the request is none of its context")

    def _store(self) -> None:
        data_set = self.request.DataSet
        if not isinstance(data_set, Arriving) or data_set.stream is None:
            self._respond(CANNOT_UNDERSTAND, "there is no data set")
            return
        try:
            stored = data_set.stream.result()
        except Exception as error:
            if is_outage(error) or isinstance(error, BrokenOff):
                raise
            log.error("object not taken in", **place(error))  # noqa: TRY400 -- may hold PHI
            self._respond(PROCESSING_FAILURE, "something went wrong here")
            return
        self._respond(stored.status, stored.message)

    def _find(self, root: Root) -> None:
        identifier = self._identifier()
        question = understood(root, identifier, self.archive.catalogue)
        answers = Answers(self._begin(), question)
        pending = PENDING_WITHOUT_SOME_KEYS if question.ignored else PENDING
        wished = character_set(identifier)
        syntax = str(self.context.transfer_syntax[0])
        with closing(self.bridge.pulled(answers.pages())) as pages:
            for page in pages:
                for found in page:
                    if self._is_cancelled():
                        self._respond(CANCELLED)
                        return
                    wait_for_room(self.association)
                    self._respond(pending, identifier=write(found, syntax, wished))
        self._respond(SUCCESS)

    def _get(self, root: Root) -> None:
        operation, objects = self._wanted(root, "by C-GET")
        tally = Tally(len(objects))
        transfer = Transfer(
            self.bridge,
            operation,
            self.association,
            self.request.MessageID,
            self._is_cancelled,
            lambda now: self._respond(PENDING, tally=now),
        )
        transfer.run(objects, tally)
        self._finish(tally)

    def _move(self, root: Root) -> None:
        title = (self.request.MoveDestination or "").strip()
        if title not in self.archive.settings.dimse_destinations:
            self._respond(DESTINATION_UNKNOWN, "no such destination in the settings")
            return
        operation, objects = self._wanted(root, f"by C-MOVE to {title}")
        tally = Tally(len(objects))
        if not objects:
            self._finish(tally)
            return
        destination = self.open(title, objects)
        if destination is None:
            self._respond(DESTINATION_UNKNOWN, "the destination accepts no association")
            return
        transfer = Transfer(
            self.bridge,
            operation,
            destination,
            self.request.MessageID,
            self._is_cancelled,
            lambda now: self._respond(PENDING, tally=now),
            Originator(self.peer.title, self.request.MessageID),
        )
        try:
            with reserved(destination):
                transfer.run(objects, tally)
        except ConnectionAbortedError:
            if self.association.is_over:
                raise
            tally.give_up(objects)
        self._finish(tally)

    def _wanted(self, root: Root, said: str) -> tuple[Operation, list[Wanted]]:
        """List what is asked for, once it is in the audit."""
        identifier = self._identifier()
        operation = self._begin()

        async def listed() -> list[Wanted]:
            try:
                return await wanted(operation, root, identifier)
            finally:
                await operation.write_down(said)

        return operation, self.bridge.run(listed())

    def _begin(self) -> Operation:
        return self.bridge.run(begin(self.archive, self.peer))

    def _identifier(self) -> Attributes:
        data = self.request.Identifier
        syntax = str(self.context.transfer_syntax[0])
        return read(data.getvalue() if data else b"", syntax)

    def _is_cancelled(self) -> bool:
        if self.association.is_over:
            raise ConnectionAbortedError("the association is over")
        asked = self.association.dimse.cancel_req.pop(self.request.MessageID, None)
        return asked is not None

    def _finish(self, tally: Tally) -> None:
        identifier = None
        if tally.failed or tally.cancelled:
            failed = {tag("FailedSOPInstanceUIDList"): {"vr": "UI", "Value": tally.failed}}
            identifier = write(failed, str(self.context.transfer_syntax[0]))
        self._respond(tally.status, identifier=identifier, tally=tally)

    def _respond(
        self,
        status: int,
        message: str = "",
        *,
        identifier: bytes | None = None,
        tally: Tally | None = None,
    ) -> None:
        response = type(self.request)()
        response.MessageIDBeingRespondedTo = self.request.MessageID
        response.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        response.Status = status
        if message and status != SUCCESS:
            response.ErrorComment = comment(message)
        if isinstance(response, C_STORE):
            response.AffectedSOPInstanceUID = self.request.AffectedSOPInstanceUID
        if identifier is not None:
            response.Identifier = BytesIO(identifier)
        if tally is not None:
            if status in {PENDING, CANCELLED}:
                response.NumberOfRemainingSuboperations = tally.remaining
            response.NumberOfFailedSuboperations = len(tally.failed)
            response.NumberOfWarningSuboperations = tally.warned
            response.NumberOfCompletedSuboperations = tally.completed
        self.association.dimse.send_msg(response, self.context.context_id or 0)
