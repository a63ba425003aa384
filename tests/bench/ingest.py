"""Prints how fast the CT study of the samples is ingested, against hashing and writing it.

Run as `python -m tests.bench.ingest`; `--profile` shows where the event loop spends its time.
"""

import asyncio
import cProfile
import pstats
import sys
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from app.archive import Archive, open_archive
from app.imaging.intake import IN_FLIGHT, take_in
from app.imaging.sources import in_memory
from app.logs import configure_logging
from app.samples.sections import ct_chest
from app.settings import Settings
from app.store.local import LocalObjects

ROUNDS = 5
KEY = "ab/cd/abcd"


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def hash_and_write(objects: Sequence[bytes], folder: Path, at_once: int) -> float:
    """Seconds to hash objects and put them into a local store, some at once."""
    store = await LocalObjects.open(folder)
    places = asyncio.Semaphore(at_once)

    async def one(number: int, data: bytes) -> None:
        async with places:
            sha256(data).hexdigest()
            await store.put(f"{KEY}{number:028}", pieces(data))

    begun = perf_counter()
    await asyncio.gather(*(one(number, data) for number, data in enumerate(objects)))
    return perf_counter() - begun


async def ingest(objects: Sequence[bytes], archive: Archive) -> float:
    """Seconds from the first byte to the last outcome, all of it durable."""
    found = [in_memory(str(number), data) for number, data in enumerate(objects)]
    begun = perf_counter()
    async for batch in take_in(archive.ingest, archive.audit, found):
        assert {one.outcome.status for one in batch} == {"stored"}
    return perf_counter() - begun


async def commands(archive: Archive) -> int:
    """How many operations the database was asked for so far."""
    status = await archive.database.client.admin.command("serverStatus")
    of_ours = ("find", "insert", "update", "aggregate", "findAndModify", "getMore")
    return sum(int(status["metrics"]["commands"][name]["total"]) for name in of_ours)


async def main() -> None:
    configure_logging(readable=True)
    objects = [data for _, data in ct_chest(np.random.default_rng(1))]
    total = sum(map(len, objects))
    print(f"{len(objects)} instances, {total / 1e6:.1f} MB")
    raw, together, ours = [], [], []
    asked = 0
    for number in range(ROUNDS):
        with TemporaryDirectory() as folder:
            async with open_archive(Settings.model_validate({"data_dir": folder})) as archive:
                before = await commands(archive)
                profile = cProfile.Profile()
                if "--profile" in sys.argv[1:] and number == 0:
                    profile.enable()
                ours.append(await ingest(objects, archive))
                profile.disable()
                asked = await commands(archive) - before
            raw.append(await hash_and_write(objects, Path(folder) / "raw", 1))
            together.append(await hash_and_write(objects, Path(folder) / "at once", IN_FLIGHT))
        if "--profile" in sys.argv[1:] and number == 0:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    best = min(ours)
    print(f"ingest           {len(objects) / best:6.0f} instances/s, {total / best / 1e6:.0f} MB/s")
    print(f"database         {asked / len(objects):6.2f} commands an instance")
    for words, seconds in (("one by one", min(raw)), (f"{IN_FLIGHT} at once", min(together))):
        print(
            f"hash and write   {len(objects) / seconds:6.0f} instances/s {words}; "
            f"ingest takes {best / seconds:.2f} times as long"
        )


if __name__ == "__main__":
    asyncio.run(main())
