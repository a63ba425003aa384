"""The files of a policy folder, read as one whole, and the last good copy of them."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from policies.errors import Problem

MODEL, RULES, SCOPES, TESTS = FILES = ("model.conf", "rules.csv", "scopes.toml", "tests.toml")
DECIDING = (MODEL, RULES, SCOPES)  # a new test alone makes no new policy
# A saving under way: what all four files are from the moment this one is there.
PENDING = ".saving.zip"
MOST_READINGS = 16  # of files that change while they are read
BOM = b"\xef\xbb\xbf"


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read what is there; a file that is missing or cannot be read is left out.

    While `policies.saving` writes, this gives what was there before or what will be there after,
    never some files of each.
    """
    content: dict[str, bytes] = {}
    for _ in range(MOST_READINGS):
        before = _places(folder)
        pending = kept(folder / PENDING)
        if pending:
            return pending
        content = _read(folder)
        # the same files before and after: all of them stood beside each other at one moment, and
        # no saving was under way then
        if _places(folder) == before:
            break
    return content


def _read(folder: Path) -> dict[str, bytes]:
    found = {}
    for name in FILES:
        with suppress(OSError):
            found[name] = (folder / name).read_bytes()
    return found


def _places(folder: Path) -> list[tuple[int, int, int, int] | None]:
    """Say which files stand there, so that a change of any shows."""
    places: list[tuple[int, int, int, int] | None] = []
    for name in FILES:
        try:
            found = (folder / name).stat()
        except OSError:
            places.append(None)
        else:
            places.append((found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))
    return places


def decode(files: Mapping[str, bytes]) -> tuple[dict[str, str], list[Problem]]:
    """Decode every file of a policy that is there.

    Returns:
        The texts, and a problem for each file that is missing, is not UTF-8 or begins with a byte
        order mark, which Casbin would take for part of the first rule and drop it. Of the latter
        the rest is decoded all the same, so that it can be looked at.
    """
    problems = []
    decoded = {}
    for name in FILES:
        content = files.get(name)
        if content is None:
            problems.append(Problem(name, 1, None, "is missing or cannot be read; put it back"))
            continue
        if content.startswith(BOM):
            problems.append(
                Problem(name, 1, 1, "begins with a byte order mark; save as UTF-8 without BOM")
            )
            content = content.removeprefix(BOM)
        try:
            decoded[name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            before = content[: error.start]
            line = before.count(b"\n") + 1
            column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
            problems.append(Problem(name, line, column, "is not UTF-8; save it as UTF-8"))
    return decoded, problems


def version(files: Mapping[str, bytes]) -> str:
    """Name a policy by what it decides: 16 hexadecimal digits of a SHA-256."""
    digest = hashlib.sha256()
    for name in DECIDING:
        digest.update(b"%s %d\n" % (name.encode(), len(files[name])))
        digest.update(files[name])
    return digest.hexdigest()[:16]


def edition(files: Mapping[str, bytes]) -> str:
    """Name what a folder holds, its tests too and whether or not it can be used.

    Returns:
        16 hexadecimal digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for name in FILES:
        content = files.get(name)
        digest.update(b"%s %d\n" % (name.encode(), -1 if content is None else len(content)))
        digest.update(content or b"")
    return digest.hexdigest()[:16]


def keep(files: Mapping[str, bytes], archive: Path, mode: int = 0o600) -> None:
    """Write a good policy to a zip archive with this mode, atomically and durably.

    One archive and not a folder: however many processes write and whenever one dies, what is
    found is one policy that was approved as a whole.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=archive.parent, prefix=f".{archive.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as written:
                for file in FILES:
                    written.writestr(file, files[file])
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(archive)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def kept(archive: Path) -> dict[str, bytes]:
    """Read the files that `keep` wrote; empty if there are none or the archive is damaged."""
    try:
        with zipfile.ZipFile(archive) as stored:
            return {name: stored.read(name) for name in FILES}
    except (OSError, KeyError, zipfile.BadZipFile):
        return {}
