"""The embedded database: real processes that start, share, leave, crash and are killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from app.embedded.binary import explain, locate
from app.embedded.folder import DatabaseFolder
from app.embedded.mongod import EmbeddedDatabase
from fhir.errors import Unavailable

ROOT = Path(__file__).parents[2]
GONE_SECONDS = 60


class User:
    """A process of `tests.embedded.user`."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.user", data_dir],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def order(self, *ids: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{each}\n" for each in ids))
        self.process.stdin.flush()

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture
def start_user(tmp_path: Path) -> Iterator[Callable[[], User]]:
    """Starts processes that use the database in `tmp_path`."""
    users: list[User] = []

    def start() -> User:
        users.append(User(tmp_path))
        return users[-1]

    yield start
    for user in users:
        user.process.kill()
        user.process.communicate()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[EmbeddedDatabase]:
    async with EmbeddedDatabase(tmp_path) as running:
        yield running


def processes(data_dir: Path) -> tuple[psutil.Process, psutil.Process]:
    """The keeper and the server that run now."""
    state = DatabaseFolder(data_dir / "database").read_state()
    assert state.keeper is not None
    assert state.mongod is not None
    return psutil.Process(state.keeper), psutil.Process(state.mongod)


async def gone(running: Sequence[psutil.Process]) -> bool:
    """Wait for processes that are not ours to end; say whether all did."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, running, GONE_SECONDS)
    return not alive


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process makes true; the test's time limit ends it."""
    while not condition():  # noqa: ASYNC110 - no event crosses the processes
        await asyncio.sleep(0.02)


async def written(url: str) -> set[str]:
    async with AsyncMongoClient[dict[str, str]](url) as client:
        return {document["_id"] async for document in client.kept.writes.find()}


async def write(url: str, name: str) -> None:
    async with AsyncMongoClient[dict[str, str]](url) as client:
        await client.kept.writes.insert_one({"_id": name})


async def test_a_stop_ends_every_process_and_a_start_finds_data_and_port_again(
    tmp_path: Path,
) -> None:
    async with EmbeddedDatabase(tmp_path) as first:
        first_url = first.url
        await write(first_url, "a")
        running = processes(tmp_path)

    assert await gone(running)
    async with EmbeddedDatabase(tmp_path) as second:
        assert second.url == first_url
        assert await written(second.url) == {"a"}


async def test_it_is_a_replica_set_that_streams_changes_and_takes_transactions(
    database: EmbeddedDatabase,
) -> None:
    async with AsyncMongoClient[dict[str, Any]](database.url) as client:
        async with await client.kept.writes.watch() as changes, client.start_session() as session:
            async with await session.start_transaction():
                await client.kept.writes.insert_one({"_id": "a"}, session=session)
            change = await changes.next()
        hello = await client.admin.command("hello")

    assert change["documentKey"] == {"_id": "a"}
    assert hello["setName"] == "rs0"


async def test_without_the_password_nothing_is_read(database: EmbeddedDatabase) -> None:
    port = urlsplit(database.url).port
    async with AsyncMongoClient[dict[str, str]](f"mongodb://127.0.0.1:{port}") as stranger:
        with pytest.raises(OperationFailure, match="requires authentication"):
            await stranger.kept.writes.find_one()


async def test_it_listens_on_loopback_alone_and_its_secrets_are_private(
    database: EmbeddedDatabase, tmp_path: Path
) -> None:
    _, server = processes(tmp_path)
    folder = DatabaseFolder(tmp_path / "database")

    listening = {
        tuple(each.laddr) for each in server.net_connections("all") if each.status == "LISTEN"
    }
    assert listening == {("127.0.0.1", urlsplit(database.url).port)}
    assert {oct(path.stat().st_mode) for path in (folder.password_file, folder.key_file)} == {
        "0o100600"
    }
    assert oct(folder.path.stat().st_mode) == "0o40700"


async def test_a_killed_server_comes_back_under_the_same_url_with_all_acknowledged_writes(
    database: EmbeddedDatabase, tmp_path: Path
) -> None:
    async with AsyncMongoClient[dict[str, str]](database.url) as client:
        names = [f"{number:03}" for number in range(300)]
        for name in names:
            await client.kept.writes.insert_one({"_id": name})
        _, server = processes(tmp_path)
        server.kill()
        await client.kept.writes.insert_one({"_id": "after"})

        assert {each["_id"] async for each in client.kept.writes.find()} == {*names, "after"}
    assert processes(tmp_path)[1] != server
    assert database.failure is None


async def test_a_killed_keeper_is_replaced_under_the_same_url(
    database: EmbeddedDatabase, tmp_path: Path
) -> None:
    async with AsyncMongoClient[dict[str, str]](database.url) as client:
        await client.kept.writes.insert_one({"_id": "before"})
        keeper, server = processes(tmp_path)
        keeper.kill()
        assert await gone((keeper, server))
        await client.kept.writes.insert_one({"_id": "after"})

        assert {each["_id"] async for each in client.kept.writes.find()} == {"before", "after"}
    assert database.failure is None


async def test_a_server_that_ends_again_and_again_is_given_up_with_its_reason(
    database: EmbeddedDatabase, tmp_path: Path
) -> None:
    folder = DatabaseFolder(tmp_path / "database")
    killed: set[int] = set()

    def kill_the_next() -> bool:
        server = folder.read_state().mongod
        if server is not None and server not in killed:
            os.kill(server, signal.SIGKILL)
            killed.add(server)
        return database.failure is not None

    await until(kill_the_next)
    assert database.failure == "the embedded database ended 6 times: mongod ended with signal 9"
    assert len(killed) == 6


async def test_a_second_process_attaches_and_the_last_one_out_stops_the_server(
    tmp_path: Path, start_user: Callable[[], User]
) -> None:
    first, second = start_user(), start_user()
    first_url, second_url = first.answer(), second.answer()
    running = processes(tmp_path)

    assert first_url == second_url
    first.leave()
    second.order("a")
    assert second.answer() == "a"
    assert processes(tmp_path) == running
    second.leave()
    assert await gone(running)


async def test_processes_that_start_at_once_share_one_server(
    tmp_path: Path, start_user: Callable[[], User]
) -> None:
    users = [start_user() for _ in range(4)]
    urls = {user.answer() for user in users}

    assert len(urls) == 1
    assert urls.pop().startswith("mongodb://radiograph:")
    (tmp_path / "elsewhere").mkdir()
    async with EmbeddedDatabase(tmp_path / "elsewhere") as other:
        assert processes(tmp_path / "elsewhere") != processes(tmp_path)
        assert await written(other.url) == set()


async def test_a_killed_user_leaves_no_process_and_loses_no_acknowledged_write(
    tmp_path: Path, start_user: Callable[[], User]
) -> None:
    user = start_user()
    user.answer()
    running = processes(tmp_path)
    user.order(*(f"{number:04}" for number in range(2000)))
    acknowledged = {user.answer() for _ in range(200)}
    user.process.kill()

    assert await gone(running)
    async with EmbeddedDatabase(tmp_path) as database:
        assert acknowledged <= await written(database.url)


async def test_when_user_keeper_and_server_are_killed_no_acknowledged_write_is_lost(
    tmp_path: Path, start_user: Callable[[], User]
) -> None:
    user = start_user()
    user.answer()
    keeper, server = processes(tmp_path)
    user.order(*(f"{number:04}" for number in range(2000)))
    acknowledged = {user.answer() for _ in range(200)}
    for process in (keeper, server, user.process):
        process.kill()

    async with EmbeddedDatabase(tmp_path) as database:
        assert acknowledged <= await written(database.url)


async def test_the_death_of_one_user_is_nothing_to_another(
    tmp_path: Path, start_user: Callable[[], User]
) -> None:
    user = start_user()
    user.answer()
    running = processes(tmp_path)
    async with EmbeddedDatabase(tmp_path) as database:
        user.process.kill()
        user.process.wait()
        await write(database.url, "a")
        assert processes(tmp_path) == running


async def test_an_orphaned_server_is_ended_before_another_starts(tmp_path: Path) -> None:
    async with EmbeddedDatabase(tmp_path) as database:
        await write(database.url, "a")
    folder = DatabaseFolder(tmp_path / "database")
    binary = locate()
    assert binary is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    orphan = subprocess.Popen(  # noqa: ASYNC220 - starts at once
        [binary, f"--dbpath={folder.data}", f"--port={port}", "--bind_ip=127.0.0.1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert orphan.stdout is not None
    assert any("Waiting for connections" in line for line in orphan.stdout)

    async with EmbeddedDatabase(tmp_path) as database:
        orphan.communicate()
        assert orphan.returncode == 0
        assert await written(database.url) == {"a"}


async def test_a_port_taken_between_two_runs_is_replaced(tmp_path: Path) -> None:
    async with EmbeddedDatabase(tmp_path) as database:
        await write(database.url, "a")
        port = urlsplit(database.url).port
    other_program = await asyncio.start_server(
        lambda _, writer: writer.close(), host="127.0.0.1", port=port
    )
    async with other_program, EmbeddedDatabase(tmp_path) as database:
        assert urlsplit(database.url).port != port
        assert await written(database.url) == {"a"}
        await write(database.url, "b")


async def test_a_lost_password_is_said_in_one_line(tmp_path: Path) -> None:
    async with EmbeddedDatabase(tmp_path):
        running = processes(tmp_path)
    DatabaseFolder(tmp_path / "database").password_file.unlink()

    with pytest.raises(Unavailable, match=r"^the password file does not fit [^\n]+$"):
        await EmbeddedDatabase(tmp_path).start()
    assert await gone(running)


async def test_damaged_files_are_said_in_one_line(tmp_path: Path) -> None:
    async with EmbeddedDatabase(tmp_path):
        pass
    (tmp_path / "database" / "data" / "WiredTiger.turtle").write_bytes(b"nothing")
    (tmp_path / "database" / "data" / "WiredTiger.wt").write_bytes(b"nothing")

    with pytest.raises(Unavailable, match=r"^the embedded database does not start: mongod [^\n]+$"):
        await EmbeddedDatabase(tmp_path).start()


async def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        Unavailable, match=r"^the embedded database does not start: .+: Not a directory$"
    ):
        await EmbeddedDatabase(tmp_path / "file").start()


async def test_a_log_past_its_bound_makes_room(database: EmbeddedDatabase, tmp_path: Path) -> None:
    log = DatabaseFolder(tmp_path / "database").log
    os.truncate(log, 9 * 2**20)
    await until(lambda: log.exists() and log.stat().st_size < 2**20)

    assert log.with_name("mongod.log.1").stat().st_size >= 9 * 2**20
    assert await written(database.url) == set()


@pytest.mark.parametrize(
    ("returncode", "output", "reason"),
    [
        (
            127,
            "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared "
            "object file: No such file or directory",
            "mongod needs libcurl.so.4: apt-get install libcurl4",
        ),
        (
            127,
            "mongod: error while loading shared libraries: libcrypto.so.3: cannot open …",
            "mongod needs libcrypto.so.3: apt-get install libssl3",
        ),
        (
            -signal.SIGILL,
            "",
            "this processor has no AVX instructions, which MongoDB needs",
        ),
        (48, "", "the port of the embedded database was taken by another program"),
        (
            -signal.SIGABRT,
            '{"s":"E","msg":"WiredTiger error","attr":{"error":"No space left on device"}}',
            "the disk that holds the database is full: free some space and start again",
        ),
        (
            100,
            '{"s":"E","msg":"DBException in initAndListen, terminating",'
            '"attr":{"error":"DBPathInUse: held"}}\n{"s":"I","msg":"Now exiting"}',
            "mongod ended with exit code 100: DBException in initAndListen, terminating "
            "DBPathInUse: held",
        ),
        (14, "not JSON", "mongod ended with exit code 14"),
    ],
)
def test_the_end_of_a_server_is_explained_in_one_line(
    returncode: int, output: str, reason: str
) -> None:
    assert explain(returncode, output) == reason
