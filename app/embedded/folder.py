"""The folder of the embedded database: its files, its locks, and the state its processes share."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class State:
    """What is known of the server; written only by whoever holds `keeper.lock`.

    Attributes:
        port: Port in use, or the last one: the next start prefers it.
        keeper: Process id of the keeper; set while the server runs.
        mongod: Process id of the server; set while it runs.
        failure: Why the server was given up, in one line.
    """

    port: int | None = None
    keeper: int | None = None
    mongod: int | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFolder:
    """One private server's files.

    Two lock files (`flock`, so the kernel releases them whatever kills the holder):
    every user of the server holds `users_lock` shared, and who gets it exclusively knows that
    there are no users; `keeper_lock` is held by the keeper as long as it lives.
    """

    path: Path

    @property
    def data(self) -> Path:
        """The server's `dbpath`."""
        return self.path / "data"

    @property
    def server_lock(self) -> Path:
        """The file that a running mongod locks; holds its process id."""
        return self.data / "mongod.lock"

    @property
    def log(self) -> Path:
        """The server's log, JSON lines; the one before it ends in `.1`."""
        return self.path / "mongod.log"

    @property
    def output(self) -> Path:
        """What the server prints outside its log: loader errors, mostly."""
        return self.path / "mongod.out"

    @property
    def key_file(self) -> Path:
        """Key by which replica set members know each other; authorization requires one."""
        return self.path / "keyfile"

    @property
    def password_file(self) -> Path:
        """Password of the only user."""
        return self.path / "password"

    @property
    def users_lock(self) -> Path:
        """Held shared by every process that uses the server."""
        return self.path / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held exclusively by the keeper."""
        return self.path / "keeper.lock"

    @property
    def state_file(self) -> Path:
        """The shared `State`."""
        return self.path / "state.json"

    def prepare(self) -> None:
        """Make folders and lock files that are not there."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.mkdir(exist_ok=True, mode=0o700)
        self.users_lock.touch(mode=0o600)
        self.keeper_lock.touch(mode=0o600)

    def make_secrets(self) -> None:
        """Make key and password once; call it holding `keeper_lock`."""
        for path in (self.key_file, self.password_file):
            if not path.exists():
                write_atomically(path, secrets.token_hex(KEY_BYTES // 2))

    def password(self) -> str:
        """The password of the user `radiograph`, in hexadecimal digits."""
        return self.password_file.read_text("ascii")

    def read_state(self) -> State:
        """The state last written; the empty one before the first start."""
        try:
            return State(**json.loads(self.state_file.read_text("utf-8")))
        except FileNotFoundError:
            return State()

    def write_state(self, state: State) -> None:
        """Replace the state; readers see the old or the new one, never a part."""
        write_atomically(self.state_file, json.dumps(asdict(state)))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file durably with one that only its owner can read."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Take a `flock` without waiting; say whether it was free.

    A failed change from shared to exclusive gives up the shared lock (flock(2)).
    """
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of an existing file, closed at the end together with its locks."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
