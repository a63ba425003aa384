"""Prints how quickly pages of 20 studies come at several sizes of an archive, end to end.

Run as `python -m tests.bench.graphql_scale [studies …]`, by default 1000 20000 1000000. One
process serves with token, session, policy, audit and a real mongod; whoever asks is another. The
studies are entered as records, as ingest writes them, without instances.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
from pymongo.write_concern import WriteConcern

from app.embedded.mongod import EmbeddedDatabase
from app.store.database import Database, open_database, prepare
from app.store.entries import stored
from fhir.paging import encode
from fhir.repository import Sort
from tests.bench.graphql_http import ENDLESS, ask
from tests.build import uid
from tests.serving import Serving, serving

SIZES = (1_000, 20_000, 1_000_000)
SECONDS = 4.0
BATCH = 2_000
FAMILIES = ("Smith", "Doe", "Garcia", "Wang", "Yamada", "Müller", "Olsen", "Rossi", "Khan", "Silva")
SEVEN = """edges {node {
  id started status description numberOfSeries numberOfInstances modality {code}}}"""


def resources(count: int) -> Iterator[dict[str, Any]]:
    """Write studies, the same ones each time."""
    pick = random.Random(0)
    for number in range(count):
        code = pick.choice(("CT", "MR", "CR", "US"))
        coding = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": code}
        year, month, day = (pick.randrange(*ends) for ends in ((10, 25), (1, 13), (1, 28)))
        yield {
            "resourceType": "ImagingStudy",
            "id": uid("scale", number),
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid('scale', number)}"}],
            "status": "available",
            "modality": [coding],
            "subject": {
                "reference": f"Patient/p{number // 2}",
                "display": f"{pick.choice(FAMILIES)}, A{number % 97}",
            },
            "started": f"20{year:02d}-{month:02d}-{day:02d}T{pick.randrange(24):02d}:30:00Z",
            "description": f"{code} of the {pick.choice(('chest', 'head', 'knee', 'abdomen'))}",
            "numberOfSeries": 2,
            "numberOfInstances": 100,
            "series": [
                {"uid": uid("scale", number, one), "number": one, "modality": coding}
                for one in (1, 2)
            ],
        }


def queries(studies: int, cursor: str) -> dict[str, str]:
    """Write what is asked."""
    return {
        "first page": f"{{studies(first: 20) {{{SEVEN}}}}}",
        "first page, counted": f"{{studies(first: 20) {{totalCount {SEVEN}}}}}",
        "modality, counted": f'{{studies(first: 20, modality: ["MR"]) {{totalCount {SEVEN}}}}}',
        "newest first": f"{{studies(first: 20, sort: [STARTED_DESC]) {{{SEVEN}}}}}",
        "a page in the middle": f'{{studies(first: 20, sort: [STARTED_DESC], after: "{cursor}") '
        f"{{{SEVEN}}}}}",
        "one modality, newest": '{studies(first: 20, modality: ["MR"], sort: [STARTED_DESC]) '
        f"{{{SEVEN}}}}}",
        "a year, newest": '{studies(first: 20, started: {from: "2014-01-01", to: "2014-12-31"}, '
        f"sort: [STARTED_DESC]) {{{SEVEN}}}}}",
        "a year, oldest": '{studies(first: 20, started: {from: "2014-01-01", to: "2014-12-31"}, '
        f"sort: [STARTED]) {{{SEVEN}}}}}",
        "one patient": f'{{studies(first: 20, patient: ["p{studies // 4}"]) {{{SEVEN}}}}}',
        "one study": f'{{study(uid: "{uid("scale", studies // 3)}") {{id started status}}}}',
    }


async def entered(database: Database, count: int) -> None:
    """Enter studies; the indexes are made afterwards, for that is quicker."""
    studies = database["studies"].with_options(write_concern=WriteConcern(w=1))
    documents = (
        {"_id": one["id"], "claim": "scale", "patientKey": one["id"], **stored(one, 1)}
        for one in resources(count)
    )
    while batch := list(islice(documents, BATCH)):
        await studies.insert_many(batch, ordered=False)
    await prepare(database)


async def _cursor(database: Database) -> str:
    """Give the cursor of a study in the middle of the archive, by date."""
    earlier = {"keys.started": {"$lte": datetime(2017, 6, 1, tzinfo=UTC)}}
    order = [("keys.started", -1), ("_id", -1)]
    [one] = await database["studies"].find(earlier, sort=order, limit=1).to_list(1)
    return encode((one["keys"]["started"], one["_id"]), (Sort("started", descending=True),))


async def main() -> None:
    """Measure at each size, with a database of its own."""
    settings = {"graphql_concurrent": "1000", "graphql_cost_per_minute": str(ENDLESS)}
    for size in [int(one) for one in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            async with EmbeddedDatabase(Path(folder)) as kept:
                began = perf_counter()
                database = open_database(kept.url, "radiograph", timedelta(seconds=30))
                await entered(database, size)
                print(f"{size:,} studies, entered in {perf_counter() - began:.0f} s", flush=True)
                async with serving(Path(folder), **settings) as server:
                    token = server.issuer.token("radiologist")
                    cursor = await _cursor(database)
                    for name, query in queries(size, cursor).items():
                        await _asked(server, token, name, query)


async def _asked(server: Serving, token: str, name: str, query: str) -> None:
    body = orjson.dumps({"query": query})
    port = int(server.url.rpartition(":")[2])
    request = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    one = await ask(server.pid, port, SECONDS, request, 1)
    many = await ask(server.pid, port, SECONDS, request, 16)
    print(
        f"  {name:22} c1 p50 {one.p50:7.2f} p99 {one.p99:7.2f} ms   "
        f"c16 p50 {many.p50:7.2f} p99 {many.p99:7.2f} ms  {many.rate:6.0f}/s",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
