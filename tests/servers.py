"""Real servers for tests: on free ports, in a folder of their own, ended by handle."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PR_SET_PDEATHSIG = 1
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server with one bucket."""

    endpoint: str
    bucket: str = "radiograph"
    region: str = "us-east-1"
    access_key: str = "tests"
    secret_key: str = "not a secret"

    def client(self) -> Any:
        """A blocking client, for looking at the server past our own code."""
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS with its S3 door and one bucket."""
    s3, master, volume, filer, admin = free_ports(5)
    server = S3Server(f"http://127.0.0.1:{s3}")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    command = (
        Path(sysconfig.get_path("scripts")) / "weed",
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={s3}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        f"-admin.port={admin}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.autoCreateBucket=false",
        f"-s3.config={folder / 's3.json'}",
    )
    with running(command, folder) as process:
        await_answer(lambda: make_bucket(server), process, folder)
        yield server


def make_bucket(server: S3Server) -> bool:
    """Make the server's bucket and store through it once; say whether that went well."""
    client = server.client()
    try:
        client.create_bucket(Bucket=server.bucket)
        client.put_object(Bucket=server.bucket, Key="first", Body=b"0")
        client.delete_object(Bucket=server.bucket, Key="first")
    except client.exceptions.BucketAlreadyOwnedByYou:
        return True
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


@contextmanager
def running(command: tuple[str | Path, ...], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A child process that ends with the block, or with these tests if they are killed."""
    prctl = ctypes.CDLL(None).prctl
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(folder)},
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one C call
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def await_answer(
    answers: Callable[[], bool], process: "subprocess.Popen[bytes]", folder: Path
) -> None:
    """Wait until a server answers; fail with what it printed if it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((folder / "output").read_text(errors="replace")[-2000:])
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that are free together with those 10,000 above, which SeaweedFS takes for gRPC.

    They lie below the range from which the system picks ports for outgoing connections.
    """
    with ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randrange(10_000, 22_000)
            try:
                for number in (port, port + 10_000):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            ports.append(port)
        return ports
