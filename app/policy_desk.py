"""Where the policy is looked after: its files, what they would change, and their history."""

import asyncio
from collections.abc import Mapping

import structlog

from app.logs import place
from app.store.policy_versions import PolicyVersions, Version
from fhir.elements import COORDINATES
from fhir.errors import Unavailable
from policies import files
from policies.book import Book
from policies.caller import Caller
from policies.difference import difference
from policies.errors import LockedOut, PolicyChanged, PolicyError
from schema.desk import Examined, Folder, Kept

LOOK_SECONDS = 0.5

log = structlog.get_logger()


class PolicyDesk:
    """The desk of one process; several may share a folder and a history."""

    def __init__(self, book: Book, versions: PolicyVersions) -> None:
        self._book = book
        self._versions = versions
        # a check takes a processor for seconds: one at a time
        self._checking = asyncio.Lock()

    async def folder(self) -> Folder:
        """Read the files."""
        content = await asyncio.to_thread(self._book.content)
        status = self._book.status
        return Folder(
            self._book.current.version,
            files.edition(content),
            _texts(content),
            status.ok,
            status.when,
            (*status.problems, *status.warnings),
        )

    async def examine(self, texts: Mapping[str, str]) -> Examined:
        """Say what these files would do in place of those of the folder."""
        async with self._checking:
            return await asyncio.to_thread(self._examine, texts)

    def _examine(self, texts: Mapping[str, str]) -> Examined:
        checked = self._book.check(texts)
        fresh = checked.policy or checked.unproven
        changes = (
            tuple(difference(self._book.current, fresh, COORDINATES).lines()) if fresh else None
        )
        return Examined(checked.policy is not None, checked.problems, changes)

    async def save(
        self, texts: Mapping[str, str], expected: str, caller: Caller, note: str | None
    ) -> None:
        """Replace files; the history has them before the folder does.

        Raises:
            PolicyChanged: Somebody else was quicker.
            PolicyError: The files cannot be used.
            LockedOut: The caller could not save again.
            Unavailable: The folder cannot be written to.
        """
        async with self._checking:
            content = await asyncio.to_thread(self._book.content)
            if files.edition(content) != expected:  # the folder says so again, under its lock
                raise PolicyChanged(files.edition(content))
            content |= {name: text.encode() for name, text in texts.items()}
            number = await self._versions.announce(_version(content, caller.subject, note))
            try:
                await asyncio.to_thread(self._book.save, texts, expected, caller.roles)
            except (PolicyChanged, PolicyError, LockedOut):
                await self._versions.withdraw(number)
                raise
            except OSError as error:
                await self._versions.withdraw(number)
                raise Unavailable(
                    f"the policy folder cannot be written to: {error.strerror}"
                ) from error
            await self._versions.confirm(number)

    async def history(self, most: int) -> list[Kept]:
        """List what was in force, the newest first."""
        return [
            Kept(
                row["edition"],
                row["version"],
                row["at"],
                row["by"],
                row["note"],
                {one["name"]: one["text"] for one in row["files"]},
            )
            for row in await self._versions.newest(most)
        ]

    async def follow(self) -> None:
        """Write edits by hand into the history once they are in force; runs until cancelled."""
        known = ""
        while True:
            try:
                known = await self._look(known)
            except Exception as error:  # noqa: BLE001 -- the edge of a task: the next look may do
                log.warning("policy history not written", **place(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, known: str) -> str:
        if self._checking.locked() or not self._book.status.ok:
            return known
        content = await asyncio.to_thread(self._book.content)
        edition = files.edition(content)
        # the book may not have come to the latest files yet
        if edition == known or files.version(content) != self._book.current.version:
            return known
        await self._versions.seen(_version(content))
        return edition


def _version(
    content: Mapping[str, bytes], by: str | None = None, note: str | None = None
) -> Version:
    decided = files.version(content) if content.keys() >= set(files.DECIDING) else ""
    return Version(files.edition(content), decided, _texts(content), by, note)


def _texts(content: Mapping[str, bytes]) -> dict[str, str]:
    return {name: data.decode("utf-8", errors="replace") for name, data in content.items()}
