"""Prints how long the whole tree of a study of 300 instances takes over HTTP, in process.

Run as `python -m tests.bench.graphql_tree`; it starts a database of its own.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import httpx
import orjson

from app.archive import Archive, open_archive
from app.identity.development import DevelopmentIssuer
from app.main import create_app
from app.settings import Settings
from tests.build import study

ROUNDS = 50
STUDY = "1.2.300"
TREES = {
    "numbers and addresses": """{study(uid: "1.2.300") {
      id started description patient {id name {text} birthDate}
      series {uid number modality {code} bodySite {display}
        instance {uid number image {rows columns frames {number url} rendered thumbnail}}}}}""",
    "every field": """{study(uid: "1.2.300") {
      id started status description numberOfSeries numberOfInstances identifier {system value}
      modality {system code display} subject {reference display} endpoint {reference}
      patient {id name {text family given} birthDate gender identifier {system value}}
      series {uid number modality {system code display} description numberOfInstances
        bodySite {system code display} started
        instance {uid number title sopClass {system code display} image {
          id study series number transferSyntax size rows columns numberOfFrames bitsAllocated
          bitsStored photometricInterpretation windowCenter windowWidth rescaleIntercept
          rescaleSlope pixelSpacing sliceThickness imagePosition imageOrientation
          frames {number url} rendered thumbnail file}}}}}""",
    "no instances": """{study(uid: "1.2.300") {id started series {uid number}}}""",
    "nothing": "{__typename}",
}


async def main() -> None:
    """Take a study in and measure each query on it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {"data_dir": Path(folder), "policy_dir": "policies", "development_issuer": True}
        )
        async with open_archive(settings) as archive:
            for data in study(3, 100, StudyInstanceUID=STUDY):
                await archive.ingest.store(_once(data))
            await _measure(archive)


async def _measure(archive: Archive) -> None:
    token = DevelopmentIssuer(archive.settings.data_dir).token("radiologist")
    transport = httpx.ASGITransport(app=create_app(archive.settings, archive))
    async with httpx.AsyncClient(
        transport=transport,
        base_url=archive.settings.base_url,
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        for name, query in TREES.items():
            times, size = [], 0
            for _ in range(ROUNDS):
                began = perf_counter()
                answer = await client.post("/graphql", json={"query": query})
                times.append((perf_counter() - began) * 1000)
                size = len(answer.content)
                assert "errors" not in orjson.loads(answer.content), answer.text
            slow = quantiles(times, n=20)[-1]
            print(
                f"{name:22} p50 {median(times):6.1f} ms  p95 {slow:6.1f} ms  {size / 1024:6.1f} KiB"
            )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


if __name__ == "__main__":
    asyncio.run(main())
