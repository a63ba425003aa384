"""The port of object storage: what every provider promises, checked by one contract suite."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from fhir.errors import NotFound, Unavailable
from fhir.repository import State

KEY: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*", re.ASCII)
PREFIX: Final = re.compile(r"([a-z0-9_-][a-z0-9._-]*(/|$))*", re.ASCII)
KEY_LENGTH: Final = 512


class ObjectMissing(NotFound):
    """Nothing is stored under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object {key}")
        self.key = key


class StoreUnreachable(Unavailable):
    """The store does not answer, or refuses what the service must do; the message says which."""


class StoreFull(StoreUnreachable):
    """There is no room for the object."""

    code = "STORAGE_QUOTA_EXCEEDED"
    status = 507


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored object in a listing.

    Attributes:
        size: In bytes.
        modified: When it was stored, UTC.
    """

    key: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Immutable byte objects under string keys.

    A stored object never changes: writing a key twice keeps the first bytes. Keys are parts of
    `a-z 0-9 . _ -` joined by `/`; no part begins with a dot. Any other key is a `ValueError`.
    Every method may raise `StoreUnreachable`, after the retries that make sense.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Store an object atomically and durably; return the size of what is stored, in bytes.

        The chunks are read to their end in any case, and memory is bounded however many there
        are. If they raise, or the task is cancelled, nothing is left of the attempt.
        """
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Stream bytes [start, end), zero-based; to the last byte if `end` is None.

        What lies past the last byte is left out without an error.

        Raises:
            ObjectMissing: On the first read, if nothing has this key.
        """
        ...

    async def read(self, key: str, start: int, end: int) -> bytes:
        """Bytes [start, end) in one piece and one round trip; fewer where the object ends.

        Raises:
            ObjectMissing: Nothing has this key.
        """
        ...

    async def size(self, key: str) -> int:
        """Size in bytes.

        Raises:
            ObjectMissing: Nothing has this key.
        """
        ...

    async def signed_address(self, key: str, lasting: timedelta, media_type: str) -> str | None:
        """Give an address at which whoever has it gets an object from the store itself.

        It gives the bytes as they are stored, whole or a range, to a plain GET, and cannot be
        called back before its time is up. Whether there is such an object is not asked.

        Args:
            key: The object.
            lasting: How long it holds, in whole seconds, from 1 second to 7 days.
            media_type: What the answer calls the bytes.

        Returns:
            None: This store gives out none.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Stored objects whose keys begin with `prefix`, in the order of their keys."""
        ...

    async def sweep(self, older_than: timedelta) -> int:
        """Remove what interrupted processes left of their puts; return how many pieces.

        Args:
            older_than: Age from which on a put in progress counts as abandoned.
        """
        ...

    async def check(self) -> None:
        """Make sure that the store can be reached and written.

        Raises:
            StoreUnreachable: In words for whoever runs the service.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; the store is not used afterwards."""
        ...


class InstanceMemory(Protocol):
    """Remembers what instances are, as long as their studies stay as they are."""

    def saw(self, study: str, state: State) -> None:
        """Note the state that a study is in, as just read."""
        ...

    def turn(self) -> int:
        """Say when reading an instance begins, for `put`."""
        ...

    async def get(self, instance: str) -> tuple[bytes, State] | None:
        """Give a document and the state of its study before it was read, or None."""
        ...

    async def put(self, instance: str, study: str, document: bytes, turn: int) -> None:
        """Remember a document, if the state of its study was known before it was read."""
        ...

    def mistaken(self, instance: str) -> None:
        """Note that what `get` gave was out of date."""
        ...


def checked(key: str) -> str:
    """Give back a legal key.

    Raises:
        ValueError: It is none.
    """
    if len(key) > KEY_LENGTH or not KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key


def checked_prefix(prefix: str) -> str:
    """Give back the legal beginning of a key; the empty one begins every key.

    Raises:
        ValueError: No key can begin so.
    """
    if len(prefix) > KEY_LENGTH or not PREFIX.fullmatch(prefix):
        raise ValueError(f"not the beginning of an object key: {prefix!r}")
    return prefix


def checked_range(start: int, end: int | None) -> None:
    """Refuse a range that counts from the end.

    Raises:
        ValueError: A bound is negative.
    """
    if start < 0 or (end is not None and end < 0):
        raise ValueError(f"not a range of bytes: [{start}, {end})")
