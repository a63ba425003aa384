"""What is counted: how often something was there, and how much is kept."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Self

from app.cache.keys import KINDS, Kind


@dataclass(slots=True)
class Counts:
    """Of one kind, since the process began.

    Attributes:
        hits: Answers that came from here.
        misses: Questions that did not get one.
        stored: Entries put in.
        evicted: Entries that had to make room.
    """

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0

    def __add__(self, other: Self) -> Self:
        names = [one.name for one in fields(self)]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(slots=True)
class Held:
    """What is kept now.

    Attributes:
        bytes: Of the values; a tier may need more for each.
    """

    entries: int = 0
    bytes: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.entries + other.entries, self.bytes + other.bytes)


def of_each_kind() -> dict[Kind, Counts]:
    """Begin to count."""
    return {kind: Counts() for kind in KINDS}


@dataclass(frozen=True, slots=True)
class TierReport:
    """What one tier says of itself.

    Attributes:
        name: memory, redis or disk.
        limit: Bytes that it may hold.
        counts: By kind; of this process.
        held: By kind; of all processes that share the tier. None if it does not answer.
        failures: How often it did not answer this process.
    """

    name: str
    limit: int
    counts: dict[Kind, Counts]
    held: dict[Kind, Held] | None
    failures: int


@dataclass(slots=True)
class Ahead:
    """What one prefetch rule came to, in this process.

    Attributes:
        fetched: Entries that were read ahead.
        bytes: Of them.
        used: Of these, how many somebody asked for later.
        known: Would-be entries that were there already.
        refused: Reads that the caller has no right to, or that came to nothing.
        unaffordable: Reads for which the budget was used up.
        dropped: Reads that came too late, or for which there was no place.
    """

    fetched: int = 0
    bytes: int = 0
    used: int = 0
    known: int = 0
    refused: int = 0
    unaffordable: int = 0
    dropped: int = 0

    @property
    def hit_rate(self) -> float | None:
        """Share of what was read ahead that somebody asked for; None if nothing was."""
        return self.used / self.fetched if self.fetched else None


@dataclass(frozen=True, slots=True)
class Report:
    """What the cache says of itself.

    Attributes:
        counts: By kind: an answer of any tier is one hit.
        ahead: By name of the prefetch rule.
    """

    counts: dict[Kind, Counts]
    tiers: list[TierReport]
    ahead: dict[str, Ahead] = field(default_factory=dict)


def summed(counts: Iterable[Counts]) -> Counts:
    """Add up."""
    return sum(counts, Counts())
