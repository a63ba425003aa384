"""TOML files with the lines their tables and keys stand on."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from policies.errors import PolicyError, Problem

HEADER = re.compile(r'\s*\[\[?\s*["\']?([^\]"\']+?)["\']?\s*\]')
KEY = re.compile(r'\s*["\']?([\w-]+)["\']?\s*=')
OPENED = re.compile(r"\[{1,2}[\w-]")  # a header, even one that is not closed
END = " (at end of document)"
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


def read(path: Path) -> str:
    """Give the text of a file.

    Raises:
        PolicyError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not UTF-8"
        raise PolicyError([Problem(path.name, 1, None, f"cannot be read: {why}")]) from error


def parse(file: str, text: str) -> dict[str, Any]:
    """Read a TOML text.

    Raises:
        PolicyError: The text is not TOML, with a problem for each table that is not.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        parts = [_problem(file, one, start) for start, one in _parts(text)]
        found = [problem for problem in parts if problem is not None]
        # each table may be right, and only their names collide
        raise PolicyError(found or [_located(file, text, error, 0)]) from error


def readable(text: str) -> str:
    """Blank out the tables that are not TOML, so that the others can be looked at.

    Returns:
        A TOML text with as many lines; blank altogether if the tables do not go together.
    """
    parts = (one if _problem("", one, 0) is None else _blank(one) for _, one in _parts(text))
    mended = "".join(parts)
    return mended if _problem("", mended, 0) is None else _blank(text)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Yield what is above the first header and each table, with the number of lines before it."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    starts = [0, *(number for number, line in enumerate(lines) if OPENED.match(line) and number)]
    for start, end in pairwise((*starts, len(lines))):
        yield start, "".join(lines[start:end])


def _problem(file: str, text: str, before: int) -> Problem | None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _located(file, text, error, before)
    return None


def _located(file: str, text: str, error: tomllib.TOMLDecodeError, before: int) -> Problem:
    message = str(error)
    place = PLACE.search(message)
    line = int(place[1]) if place else text.count("\n") + 1
    column = int(place[2]) if place else None
    said = PLACE.sub("", message).removesuffix(END)
    return Problem(file, before + line, column, f"is not TOML: {said}")


def _blank(text: str) -> str:
    return "\n" * text.count("\n")


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
