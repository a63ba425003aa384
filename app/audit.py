"""The audit: each access, allowed or refused, written before the answer leaves."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.store.trail import Trail
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

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    def begin(
        self, entries: Sequence[Entry], caller: Caller | None, circumstances: Circumstances
    ) -> asyncio.Future[None]:
        """Begin to write accesses down; when the answer is there they survive a crash.

        Args:
            entries: What was accessed, or tried.
            caller: Who; None where the token was refused.
            circumstances: How.
        """
        return self._trail.begin([_document(one, caller, circumstances) for one in entries])

    async def write(
        self, entries: Sequence[Entry], caller: Caller | None, circumstances: Circumstances
    ) -> None:
        """Write accesses down, as `begin` does; when this returns they survive a crash."""
        if entries:
            await self.begin(entries, caller, circumstances)


def _document(entry: Entry, caller: Caller | None, circumstances: Circumstances) -> dict[str, Any]:
    identifier = str(uuid.uuid4())
    return {
        "_id": identifier,
        "action": entry.action,
        "resource": entry.resource,
        "outcome": entry.outcome,
        "ids": entry.ids,
        "patients": entry.patients,
        "total": entry.total,
        "query": entry.query,
        "refused": entry.refused,
        "recorded": entry.recorded,
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
