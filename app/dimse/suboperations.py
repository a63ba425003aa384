"""The sub-operations of C-GET and C-MOVE: object after object, each answered by the peer."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import structlog
from pynetdicom.association import Association
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from app.dimse.bridge import Bridge
from app.dimse.operation import Operation
from app.dimse.retrieving import Wanted, content
from app.dimse.sending import Originator, contexts_for, send
from app.dimse.statuses import (
    CANCELLED,
    SUB_OPERATIONS_FAILED,
    SUCCESS,
    UNABLE_TO_PERFORM,
)
from app.logs import place
from fhir.errors import ResourceError

_MESSAGE_IDS: Final = 65_535

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """How sub-operations went so far.

    Attributes:
        failed: SOP Instance UIDs of what the peer has not got.
    """

    remaining: int
    completed: int = 0
    warned: int = 0
    failed: list[str] = field(default_factory=list)
    cancelled: bool = False

    @property
    def status(self) -> int:
        """Status of the final response (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
        if self.cancelled:
            return CANCELLED
        if not self.failed and not self.warned:
            return SUCCESS
        return SUB_OPERATIONS_FAILED if self.completed or self.warned else UNABLE_TO_PERFORM

    def count(self, one: Wanted, status: int | None) -> None:
        """Count one more; the status is what the peer answered, if it was sent at all."""
        self.remaining -= 1
        category = "Failure" if status is None else code_to_category(status)
        if status is not None and status in STORAGE_SERVICE_CLASS_STATUS:
            category = STORAGE_SERVICE_CLASS_STATUS[status][0]
        if category == "Success":
            self.completed += 1
        elif category == "Warning":
            self.warned += 1
        else:
            self.failed.append(one.id)

    def give_up(self, objects: Sequence[Wanted]) -> None:
        """Count as failed whatever of the objects is not counted yet."""
        self.failed += [one.id for one in objects[len(objects) - self.remaining :]]
        self.remaining = 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """Sends objects over one association.

    Attributes:
        first_message_id: Of the sub-operations; they count up from it.
        is_cancelled: Asked before each of them.
        progressed: Told after each of them but the last.
    """

    bridge: Bridge
    operation: Operation
    association: Association
    first_message_id: int
    is_cancelled: Callable[[], bool]
    progressed: Callable[[Tally], None]
    originator: Originator | None = None

    def run(self, objects: Sequence[Wanted], tally: Tally) -> None:
        """Send everything, and count it.

        Raises:
            ConnectionAbortedError: The association ended; what is not counted was not sent.
        """
        for number, one in enumerate(objects):
            if self.is_cancelled():
                tally.cancelled = True
                return
            message_id = (self.first_message_id + number) % _MESSAGE_IDS + 1
            tally.count(one, self._send(one, message_id))
            if tally.remaining:
                self.progressed(tally)

    def _send(self, one: Wanted, message_id: int) -> int | None:
        accepted = {
            str(context.transfer_syntax[0]): context
            for context in reversed(contexts_for(self.association, one.sop_class))
        }
        try:
            found = self.bridge.run(content(self.operation, one, list(accepted)))
        except ResourceError as error:
            log.info("object not sent", reason=error.code)
            return None
        context = accepted[found.transfer_syntax]
        try:
            with closing(self.bridge.pulled(found.data_set)) as pieces:
                return send(self.association, context, one, message_id, pieces, self.originator)
        except (ResourceError, ValueError) as error:  # halfway: the peer waits for the rest
            log.warning("object broken off", **place(error))
            raise ConnectionAbortedError("an object could not be read to its end") from error
