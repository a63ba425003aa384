"""What a server gives to its operations besides records: settings, and what happens elsewhere."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from fhir.deleting import Custody
from fhir.guarded import GuardedRepository
from fhir.jobs import Tickets
from fhir.sharing import Shares
from schema.desk import Desk

LONGEST_BREAK_GLASS = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mutation that is to be done once.

    Attributes:
        agent: `iss#sub` of who does it; others' keys are others.
        mutation: Its name.
        key: As the client gave it.
        fingerprint: Of its arguments.
    """

    agent: str
    mutation: str
    key: str
    fingerprint: str


class Once(Protocol):
    """Remembers for a day what was done under which key, for every process."""

    async def begin(self, attempt: Attempt) -> tuple[bool, Any]:
        """Begin, unless it was done before; then say so, and give what it gave.

        Raises:
            Conflict: It is being done now, or nobody knows how it ended.
            KeyReused: The key stands for something else.
        """
        ...

    async def done(self, attempt: Attempt, result: Any) -> None:
        """Remember what it gave, as JSON."""
        ...

    async def failed(self, attempt: Attempt) -> None:
        """Forget it: nothing was done, and it may be tried again."""
        ...


def _nobody(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Context:
    """The same for every operation of a server.

    Attributes:
        longest_break_glass: For how long the glass can be broken at once.
        opened: Is told the id of each BreakGlass record as soon as it is stored.
        end_session: Ends the session of this id, if the caller may; None: there are no sessions.
        desk: Where the policy is looked after; None: it cannot be, here.
        once: Remembers idempotency keys; None: they are refused.
        custody: Where studies are deleted, restored and held; None: they cannot be.
        shares: Keeps what tokens of shares are recognised by; None: nothing can be shared.
        longest_share: How far off the end of a share can be.
        tickets: Counts what uploads bring; None: none can be announced.
        upload_lasts: How long there is time for an upload.
    """

    longest_break_glass: timedelta = LONGEST_BREAK_GLASS
    opened: Callable[[str], None] = _nobody
    end_session: Callable[[GuardedRepository, str], Awaitable[object]] | None = None
    desk: Desk | None = None
    once: Once | None = None
    custody: Custody | None = None
    shares: Shares | None = None
    longest_share: timedelta = timedelta(days=90)
    tickets: Tickets | None = None
    upload_lasts: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Change:
    """One mutation to be done, or one question that no stored record answers.

    Attributes:
        guarded: Repository of the caller.
        arguments: As GraphQL read them: what was left out is absent, enums are enums.
        elements: Coordinates that are asked of the answer.
    """

    guarded: GuardedRepository
    arguments: Mapping[str, Any]
    context: Context
    elements: frozenset[str] = frozenset()
