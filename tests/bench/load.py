"""One client for any DICOMweb server: the same requests over connections that stay open."""

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import psutil

from tests.build import multipart

JSON = "application/dicom+json"
FRAME = 'multipart/related; type="application/octet-stream"'
OBJECT = 'multipart/related; type="application/dicom"'


@dataclass(frozen=True, slots=True)
class Peer:
    """A server.

    Attributes:
        base: URL of its DICOMweb service.
        processes: Ids of those that serve; what they have started counts too.
        stores: Ids of those that keep its data, where these are others.
        answers: Status codes that are as they should be.
    """

    name: str
    base: str
    headers: dict[str, str] = field(default_factory=dict)
    processes: tuple[int, ...] = ()
    stores: tuple[int, ...] = ()
    answers: tuple[int, ...] = (200, 204)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, below the base URL."""

    path: str
    accept: str = "*/*"
    body: bytes | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What some requests took.

    Attributes:
        rate: Requests answered, each second.
        p50: Milliseconds.
        cpu: Milliseconds of the server's processors for each request; None if unknown.
        store_cpu: The same of what keeps its data.
        memory: MB of its largest process at the end.
    """

    rate: float
    p50: float
    cpu: float | None
    store_cpu: float | None
    memory: float | None


def storing(objects: Sequence[bytes], batch: int) -> Iterator[Request]:
    """Make STOW-RS requests of several objects each."""
    for at in range(0, len(objects), batch):
        body, content_type = multipart(
            list(objects[at : at + batch]), media_type="application/dicom"
        )
        yield Request("/studies", JSON, body, content_type)


def measured(
    peer: Peer, requests: Sequence[Request], connections: int, seconds: float | None
) -> Figures:
    """Send requests over some connections at once.

    Args:
        peer: Who answers.
        requests: In turn.
        connections: How many at once.
        seconds: For so long, over and over; None: each once.
    """
    began = perf_counter()
    ends = None if seconds is None else began + seconds
    endless = chain.from_iterable(repeat(requests)) if ends else iter(requests)
    lock = threading.Lock()
    times: list[float] = []
    wrong: list[str] = []

    def following() -> Request | None:
        with lock:
            late = wrong or (ends is not None and perf_counter() > ends)
            return None if late else next(endless, None)

    def work() -> None:
        try:
            times.extend(_spent(peer, following))
        except Exception as error:  # noqa: BLE001 - it is told where the threads end
            wrong.append(repr(error))

    before, store_before = _cpu(peer.processes), _cpu(peer.stores)
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = perf_counter() - began
    if wrong:
        raise RuntimeError(f"{peer.name}: {wrong[0]}")
    return Figures(
        len(times) / elapsed,
        median(times) * 1000,
        _each(before, _cpu(peer.processes), len(times)),
        _each(store_before, _cpu(peer.stores), len(times)),
        _memory(peer.processes),
    )


def body_of(peer: Peer, request: Request) -> bytes:
    """Give what one request is answered with."""
    connection = _connection(peer)
    try:
        return _exchange(connection, peer, request)
    finally:
        connection.close()


def _spent(peer: Peer, following: Callable[[], Request | None]) -> Iterator[float]:
    connection = _connection(peer)
    try:
        while (request := following()) is not None:
            start = perf_counter()
            _exchange(connection, peer, request)
            yield perf_counter() - start
    finally:
        connection.close()


def _connection(peer: Peer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(peer.base).netloc, timeout=120)


def _exchange(connection: http.client.HTTPConnection, peer: Peer, request: Request) -> bytes:
    headers = {**peer.headers, "Accept": request.accept}
    if request.media_type is not None:
        headers["Content-Type"] = request.media_type
    path = urlsplit(peer.base).path.rstrip("/") + request.path
    connection.request("POST" if request.body else "GET", path, request.body, headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status not in peer.answers:
        raise RuntimeError(f"{answer.status} {path} {body[:200]!r}")
    return body


def _tree(roots: tuple[int, ...]) -> list[psutil.Process]:
    found = [psutil.Process(one) for one in roots]
    return found + [child for one in found for child in one.children(recursive=True)]


def _cpu(roots: tuple[int, ...]) -> float | None:
    if not roots:
        return None
    times = [one.cpu_times() for one in _tree(roots)]
    return sum(one.user + one.system for one in times)


def _each(before: float | None, after: float | None, count: int) -> float | None:
    return None if before is None or after is None else (after - before) * 1000 / max(count, 1)


def _memory(roots: tuple[int, ...]) -> float | None:
    return max((one.memory_info().rss / 1e6 for one in _tree(roots)), default=None)
