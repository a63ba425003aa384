"""Names of what is cached: they say nothing of whom or what it is about."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Literal, get_args

Kind = Literal["frames", "pictures", "records"]
"""Byte ranges of stored objects, pictures made of them, and records of instances."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
IN_MEMORY_ONLY: Final = frozenset({"records"})
"""Kinds that do not leave the process: they tell whom an image shows, and are quick to read."""

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Key:
    """The name of one entry.

    Attributes:
        digest: Of everything that the entry depends on; keyed, so that it cannot be guessed.
        group: Of everything that goes together when it has to go: of one study.
    """

    kind: Kind
    digest: str
    group: str = field(compare=False)


class Names:
    """Makes keys. Whoever does not know the secret cannot tell a study by its group."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, person=b"cache", digest_size=32).digest()

    def group(self, study: str) -> str:
        """Name the group of a study, by its real UID."""
        return self._digest("group", study)

    def key(self, kind: Kind, study: str, *parts: object) -> Key:
        """Name an entry.

        Args:
            kind: Of the entry.
            study: Real UID of the study that it is about; empty if it is yet to be known.
            parts: What tells it from all others of its kind.
        """
        return Key(kind, self._digest(kind, *parts), self.group(study) if study else "")

    def _digest(self, *parts: object) -> str:
        said = "\0".join(map(str, parts)).encode()
        return blake2b(said, key=self._secret, digest_size=_DIGEST_BYTES).hexdigest()
