"""Operations that are named by the SHA-256 of their text: the manifest's, and clients' own."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from app.graphql.asked import Asked
from app.graphql.refused import (
    HashMismatch,
    PersistedOnly,
    PersistedQueryNotFound,
    UnknownDocument,
)
from fhir.errors import Invalid
from policies.rules import EVERY

REGISTERED: Final = 512
REGISTERED_CHARACTERS: Final = 4 * 2**20


def hash_of(text: str) -> str:
    """Give the name of a text: 64 lower-case hex digits."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_manifest(path: Path) -> Mapping[str, str]:
    """Read the trusted documents: an object of `{hash: text}`.

    Raises:
        Invalid: It cannot be read, or a hash is not that of its text; the message says which.
    """
    where = f"setting RADIOGRAPH_GRAPHQL_OPERATIONS: {path}"
    try:
        documents: Any = orjson.loads(path.read_bytes())
    except OSError as error:
        raise Invalid(f"{where}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise Invalid(f"{where}: not JSON, at line {error.lineno}, column {error.colno}") from error
    if not isinstance(documents, dict):
        raise Invalid(f"{where}: write one object, of SHA-256 to the document's text")
    for name, text in documents.items():
        if not isinstance(text, str):
            raise Invalid(f"{where}: {name}: the document is no string")
        if name != hash_of(text):
            raise Invalid(f"{where}: {name}: the document's SHA-256 is {hash_of(text)}")
    return MappingProxyType(documents)


class Registered:
    """Texts that clients sent with their hashes (automatic persisted queries), in this process.

    There are so many, of so many characters together; those not asked for longest go first.
    """

    def __init__(self, most: int = REGISTERED, characters: int = REGISTERED_CHARACTERS) -> None:
        self._most = most
        self._characters = characters
        self._held = 0
        self._texts: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        """Say how many there are."""
        return len(self._texts)

    def get(self, name: str) -> str | None:
        """Give a text by its hash, or None."""
        text = self._texts.get(name)
        if text is not None:
            self._texts.move_to_end(name)
        return text

    def add(self, name: str, text: str) -> None:
        """Keep a text, unless it alone is too long."""
        if name in self._texts or len(text) > self._characters // 8:
            return
        self._texts[name] = text
        self._held += len(text)
        while len(self._texts) > self._most or self._held > self._characters:
            _, gone = self._texts.popitem(last=False)
            self._held -= len(gone)


@dataclass(frozen=True, slots=True)
class Found:
    """The text of a request.

    Attributes:
        register: Under which hash it is kept once it has run; None: it is not to be kept.
    """

    text: str
    register: str | None = None


class Operations:
    """Finds the text that a request names, or sends and may send."""

    def __init__(self, trusted: Mapping[str, str], only: frozenset[str]) -> None:
        """Set what is known.

        Args:
            trusted: The manifest.
            only: Roles that may send nothing else; `*` is every role.
        """
        self._trusted = trusted
        self._only = only
        self._registered = Registered()

    def find(self, asked: Asked, roles: frozenset[str]) -> Found:
        """Give the text of a request.

        Args:
            asked: The request.
            roles: Of the caller, as the token names them.

        Raises:
            PersistedOnly: A role of the caller may not send it.
            UnknownDocument: It names a document that is not in the manifest.
            PersistedQueryNotFound: It names a text that is not registered.
            HashMismatch: Its text has another hash.
        """
        if asked.document is not None:
            text = self._trusted.get(asked.document)
            if text is None:
                raise UnknownDocument
            return Found(text)
        if self._only and asked.registered not in self._trusted and self._restricted(roles):
            raise PersistedOnly
        if asked.text is None:
            name = asked.registered or ""
            text = self._trusted.get(name) or self._registered.get(name)
            if text is None:
                raise PersistedQueryNotFound
            return Found(text)
        if asked.registered is None:
            return Found(asked.text)
        if hash_of(asked.text) != asked.registered:
            raise HashMismatch
        return Found(asked.text, asked.registered)

    def ran(self, found: Found) -> None:
        """Keep a text that has run, and so is valid, under its hash."""
        if found.register is not None and found.register not in self._trusted:
            self._registered.add(found.register, found.text)

    def _restricted(self, roles: frozenset[str]) -> bool:
        return EVERY in self._only or not self._only.isdisjoint(roles)
