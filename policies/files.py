"""The files of a policy folder, and the last good copy of them."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from policies.errors import PolicyError, Problem

MODEL, RULES, SCOPES, TESTS = FILES = ("model.conf", "rules.csv", "scopes.toml", "tests.toml")
DECIDING = (MODEL, RULES, SCOPES)  # a new test alone makes no new policy
BOM = b"\xef\xbb\xbf"


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read what is there; a file that is missing or cannot be read is left out."""
    found = {}
    for name in FILES:
        with suppress(OSError):
            found[name] = (folder / name).read_bytes()
    return found


def texts(files: Mapping[str, bytes]) -> dict[str, str]:
    """Decode every file of a policy.

    Raises:
        PolicyError: A file is missing, is not UTF-8 or begins with a byte order mark, which
            Casbin would take for part of the first rule and drop it.
    """
    problems = []
    decoded = {}
    for name in FILES:
        content = files.get(name)
        if content is None:
            problems.append(Problem(name, 1, None, "is missing or cannot be read; put it back"))
        elif content.startswith(BOM):
            problems.append(
                Problem(name, 1, 1, "begins with a byte order mark; save as UTF-8 without BOM")
            )
        else:
            try:
                decoded[name] = content.decode("utf-8")
            except UnicodeDecodeError as error:
                before = content[: error.start]
                line = before.count(b"\n") + 1
                column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
                problems.append(Problem(name, line, column, "is not UTF-8; save it as UTF-8"))
    if problems:
        raise PolicyError(problems)
    return decoded


def version(files: Mapping[str, bytes]) -> str:
    """Name a policy by what it decides: 16 hexadecimal digits of a SHA-256."""
    digest = hashlib.sha256()
    for name in DECIDING:
        digest.update(b"%s %d\n" % (name.encode(), len(files[name])))
        digest.update(files[name])
    return digest.hexdigest()[:16]


def keep(files: Mapping[str, bytes], archive: Path) -> None:
    """Write a good policy to a zip archive, atomically and durably.

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
