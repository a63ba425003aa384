"""Loading sources into an archive for somebody at a terminal: progress, a line each, a summary."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.archive import Archive
from app.imaging.intake import Taken, take_in
from app.imaging.sources import Source

STATUSES = ("stored", "duplicate", "conflict", "refused", "failed")


def say(text: str) -> None:
    """Print a line on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def load(
    archive: Archive, listed: Callable[[], Iterable[Source]], *, quiet: bool = False
) -> Counter[str]:
    """Ingest sources, and print what became of each once that is durable.

    Args:
        archive: Takes them in.
        listed: Lists the sources; asked twice, first to count them for the progress bar.
        quiet: Print no lines.

    Returns:
        How many had which status.

    Raises:
        Unavailable: A store does not answer; what was printed still holds.
    """
    counts: Counter[str] = Counter()
    with _progress() as progress:
        task = progress.add_task("ingest", total=sum(1 for _ in listed()))
        async for batch in take_in(archive.ingest, archive.audit, listed()):
            counts.update(one.outcome.status for one in batch)
            if not quiet:
                say("\n".join(map(_line, batch)))
            progress.advance(task, len(batch))
    return counts


def summary(counts: Counter[str]) -> str:
    """Say in one line how many files came to what."""
    parts = (f"{counts[one]} {one}" for one in STATUSES if one != "failed" or counts[one])
    return f"{counts.total()} files: {', '.join(parts)}"


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else lines meant for a file go to the terminal
    )


def _line(taken: Taken) -> str:
    outcome = taken.outcome
    said = f": {outcome.message}" if outcome.message else ""
    odd = f" (odd: {'; '.join(outcome.warnings)})" if outcome.warnings else ""
    return f"{outcome.status:<9} {_printable(taken.name)}{said}{odd}"


def _printable(name: str) -> str:
    """Show a name in one line, whatever characters its owner chose."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in name
    )
