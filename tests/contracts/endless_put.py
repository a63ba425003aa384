"""A process that puts an object whose bytes never end; tests kill it in the middle."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from app.settings import Settings
from app.store.objects import open_objects


async def endless() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield bytes(2**20)
    print("waiting", flush=True)
    await asyncio.Event().wait()


async def main() -> None:
    settings = Settings.model_validate(json.loads(sys.argv[1]))
    await (await open_objects(settings)).put("k", endless())


asyncio.run(main())
