"""What is wrong with a policy, where, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

MOST_CHOICES = 16

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a policy.

    Attributes:
        file: Name inside the policy folder.
        line: Counted from 1.
        column: Counted from 1 in characters; None if the whole line is meant.
        message: What is wrong and what to write instead.
        severity: An error keeps the policy from being used; a warning tells of a line that
            means something and decides nothing.
    """

    file: str
    line: int
    column: int | None
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}{column}: {warning}{self.message}"


class PolicyError(Exception):
    """A policy that cannot be used.

    Attributes:
        problems: Everything that was found, in the order of the files; never empty.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PolicyChanged(Exception):
    """Somebody else changed the policy folder since the caller read it; nothing was written.

    Attributes:
        edition: What the folder holds now.
    """

    def __init__(self, edition: str) -> None:
        self.edition = edition
        super().__init__(f"the policy was changed meanwhile, it is at {edition}; read it again")


class LockedOut(Exception):
    """Whoever saves could not save again; nothing was written."""


def instead(word: str, known: Iterable[str]) -> str:
    """Say what to write in place of an unknown word: the closest known one, or all of them."""
    choices = sorted(known)
    lower = {choice.lower(): choice for choice in reversed(choices)}
    close = get_close_matches(word.lower(), lower, n=1)
    if close:
        return f"write '{lower[close[0]]}'"
    if len(choices) <= MOST_CHOICES:
        return f"write one of: {', '.join(choices)}"
    return "nothing has a similar name"
