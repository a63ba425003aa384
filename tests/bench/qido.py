"""Prints what QIDO searches cost at several sizes: the search alone, over HTTP, and their plans.

Run as `python -m tests.bench.qido [instances …]`, by default 1000 20000 200000. The first 1,000
instances go through the ingest; the others are entered as the ingest would, without their bytes,
and their studies settled as always.
"""

import asyncio
import http.client
import os
import random
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import structlog

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.identity.development import DevelopmentIssuer
from app.imaging.part10 import Part10, Part10Parser
from app.settings import Settings
from app.store.entries import encoded
from fhir.attributes import tag
from fhir.dicom_answers import instance_dicom
from fhir.dicom_keys import Level, path_named
from fhir.dicom_search import Key, Query, search_dicom
from fhir.from_dicom.image import image
from fhir.from_dicom.patient import patient_key
from fhir.from_dicom.site import Site
from fhir.guarded import GuardedRepository
from fhir.parameters import index
from policies.caller import Caller
from tests.build import dicom, uid

SIZES = (1_000, 20_000, 200_000)
FAMILIES = ("Smith", "Doe", "Garcia", "Wang", "Yamada", "Müller", "Olsen", "Rossi", "Khan", "Silva")
MODALITIES = ("CT", "MR", "CT", "CR")
INSTANCES = 100  # of a study
SERIES = 2
ROUNDS = 200
IN_PROCESS = 60


def said(study: int, series: int, instance: int) -> dict[str, Any]:
    """Say what one instance's header says; a function of the numbers."""
    pick = random.Random(study)
    family, given = pick.choice(FAMILIES), f"{pick.choice('ABCDEFG')}{study % 97:02d}"
    day = f"20{pick.randrange(10, 25):02d}{pick.randrange(1, 13):02d}{pick.randrange(1, 28):02d}"
    return {
        "StudyInstanceUID": uid("bench", study),
        "SeriesInstanceUID": uid("bench", study, series),
        "SOPInstanceUID": uid("bench", study, series, instance),
        "PatientID": f"P{study // 2:06d}",
        "PatientName": f"{family}^{given}^{study:05d}",
        "StudyDate": day,
        "StudyTime": f"{pick.randrange(24):02d}{pick.randrange(60):02d}00",
        "AccessionNumber": f"A{study:07d}",
        "StudyID": str(study),
        "Modality": MODALITIES[(study + series) % len(MODALITIES)],
        "SeriesNumber": series,
        "InstanceNumber": instance,
    }


def numbers(study: int) -> Iterator[tuple[int, int]]:
    for series in range(1, SERIES + 1):
        for instance in range(1, INSTANCES // SERIES + 1):
            yield series, instance


async def through_the_ingest(archive: Archive, studies: range) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for study in studies:
        for series, instance in numbers(study):
            await archive.ingest.add(pieces(dicom(**said(study, series, instance))))
        await archive.ingest.settle(uid("bench", study))


async def entered(archive: Archive, studies: range, template: Part10) -> None:
    """Enter instances as the ingest does, without bytes."""
    for study in studies:
        documents = []
        owner = ""
        for series, instance in numbers(study):
            header = deepcopy(template.attributes)
            for keyword, value in said(study, series, instance).items():
                one = {"Alphabetic": value} if keyword == "PatientName" else value
                header[tag(keyword)]["Value"] = [one]
            owner = patient_key(header, Site())
            resource = image(
                header, transfer_syntax=template.transfer_syntax, size=9000, number_of_frames=1
            )
            record = {
                "_id": header[tag("SOPInstanceUID")]["Value"][0],
                "study": uid("bench", study),
                "series": uid("bench", study, series),
                "patientKey": owner,
                "number": instance,
                "laterality": None,
                "transferSyntax": template.transfer_syntax,
                "object": f"bench/{study}/{series}/{instance}",
                "size": 9000,
                "sha256": "0" * 64,
                "warnings": [],
                "version": 1,
                "lastUpdated": datetime.now(UTC),
                "resource": resource,
                "index": index(resource),
                "frames": None,
                **instance_dicom(header, template.transfer_syntax, archive.catalogue),
            }
            documents.append(encoded(record, header))
        await archive.ledger.claim(uid("bench", study), owner, "")
        await archive.database["instances"].insert_many(documents, ordered=False)
        await archive.ingest.settle(uid("bench", study))


def asked(studies: int) -> dict[str, list[tuple[Level, str, str]]]:
    """Write the searches of the bars: level, path, query."""
    pick = random.Random(5)
    some = [pick.randrange(studies) for _ in range(50)]
    series = [(uid("bench", one), uid("bench", one, 1)) for one in some]
    return {
        "page of 25": [("study", "studies", "limit=25")],
        "page of 25, offset": [
            ("study", "studies", f"limit=25&offset={pick.randrange(max(1, studies - 25))}")
            for _ in range(50)
        ],
        "exact UID": [
            ("study", "studies", f"StudyInstanceUID={uid('bench', one)}") for one in some
        ],
        "PatientID": [("study", "studies", f"PatientID=P{one // 2:06d}") for one in some],
        "name prefix": [
            ("study", "studies", f"PatientName={name}*&limit=25")
            for name in ("Smith", "Doe", "Gar", "Wang", "Yam")
        ],
        "date + modality": [
            (
                "study",
                "studies",
                f"StudyDate=20{year:02d}0101-20{year:02d}0301&ModalitiesInStudy=CT&limit=25",
            )
            for year in range(10, 25)
        ],
        "series of a study": [("series", f"studies/{one}/series", "") for one, _ in series],
        "50 of a series": [
            ("instance", f"studies/{one}/series/{two}/instances", "") for one, two in series
        ],
        "100 of a study": [("instance", f"studies/{one}/instances", "") for one, _ in series],
    }


def query(level: Level, path: str, text: str) -> Query:
    steps = path.split("/")
    keys = []
    if len(steps) > 1:
        keys.append(Key(path_named("StudyInstanceUID"), steps[1]))
    if len(steps) > 3:
        keys.append(Key(path_named("SeriesInstanceUID"), steps[3]))
    limit, offset = 5000, 0
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        if name == "limit":
            limit = int(value)
        elif name == "offset":
            offset = int(value)
        else:
            keys.append(Key(path_named(name), value))
    return Query(level, tuple(keys), limit=limit, offset=offset, counted=True)


async def alone(archive: Archive, one: tuple[Level, str, str]) -> None:
    """Search in this process: the guard, the query and the answer, without door and audit."""
    caller = Caller("https://bench.example#radiologist", frozenset({"radiologist"}))
    access = await archive.access(caller)
    guarded = GuardedRepository(archive.view_of(access), access)
    await search_dicom(guarded, archive.catalogue, query(*one), address="http://bench.example")


async def plans(archive: Archive, one: tuple[Level, str, str]) -> str:
    """Say which indexes the commands of a search use, and what they look at."""
    await archive.database.command("profile", 2)
    await archive.database["system.profile"].find_one()
    began = datetime.now(UTC)
    await alone(archive, one)
    await archive.database.command("profile", 0)
    found = []
    async for each in archive.database["system.profile"].find({"ts": {"$gte": began}}):
        if each["ns"].endswith((".studies", ".instances")):
            summary = each.get("planSummary", "")
            returned = each.get("nreturned", "count")
            found.append(
                f"{each['op']} {summary} keys={each.get('keysExamined')} "
                f"docs={each.get('docsExamined')} returned={returned} "
                f"{each.get('millis')} ms"
            )
    await archive.database["system.profile"].drop()
    return "\n      ".join(found)


def over_http(port: int, token: str, some: list[tuple[Level, str, str]]) -> tuple[float, int]:
    """Give the median milliseconds of a request at concurrency 1, and the bytes of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/dicom+json"}
    times, size = [], 0
    for at in range(ROUNDS + 20):
        _, path, text = some[at % len(some)]
        began = perf_counter()
        connection.request("GET", f"/dicomweb/{path}?{text}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        if at >= 20:
            times.append((perf_counter() - began) * 1000)
        assert answer.status in {200, 204}, content
        size = max(size, len(content))
    connection.close()
    return median(times), size


async def measured(archive: Archive, port: int, token: str, studies: int) -> None:
    print(f"\n{studies * INSTANCES:,} instances, {studies:,} studies")
    for name, some in asked(studies).items():
        for one in some[:20]:
            await alone(archive, one)
        times, cpu = [], process_time()
        for at in range(IN_PROCESS):
            began = perf_counter()
            await alone(archive, some[at % len(some)])
            times.append((perf_counter() - began) * 1000)
        spent = (process_time() - cpu) * 1000 / IN_PROCESS
        whole, size = await asyncio.to_thread(over_http, port, token, some)
        print(
            f"  {name:<20} HTTP p50 {whole:6.2f} ms; search alone {median(times):6.2f} ms, "
            f"{spent:5.2f} ms CPU; {size:,} bytes\n      {await plans(archive, some[-1])}"
        )


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    sizes = [int(one) for one in sys.argv[1:]] or list(SIZES)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        async with EmbeddedDatabase(data_dir / "database") as database:
            port = _free_port()
            settings = Settings.model_validate(
                {
                    "database_url": database.url,
                    "data_dir": data_dir,
                    "development_issuer": True,
                    "port": port,
                }
            )
            async with open_archive(settings) as archive:
                parser = Part10Parser()
                parser.feed(dicom(**said(0, 1, 1)))
                template = parser.close()
                environment = os.environ | {
                    "RADIOGRAPH_DATABASE_URL": database.url,
                    "RADIOGRAPH_DATA_DIR": folder,
                    "RADIOGRAPH_DEVELOPMENT_ISSUER": "true",
                }
                token = DevelopmentIssuer(data_dir).token("radiologist", minutes=600)
                server = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "app", "serve", "--port", str(port), env=environment
                )
                done = 0
                try:
                    _wait_for(port)
                    for size in sizes:
                        studies = size // INSTANCES
                        first = range(done, min(studies, 10))
                        began = perf_counter()
                        await through_the_ingest(archive, first)
                        await entered(archive, range(max(done, 10), studies), template)
                        print(f"entered in {perf_counter() - began:.0f} s")
                        done = studies
                        await measured(archive, port, token, studies)
                finally:
                    server.terminate()
                    await server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.1)
    raise TimeoutError("the server does not start")


if __name__ == "__main__":
    asyncio.run(main())
