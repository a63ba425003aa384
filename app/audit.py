"""The audit: each access, allowed or refused, written before the answer leaves."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from app.store.ledger import Ledger
from fhir.access import Entry
from fhir.parameters import spelled
from policies.caller import Caller


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Through which door somebody came, and from where.

    Attributes:
        address: Network address of the peer; None from the command line.
    """

    door: str
    request_id: str
    address: str | None


class Audit:
    """Writes accesses to `audit_events`, journalled by a majority."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def write(
        self, entries: Sequence[Entry], caller: Caller | None, circumstances: Circumstances
    ) -> None:
        """Write accesses down; when this returns they survive a crash.

        Args:
            entries: What was accessed, or tried.
            caller: Who; None where the token was refused.
            circumstances: How.
        """
        if entries:
            await self._ledger.record([_document(one, caller, circumstances) for one in entries])


def _document(entry: Entry, caller: Caller | None, circumstances: Circumstances) -> dict[str, Any]:
    identifier = str(uuid.uuid4())
    return {
        "_id": identifier,
        **{name: _plain(value) for name, value in asdict(entry).items()},
        "who": caller.subject if caller else None,
        "name": caller.name if caller else None,
        "roles": sorted(caller.roles) if caller else [],
        "door": circumstances.door,
        "requestId": circumstances.request_id,
        "address": circumstances.address,
        "index": _index(identifier, entry, caller),
        "keys": {"date": entry.recorded},
    }


def _index(identifier: str, entry: Entry, caller: Caller | None) -> dict[str, Any]:
    """Say what the search parameters of AuditEvent find this access by."""
    return {
        "_id": [identifier],
        "date": [{"low": entry.recorded, "high": entry.recorded + timedelta(milliseconds=1)}],
        "action": [entry.action],
        "outcome": [entry.outcome],
        "agent": [spelled(caller.subject)] if caller else [],
        "patient": [f"Patient/{one}" for one in entry.patients],
    }


def _plain(value: Any) -> Any:  # BSON has no tuples
    return list(value) if isinstance(value, tuple) else value
