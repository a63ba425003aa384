"""The folder of an export: nothing is written over, and a file appears whole or not at all."""

import asyncio
import csv
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Final

import orjson

from app.imaging.deidentify import Outgoing
from fhir.errors import Invalid, NotFound

UNFINISHED: Final = ".part"


def claim(folder: Path) -> None:
    """Make the folder, for this user alone, or see that nothing is in it.

    Raises:
        Invalid: There is something.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Invalid(f"{folder} holds something already; name a new folder with --to")


def append(path: Path, resources: Iterable[Mapping[str, Any]]) -> None:
    """Add resources to a file that `finish` gives its name, one a line."""
    with _draft(path).open("ab") as file:
        for one in resources:
            file.write(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE))


def finish(path: Path) -> None:
    """Give a written file its name, once the disk has it."""
    with _draft(path).open("rb") as file:
        os.fsync(file.fileno())
    _draft(path).rename(path)


def write_refused(path: Path, refused: Iterable[tuple[str, str, str, str]]) -> None:
    """Write a table of what was not given: kind, id, code and reason."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kind", "id", "code", "reason"))
    writer.writerows(refused)
    _draft(path).write_text(text.getvalue(), encoding="utf-8")
    finish(path)


async def write_object(path: Path, sent: Outgoing) -> None:
    """Write an object, and the folders around it; nothing is left of one that fails.

    Raises:
        NotFound: It is not there, or ends too early.
    """
    await asyncio.to_thread(partial(path.parent.mkdir, parents=True, exist_ok=True))
    try:
        await _write(_draft(path), sent)
        await asyncio.to_thread(finish, path)
    except BaseException:
        await asyncio.to_thread(_forget, path)
        raise


async def _write(draft: Path, sent: Outgoing) -> None:
    left = sent.size
    with await asyncio.to_thread(draft.open, "xb") as file:
        async for chunk in sent.chunks:
            left -= len(chunk)
            await asyncio.to_thread(file.write, chunk)
    if left:
        raise NotFound("the bytes of this image are not there as a whole")


def _forget(path: Path) -> None:
    _draft(path).unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        with suppress(OSError):  # something else is in it
            folder.rmdir()


def _draft(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)
