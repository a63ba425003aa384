"""Giving written files their names, several at a time, so that a crash takes none of them back."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.store.together import Together

TOGETHER: Final = 8
"""Files synced in one go: the disk has work, and the processor's caches still have the bytes."""

Size = int


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A file on its way to its name.

    Attributes:
        temporary: Where its bytes are, as far as they are written; it is gone afterwards.
        written: How many those are.
        rest: The bytes that are not written yet.
        path: The name. What has it already keeps it.
    """

    temporary: Path
    written: Size
    rest: Sequence[bytes]
    path: Path


class Naming:
    """Names files below one folder."""

    def __init__(self, root: Path) -> None:
        """Set the folder, which is there."""
        self._root = root
        self._kept = {root}
        self._named: Together[Unnamed, Size | OSError] = Together(self._name)

    async def name(self, file: Unnamed) -> Size:
        """Write a file to the disk, then name it; give the size of what has the name, durably.

        Raises:
            OSError: It fails; then only the name may be there.
        """
        answer = await self._named(file)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def _name(self, files: list[Unnamed]) -> list[Size | OSError]:
        return await asyncio.to_thread(self._groups, files)

    def _groups(self, files: Sequence[Unnamed]) -> list[Size | OSError]:
        groups = (files[start : start + TOGETHER] for start in range(0, len(files), TOGETHER))
        return [answer for group in groups for answer in self._group(group)]

    def _group(self, files: Iterable[Unnamed]) -> list[Size | OSError]:
        works = [_Work(file) for file in files]
        try:
            # Step by step for all: what one waits for on the disk is done for the others, too.
            for step in (_Work.write, _Work.sync, self._link):
                for work in works:
                    work.attempt(step)
        finally:
            for work in works:
                work.tidy()
        for folder in {work.file.path.parent for work in works if work.failure is None}:
            inside = [work for work in works if work.file.path.parent == folder]
            try:
                sync_folder(folder)
            except OSError as error:
                for work in inside:
                    work.failure = work.failure or error
        return [work.size if work.failure is None else work.failure for work in works]

    def _link(self, work: "_Work") -> None:
        folder = work.file.path.parent
        if folder not in self._kept:
            self._make(folder)
        try:
            work.link()
        except FileNotFoundError:  # somebody tidied empty folders away
            self._make(folder)
            work.link()

    def _make(self, folder: Path) -> None:
        """Make a folder that stays, however deep it is."""
        folder.mkdir(parents=True, exist_ok=True)
        for above in folder.parents:  # another process may have made it and not be as far yet
            sync_folder(above)
            if above == self._root:
                break
        self._kept.add(folder)


class _Work:
    """One file while it is named."""

    def __init__(self, file: Unnamed) -> None:
        self.file = file
        self.size = file.written + sum(map(len, file.rest))
        self.failure: OSError | None = None
        self._descriptor: int | None = None

    def attempt(self, step: "Callable[[_Work], None]") -> None:
        """Take a step, unless one before it failed."""
        if self.failure is None:
            try:
                step(self)
            except OSError as error:
                self.failure = error

    def write(self) -> None:
        """Write the rest, and tell the disk to begin."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.file.temporary, flags, 0o666)
        write_all(self._descriptor, self.file.rest)
        begin_to_sync(self._descriptor)

    def sync(self) -> None:
        """Wait until the disk has it all."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def link(self) -> None:
        """Give it its name, if that is free."""
        try:
            os.link(self.file.temporary, self.file.path)
        except FileExistsError:
            self.size = self.file.path.stat().st_size

    def tidy(self) -> None:
        """Leave nothing but what is named."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            with suppress(OSError):  # a sweep removes it
                os.unlink(self.file.temporary)  # noqa: PTH108 - a third of the time


def write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write pieces one after the other.

    One call for all of them takes longer: measured on ext4, joined and scattered.
    """
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def begin_to_sync(descriptor: int) -> None:
    """Let the disk begin with what is written, without waiting, where the system can do that."""
    if hasattr(os, "posix_fadvise"):
        # Pages not on the disk yet are sent there, and stay in memory.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_folder(path: Path) -> None:
    """Wait until the disk has a folder's entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
