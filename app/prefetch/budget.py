"""What may still be read ahead for a caller in this minute."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from app.prefetch.rules import Budget, Rule

_MINUTE: Final = 60.0
_CALLERS_KEPT: Final = 10_000


@dataclass(slots=True)
class _Spent:
    items: int = 0
    bytes: int = 0

    def affords(self, budget: Budget, size: int) -> bool:
        return self.items < budget.items and self.bytes + size <= budget.bytes

    def spend(self, size: int) -> None:
        self.items += 1
        self.bytes += size


@dataclass(slots=True)
class _Account:
    began: float
    total: _Spent = field(default_factory=_Spent)
    by_rule: dict[str, _Spent] = field(default_factory=dict)


class Purse:
    """Counts by caller, minute after minute; each rule may have less for itself."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def spend(self, caller: str, rule: Rule, size: int) -> bool:
        """Take one entry from what is left; say whether there was enough.

        Args:
            caller: Subject.
            rule: That wants it.
            size: Bytes of the entry.
        """
        account = self._account(caller)
        own = account.by_rule.setdefault(rule.name, _Spent())
        if not account.total.affords(self._budget, size):
            return False
        if rule.budget is not None and not own.affords(rule.budget, size):
            return False
        account.total.spend(size)
        own.spend(size)
        return True

    def _account(self, caller: str) -> _Account:
        now = self._clock()
        account = self._accounts.pop(caller, None)
        if account is None or now - account.began >= _MINUTE:
            account = _Account(now)
        self._accounts[caller] = account
        if len(self._accounts) > _CALLERS_KEPT:
            self._accounts.popitem(last=False)
        return account
