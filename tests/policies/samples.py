"""A small vocabulary and policy folders to write tests with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.book import Book
from policies.errors import PolicyError, Problem
from policies.grants import Policy
from policies.reader import read_rules
from policies.rules import Rules
from policies.scopes import Scope

ADMINISTERING = "p, admin, Policy.text, update, any, allow"
SHIPPED = Path(__file__).parents[2] / "policies"
MODEL = (SHIPPED / "model.conf").read_text(encoding="utf-8")

VOCABULARY = frozenset(
    {
        "Patient.id",
        "Patient.name",
        "Patient.birthDate",
        "ImagingStudy.id",
        "ImagingStudy.modality",
        "ImagingStudy.series",
        "ImagingStudy.series.number",
        "ImagingStudy.series.instance",
        "ImagingStudy.series.instance.number",
        "Image.id",
        "Image.pixels",
        "Endpoint.id",
        "Policy.text",
    }
)
SCOPES = {
    "own": Scope("own", "", {"Patient": "_id={patient}", "ImagingStudy": "patient={patient}"}),
    "open": Scope("open", "", {"Patient": "active=true", "ImagingStudy": "_tag=open"}),
    "released": Scope("released", "", {"ImagingStudy": "_tag=released"}),
}
SCOPES_TOML = """
[own]
description = "Their own"
Patient = "_id={patient}"
ImagingStudy = "patient=Patient/{patient}"

[open]
description = "Whatever is open"
Patient = "active=true"
ImagingStudy = "_tag=open"

[released]
description = "Released studies"
ImagingStudy = "_tag=released"
"""
RULES = """\
p, provider, *, read, any, allow
p, billing, Patient.id, read, any, allow
p, billing, Patient.name, *, any, deny
"""
TESTS = """
[[test]]
name = "billing reads no names"
roles = ["billing"]
element = "Patient.name"
expect = "deny"
"""


def fine(resource: str, text: str) -> str | None:
    """Accept every search text."""
    return None


def administered(rules: str) -> str:
    """Add somebody who may save the policy, at the end where no line number changes."""
    return f"{rules.rstrip()}\n{ADMINISTERING}\n"


def write(folder: Path, **contents: str) -> Path:
    """Write a whole policy folder; `rules=`, `scopes=`, `tests=`, `model=` replace a file.

    An administrator is added to the rules.
    """
    folder.mkdir(exist_ok=True)
    (folder / "model.conf").write_text(contents.get("model", MODEL), encoding="utf-8")
    rules = administered(contents.get("rules", RULES))
    (folder / "rules.csv").write_text(rules, encoding="utf-8")
    (folder / "scopes.toml").write_text(contents.get("scopes", SCOPES_TOML), encoding="utf-8")
    (folder / "tests.toml").write_text(contents.get("tests", TESTS), encoding="utf-8")
    return folder


def book(folder: Path, last_good: Path | None = None) -> Book:
    """Open a folder of the small vocabulary."""
    return Book(folder, VOCABULARY, fine, last_good)


def read(text: str) -> Rules:
    """Read rules of the small vocabulary."""
    return read_rules(text, VOCABULARY, SCOPES)


def policy(text: str) -> Policy:
    """Compile rules of the small vocabulary."""
    return Policy("test", read(text), SCOPES)


def problems(act: Callable[[], object]) -> tuple[Problem, ...]:
    """Give what an act is refused for."""
    with pytest.raises(PolicyError) as refused:
        act()
    return refused.value.problems
