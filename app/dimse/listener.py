"""The server: accepts connections, bounds them, and ends them when the service stops."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socketserver import BaseServer
from typing import Any, Final

import structlog
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import (
    AddressInformation,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from app.archive import Archive
from app.dimse.association import MAX_PDU_BYTES, BoundedSocket, ServedAssociation
from app.dimse.bridge import Bridge
from app.dimse.services import Services
from app.dimse.tls import client_context, server_context
from app.imaging.writing import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from app.logs import place
from app.settings import Settings
from fhir.errors import Invalid

HANDSHAKE_SECONDS: Final = 10
GRACE_SECONDS: Final = 10
_POLL_SECONDS: Final = 0.1
# Connections that have not said yet who they are, besides those that have.
_WAITING: Final = 16

log = structlog.get_logger(__name__)


class _ApplicationEntity(ApplicationEntity):
    """Opens associations whose sockets have limits too."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: Any
    ) -> AssociationSocket:
        connection = BoundedSocket(assoc, address=address)
        connection.tls_args = tls_args
        return connection


class _Handler(RequestHandler):
    """Makes an association of a connection."""

    server: "_Server"

    def _create_association(self) -> Association:
        association = ServedAssociation(self.ae, self.server.services)
        association._server = self.server
        association.name = f"AcceptorThread {self.client_address[0]}"
        association.set_socket(BoundedSocket(association, client_socket=self.request))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        association.requestor.address_info = self.remote
        return association


class _Server(ThreadedAssociationServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ae: ApplicationEntity, settings: Settings, services: Services) -> None:
        self.services = services
        self._patience = settings.dimse_timeout.total_seconds()
        self._most = settings.dimse_associations + _WAITING
        self._handshakes = threading.BoundedSemaphore(_WAITING)
        super().__init__(
            ae,
            (settings.dimse_host, settings.dimse_port),
            settings.dimse_aet,
            [],
            request_handler=_Handler,
        )
        self.tls = server_context(settings)

    def get_request(self) -> tuple[socket.socket, Any]:
        if self.socket is None:
            raise OSError("closed")
        connection, address = self.socket.accept()
        connection.settimeout(HANDSHAKE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.active_associations) < self._most

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands, in a thread of its own: a slow peer keeps nobody else waiting."""
        try:
            if self.tls is not None:
                request = self._shaken(self.tls, request)
            request.settimeout(self._patience)
            self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001 -- the edge of this thread
            log.info("connection refused", **place(error))
            self.shutdown_request(request)

    def _shaken(self, tls: ssl.SSLContext, request: Any) -> ssl.SSLSocket:
        if not self._handshakes.acquire(blocking=False):
            raise ConnectionRefusedError("too many handshakes at a time")
        try:
            return tls.wrap_socket(request, server_side=True)
        finally:
            self._handshakes.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.warning("connection not accepted")

    def close(self) -> None:
        """Accept nothing more; `shutdown` is for servers that the application entity started."""
        BaseServer.shutdown(self)
        self.server_close()

    def _bind_defaults(self) -> None:
        """Bind no handlers."""


class Listener:
    """A running server.

    Attributes:
        port: TCP port that it listens on.
    """

    def __init__(self, archive: Archive, loop: asyncio.AbstractEventLoop) -> None:
        settings = archive.settings
        seconds = settings.dimse_timeout.total_seconds()
        ae = _ApplicationEntity(settings.dimse_aet)
        ae.maximum_associations = settings.dimse_associations  # of those that are let in
        ae.maximum_pdu_size = MAX_PDU_BYTES
        ae.implementation_class_uid = IMPLEMENTATION_UID
        ae.implementation_version_name = IMPLEMENTATION_NAME
        ae.network_timeout = ae.dimse_timeout = seconds
        ae.acse_timeout = ae.connection_timeout = min(seconds, 30)
        self._bridge = Bridge(loop)
        services = Services(archive, self._bridge, ae, client_context(settings))
        try:
            self._server = _Server(ae, settings, services)
        except OSError as error:
            raise Invalid(
                f"cannot listen on {settings.dimse_host}:{settings.dimse_port} "
                f"({error.strerror}); choose another port with --port"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="dimse", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more, let what is being done be finished, and end every association."""
        self._server.close()
        self._thread.join()
        for association in self._associations:
            association.stop()
        until = time.monotonic() + GRACE_SECONDS
        while self._server.active_associations and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        self._bridge.close()
        for association in self._associations:
            association.abort()

    @property
    def _associations(self) -> list[ServedAssociation]:
        running = self._server.active_associations
        return [one for one in running if isinstance(one, ServedAssociation)]


@asynccontextmanager
async def listening(archive: Archive) -> AsyncIterator[Listener]:
    """Serve peers until the end of the block.

    Raises:
        Invalid: A setting makes no sense, or the address cannot be listened on.
    """
    _config.LOG_HANDLER_LEVEL = "none"  # it would write down what is sent
    listener = Listener(archive, asyncio.get_running_loop())
    try:
        yield listener
    finally:
        await asyncio.to_thread(listener.stop)
