"""What each caller may still ask this process for: objects by the minute, operations at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from app.graphql.refused import BudgetExceeded, TooManyOperations

REFUSED_COST: Final = 50
"""Objects that an operation counts as that is not run: reading its text takes as long."""

_MINUTE: Final = 60.0
_ACCOUNTS: Final = 10_000


@dataclass(slots=True)
class _Account:
    left: float
    seen: float
    running: int = 0


class Budgets:
    """An account for each caller. It fills evenly, up to the objects of one minute.

    What an operation costs is known once it is measured, and is taken afterwards: whoever has
    anything left may begin, and who is in debt waits until it is paid.
    """

    def __init__(
        self, per_minute: int, at_once: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set what each caller has.

        Args:
            per_minute: Objects.
            at_once: Operations.
            clock: Seconds that never go back.
        """
        self._per_minute = per_minute
        self._at_once = at_once
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._room = _ACCOUNTS

    def __len__(self) -> int:
        """Say how many accounts are kept."""
        return len(self._accounts)

    def begin(self, caller: str) -> None:
        """Begin an operation, which `end` has to follow.

        Raises:
            TooManyOperations: As many are running already.
            BudgetExceeded: Nothing is left.
        """
        account = self._account(caller)
        if account.running >= self._at_once:
            raise TooManyOperations(
                f"You have {self._at_once} operations running, as many as you may; wait for one.", 1
            )
        if account.left <= 0:
            seconds = ceil((1 - account.left) * _MINUTE / self._per_minute)
            raise BudgetExceeded(
                f"You have asked for more than {self._per_minute:,} objects in a minute; "
                f"try again in {seconds} s.",
                seconds,
            )
        account.running += 1

    def end(self, caller: str, objects: int) -> None:
        """End an operation that asked for so many objects."""
        account = self._account(caller)
        account.running -= 1
        account.left -= max(objects, 1)

    def _account(self, caller: str) -> _Account:
        now = self._clock()
        account = self._accounts.get(caller)
        if account is None:
            if len(self._accounts) >= self._room:
                self._forget(now)
            account = self._accounts[caller] = _Account(self._per_minute, now)
            return account
        self._fill(account, now)
        return account

    def _fill(self, account: _Account, now: float) -> None:
        filled = account.left + (now - account.seen) * self._per_minute / _MINUTE
        account.left = min(filled, self._per_minute)
        account.seen = now

    def _forget(self, now: float) -> None:
        """Forget accounts that are as good as new."""
        for caller, account in list(self._accounts.items()):
            self._fill(account, now)
            if account.left >= self._per_minute and not account.running:
                del self._accounts[caller]
        self._room = max(_ACCOUNTS, 2 * len(self._accounts))
