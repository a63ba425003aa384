"""Watches a policy folder in a process of its own: `python -m tests.policies.watcher FOLDER`.

Prints a line for whatever is in force or refused, with the time when it came to be.
"""

import asyncio
import sys
import time
from pathlib import Path

import structlog

from tests.policies.samples import book


async def main(folder: Path) -> None:
    """Watch until killed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    opened = book(folder)
    told = None
    watching = asyncio.create_task(opened.watch())
    while not watching.done():
        status = "ok" if opened.status.ok else "refused"
        if told != (status, opened.current.version):
            told = (status, opened.current.version)
            print(time.monotonic(), *told, flush=True)
        await asyncio.sleep(0.005)
    await watching


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
