"""The other side of an association, as a test needs it: pynetdicom, quick and quiet."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from app.dimse.association import BoundedSocket, let_go

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
ECHO = "1.2.840.10008.1.1"


class _Peer(AE):
    """Closes its sockets, whatever becomes of them."""

    def _create_socket(self, assoc: Association, address: Any, tls_args: Any) -> BoundedSocket:
        made = BoundedSocket(assoc, address=address)
        made.tls_args = tls_args
        return made


def associate(
    port: int,
    title: str,
    contexts: Sequence[PresentationContext],
    *,
    called: str = "RADIOGRAPH",
    handlers: Sequence[evt.EventHandlerType] = (),
    **options: Any,
) -> Association:
    """Ask for an association; whether it is established is for the caller to see."""
    ae = _Peer(title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    association = ae.associate(
        "127.0.0.1",
        port,
        contexts=list(contexts),
        ae_title=called,
        max_pdu=2**17,
        evt_handlers=list(handlers),
        **options,
    )
    if not association.is_established:
        let_go(association)
    return association


@contextmanager
def connected(
    port: int, title: str, contexts: Sequence[PresentationContext], **options: Any
) -> Iterator[Association]:
    """Be associated for a while."""
    association = associate(port, title, contexts, **options)
    assert association.is_established, "not let in"
    try:
        yield association
    finally:
        association.release()


def dataset(**elements: Any) -> Dataset:
    """Write an identifier; nothing is checked."""
    made = Dataset()
    with config.disable_value_validation():
        for keyword, value in elements.items():
            setattr(made, keyword, value)
    return made


def contexts(*classes: str, syntaxes: Sequence[str] = ()) -> list[PresentationContext]:
    """Propose contexts, one for each SOP class."""
    return [build_context(one, list(syntaxes) or None) for one in classes]


def raw_store(association: Association, data: bytes) -> Dataset:
    """Send a Part-10 object as it is, without reading its data set, and give the status."""
    with NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        _config.STORE_SEND_CHUNKED_DATASET = True
        try:
            return association.send_c_store(file.name)
        finally:
            _config.STORE_SEND_CHUNKED_DATASET = False


@contextmanager
def receiver(
    port: int,
    supported: Sequence[PresentationContext],
    status: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[list[evt.Event]]:
    """Take in, for a while, what is moved here; give the events of it."""
    got: list[evt.Event] = []

    def keep(event: evt.Event) -> int:
        got.append(event)
        return status

    ae = AE("DEST")
    ae.supported_contexts = list(supported)
    server = ae.start_server(
        ("127.0.0.1", port),
        block=False,
        ssl_context=tls,
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert server is not None
    try:
        yield got
    finally:
        server.shutdown()


def content(event: evt.Event) -> bytes:
    """Give the data set that came with a C-STORE request."""
    request = event.request
    assert isinstance(request, C_STORE)
    assert request.DataSet is not None
    return request.DataSet.getvalue()
