"""What the listener does for its peers: lets them in, and gives every request to its exchange."""

import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import DimseServiceType
from pynetdicom.presentation import PresentationContext

from app.archive import Archive
from app.dimse.association import ServedAssociation, let_go
from app.dimse.bridge import Bridge
from app.dimse.callers import Peer, admitted, callers
from app.dimse.exchange import Exchange
from app.dimse.operation import note_login
from app.dimse.retrieving import Wanted
from app.dimse.sending import proposed
from app.dimse.storing import Sent, Stored, store
from app.dimse.streams import Stream
from app.logs import place

CALLING_NOT_RECOGNIZED: Final = 0x03
CALLED_NOT_RECOGNIZED: Final = 0x07

log = structlog.get_logger(__name__)


class Services:
    """Serves associations; its methods are called in their threads."""

    def __init__(
        self,
        archive: Archive,
        bridge: Bridge,
        ae: ApplicationEntity,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Set what it stands on.

        Args:
            archive: Opened, in the loop of the bridge.
            bridge: Leads there.
            ae: Opens associations to destinations.
            tls: How those that want TLS are reached.

        Raises:
            Invalid: The callers of the settings make no sense.
        """
        self._archive = archive
        self._bridge = bridge
        self._ae = ae
        self._tls = tls
        self._callers = callers(archive.settings)

    def admit(self, association: ServedAssociation) -> Peer | int:
        """Say who opened an association, or why it is rejected; that is written down."""
        asked = association.requestor.primitive
        calling = (asked.calling_ae_title or "").strip() if asked else ""
        called = (asked.called_ae_title or "").strip() if asked else ""
        settings, address = self._archive.settings, association.address
        caller = self._callers.get(calling)
        if called != settings.dimse_aet:
            return self._rejected("CALLED_AE_UNKNOWN", address, CALLED_NOT_RECOGNIZED)
        if caller is None:
            return self._rejected("CALLING_AE_UNKNOWN", address, CALLING_NOT_RECOGNIZED)
        said = settings.dimse_callers[calling]
        if not admitted(said, address, association.certificate):
            return self._rejected("CALLING_AE_ELSEWHERE", address, CALLING_NOT_RECOGNIZED)
        return Peer(calling, address, caller)

    def receive(
        self,
        association: ServedAssociation,
        peer: Peer,
        command: Dataset,
        context: PresentationContext,
    ) -> Stream[Stored]:
        """Begin to take in the data set of a C-STORE request."""
        sent = Sent(
            str(command.get("AffectedSOPClassUID", "")),
            str(command.get("AffectedSOPInstanceUID", "")),
            str(context.transfer_syntax[0]),
        )

        async def consume(data_set: AsyncIterator[bytes]) -> Stored:
            return await store(self._archive, peer, sent, data_set)

        return Stream(self._bridge, consume)

    def serve(
        self,
        association: ServedAssociation,
        peer: Peer,
        request: DimseServiceType,
        context: PresentationContext,
    ) -> None:
        """Answer one request."""
        if request.is_valid_request:
            Exchange(
                self._archive, self._bridge, self._open, association, peer, request, context
            ).answer()
        else:
            association.abort()

    def _open(self, title: str, objects: Sequence[Wanted]) -> Association | None:
        """Open an association to a destination of the settings; None where that fails."""
        at = self._archive.settings.dimse_destinations[title]
        tls = (self._tls, at.host) if at.tls and self._tls else None
        if at.tls and tls is None:
            log.warning("destination needs TLS, and there is none")
            return None
        try:
            association = self._ae.associate(
                at.host, at.port, contexts=proposed(objects), ae_title=title, tls_args=tls
            )
        except (OSError, ValueError, RuntimeError) as error:
            log.warning("destination cannot be reached", **place(error))
            return None
        if association.is_established:
            return association
        let_go(association)
        return None

    def _rejected(self, code: str, address: str | None, diagnostic: int) -> int:
        log.info("association rejected", reason=code, address=address)
        self._bridge.run(note_login(self._archive, code, None, address))
        return diagnostic
