"""A process that uses the embedded database; tests order it through its pipes, and kill it.

It prints the database's URL. For each line it reads it writes a document with that text as its
id and prints the text once that is acknowledged; at the end of its input it leaves.
"""

import asyncio
import sys
from pathlib import Path

from pymongo import AsyncMongoClient

from app.embedded.mongod import EmbeddedDatabase


async def main() -> None:
    async with EmbeddedDatabase(Path(sys.argv[1])) as database:
        print(database.url, flush=True)
        async with AsyncMongoClient[dict[str, str]](database.url) as client:
            while line := await asyncio.to_thread(sys.stdin.readline):
                await client.kept.writes.insert_one({"_id": line.strip()})
                print(line.strip(), flush=True)


asyncio.run(main())
