"""Prints how long text searches and facets take in archives of different sizes.

Run as `python -m tests.bench.facets [SIZE…]`; it starts a database of its own and fills it with
records as the archive writes them, without any DICOM behind them.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import httpx

from app.archive import Archive, open_archive
from app.identity.development import DevelopmentIssuer
from app.main import create_app
from app.settings import Settings
from app.store.entries import stored
from fhir.from_dicom.coding_schemes import DCM, SNOMED_CT

SIZES = (1_000, 20_000, 200_000)
ROUNDS = 15
PER_PATIENT = 5
AT_ONCE = 2_000
_MODALITIES = ("CT", "MR", "US", "CR", "DX", "PT", "MG", "NM", "XA", "RF")
_PLACES = (("69536005", "Head"), ("816094009", "Chest"), ("818981001", "Abdomen"))
_FAMILIES = ("Müller", "Yamada", "Nguyễn", "O'Brien", "García", "Øster", "Schmidt", "Rossi")
_WORDS = ("thorax", "abdomen", "contrast", "without", "routine", "follow-up", "acute", "biopsy")

SEARCHES = {
    "one name": 'studies(text: "{name}") {{totalCount edges {{node {{id}}}}}}',
    "two words": 'studies(text: "{name} thorax") {{totalCount edges {{node {{id}}}}}}',
    "accession": 'studies(text: "{accession}") {{totalCount edges {{node {{id}}}}}}',
    "nobody": 'studies(text: "zzz") {{totalCount edges {{node {{id}}}}}}',
    "every 8th, page": 'studies(text: "muell") {{edges {{node {{id}}}}}}',
    "every 8th, total": 'studies(text: "muell") {{totalCount}}',
    "every 8th, newest": 'studies(text: "muell", sort: [STARTED_DESC]) {{edges {{node {{id}}}}}}',
    "facets, one name": 'studyFacets(text: "{name}") {{{facets}}}',
    "facets, CT of a year": 'studyFacets(modality: ["CT"], started: {{from: "2023", to: "2023"}}) '
    "{{{facets}}}",
    "facets, all": "studyFacets {{{facets}}}",
    "facets, all by status": "studyFacets {{total status {{value count}}}}",
}
_FACETS = (
    "total modality {value count} bodySite {value count} status {value count} day {value count}"
)


async def main(sizes: tuple[int, ...]) -> None:
    """Fill an archive step by step, and measure each search at each size."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {"data_dir": Path(folder), "policy_dir": "policies", "development_issuer": True}
        )
        async with open_archive(settings) as archive:
            have = 0
            for size in sorted(sizes):
                began = perf_counter()
                await _fill(archive, have, size)
                took = perf_counter() - began
                print(f"{size:,} studies, {size - have:,} of them written in {took:.1f} s")
                have = size
                await _measure(archive, size)
                await _sizes(archive)


async def _fill(archive: Archive, start: int, end: int) -> None:
    studies = archive.database["studies"]
    for at in range(start, end, AT_ONCE):
        some = [_document(one) for one in range(at, min(at + AT_ONCE, end))]
        await studies.insert_many(some, ordered=False)


def _document(number: int) -> dict[str, Any]:
    resource = _study(number)
    return {"_id": resource["id"], "claim": f"{number:x}", **stored(resource, 1)}


def _study(number: int) -> dict[str, Any]:
    chosen = random.Random(number)
    began = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * chosen.randrange(260_000))
    accession = {"coding": [{"code": "ACSN"}]}
    return {
        "resourceType": "ImagingStudy",
        "id": f"2.25.{number}",
        "identifier": [
            {"system": "urn:dicom:uid", "value": f"urn:oid:2.25.{number}"},
            {"type": accession, "value": f"ACC{number:08}"},
        ],
        "status": "available",
        "subject": {
            "reference": f"Patient/p{number // PER_PATIENT}",
            "display": _name(number // PER_PATIENT),
        },
        "started": began.isoformat(),
        "description": " ".join(chosen.sample(_WORDS, 3)),
        "series": list(_series(number, chosen)),
    }


def _name(patient: int) -> str:
    return f"Given{patient % 977} {_FAMILIES[patient % len(_FAMILIES)]} Only{patient:07}x"


def _series(number: int, chosen: random.Random) -> Iterator[dict[str, Any]]:
    code = chosen.choice(_MODALITIES)
    place, display = chosen.choice(_PLACES)
    for at in range(1, chosen.randrange(2, 6)):
        yield {
            "uid": f"2.25.{number}.{at}",
            "number": at,
            "modality": {"system": DCM, "code": code},
            "bodySite": {"system": SNOMED_CT, "code": place, "display": display},
            "description": f"Axial {at}",
            "numberOfInstances": 100,
        }


async def _measure(archive: Archive, size: int) -> None:
    token = DevelopmentIssuer(archive.settings.data_dir).token("radiologist")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(archive.settings, archive)),
        base_url=archive.settings.base_url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    ) as client:
        for name, query in SEARCHES.items():
            times = []
            for at in range(ROUNDS):
                number = (at * 7_919 + 13) % size
                text = query.format(
                    name=f"only{number // PER_PATIENT:07}",
                    accession=f"acc{number:08}",
                    facets=_FACETS,
                )
                began = perf_counter()
                answer = await client.post("/graphql", json={"query": f"{{ {text} }}"})
                times.append((perf_counter() - began) * 1000)
                assert answer.status_code == 200, answer.text
                assert "errors" not in answer.json(), answer.text
            print(f"  {name:22} p50 {median(times):8.1f} ms   worst {max(times):8.1f} ms")


async def _sizes(archive: Archive) -> None:
    told = await archive.database.command("collStats", "studies")
    words = told["indexSizes"]["index.text_1"] / 2**20
    print(f"  data {told['size'] / 2**20:,.0f} MB, index of words {words:,.1f} MB")


if __name__ == "__main__":
    asyncio.run(main(tuple(map(int, sys.argv[1:])) or SIZES))
