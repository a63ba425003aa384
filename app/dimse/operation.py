"""One request of an association: its guarded repository, and its entries in the audit."""

import uuid
from dataclasses import dataclass, field, replace
from typing import Final

from app.archive import Archive
from app.audit import Circumstances
from app.dimse.callers import Peer
from fhir.access import Access, Entry, Outcome
from fhir.errors import ResourceError, Unavailable
from fhir.guarded import GuardedRepository
from policies.caller import Caller

DOOR: Final = "dimse"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one request may do: with the policy, and the links, that are in force as it begins."""

    archive: Archive
    peer: Peer
    guarded: GuardedRepository
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def access(self) -> Access:
        """The guard's view of it."""
        return self.guarded.access

    async def write_down(self, said: str | None = None) -> None:
        """Write down what was accessed; nothing may be answered before.

        Args:
            said: What an entry should tell besides what was asked for.
        """
        entries = list(self.access.entries)
        if said:
            entries = [replace(one, query=f"{one.query or ''} {said}".strip()) for one in entries]
        circumstances = Circumstances(DOOR, self.request_id, self.peer.address)
        await self.archive.audit.write(entries, self.peer.caller, circumstances)
        del self.access.entries[: len(entries)]


async def begin(archive: Archive, peer: Peer) -> Operation:
    """Begin a request.

    Raises:
        ResourceError: The caller may not begin one; that is written down.
    """
    try:
        return Operation(archive, peer, await archive.begin(peer.caller))
    except ResourceError as error:
        outcome: Outcome = "failed" if isinstance(error, Unavailable) else "refused"
        await note_login(archive, error.code, peer.caller, peer.address, outcome)
        raise


async def note_login(
    archive: Archive,
    code: str,
    caller: Caller | None,
    address: str | None,
    outcome: Outcome = "refused",
) -> None:
    """Write down that somebody was not let in."""
    entry = Entry("login", "", outcome, query=code)
    await archive.audit.write([entry], caller, Circumstances(DOOR, str(uuid.uuid4()), address))
