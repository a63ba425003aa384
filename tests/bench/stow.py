"""Prints how fast CT slices of 512 by 512 are stored through STOW-RS, and what that costs.

Run as `python -m tests.bench.stow`: it starts the service with a database and storage of its own,
once for each setting. `--url` and `--token` name one that runs; `--pid` its processes. CPU time is
of the service and its workers; that of the embedded database is told apart. `--large` sends one
object of 1 GiB instead.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from statistics import quantiles
from struct import unpack
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from urllib.parse import urlsplit

from app.identity.development import DevelopmentIssuer
from tests.bench.header_parse import ct_elements
from tests.bench.large_ingest import write_large
from tests.build import multipart, uid
from tests.command import ROOT, Installation
from tests.imaging.raw import PIXELS, element, meta
from tests.servers import free_ports

PER_STUDY = 100
CT = b"1.2.840.10008.5.1.4.1.1.2\0"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Service:
    """A service to store into.

    Attributes:
        url: Of its DICOMweb door.
        pids: Of its processes, whose children count too.
        database: Of its database server, if it is our own.
    """

    url: str
    token: str
    pids: Sequence[int]
    database: int | None


def padded(text: str) -> bytes:
    """Give a UID as it is written."""
    return text.encode() + b"\0" * (len(text) % 2)


def slices(count: int) -> Iterator[bytes]:
    """Write slices, `PER_STUDY` to a study and a patient."""
    common, pixels = ct_elements(), os.urandom(512 * 512 * 2)
    study = ""
    for number in range(count):
        if number % PER_STUDY == 0:
            study = uid()
        instance = padded(f"{study}.{number}")
        own = [
            element(0x00080016, "UI", CT),
            element(0x00080018, "UI", instance),
            element(0x00100020, "LO", study[-16:].encode()),
            element(0x0020000D, "UI", padded(study)),
            element(0x0020000E, "UI", padded(f"{study}.1")),
            element(0x00200013, "IS", f"{number % PER_STUDY:04}".encode()),
        ]
        known = {one[:4]: one for one in (*common, *own)}
        ordered = sorted(known.values(), key=lambda one: unpack("<HH", one[:4]))
        yield meta(instance=instance) + b"".join(ordered) + element(PIXELS, "OW", pixels)


def bodies(count: int, batch: int) -> list[tuple[bytes, str]]:
    """Write the bodies of all requests."""
    objects = list(slices(count))
    return [multipart(objects[start : start + batch]) for start in range(0, count, batch)]


def send(service: Service, requests: Sequence[tuple[bytes, str]], connections: int) -> list[float]:
    """Send requests over some connections at once; give the seconds each one took."""
    waiting, taken, lock = iter(requests), [], Lock()
    url = urlsplit(service.url)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection

    def work() -> None:
        connection = kind(url.hostname or "", url.port, timeout=600)
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            body, content_type = request
            headers = {"Authorization": f"Bearer {service.token}", "Content-Type": content_type}
            begun = time.perf_counter()
            connection.request("POST", f"{url.path}/studies", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, said
            taken.append(time.perf_counter() - begun)

    threads = [Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(requests), "a connection broke"
    return taken


def family(pids: Iterable[int]) -> set[int]:
    """Give processes with all their descendants."""
    found = set(pids)
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Give the CPU time that processes have used so far."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_mb(pids: Iterable[int]) -> float:
    """Give the peak resident memory of the largest of some processes."""
    peaks = [0.0]
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return max(peaks)


@contextmanager
def started(workers: int) -> Iterator[Service]:
    """Start a service of our own."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_ports(1)[0]
        settings = {"development_issuer": "true", "port": str(port), "workers": str(workers)}
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"],
            cwd=ROOT,
            env=Installation(folder, settings).environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port, process)
            token = DevelopmentIssuer(folder).token("technologist")
            url = f"http://127.0.0.1:{port}/dicomweb"
            yield Service(url, token, [process.pid], mongod_in(folder))
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the service answers."""
    while process.poll() is None:
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the service did not start")


def mongod_in(folder: Path) -> int | None:
    """Give the process of the database in a data folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            said = path.read_bytes().split(b"\0")
            if said[0].endswith(b"mongod") and any(os.fsencode(folder) in one for one in said):
                return int(path.parent.name)
    return None


def measure(service: Service, instances: int, batch: int, connections: int) -> None:
    """Store new instances and print a line about it."""
    requests = bodies(instances, batch)
    processes = family(service.pids)
    database = [service.database] if service.database else []
    cpu, theirs, begun = cpu_seconds(processes), cpu_seconds(database), time.perf_counter()
    taken = send(service, requests, connections)
    seconds = time.perf_counter() - begun
    spent = (cpu_seconds(processes) - cpu) / instances * 1000
    beside = (cpu_seconds(database) - theirs) / instances * 1000
    parts = quantiles(taken, n=100) if len(taken) > 1 else [taken[0]] * 99
    print(
        f"{batch:4} a request, {connections} connections: {instances / seconds:5.0f} instances/s, "
        f"{sum(len(body) for body, _ in requests) / seconds / 1e6:4.0f} MB/s, "
        f"p50 {parts[49] * 1000:5.0f} ms, p99 {parts[98] * 1000:5.0f} ms; an instance takes "
        f"{spent:4.2f} ms CPU, {beside:4.2f} of the database; peak {peak_mb(processes):.0f} MB",
        flush=True,
    )


def measure_large(service: Service) -> None:
    """Store one object of 1 GiB and print a line about it."""
    url = urlsplit(service.url)
    with TemporaryDirectory() as name:
        path = Path(name) / "large.dcm"
        write_large(path)
        size = path.stat().st_size
        headers = {
            "Authorization": f"Bearer {service.token}",
            "Content-Type": "application/dicom",
            "Content-Length": str(size),
        }
        connection = HTTPConnection(url.hostname or "", url.port, timeout=600)
        processes = family(service.pids)
        cpu, begun = cpu_seconds(processes), time.perf_counter()
        with path.open("rb") as body:
            connection.request("POST", f"{url.path}/studies", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said
        seconds = time.perf_counter() - begun
        print(
            f"1 GiB: {size / seconds / 1e6:.0f} MB/s, {cpu_seconds(processes) - cpu:.1f} s CPU; "
            f"peak {peak_mb(processes):.0f} MB"
        )


def main() -> None:
    """Measure each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a DICOMweb door; default: start a service for each line")
    parser.add_argument("--token", default="", help="of somebody who may store")
    parser.add_argument("--pid", type=int, action="append", default=[], help="of its processes")
    parser.add_argument("--workers", type=int, default=1, help="of a service that is started")
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--large", action="store_true", help="one object of 1 GiB")
    asked = parser.parse_args()
    if asked.large:
        with started(asked.workers) as service:
            measure_large(service)
        return
    for batch in asked.batch:
        for connections in asked.connections:
            if asked.url:
                service = Service(asked.url, asked.token, asked.pid, None)
                measure(service, asked.instances, batch, connections)
            else:
                with started(asked.workers) as service:
                    measure(service, asked.instances, batch, connections)


if __name__ == "__main__":
    main()
