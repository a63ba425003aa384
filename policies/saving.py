"""Writes a policy folder: checked, all files at once, and nobody locks themselves out by it.

A saving is one renamed file, `files.PENDING`: from then on every reader takes the new files out of
it, and it goes once they lie in their places. Whoever dies between the two leaves it, and the next
one who looks finishes the work.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from policies import files
from policies.checking import ADMINISTRATION, administrable, load
from policies.errors import LockedOut, PolicyChanged
from policies.files import FILES, PENDING, RULES
from policies.scopes import CheckScope

LOCK = ".saving.lock"
NEW_FILE_MODE = 0o644


def save(
    folder: Path,
    texts: Mapping[str, str],
    expected: str,
    roles: frozenset[str],
    vocabulary: frozenset[str],
    check_scope: CheckScope,
) -> str:
    """Replace files of a policy by others, all at once or not at all.

    Blocks for as long as a load takes, and while somebody else saves.

    Args:
        folder: Of the policy.
        texts: File name to content; files that are not named stay as they are.
        expected: What `files.edition` said of the content that the caller began with.
        roles: Of whoever saves; they must be able to save again.
        vocabulary: Every coordinate that exists.
        check_scope: Says what is wrong with a search text, or None.

    Returns:
        The version of the policy that the folder holds now.

    Raises:
        PolicyChanged: The folder holds something else than expected.
        PolicyError: The new content cannot be used.
        LockedOut: The roles could not save after it.
        KeyError: `texts` names something that is no file of a policy.
        OSError: The folder cannot be written to.
    """
    for name in texts:
        if name not in FILES:
            raise KeyError(name)
    with _locked(folder):
        _finish(folder)
        before = files.read_folder(folder)
        if files.edition(before) != expected:
            raise PolicyChanged(files.edition(before))
        content = before | {name: text.encode() for name, text in texts.items()}
        policy = load(content, vocabulary, check_scope)
        if not administrable(policy, roles):
            raise LockedOut(
                f"after this you could not save again; leave one of your roles, "
                f"{', '.join(sorted(roles)) or 'none'}, the right to update {ADMINISTRATION}"
            )
        # whoever may read the rules may read this
        files.keep(content, folder / PENDING, mode=_mode(folder / RULES))
        _sync(folder)
        _finish(folder)
    return policy.version


def finish(folder: Path) -> None:
    """Put files in their places that a saving which broke off has left; else do nothing.

    Does nothing either while a saving is under way, or where the folder cannot be written to:
    what is pending counts all the same.
    """
    if not (folder / PENDING).exists():
        return
    with suppress(OSError), _locked(folder, wait=False):
        _finish(folder)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other processes from writing; released by the system if this one dies."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _finish(folder: Path) -> None:
    content = files.kept(folder / PENDING)
    for name, data in content.items():
        _replace((folder / name).resolve(), data)
    (folder / PENDING).unlink(missing_ok=True)
    _sync(folder)


def _replace(path: Path, data: bytes) -> None:
    """Write a file beside another and rename it over that one, with its mode and owner."""
    if path.exists() and path.read_bytes() == data:
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            _dress(stream.fileno(), path)
            stream.flush()
            os.fsync(stream.fileno())
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _dress(handle: int, like: Path) -> None:
    os.fchmod(handle, _mode(like))
    with suppress(OSError):  # a new file; and only the system's administrator gives files away
        found = like.stat()
        os.fchown(handle, found.st_uid, found.st_gid)


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return NEW_FILE_MODE


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
