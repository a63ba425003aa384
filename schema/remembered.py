"""What was used last, as much of it as there is room for."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """What was used last, at most so much."""

    def __init__(self, most: int) -> None:
        """Set how much the weights may be together."""
        self._most = most
        self._weight = 0
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def look(self, key: Key) -> Value | None:
        """Give a value, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: Key, value: Value, weight: int) -> None:
        """Remember a value, and forget those that were not used for longest."""
        self._kept[key] = value, weight
        self._weight += weight
        while self._weight > self._most:
            _, (_, least) = self._kept.popitem(last=False)
            self._weight -= least
