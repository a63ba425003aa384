"""Several processes that serve one address: one more accepts, and deals them connections in turn.

A socket that all of them wait at would give connections to whoever wakes first, and so most of a
busy client's to one of them. Who deals replaces a process that ended, and ends the others when it
is told to stop; they stop by themselves when it is gone.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from app.serving import CONNECTION, READY
from app.settings import Settings

SOURCE_TREE: Final = Path(__file__).resolve().parents[1]
BACKLOG: Final = 2048
STOP_SECONDS: Final = 20.0  # a worker lets requests end for half of that
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 0.05

log = structlog.get_logger(__name__)


class Worker:
    """One process that is dealt connections."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.process = process
        self._channel = channel

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> "Worker":
        """Start a process: `python -m app` with these arguments and `--channel`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app",
                *arguments,
                "--channel",
                str(theirs.fileno()),
                cwd=SOURCE_TREE,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for whoever deals, who then says when to stop
            )
        return cls(process, ours)

    async def ready(self) -> bool:
        """Wait until it takes connections; False if it ends instead."""
        with contextlib.suppress(OSError):
            return await asyncio.get_running_loop().sock_recv(self._channel, 1) == READY
        return False

    def deal(self, connection: socket.socket) -> bool:
        """Give it a connection; False if it takes none now."""
        try:
            socket.send_fds(self._channel, [CONNECTION], [connection.fileno()])
        except OSError:  # it has ended, or has too many waiting
            return False
        return True

    async def stop(self) -> None:
        """Let it end its requests, and end it by force if that takes too long."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def close(self) -> None:
        """Let go of its channel."""
        self._channel.close()


class Workers:
    """Starts the processes, deals, replaces, stops."""

    def __init__(self, settings: Settings, command: str) -> None:
        """Set what is started.

        Args:
            settings: Say where to listen, and how many processes serve.
            command: Of `python -m app`, for each.
        """
        self._settings = settings
        self._arguments = (command, "--port", str(settings.port))
        self._serving: list[Worker] = []
        self._some = asyncio.Event()
        self._turn = 0

    async def run(self, begun: Callable[[], None]) -> int:
        """Serve until SIGTERM or SIGINT.

        Args:
            begun: Called once connections are accepted.

        Returns:
            Exit code: 0, or that of the first process if it could not begin.
        """
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        stopping = asyncio.create_task(stopped.wait())
        # One alone first: what is wrong with the settings is said once.
        first = asyncio.create_task(self._keep())
        some = asyncio.create_task(self._some.wait())
        tasks: list[asyncio.Task[Any]] = [stopping, first, some]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                return first.result()
            tasks += [asyncio.create_task(self._keep()) for _ in range(1, self._settings.workers)]
            with self._listening() as listener:
                tasks.append(asyncio.create_task(self._deal(listener)))
                begun()
                await stopped.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return 0

    def _listening(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listener.setblocking(False)
        return listener

    async def _keep(self) -> int:
        """Have one process, and another after it; end only if nothing has begun yet."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            worker = await Worker.start(self._arguments)
            try:
                began = await worker.ready()
                if began:
                    self._serving.append(worker)
                    self._some.set()
                code = await worker.process.wait()
            finally:
                self._forget(worker)
                await worker.stop()
            log.warning("worker ended", pid=worker.process.pid, code=code, began=began)
            if began:
                pause = FIRST_PAUSE_SECONDS
                continue
            if not self._some.is_set():
                return code or 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _forget(self, worker: Worker) -> None:
        worker.close()
        if worker in self._serving:
            self._serving.remove(worker)

    async def _deal(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # such as too many open files: it waits where it is
                log.warning("connection not accepted", error=error.strerror)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            with connection:
                while not self._dealt(connection):  # noqa: ASYNC110 - other processes make it true
                    await asyncio.sleep(RETRY_SECONDS)

    def _dealt(self, connection: socket.socket) -> bool:
        """Give a connection to whoever's turn it is; False if nobody takes it now."""
        for _ in range(len(self._serving)):
            self._turn = (self._turn + 1) % len(self._serving)
            if self._serving[self._turn].deal(connection):
                return True
        return False
