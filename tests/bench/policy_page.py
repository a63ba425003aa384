"""Prints what the policy costs on a page of 100 studies × 3 series × 50 instances, in process.

The same page is read under the shipped rules, with scopes decided row by row, and under one line
that opens everything, turn by turn; the medians of CPU time are compared. Run as
`python -m tests.bench.policy_page`; it starts a database of its own.
"""

import asyncio
import gc
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time

import orjson

from app.archive import Archive, open_archive, scope_problem
from app.settings import Settings
from fhir.access import Access
from fhir.elements import COORDINATES
from fhir.guarded import GuardedRepository
from fhir.repository import Wanted
from fhir.search import EVERYTHING
from policies.book import Book
from policies.caller import Caller
from policies.grants import Policy
from schema.build import build_schema
from schema.execution import Query, run
from schema.limits import Limits
from tests.build import study

ROUNDS = 15
AGENT = "bench#someone"
PAGE = """{studies(first: 100) {edges {node {
  id started status description patient {id name {text} birthDate}
  series {uid number modality {code} bodySite {display}
    instance {uid number title sopClass {code} image {rows columns}}}}}}}"""


async def main() -> None:
    """Take the studies in and measure."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate({"data_dir": Path(folder), "policy_dir": "policies"})
        async with open_archive(settings) as archive:
            for number in range(100):
                name = {"PatientID": f"P{number}", "PatientName": f"Doe^{number}"}
                made = study(3, 50, StudyInstanceUID=f"1.2.{number}", **name)
                await asyncio.gather(*(archive.ingest.store(_once(one)) for one in made))
            shipped = archive.book.current
            opened = _open_policy(Path(folder) / "open")
            await _measure(archive, {"off": opened, "on": shipped})


def _open_policy(folder: Path) -> Policy:
    shutil.copytree("policies", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "rules.csv").write_text("p, provider, *, *, any, allow\n")
    (folder / "tests.toml").write_text("")
    return Book(folder, COORDINATES, scope_problem).current


async def _measure(archive: Archive, policies: dict[str, Policy]) -> None:
    patients = await archive.repository.find(
        "Patient", EVERYTHING, wanted=Wanted(frozenset({"id"})), limit=1_000
    )
    for patient in patients[::2]:
        await archive.repository.create(_member(patient.id))
    schema = build_schema()
    caller = Caller(AGENT, frozenset({"provider"}))
    times: dict[str, list[float]] = {name: [] for name in policies}
    sizes = {}
    for _ in range(ROUNDS):
        for name, policy in policies.items():
            gc.collect()
            began = process_time()
            needed = frozenset().union(*(one.variables for one in policy.scopes.values()))
            linked = await archive.links.of(AGENT, needed, datetime.now(UTC))
            guarded = GuardedRepository(archive.repository, Access(caller, policy, linked))
            answer = await run(schema, guarded, "http://bench", Query(PAGE), Limits())
            body = orjson.dumps(answer.body)
            times[name].append(process_time() - began)
            sizes[name] = len(body), len(answer.body.get("errors", ()))
    for name, taken in times.items():
        size, refused = sizes[name]
        print(
            f"policy {name:3} median {median(taken) * 1000:7.1f} ms CPU, best "
            f"{min(taken) * 1000:7.1f}, {size / 2**20:.2f} MiB, {refused} refused coordinates"
        )
    for kind, chosen in (("median", median), ("best", min)):
        print(f"on / off, {kind}: {chosen(times['on']) / chosen(times['off']):.3f}")


def _member(patient: str) -> dict[str, object]:
    return {
        "resourceType": "CareTeam",
        "id": f"link-{patient}",
        "agent": AGENT,
        "patient": {"reference": f"Patient/{patient}"},
        "period": {"start": "2020-01-01T00:00:00Z"},
    }


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


if __name__ == "__main__":
    asyncio.run(main())
