"""A real, private MongoDB for one machine: shared by processes, gone when the last one is."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from app.embedded.binary import available, explain_disk, locate
from app.embedded.folder import DatabaseFolder, State, opened, try_lock
from app.embedded.replica_set import USER, ensure
from fhir.errors import Unavailable

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05
WATCH_SECONDS: Final = 0.5
REVIVALS: Final = 3
SOURCE_TREE: Final = Path(__file__).resolve().parents[2]

log = structlog.get_logger(__name__)


class EmbeddedDatabase:
    """One process's use of the mongod in `data_dir`/database.

    Whoever comes first starts a keeper (`app.embedded.keeper`), which runs the server; others
    attach. All are equal: the server stays until the last one has left or died. If the server
    dies the keeper replaces it, if the keeper dies a user does, always on the same port, so that
    a URL handed out stays valid. Acknowledged majority writes survive either.

    Attributes:
        failure: Why there is no server any more, in one line; None while there is one.
    """

    def __init__(self, data_dir: Path) -> None:
        self.failure: str | None = None
        self._folder = DatabaseFolder((data_dir / "database").resolve())
        self._users: int | None = None
        self._port = 0
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """A connection URL with user and password: a secret. Valid once started."""
        return (
            f"mongodb://{USER}:{self._folder.password()}@127.0.0.1:{self._port}"
            "/?replicaSet=rs0&authSource=admin&w=majority&journal=true"
        )

    async def start(self) -> str:
        """Start the server or attach to the running one; return its `url` when it takes writes.

        Raises:
            Unavailable: It cannot run here or does not start; one line says why.
        """
        if why := await asyncio.to_thread(available):
            raise Unavailable(why)
        try:
            await asyncio.to_thread(self._folder.prepare)
            self._users = os.open(self._folder.users_lock, os.O_RDWR)
            async with asyncio.timeout(START_SECONDS):
                await self._until(self._joined)
                self._port = await self._usable()
        except BaseException as error:
            await self._leave()
            if isinstance(error, TimeoutError):
                message = f"the embedded database did not start in time; see {self._folder.log}"
                raise Unavailable(message) from error
            if isinstance(error, OSError):
                message = f"the embedded database does not start: {explain_disk(error)}"
                raise Unavailable(message) from error
            raise
        self._watcher = asyncio.create_task(self._watch())
        return self.url

    async def stop(self) -> None:
        """Leave; if nobody else uses the server, stop it cleanly and wait until it has ended."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        await self._leave()

    async def _leave(self) -> None:
        if self._users is None:
            return
        users, self._users = self._users, None
        try:
            # Held exclusively: nobody else is there, and who comes now waits until it is closed.
            if try_lock(users, exclusive=True):
                state = self._folder.read_state()
                if self._kept() and state.keeper is not None:
                    os.kill(state.keeper, signal.SIGTERM)
                    async with asyncio.timeout(STOP_SECONDS):
                        await self._until(lambda: not self._kept())
        finally:
            os.close(users)

    async def _running(self) -> int:
        """The port of a kept server, after starting a keeper if there is none."""
        while True:
            if not self._kept():
                await asyncio.to_thread(self._start_keeper)
            state = self._folder.read_state()
            if state.port and state.keeper and alive(state.keeper) and self._kept():
                return state.port
            await asyncio.sleep(POLL_SECONDS)

    async def _usable(self) -> int:
        """The port of a kept server that takes writes.

        Raises:
            Unavailable: It refuses, or its keeper gives up.
        """
        while True:
            port = await self._running()
            ensuring = asyncio.create_task(ensure(port, self._folder.password()))
            try:
                while self._kept():
                    await asyncio.wait((ensuring,), timeout=WATCH_SECONDS)
                    if ensuring.done():
                        await ensuring
                        return port
            finally:
                ensuring.cancel()
                await asyncio.gather(ensuring, return_exceptions=True)
            if failure := self._folder.read_state().failure:
                raise Unavailable(f"the embedded database does not start: {failure}")

    def _start_keeper(self) -> None:
        """Start a keeper unless another process is faster; wait until its server listens.

        Raises:
            Unavailable: It does not start.
        """
        binary = locate()
        with opened(self._folder.keeper_lock) as lock:
            if binary is None or not try_lock(lock, exclusive=True):
                return
            self._folder.make_secrets()
            self._folder.write_state(State(self._folder.read_state().port))
            arguments = ("-m", "app.embedded.keeper", self._folder.path, binary)
            run = subprocess.run(  # noqa: S603 - this program itself
                [sys.executable, *arguments],
                cwd=SOURCE_TREE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),  # the keeper holds the lock from here on
                check=False,
            )
        try:
            answer = json.loads(run.stdout)
        except ValueError:
            lines = run.stdout.decode("utf-8", "replace").strip().splitlines()
            answer = {"failure": lines[-1] if lines else "its keeper ended at once"}
        if "failure" in answer:
            message = f"the embedded database does not start: {answer['failure']}"
            raise Unavailable(message)

    async def _watch(self) -> None:
        """Replace a keeper that ended; give up for good when the keeper did, or after a few."""
        revivals = 0
        while self.failure is None:
            await asyncio.sleep(WATCH_SECONDS)
            if self._kept():
                continue
            self.failure = self._folder.read_state().failure
            if self.failure is None and revivals == REVIVALS:
                self.failure = "the embedded database ends again and again"
            if self.failure is None:
                revivals += 1
                log.warning("embedded database restarts", revivals=revivals)
                self.failure = await self._revive()
        log.error("embedded database lost", reason=self.failure)

    async def _revive(self) -> str | None:
        """Start a keeper on the same port; say in one line why that failed."""
        try:
            async with asyncio.timeout(START_SECONDS):
                port = await self._running()
        except TimeoutError:
            return "the embedded database did not start again in time"
        except Unavailable as error:
            return error.message
        except OSError as error:
            return explain_disk(error)
        if port != self._port:
            return "the port of the embedded database was taken by another program"
        return None

    def _joined(self) -> bool:
        return self._users is not None and try_lock(self._users, exclusive=False)

    def _kept(self) -> bool:
        """Say whether a keeper lives: only then its lock is taken."""
        with opened(self._folder.keeper_lock) as lock:
            return not try_lock(lock, exclusive=True)

    @staticmethod
    async def _until(condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(POLL_SECONDS)


def alive(pid: int) -> bool:
    """Say whether a process with this id exists."""
    return Path(f"/proc/{pid}").exists()
