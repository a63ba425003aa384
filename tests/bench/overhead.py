"""Prints what every request costs before it does anything, and what of that is what.

Run as `python -m tests.bench.overhead [WORKERS]`; it starts a service with stores of its own, and
measures the parts in this process.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from app.archive import Archive
from app.audit import Circumstances
from fhir.access import Entry
from tests.bench.load import FRAME, JSON, Peer, Request, measured
from tests.build import dicom, ramp, uid
from tests.serving import Serving, serving

SECONDS = 3.0
ROUNDS = 1_000
STUDY, SERIES, INSTANCE = uid("overhead"), uid("overhead", "1"), uid("overhead", "1", "1")
REQUESTS = {
    "a page: HTTP alone": Request("/start.css"),
    "nothing: and token, session, policy": Request("/dicomweb/nothing"),
    "one study by QIDO": Request(f"/dicomweb/studies?StudyInstanceUID={STUDY}", JSON),
    "a frame of 128 bytes": Request(
        f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}/frames/1", FRAME
    ),
    "permissions": Request("/postdicom/permissions"),
}


async def main(workers: int) -> None:
    """Measure requests, then the parts."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            serving(Path(folder), workers=str(workers)) as server,
            server.installation.opened() as archive,
        ):
            await archive.ingest.store(_once())
            await asyncio.to_thread(_requests, server)
            await _parts(archive, server.issuer.token("radiologist"))


async def _once() -> AsyncIterator[bytes]:
    yield dicom(
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=SERIES,
        SOPInstanceUID=INSTANCE,
        pixels=ramp(1, 8, 8),
    )


def _requests(server: Serving) -> None:
    headers = {"Authorization": f"Bearer {server.issuer.token('radiologist')}"}
    peer = Peer("ours", server.url, headers, (server.pid,), answers=(200, 404))
    for name, request in REQUESTS.items():
        for connections in (1, 8):
            measured(peer, [request], connections, SECONDS / 6)
            one = measured(peer, [request], connections, SECONDS)
            print(
                f"{name:37} {connections} at once: {one.rate:8.1f}/s  p50 {one.p50:6.2f} ms  "
                f"CPU {one.cpu or 0:5.2f} ms"
            )


async def _parts(archive: Archive, token: str) -> None:
    bearer = f"Bearer {token}"
    caller, entering = await archive.identity.signed_in(bearer)
    access = await archive.access(caller)
    entry = Entry("read", "Image", "allowed", ids=(INSTANCE,), patients=("p",), total=1)
    circumstances = Circumstances("dicomweb", "overhead", "127.0.0.1")

    async def verify() -> None:
        archive.identity.memory.forget()
        await archive.identity.signed_in(bearer)

    async def remember() -> None:
        await archive.identity.signed_in(bearer)

    async def enter() -> None:
        await archive.sessions.enter(entering, None)

    async def grant() -> None:
        await archive.access(caller)

    async def write() -> None:
        await archive.audit.write([entry], caller, circumstances)

    async def look_up() -> None:
        await archive.repository.stored_image(INSTANCE)

    assert access.allows("Image.pixels")
    for name, part in (
        ("a token, seen for the first time", verify),
        ("a token that is known", remember),
        ("the session", enter),
        ("the policy", grant),
        ("the audit", write),
        ("an instance's record", look_up),
    ):
        await _part(name, part)


async def _part(name: str, part: Callable[[], Awaitable[None]]) -> None:
    await part()
    times, cpu = [], process_time()
    for _ in range(ROUNDS):
        start = perf_counter()
        await part()
        times.append((perf_counter() - start) * 1000)
    spent = (process_time() - cpu) * 1000 / ROUNDS
    print(f"{name:37} p50 {median(times):6.3f} ms  CPU {spent:6.3f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
