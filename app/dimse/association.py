"""Associations with limits: how much a peer may send, how long it may take, and what breaks it off.

What pynetdicom does with a message once it is complete is replaced: object data is passed on while
it arrives, and requests are served by `Services`. Nothing that a peer does reaches another one.
"""

import contextlib
import queue
import select
import socket
import ssl
import time
from io import BytesIO
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import (
    C_FIND_RQ,
    C_GET_RQ,
    C_MOVE_RQ,
    C_STORE_RQ,
    DIMSEMessage,
)
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.transport import T_CONNECT, AssociationSocket

from app.dimse.callers import Peer
from app.dimse.contexts import supported
from app.dimse.storing import Stored
from app.dimse.streams import Stream
from app.logs import place

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.pdu_primitives import P_DATA
    from pynetdicom.presentation import PresentationContext
    from typing_extensions import Buffer

MAX_PDU_BYTES: Final = 2**17
"""What peers are told, and the most that is sent at once."""
MAX_READ_BYTES: Final = 2**20
"""No PDU of more is read: association requests may be longer than what carries data."""
MAX_COMMAND_BYTES: Final = 2**16
MAX_IDENTIFIER_BYTES: Final = 2**20
MAX_WAITING: Final = 8
"""Requests that a peer may send before it has had its answers; it should send one."""

_LEAST_PDU_BYTES: Final = 1024
_REJECTED: Final = (0x01, 0x01)  # for good, by the service user
_LIMIT_EXCEEDED: Final = (0x02, 0x03, 0x02)  # for now
_IDLE: Final = "Sta1"
_CLOSING: Final = "Sta13"
_CLOSING_SECONDS: Final = 1
_A_MOMENT: Final = 0.001
_NO_REASON: Final = 0x01

log = structlog.get_logger(__name__)


class TooMuch(Exception):
    """A peer sends more than it may."""


class Services(Protocol):
    """What stands behind an association."""

    def admit(self, association: "ServedAssociation") -> Peer | int:
        """Say who opened an association, or the diagnostic it is rejected with (PS3.8 9.3.4)."""
        ...

    def receive(
        self,
        association: "ServedAssociation",
        peer: Peer,
        command: "Dataset",
        context: "PresentationContext",
    ) -> Stream[Stored]:
        """Begin to take in the data set of a C-STORE request."""
        ...

    def serve(
        self,
        association: "ServedAssociation",
        peer: Peer,
        request: "DimseServiceType",
        context: "PresentationContext",
    ) -> None:
        """Answer one request."""
        ...


class BoundedSocket(AssociationSocket):
    """Reads no more than a PDU may have, and not for longer than the network time-out."""

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits a moment for it if nothing is to be sent."""
        if self.socket is None or not self._is_connected:
            return False
        if self.socket.fileno() < 0:  # closed by us; one event is enough, and none when idle
            if self.assoc.dul.state_machine.current_state != _IDLE:
                self.event_queue.put("Evt17")
            return False
        if super().ready:
            return True
        if not self.assoc.dul.to_provider_queue.empty():
            return False
        try:
            return bool(select.select([self.socket], [], [], _A_MOMENT)[0])
        except (OSError, ValueError):
            return False  # closed meanwhile: the next look says so

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, fewer if the peer closes the connection.

        Raises:
            OSError: They are too many, or take too long.
        """
        if nr_bytes > MAX_READ_BYTES:
            raise OSError("the peer announces a PDU that is too long")
        if self.socket is None:
            return bytearray()
        patience = self.assoc.network_timeout
        begun = time.monotonic()
        data = bytearray(nr_bytes)
        view, position = memoryview(data), 0
        while position < nr_bytes:
            count = self.socket.recv_into(view[position:])
            if count == 0:
                break
            position += count
            if patience is not None and time.monotonic() - begun > patience:
                raise TimeoutError("the peer is too slow")
        view.release()
        del data[position:]
        return data

    def _shutdown_socket(self) -> None:
        """Close the socket, even if the peer has done so already."""
        connection = self.socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect to a peer, and wait for it no longer than the network time-out afterwards."""
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.assoc.network_timeout)


class ServedAssociation(Association):
    """An association that a peer opened.

    Attributes:
        peer: Who it is, once they are admitted.
        stopping: Whether it ends after what it is doing.
    """

    def __init__(self, ae: ApplicationEntity, services: Services) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self.services = services
        self.peer: Peer | None = None
        self.stopping = False
        self.acse = _Acse(self)
        self.dul = _Dul(self)
        self._incoming = self.dimse = _Dimse(self)
        # pynetdicom keeps them in what has just been replaced
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout
        self._busy = False

    @property
    def address(self) -> str | None:
        """Network address of the peer."""
        found = self.requestor.address_info
        return found.address if found else None

    @property
    def certificate(self) -> bytes | None:
        """What the peer showed, DER; None without TLS or without a certificate."""
        connection = self.dul.socket.socket if self.dul.socket else None
        if isinstance(connection, ssl.SSLSocket):
            return connection.getpeercert(binary_form=True)
        return None

    @property
    def is_over(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return not self.dul.is_alive() or self.acse.is_aborted()

    @property
    def is_one_too_many(self) -> bool:
        """Whether more peers are let in than may be at the same time."""
        running = self._server.active_associations if self._server else []
        served = [
            one
            for one in running
            if isinstance(one, ServedAssociation) and one.peer and not one.is_rejected
        ]
        return len(served) > self.ae.maximum_associations

    def stop(self) -> None:
        """Abort, but let what is being done be finished first."""
        self.stopping = True
        if not self._busy:
            self.abort()

    def accepted(self, context_id: int) -> "PresentationContext | None":
        """Give a presentation context of the association."""
        return self._accepted_cx.get(context_id)

    def run_reactor(self) -> None:
        """Serve the peer until it goes; the thread's main function."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 -- the edge of this thread
            log.error("association failed", **place(error))  # noqa: TRY400 -- may hold PHI
            _close(self.dul.socket)  # else its other thread might wait for ever
            self.kill()
        finally:
            let_go(self)
            self._incoming.close()

    def _bind_defaults(self) -> None:
        """Bind no handler: there are neither logs of what is sent, nor hooks."""
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def _serve_request(self, msg: "DimseServiceType", context_id: int) -> None:
        context = self.accepted(context_id)
        if context is None or self.peer is None or self.stopping:
            self.abort()
            return
        self._busy = self._is_paused = True
        try:
            self.services.serve(self, self.peer, msg, context)
        except Exception as error:  # noqa: BLE001 -- the edge: one association breaks, no more
            if not self.is_over:
                log.error("request failed", **place(error))  # noqa: TRY400 -- may hold PHI
            self.abort()
        finally:
            self.dul._idle_timer.restart()
            self._busy = self._is_paused = False
        if self.stopping:
            self.abort()


class _Acse(ACSE):
    """Lets in who is known; whatever goes wrong on the way, nobody is let in by it."""

    def _negotiate_as_acceptor(self) -> None:
        association = self.assoc
        assert isinstance(association, ServedAssociation)  # noqa: S101 -- for the type checker
        admitted = association.services.admit(association)
        if (
            isinstance(admitted, Peer)
            and 0 < (self.requestor.maximum_length or 0) < _LEAST_PDU_BYTES
        ):
            admitted = _NO_REASON
        if isinstance(admitted, int):
            self._reject(*_REJECTED, admitted)
            return
        association.peer = admitted
        if association.is_one_too_many:
            self._reject(*_LIMIT_EXCEEDED)
            return
        proposed = self.requestor.primitive
        contexts = proposed.presentation_context_definition_list if proposed else []
        self.acceptor.supported_contexts = supported(contexts)
        super()._negotiate_as_acceptor()

    def _reject(self, result: int, source: int, diagnostic: int) -> None:
        self.send_reject(result, source, diagnostic)
        self.assoc.kill()


class _StateMachine(StateMachine):
    """Lets go of associations that are over, or ended before they were asked for."""

    def do_action(self, event: str) -> None:
        super().do_action(event)
        if self.current_state == _CLOSING:
            connection = self.dul.socket.socket if self.dul.socket else None
            if connection is not None:
                connection.settimeout(_CLOSING_SECONDS)  # what still comes is thrown away
        if self.current_state == _IDLE and self.dul.assoc.requestor.primitive is None:
            waiting: queue.Queue[object] = self.dul.to_user_queue  # type: ignore[assignment]  # None is no primitive
            waiting.put(None)


class _Dul(DULServiceProvider):
    """Breaks its own association off when anything goes wrong."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.state_machine = _StateMachine(self)
        self._run_loop_delay = 0  # it waits for the socket instead

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 -- the edge of this thread
            log.warning("association broken off", **place(error))
            _close(self.socket)
            self.kill_dul()
            self.assoc.dimse.msg_queue.put((None, None))


class _Dimse(DIMSEServiceProvider):
    """Passes object data on as it arrives, and keeps little of everything else."""

    def receive_primitive(self, primitive: "P_DATA") -> None:
        if self.message is None:
            if self.msg_queue.qsize() >= MAX_WAITING:
                raise TooMuch("the peer does not wait for its answers")
            self.message = DIMSEMessage()
            self.message.encoded_command_set = Bounded(MAX_COMMAND_BYTES)
            self.message.data_set = Arriving(self.message, self.assoc)
        message, data_set = self.message, self.message.data_set
        super().receive_primitive(primitive)
        if self.message is not None:
            return
        if isinstance(message, C_FIND_RQ | C_GET_RQ | C_MOVE_RQ):
            self.cancel_req = {}  # they came before what they could be about
        if isinstance(data_set, Arriving) and data_set.stream:
            data_set.stream.end()

    def close(self) -> None:
        """Give up what has not arrived whole."""
        waiting = [self.message.data_set] if self.message else []
        for data_set in waiting:
            if isinstance(data_set, Arriving) and data_set.stream:
                data_set.stream.break_off()


class Bounded(BytesIO):
    """Holds up to so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: "Buffer", /) -> int:
        """Take bytes.

        Raises:
            TooMuch: There are too many.
        """
        if self.tell() + memoryview(data).nbytes > self._most:
            raise TooMuch("the peer sends a message that is too long")
        return super().write(data)


class Arriving(Bounded):
    """The data set of a message that is being received.

    Attributes:
        stream: Where that of a C-STORE request goes; others are kept here.
    """

    def __init__(self, message: DIMSEMessage, association: Association) -> None:
        super().__init__(MAX_IDENTIFIER_BYTES)
        self.stream: Stream[Stored] | None = None
        self._message = message
        self._association = association

    def write(self, data: "Buffer", /) -> int:
        """Take bytes, or pass them on."""
        if self.stream is None and isinstance(self._message, C_STORE_RQ):
            self.stream = self._begin()
        if self.stream is None:
            return super().write(data)
        piece = bytes(data)
        self.stream.write(piece)
        return len(piece)

    def _begin(self) -> Stream[Stored]:
        association, message = self._association, self._message
        assert isinstance(association, ServedAssociation)  # noqa: S101 -- for the type checker
        context = association.accepted(message.context_id or 0)
        if context is None or association.peer is None:
            raise TooMuch("the peer sends an object in a context that was not accepted")
        return association.services.receive(
            association, association.peer, message.command_set, context
        )


def wait_for_room(association: Association) -> None:
    """Wait until what is to be sent has gone out but for a little.

    Raises:
        ConnectionAbortedError: It never will.
    """
    outgoing = association.dul.to_provider_queue
    while outgoing.qsize() > MAX_WAITING:
        if not association.dul.is_alive() or association.acse.is_aborted():
            raise ConnectionAbortedError("the association is over")
        time.sleep(_A_MOMENT / 2)


def let_go(association: Association) -> None:
    """Close the connection of an association that is over, or never was; end its other thread."""
    _close(association.dul.socket)
    association.dul.kill_dul()


def _close(connection: AssociationSocket | None) -> None:
    if connection is not None and connection.socket is not None:
        connection._shutdown_socket()
