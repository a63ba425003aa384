"""Prints how fast `python -m app listen` stores, finds and gives out CT slices of 512 by 512.

Run as `python -m tests.bench.dimse [COUNT]`; the listener is a process of its own, and what is
measured besides the rate is its CPU time. The other side is pynetdicom, and dcmtk's `storescu`
where it is installed.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import psutil
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, _config, build_context, build_role, evt

from tests.build import study
from tests.command import Installation, write
from tests.dimse.peers import FIND, GET, MOVE, connected, content, dataset
from tests.servers import free_ports

COUNT = 300
STUDY = "1.2.826.0.1.3680043.10.1"


def slices(count: int) -> Iterator[bytes]:
    pixels = np.random.default_rng(1).integers(0, 4096, (512, 512), dtype=np.uint16)
    return iter(study(1, count, StudyInstanceUID=STUDY, pixels=pixels))


@contextmanager
def measured(words: str, count: int, process: psutil.Process) -> Iterator[None]:
    """Print what something costs."""
    before, begun = process.cpu_times(), perf_counter()
    yield
    seconds, after = perf_counter() - begun, process.cpu_times()
    used = after.user + after.system - before.user - before.system
    print(
        f"{words:<34} {count / seconds:6.0f} /s, {seconds / count * 1e3:6.2f} ms,"
        f" {used / count * 1e3:5.2f} ms CPU"
    )


def store(port: int, paths: list[Path], process: psutil.Process) -> None:
    half = len(paths) // 2 if shutil.which("storescu") else len(paths)
    with (
        connected(port, "CT", [build_context(CTImageStorage)]) as peer,
        measured("C-STORE, pynetdicom", half, process),
    ):
        for path in paths[:half]:
            assert peer.send_c_store(path).Status == 0


async def storescu(port: int, paths: list[Path], process: psutil.Process) -> None:
    command = ["storescu", "-aet", "CT", "-aec", "RADIOGRAPH", "127.0.0.1", str(port)]
    with measured("C-STORE, storescu", len(paths), process):
        ran = await asyncio.create_subprocess_exec(*command, *map(str, paths))
        assert await ran.wait() == 0


def find(port: int, process: psutil.Process) -> None:
    with connected(port, "READER", [build_context(FIND)]) as peer:
        query = dataset(QueryRetrieveLevel="STUDY", PatientName="Doe*", StudyInstanceUID="")
        with measured("C-FIND, one study", 100, process):
            for _ in range(100):
                assert len(list(peer.send_c_find(query, FIND))) == 2
        query = dataset(
            QueryRetrieveLevel="IMAGE",
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=f"{STUDY}.1",
            SOPInstanceUID="",
            InstanceNumber="",
        )
        begun = perf_counter()
        count = len(list(peer.send_c_find(query, FIND))) - 1
        print(f"C-FIND, {count} instances: {(perf_counter() - begun) * 1e3:.0f} ms")


def retrieve(port: int, count: int, own: int, process: psutil.Process) -> None:
    got = []

    def keep(event: evt.Event) -> int:
        got.append(len(content(event)))
        return 0

    wanted = dataset(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, keep)]
    contexts = [build_context(GET), build_context(CTImageStorage)]
    roles = [build_role(CTImageStorage, scp_role=True)]
    with (
        connected(port, "READER", contexts, ext_neg=roles, handlers=handlers) as peer,
        measured("C-GET", count, process),
    ):
        completed(peer.send_c_get(wanted, GET), count)
    receiver = AE("DEST")
    receiver.add_supported_context(CTImageStorage)
    receiver.maximum_pdu_size = 2**17
    server = receiver.start_server(("127.0.0.1", own), block=False, evt_handlers=handlers)
    assert server is not None
    with (
        connected(port, "READER", [build_context(MOVE)]) as peer,
        measured("C-MOVE", count, process),
    ):
        completed(peer.send_c_move(wanted, "DEST", MOVE), count)
    server.shutdown()
    assert len(got) == 2 * count


def completed(answers: Iterator[tuple[Dataset, Dataset | None]], count: int) -> None:
    *_, (last, _) = answers
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, count), last


async def main() -> None:
    _config.LOG_HANDLER_LEVEL = "none"
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with TemporaryDirectory() as folder:
        paths = write(Path(folder) / "ct", slices(count))
        own, port = free_ports(2)
        settings = {
            "dimse_callers": json.dumps(
                {"CT": {"roles": ["technologist"]}, "READER": {"roles": ["radiologist"]}}
            ),
            "dimse_destinations": json.dumps({"DEST": {"host": "127.0.0.1", "port": own}}),
        }
        process = await Installation(Path(folder) / "data", settings).start(
            "listen", "--port", str(port), stderr=asyncio.subprocess.DEVNULL
        )
        assert process.stdout is not None
        print((await process.stdout.readline()).decode().strip())
        listener = psutil.Process(process.pid)
        half = count // 2
        steps: list[Callable[[], None]] = [
            lambda: store(port, paths, listener),
            lambda: find(port, listener),
            lambda: retrieve(port, count, own, listener),
        ]
        await asyncio.to_thread(steps[0])
        if shutil.which("storescu"):
            await storescu(port, paths[half:], listener)
        for step in steps[1:]:
            await asyncio.to_thread(step)
        print(f"memory {listener.memory_info().rss / 2**20:.0f} MB")
        process.terminate()
        print(f"ended with {await process.wait()}")


if __name__ == "__main__":
    asyncio.run(main())
