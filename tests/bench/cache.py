"""Prints what the cache saves of a frame, on disk and S3, and what reading ahead saves of a wait.

Run as `python -m tests.bench.cache [frames] [file|s3 …]`; it starts a database, an S3 server, a
Valkey server and `python -m app serve` of its own. Each frame is a CT slice of 512 by 512 pixels.
"""

import asyncio
import http.client
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

import psutil

from app.archive import Archive
from app.embedded.mongod import EmbeddedDatabase
from fhir.repository import Wanted
from fhir.search import Has
from tests.bench.slices import slices
from tests.cache.served import Served, served
from tests.cache.valkey import valkey
from tests.command import Installation
from tests.servers import seaweed

LIMIT_MB = 400
PAUSE = 0.1  # between frames, as somebody who scrolls
STUDY = "2.25.4242"


def main() -> None:
    """Measure every kind of cache over every kind of storage."""
    count = next((int(one) for one in sys.argv[1:] if one.isdecimal()), 150)
    stores = [one for one in sys.argv[1:] if one in {"file", "s3"}] or ["file", "s3"]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for one in ("s3", "valkey", "mongod"):
            (folder / one).mkdir()
        redis = stack.enter_context(valkey(folder / "valkey"))
        for store in stores:
            settings = {"development_issuer": "true", "prefetch": "false"}
            if store == "s3":
                server = stack.enter_context(seaweed(folder / "s3"))
                settings |= {
                    "storage_url": f"s3://{server.bucket}/bench",
                    "storage_endpoint": server.endpoint,
                    "storage_region": server.region,
                    "storage_access_key": server.access_key,
                    "storage_secret_key": server.secret_key,
                }
            home = Installation(folder / store, settings)
            asyncio.run(_measure(store, home, folder / "mongod", redis.url, count))


async def _measure(store: str, home: Installation, folder: Path, redis: str, count: int) -> None:
    async with EmbeddedDatabase(folder) as database:
        shared = {**home.settings, "database_url": database.url, "database_name": f"bench-{store}"}
        home = replace(home, settings=shared)
        async with home.opened() as archive:
            for data in slices(STUDY, count * 4):
                outcome = await archive.ingest.store(_chunks(data))
                assert outcome.status in {"stored", "duplicate"}
            await _records(archive, count)
        print(f"\n{store}: {count} frames of 512 KiB, one connection; ms p50/p95, CPU ms a frame")
        for name, url in (
            ("none", "none"),
            ("memory", "memory://"),
            ("redis", redis),
            ("disk", "file://"),
            ("memory+redis", f"memory://,{redis}"),
        ):
            async with served(home, cache_url=url) as server:
                await _cold_and_warm(name, server, count)
        async with served(home) as server:
            await _load(server, count * 4)
        for on in ("false", "true"):
            async with served(home, prefetch=on) as server:
                await asyncio.to_thread(_scroll, server, on, min(count, 80))


async def _records(archive: Archive, count: int) -> None:
    """What a record costs from the database and from memory, decoded the same."""
    repository = archive.repository
    uids = [f"{STUDY}.1.{number}" for number in range(1, count + 1)]
    wanted = Wanted(frozenset({"id"}))
    await repository.find("ImagingStudy", Has("_id", STUDY), wanted=wanted, limit=1)
    for name, ask in (
        ("database", repository.stored_image),
        ("memory", repository.remembered_image),
    ):
        began, cpu = time.perf_counter(), time.process_time()
        found = [await ask(one) for one in uids]
        assert all(found)
        times = [time.perf_counter() - began, time.process_time() - cpu]
        took, spent = (1000 * one / count for one in times)
        print(f"an instance record from {name:<8}: {took:5.2f} ms, CPU {spent:5.2f} ms")


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _cold_and_warm(name: str, server: Served, count: int) -> None:
    numbers = range(1, count + 1)
    # connections, code and the records of the study
    await asyncio.to_thread(_read, server, range(count + 1, count + 21))
    cold = await asyncio.to_thread(_timed, server, numbers)
    warm = [await asyncio.to_thread(_timed, server, numbers) for _ in range(3)][-1]
    print(f"  {name:<13} cold {cold}   warm {warm}")


def _timed(server: Served, numbers: Sequence[int]) -> str:
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    times = _read(server, numbers)
    after = process.cpu_times()
    spent = (after.user + after.system - before.user - before.system) * 1000 / len(times)
    return f"{median(times):5.1f} /{quantiles(times, n=20)[-1]:6.1f}  CPU {spent:4.2f}"


def _read(server: Served, numbers: Sequence[int], pause: float = 0) -> list[float]:
    """Read frames one after the other; give the milliseconds of each."""
    url = server.http.base_url
    headers = {
        "Authorization": f"Bearer {server.issuer.token('radiologist')}",
        "Accept": "application/octet-stream",
    }
    connection = http.client.HTTPConnection(url.host, url.port or 80, timeout=60)
    times = []
    for number in numbers:
        path = f"/dicomweb/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.{number}/frames/1"
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert len(answer.read()) == 512 * 512 * 2, answer.status
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(pause)
    connection.close()
    return times


async def _load(server: Served, count: int) -> None:
    """Read many more frames than the cache holds, on four connections, and watch the memory."""
    process = psutil.Process(server.process.pid)
    peak = idle = process.memory_info().rss
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    work: list[Callable[[], list[float]]] = [
        lambda start=start: _read(server, range(1 + start, count + 1, 4))  # type: ignore[misc]  # bound now
        for start in range(4)
    ]
    for _ in range(2):
        await asyncio.gather(*(asyncio.to_thread(one) for one in work))
    stop.set()
    watching.join()
    [tier] = (await server.stats())["tiers"]
    print(
        f"  memory of the process: {idle >> 20} MB idle, {peak >> 20} MB at most while reading "
        f"{count * 2} frames ({count} of them different) on 4 connections; the tier holds "
        f"{tier['total']['bytes'] >> 20} MB, {tier['total']['evicted']} evicted"
    )
    assert peak >> 20 < LIMIT_MB, f"{peak >> 20} MB"


def _scroll(server: Served, on: str, count: int) -> None:
    times = _read(server, range(1, count + 1), PAUSE)
    print(f"  scrolling, 10 frames a second, prefetch {on:<5}: p50 {median(times):5.1f} ms")


if __name__ == "__main__":
    main()
