"""An edit is in force in every process within two seconds, however it is made."""

import asyncio
import shutil
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from policies import files
from policies.saving import save
from tests.policies.samples import RULES, VOCABULARY, administered, fine, write

ROOT = Path(__file__).parents[2]
FILES = ("model.conf", "rules.csv", "scopes.toml", "tests.toml")
GOOD = administered(RULES + "p, billing, Patient.birthDate, read, any, allow\n")
WITHIN = 2.0  # seconds, from the end of the edit


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that watches a folder and says what is in force in it."""

    process: Process

    async def next(self) -> tuple[float, str, str]:
        """Wait for what is in force next: since when, how, and the version."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = (await self.process.stdout.readline()).decode()
        when, status, version = line.split()
        return float(when), status, version


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[Worker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.policies.watcher", str(folder), cwd=ROOT, stdout=PIPE
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        await process.communicate()


def linked(folder: Path) -> Path:
    """A folder as Kubernetes mounts one."""
    write(folder.parent / "one")
    folder.mkdir()
    (folder / "..data").symlink_to(folder.parent / "one")
    for name in FILES:
        (folder / name).symlink_to(Path("..data") / name)
    return folder


def in_place(folder: Path) -> None:
    (folder / "rules.csv").write_text(GOOD, encoding="utf-8")


def renamed_over(folder: Path) -> None:
    written = folder / ".rules.csv.swp"
    written.write_text(GOOD, encoding="utf-8")
    written.replace(folder / "rules.csv")


def deleted_and_written_again(folder: Path) -> None:
    (folder / "rules.csv").unlink()
    (folder / "rules.csv").write_text(GOOD, encoding="utf-8")


def link_swapped(folder: Path) -> None:
    new = folder.parent / "two"
    shutil.copytree(folder.parent / "one", new)
    (new / "rules.csv").write_text(GOOD, encoding="utf-8")
    (folder / "..new").symlink_to(new)
    (folder / "..new").replace(folder / "..data")


def folder_replaced(folder: Path) -> None:
    new = folder.parent / "new"
    shutil.copytree(folder, new)
    (new / "rules.csv").write_text(GOOD, encoding="utf-8")
    folder.rename(folder.parent / "old")
    new.rename(folder)


def saved(folder: Path) -> None:
    edition = files.edition(files.read_folder(folder))
    save(folder, {"rules.csv": GOOD}, edition, frozenset({"admin"}), VOCABULARY, fine)


@pytest.mark.parametrize(
    ("made", "edit"),
    [
        (write, in_place),
        (write, renamed_over),
        (write, deleted_and_written_again),
        (write, folder_replaced),
        (write, saved),
        (linked, link_swapped),
    ],
)
async def test_an_edit_reaches_two_processes_within_two_seconds(
    tmp_path: Path, made: Callable[[Path], Path], edit: Callable[[Path], None]
) -> None:
    folder = made(tmp_path / "policies")
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(folder)) for _ in range(2)]
        first = [await one.next() for one in workers]
        await asyncio.sleep(0.3)  # until the file system is being watched
        await asyncio.to_thread(edit, folder)
        ended = time.monotonic()
        found = [await one.next() for one in workers]
    assert len({version for _, _, version in first}) == 1
    versions = {version for _, _, version in found}
    assert versions == {files.version(files.read_folder(folder))}
    assert versions.isdisjoint(version for _, _, version in first)
    assert {status for _, status, _ in found} == {"ok"}
    late = [when - ended for when, _, _ in found]
    print(f"{edit.__name__}: in force {max(late) * 1000:.0f} ms after the edit")
    assert max(late) < WITHIN
