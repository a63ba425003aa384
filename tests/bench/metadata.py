"""Prints how long a server process takes to give the metadata of studies of 100 instances.

With authentication, policy, audit and a database of its own. Run as
`python -m tests.bench.metadata [FOLDER]`; with a folder, of the DICOM files in it, whose studies
should be of one size.
"""

import asyncio
import http.client
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import orjson

from app.archive import Archive
from fhir.repository import Wanted
from fhir.search import EVERYTHING
from tests.build import study
from tests.serving import Serving, serving

STUDIES = 10
INSTANCES = 100
ROUNDS = 30
TICKS = os.sysconf("SC_CLK_TCK")


async def main(folder: Path | None) -> None:
    """Take the studies in, serve them, and measure."""
    with tempfile.TemporaryDirectory() as data_dir:
        async with serving(Path(data_dir)) as server:
            async with server.installation.opened() as archive:
                studies = await _taken_in(archive, folder)
            await asyncio.to_thread(_measure, server, studies)


async def _taken_in(archive: Archive, folder: Path | None) -> list[str]:
    for data in _objects(folder):
        await archive.ingest.store(_once(data))
    records = await archive.repository.find(
        "ImagingStudy", EVERYTHING, wanted=Wanted(frozenset({"id"})), limit=1_000
    )
    return [one.id for one in records]


def _objects(folder: Path | None) -> Iterator[bytes]:
    if folder is not None:
        yield from (path.read_bytes() for path in sorted(folder.rglob("*.dcm")))
        return
    for number in range(STUDIES):
        rest = {0x00090010: ("LO", "RADIOGRAPH BENCH")} | {
            0x00091000 + at: ("LO", f"some text of a private attribute, {at:03}")
            for at in range(80)
        }
        who = {"PatientID": f"P{number}", "PatientName": f"Doe^{number}"}
        yield from study(1, INSTANCES, StudyInstanceUID=f"1.2.{number}", elements=rest, **who)


def _measure(server: Serving, studies: list[str]) -> None:
    for role in ("radiologist", "nurse"):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        headers = {"Authorization": f"Bearer {server.issuer.token(role)}"}
        connection.request("GET", "/dicomweb/studies/1.2.3.4/metadata", headers=headers)
        connection.getresponse().read()  # who is asking is known from here on
        cold: list[float] = []
        warm: list[float] = []
        size = found = 0
        began = _cpu(server.pid)
        for number in range(ROUNDS):
            for one in studies:
                start = perf_counter()
                connection.request("GET", f"/dicomweb/studies/{one}/metadata", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                (warm if number else cold).append((perf_counter() - start) * 1000)
                assert answer.status == 200, body
                size, found = len(body), len(orjson.loads(body))
        cpu = (_cpu(server.pid) - began) * 1000 / (len(cold) + len(warm))
        print(
            f"{role:11} {found} instances, {size / 1e6:.2f} MB: "
            f"cold p50 {_percentile(cold, 50):.2f} ms, p50 {_percentile(warm, 50):.2f} ms, "
            f"p99 {_percentile(warm, 99):.2f} ms, {cpu:.2f} ms CPU of the server"
        )


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


def _cpu(process: int) -> float:
    """Give the CPU seconds that a process has used, without those it has started."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
