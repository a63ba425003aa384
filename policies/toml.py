"""TOML files with the lines their tables and keys stand on."""

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from policies.errors import PolicyError, Problem

HEADER = re.compile(r'\s*\[\[?\s*["\']?([^\]"\']+?)["\']?\s*\]')
KEY = re.compile(r'\s*["\']?([\w-]+)["\']?\s*=')
PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class Section:
    """A table header and the keys below it, each with its line counted from 1."""

    name: str
    line: int
    keys: dict[str, int] = field(default_factory=dict)

    def line_of(self, key: str) -> int:
        """Give the line of a key; the header's line if the key is not written below it."""
        return self.keys.get(key, self.line)


def parse(file: str, text: str) -> dict[str, Any]:
    """Read a TOML text.

    Raises:
        PolicyError: The text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = PLACE.search(message)
        line = int(place[1]) if place else text.count("\n") + 1
        column = int(place[2]) if place else None
        said = PLACE.sub("", message)
        raise PolicyError([Problem(file, line, column, f"is not TOML: {said}")]) from error


def sections(text: str) -> list[Section]:
    """List the table headers of a valid TOML text in their order."""
    found: list[Section] = []
    for number, line in enumerate(text.split("\n"), 1):
        header = HEADER.match(line)
        key = KEY.match(line)
        if header:
            found.append(Section(header[1], number))
        elif key and found:
            found[-1].keys.setdefault(key[1], number)
    return found
