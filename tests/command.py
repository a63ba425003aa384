"""`python -m app …` as its users run it: a process of its own, on real servers."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.archive import Archive, open_archive
from app.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings of one archive, for commands and for looking at it from here."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {"data_dir": str(self.data_dir), **self.settings}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RADIOGRAPH_")}
        return inherited | {f"RADIOGRAPH_{name.upper()}": value for name, value in own.items()}

    async def start(self, *arguments: str | Path, stderr: int = PIPE) -> asyncio.subprocess.Process:
        """Start a command; its output has to be read."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            *map(str, arguments),
            cwd=ROOT,
            env=self.environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=stderr,
        )

    async def run(self, *arguments: str | Path) -> Ran:
        """Run a command to its end."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Archive]:
        """The archive, seen from this process."""
        values = {"data_dir": self.data_dir, **self.settings}
        async with open_archive(Settings.model_validate(values)) as archive:
            yield archive


def write(folder: Path, objects: Iterable[bytes]) -> list[Path]:
    """Write objects into a new folder, as `0000.dcm` and so on."""
    folder.mkdir(parents=True)
    paths = []
    for number, data in enumerate(objects):
        path = folder / f"{number:04d}.dcm"
        path.write_bytes(data)
        paths.append(path)
    return paths
