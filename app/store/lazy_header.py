"""Attributes that are parsed when somebody asks for one: most frames are served without."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson


class LazyHeader(Mapping[str, Any]):
    """DICOM JSON behind its text."""

    __slots__ = ("_parsed", "_text")

    def __init__(self, text: bytes) -> None:
        """Args: the text of a JSON object."""
        self._text = text
        self._parsed: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        return self._attributes()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes())

    def __len__(self) -> int:
        return len(self._attributes())

    def get(self, key: str, default: Any = None) -> Any:
        """Give one attribute; the look-up of `Mapping` takes three times as long."""
        return self._attributes().get(key, default)

    def _attributes(self) -> dict[str, Any]:
        if self._parsed is None:
            self._parsed = orjson.loads(self._text)
        return self._parsed
