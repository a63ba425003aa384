"""What is claimed of the standard (`standards.toml`): each clause, with the tests that prove it."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("standards.toml")


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause that is claimed.

    Attributes:
        standard: Part of DICOM, such as PS3.18.
        number: Of the clause in it.
        title: Of the clause, as the standard has it.
        says: What is claimed, and what is chosen where the clause leaves a choice.
        routes: Method and path of each address that it is about, below `/dicomweb`.
        tests: Each as pytest names it: `tests/file.py::test_name`.
    """

    standard: str
    number: str
    title: str
    says: str
    routes: Sequence[str] = ()
    tests: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a clause has and we have not."""

    standard: str
    number: str
    says: str


@dataclass(frozen=True, slots=True)
class Standards:
    """Everything that is claimed, and what is known to be missing."""

    clauses: Sequence[Clause]
    gaps: Sequence[Gap]


@cache
def standards() -> Standards:
    """Read the manifest, once."""
    found = tomllib.loads(FILE.read_text())
    return Standards(
        tuple(Clause(**one) for one in found["clause"]),
        tuple(Gap(**one) for one in found["gap"]),
    )
