"""The process that starts the embedded mongod, starts it again if it dies, and stops it after use.

It belongs to no user of the database: users come and go, each holding a shared lock, and when the
kernel has released the last one (a clean end and `kill -9` look the same) it stops the server.
Started by `app.embedded.mongod` with the folder, the binary and the descriptor of `keeper.lock`.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.embedded.binary import explain, explain_disk, tail
from app.embedded.folder import DatabaseFolder, State, opened, try_lock

TICK_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 1.0
READY_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30.0
RESTARTS: Final = 5
RESTART_WINDOW_SECONDS: Final = 60.0
LOG_BYTES: Final = 8 * 2**20
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
SIGNALS: Final = (signal.SIGTERM, signal.SIGCHLD)

ARGUMENTS: Final = (
    "--bind_ip=127.0.0.1",
    "--nounixsocket",
    "--replSet=rs0",
    "--oplogSize=512",
    "--wiredTigerCacheSizeGB=0.25",
    "--noscripting",
    "--logappend",
    "--logRotate=reopen",
    "--setParameter=diagnosticDataCollectionEnabled=false",  # would take 200 MB of disk
    "--setParameter=ttlMonitorSleepSecs=5",
    "--setParameter=shutdownTimeoutMillisForSignaledShutdown=100",  # nobody to hand over to
)


class ServerFailed(Exception):
    """The server does not start; the message says why in one line."""


class Keeper:
    """Runs one server; needs the main thread of a process without other threads."""

    def __init__(self, folder: DatabaseFolder, binary: Path) -> None:
        self.folder = folder
        self.binary = binary
        self.port = 0
        self.server: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.endings: deque[float] = deque(maxlen=RESTARTS + 1)

    def start(self) -> None:
        """Start the server on the port it last had, or on another if that is taken.

        Raises:
            ServerFailed: It ended at once or does not listen.
        """
        self.end_orphan()
        self.port = free_port(self.folder.read_state().port)
        self.launch()

    def keep(self) -> None:
        """Hold the server up until the last user leaves or SIGTERM comes, then stop it.

        Raises:
            ServerFailed: It ended too often.
        """
        with opened(self.folder.users_lock) as users:
            while not self.stopping and not try_lock(users, exclusive=True):
                self.wait(TICK_SECONDS)
                if self.server is None or self.server.poll() is not None:
                    self.launch_again()
                self.bound_log()
            self.stop()
            self.folder.write_state(State(self.port))  # before the next user gets the lock

    def launch(self) -> None:
        """Start the server on `port` and wait until it listens."""
        command = (
            self.binary,
            f"--dbpath={self.folder.data}",
            f"--port={self.port}",
            f"--keyFile={self.folder.key_file}",
            f"--logpath={self.folder.log}",
            *ARGUMENTS,
        )
        with self.folder.output.open("wb") as output:
            self.server = subprocess.Popen(  # noqa: S603 - the binary of a pinned package
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has no threads
            )
        deadline = time.monotonic() + READY_SECONDS
        while not listening(self.port):
            returncode = self.server.poll()
            if returncode is not None:
                raise ServerFailed(
                    explain(returncode, tail(self.folder.output) + tail(self.folder.log))
                )
            if self.stopping or time.monotonic() > deadline:
                self.stop()
                raise ServerFailed(f"mongod did not listen within {READY_SECONDS:.0f} s")
            self.wait(TICK_SECONDS / 10)
        self.folder.write_state(State(self.port, os.getpid(), self.server.pid))

    def launch_again(self) -> None:
        """Replace a server that ended by itself, on the same port: clients know that one."""
        now = time.monotonic()
        self.endings.append(now)
        if len(self.endings) > RESTARTS and now - self.endings[0] < RESTART_WINDOW_SECONDS:
            returncode = (self.server.poll() if self.server else None) or 0
            why = explain(returncode, tail(self.folder.output) + tail(self.folder.log))
            raise ServerFailed(f"the embedded database ended {len(self.endings)} times: {why}")
        try:
            self.launch()
        except ServerFailed:
            self.wait(RETRY_SECONDS, (signal.SIGTERM,))  # a full disk or a taken port may pass

    def stop(self) -> None:
        """End the server cleanly; by force if it does not end in time."""
        if self.server is None:
            return
        self.server.terminate()
        try:
            self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()

    def end_orphan(self) -> None:
        """End a server that an ended keeper left in this folder, known by the lock it holds."""
        self.folder.server_lock.touch(mode=0o600)
        deadline = time.monotonic() + STOP_SECONDS
        with opened(self.folder.server_lock) as lock:
            while not try_lock(lock, exclusive=True):
                pid = int(self.folder.server_lock.read_text("ascii").strip() or 0)
                if pid and Path(f"/proc/{pid}/exe").resolve() == self.binary:
                    late = time.monotonic() > deadline
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                elif time.monotonic() > deadline:
                    raise ServerFailed(f"another program holds {self.folder.server_lock}")
                self.wait(TICK_SECONDS)

    def bound_log(self) -> None:
        """Keep one old log and one of bounded size."""
        log = self.folder.log
        if self.server is not None and log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
            self.server.send_signal(signal.SIGUSR1)

    def wait(self, seconds: float, signals: tuple[signal.Signals, ...] = SIGNALS) -> None:
        """Wait for a time, the end of the server, or a request to stop."""
        received = signal.sigtimedwait(signals, seconds)
        if received is not None and received.si_signo == signal.SIGTERM:
            self.stopping = True


def die_with_parent() -> Callable[[], None]:
    """What the server does first: it asks to end when its keeper does, however that ends."""
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    parent = os.getpid()

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return prepare


def free_port(preferred: int | None) -> int:
    """The preferred port if nothing listens on it, else any other."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerFailed("no free port on 127.0.0.1")


def listening(port: int) -> bool:
    """Say whether something accepts connections on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def report(answer: dict[str, object]) -> None:
    """Answer to whoever started this process, and let go of its pipe."""
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())


def main() -> None:
    """Detach, start, report on standard output as one JSON object, keep."""
    folder = DatabaseFolder(Path(sys.argv[1]))
    if os.fork():
        os._exit(0)
    os.setsid()  # Ctrl-C in the user's terminal is for the user, who then says when to stop
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    keeper = Keeper(folder, Path(sys.argv[2]))
    try:
        keeper.start()
        report({"port": keeper.port})
        keeper.keep()
    except (ServerFailed, OSError) as error:
        failure = explain_disk(error) if isinstance(error, OSError) else str(error)
        with contextlib.suppress(OSError):  # the disk may be full
            folder.write_state(State(keeper.port or None, failure=failure))
        report({"failure": failure})


if __name__ == "__main__":
    main()
