"""What a server gives to its operations besides records: settings, and what happens elsewhere."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fhir.guarded import GuardedRepository
from schema.desk import Desk

LONGEST_BREAK_GLASS = timedelta(minutes=60)


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
    """

    longest_break_glass: timedelta = LONGEST_BREAK_GLASS
    opened: Callable[[str], None] = _nobody
    end_session: Callable[[GuardedRepository, str], Awaitable[object]] | None = None
    desk: Desk | None = None


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
