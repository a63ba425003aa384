"""The port behind which the policy's files lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from policies.caller import Caller
from policies.errors import Problem


@dataclass(frozen=True, slots=True)
class Folder:
    """The policy's files as they are now, and what became of them here.

    Attributes:
        version: In force in this process.
        edition: Of the files, whether or not they are in force.
        texts: File name to content.
        ok: Whether they could be used when they were looked at last.
        when: That was, UTC.
        problems: Why not; or lines that decide nothing.
    """

    version: str
    edition: str
    texts: Mapping[str, str]
    ok: bool
    when: datetime
    problems: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of looking at files that are not saved.

    Attributes:
        usable: Whether they could be in force.
        problems: In the order of the files; warnings too.
        changes: What would be different from the policy in force, in words; None if rules or
            scopes cannot be read.
    """

    usable: bool
    problems: Sequence[Problem]
    changes: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Files that were in force once.

    Attributes:
        by: `iss#sub` of whoever saved them; None if they were edited by hand.
        at: When, UTC; of an edit by hand: when a process loaded it.
    """

    edition: str
    version: str
    at: datetime
    by: str | None
    note: str | None
    texts: Mapping[str, str]


class Desk(Protocol):
    """Where the policy is looked after. It asks nobody for rights: that is done before."""

    async def folder(self) -> Folder:
        """Read the files."""
        ...

    async def examine(self, texts: Mapping[str, str]) -> Examined:
        """Say what these files would do in place of those of the folder.

        Args:
            texts: File name to content; files that are not named stay as they are.
        """
        ...

    async def save(
        self, texts: Mapping[str, str], expected: str, caller: Caller, note: str | None
    ) -> None:
        """Replace files, all at once or not at all; they are in force here when this returns.

        Args:
            texts: As above.
            expected: The edition that the caller began with.
            caller: Who saves.
            note: Why.

        Raises:
            PolicyChanged: Somebody else was quicker.
            PolicyError: The files cannot be used.
            LockedOut: The caller could not save again.
            Unavailable: The folder cannot be written to.
        """
        ...

    async def history(self, most: int) -> list[Kept]:
        """List what was in force, the newest first."""
        ...
