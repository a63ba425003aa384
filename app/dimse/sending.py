"""C-STORE as a user (PS3.7 9.1.1): objects are sent as they are read, never held as a whole."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom import uid
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext, build_context

from app.dimse.association import MAX_PDU_BYTES, wait_for_room
from app.dimse.retrieving import Wanted

MAX_CONTEXTS: Final = 128

_A_MOMENT: Final = 0.0005
_PDV_HEADER: Final = 6
_COMMAND_LAST, _DATA, _DATA_LAST = b"\x03", b"\x00", b"\x02"
NATIVE: Final = (
    str(uid.ExplicitVRLittleEndian),
    str(uid.ImplicitVRLittleEndian),
)


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for a C-MOVE (PS3.7 9.1.1.1)."""

    title: str
    message_id: int


def proposed(objects: Iterable[Wanted]) -> list[PresentationContext]:
    """Propose what objects are sent in: as they are stored, and uncompressed besides.

    One encoding a context: of several it is the peer who chooses.
    """
    stored = ((one.sop_class, one.transfer_syntax) for one in objects if one.sop_class)
    pairs = dict.fromkeys(stored)
    for sop_class in dict.fromkeys(name for name, _ in pairs):
        pairs |= dict.fromkeys((sop_class, syntax) for syntax in NATIVE)
    return [build_context(sop_class, [syntax]) for sop_class, syntax in pairs][:MAX_CONTEXTS]


def contexts_for(association: Association, sop_class: str) -> Sequence[PresentationContext]:
    """List the accepted contexts in which objects of a class can be sent."""
    return [
        one
        for one in association.accepted_contexts
        if one.abstract_syntax == sop_class and one.as_scu
    ]


@contextmanager
def reserved(association: Association) -> Iterator[None]:
    """Keep an association that we opened to ourselves; release it at the end, or abort it."""
    association._reactor_checkpoint.clear()
    while association.is_alive() and not association._is_paused:
        time.sleep(_A_MOMENT)
    try:
        yield
    except BaseException:
        association.abort()
        raise
    finally:
        association._reactor_checkpoint.set()
    association.release()


def send(
    association: Association,
    context: PresentationContext,
    one: Wanted,
    message_id: int,
    data_set: Iterator[bytes],
    originator: Originator | None = None,
) -> int:
    """Send one object, and wait for the peer's answer.

    Args:
        association: Nobody else may be using it.
        context: An accepted one, in the encoding of `data_set`.
        one: What is sent.
        message_id: Of the request.
        data_set: Its bytes.
        originator: Who asked for it, where it is not the peer.

    Returns:
        The status that the peer answers.

    Raises:
        ConnectionAbortedError: The association is over, or the peer does not answer as it should.
    """
    context_id = context.context_id or 0
    most = min(association.dimse.maximum_pdu_size or MAX_PDU_BYTES, MAX_PDU_BYTES) - _PDV_HEADER
    _put(association, context_id, _COMMAND_LAST + _command(one, message_id, originator))
    for fragment, last in _fragments(data_set, most):
        _put(association, context_id, (_DATA_LAST if last else _DATA) + fragment)
    _, answer = association.dimse.get_msg(block=True)
    if not isinstance(answer, C_STORE) or answer.MessageIDBeingRespondedTo != message_id:
        raise ConnectionAbortedError("the peer does not answer")
    return int(answer.Status or 0)


def _command(one: Wanted, message_id: int, originator: Originator | None) -> bytes:
    request = C_STORE()
    request.MessageID = message_id
    request.AffectedSOPClassUID = one.sop_class
    request.AffectedSOPInstanceUID = one.id
    request.Priority = 0x0002
    request.DataSet = BytesIO()  # says that there will be one
    if originator is not None:
        request.MoveOriginatorApplicationEntityTitle = originator.title
        request.MoveOriginatorMessageID = originator.message_id
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    command = encode(message.command_set, True, True)
    if command is None:
        raise ConnectionAbortedError("the request cannot be written")
    return command


def _put(association: Association, context_id: int, fragment: bytes) -> None:
    wait_for_room(association)
    data = P_DATA()
    data.presentation_data_value_list.append((context_id, fragment))
    association.dul.send_pdu(data)


def _fragments(pieces: Iterator[bytes], most: int) -> Iterator[tuple[bytes, bool]]:
    """Cut pieces to a length, and say which is the last."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        start = 0
        while len(waiting) - start > most:
            yield bytes(waiting[start : start + most]), False
            start += most
        del waiting[:start]
    yield bytes(waiting), True
