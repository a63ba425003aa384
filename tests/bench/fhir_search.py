"""Prints how long FHIR searches take over HTTP, in process, under the shipped policy.

Run as `python -m tests.bench.fhir_search`; it starts a database of its own.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import httpx

from app.archive import Archive, open_archive
from app.demo import project_of
from app.identity.development import DevelopmentIssuer
from app.main import create_app
from app.settings import Settings
from tests.build import study, uid

ROUNDS = 60
STUDIES, SERIES, INSTANCES = 200, 2, 4
SEARCHES = {
    "50 studies": "ImagingStudy?_count=50",
    "50, newest first": "ImagingStudy?_count=50&_sort=-started",
    "CT of 2020 or later": "ImagingStudy?_count=50&modality=CT&started=ge2020",
    "50, no total": "ImagingStudy?_count=50&_total=none",
    "50, patient, endpoint": "ImagingStudy?_count=50&_include=ImagingStudy:patient"
    "&_include=ImagingStudy:endpoint",
    "one accession": "ImagingStudy?identifier=ACC7",
    "total alone": "ImagingStudy?_summary=count&modality=CT",
}


async def main() -> None:
    """Take studies in and measure each search."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {"data_dir": Path(folder), "policy_dir": "policies", "development_issuer": True}
        )
        async with open_archive(settings) as archive:
            await _fill(archive)
            await _measure(archive, "radiologist", SEARCHES)
            await _measure(archive, "billing", {"50 masked": "ImagingStudy?_count=50"})
            await _measure(archive, "researcher", {"50 disguised": "ImagingStudy?_count=50"})


async def _fill(archive: Archive) -> None:
    for number in range(STUDIES):
        whole = study(
            SERIES,
            INSTANCES,
            StudyInstanceUID=uid(number),
            StudyDate=f"20{number % 25:02}0228",
            AccessionNumber=f"ACC{number}",
            PatientID=f"P{number}",
            PatientName=f"Doe^Jane{number}",
        )
        for data in whole:
            await archive.ingest.add(_once(data))
        await archive.ingest.settle(uid(number))


async def _measure(archive: Archive, role: str, searches: Mapping[str, str]) -> None:
    token = DevelopmentIssuer(archive.settings.data_dir).token(role, project=project_of(role))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(archive.settings, archive)),
        base_url=archive.settings.base_url,
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        for name, query in searches.items():
            times, sizes = [], set()
            for _ in range(ROUNDS):
                began = perf_counter()
                answer = await client.get(f"/fhir/{query}")
                times.append((perf_counter() - began) * 1000)
                sizes.add(len(answer.content) // 1024)
                assert answer.status_code == 200, answer.text
            slow = quantiles(times, n=20)[-1]
            said = f"p50 {median(times):6.1f} ms  p95 {slow:6.1f} ms  {max(sizes):4} KiB"
            print(f"{role:12} {name:24} {said}")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


if __name__ == "__main__":
    asyncio.run(main())
