"""Prints what a frame costs, read, rendered and transcoded, in processor time, and its rate.

Run as `python -m tests.bench.frames`; `--profile` shows where the time of a rendered frame goes.
"""

import asyncio
import cProfile
import pstats
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray
from pydicom import uid as uids

from app.imaging.encode import LOSSLESS
from app.imaging.pictures import Pictures
from app.imaging.render import Rendering
from app.imaging.transcode import transcoded
from app.imaging.viewport import Viewport
from app.store.local import LocalObjects
from fhir.repository import StoredImage
from tests.build import dicom
from tests.stored import kept

SECONDS = 1.0
SIDE = 512
WORKERS = 2


def slice_of_a_head() -> NDArray[np.uint16]:
    """A smooth 12-bit picture with the noise of a CT."""
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    inside = (rows**2 + columns**2) < 0.7
    values = 24 + inside * (1000 + 120 * np.sin(9 * rows) * np.cos(7 * columns))
    noise = np.random.default_rng(1).normal(0, 12, values.shape)
    found: NDArray[np.uint16] = (values + noise).clip(0, 4095).astype(np.uint16)
    return found


async def made_anew(
    image: StoredImage, syntax: str, objects: LocalObjects, pictures: Pictures
) -> None:
    """Transcode an object to its last byte."""
    sent = await transcoded(image, syntax, objects, pictures)
    async for _ in sent.chunks:
        pass


async def measured(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Print processor time and rate of something, one after the other."""
    await work()
    count, used, begun = 0, process_time(), perf_counter()
    while perf_counter() - begun < SECONDS:
        await work()
        count += 1
    each = (process_time() - used) / count * 1e3
    print(
        f"{name:44} {each:8.2f} ms of a processor {count / (perf_counter() - begun):8.0f} a second"
    )


async def main() -> None:
    pixels = slice_of_a_head()
    with TemporaryDirectory() as folder:
        objects = await LocalObjects.open(Path(folder))
        pictures = Pictures(objects, WORKERS)
        native = await kept(objects, dicom(pixels=pixels), "native")
        await measured("frame, native, as stored", lambda: pictures.native(native, 1))
        for syntax in (*LOSSLESS, uids.JPEGLosslessSV1):
            image = await kept(
                objects, dicom(pixels=pixels, transfer_syntax=syntax), syntax.replace(".", "-")
            )
            name = uids.UID(syntax).name
            await measured(f"frame, {name}", partial(pictures.native, image, 1))
        for name, rendering in (
            ("rendered, JPEG", Rendering()),
            ("rendered, PNG", Rendering("image/png")),
            ("thumbnail, JPEG", Rendering(viewport=Viewport(256, 256, enlarges=False))),
            ("rendered, JPEG, twice as large", Rendering(viewport=Viewport(1024, 1024))),
        ):
            await measured(name, partial(pictures.rendered, native, 1, rendering))
        for syntax in LOSSLESS:
            work = partial(made_anew, native, syntax, objects, pictures)
            await measured(f"object to {uids.UID(syntax).name}", work)
        if "--profile" in sys.argv[1:]:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(200):
                await pictures.rendered(native, 1, Rendering())
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    asyncio.run(main())
