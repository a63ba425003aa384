"""What an archive really holds, looked at past the doors."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.archive import Archive


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that ingest may leave, by what it is."""

    objects: frozenset[str]
    instances: frozenset[str]
    studies: frozenset[str]
    patients: int

    @property
    def empty(self) -> bool:
        return self == Contents(frozenset(), frozenset(), frozenset(), 0)


async def contents(archive: Archive) -> Contents:
    """Take stock."""
    return Contents(
        frozenset([entry.key async for entry in archive.objects.list()]),
        frozenset(await archive.database["instances"].distinct("_id")),
        frozenset(await archive.database["studies"].distinct("_id")),
        await archive.database["patients"].count_documents({}),
    )


def partial_writes(data_dir: Path) -> list[Path]:
    """List writes in progress, or interrupted."""
    return list((data_dir / "objects" / ".partial").iterdir())


async def assert_true(archive: Archive) -> None:
    """Check that the archive's records are what its instances say, and its bytes are right."""
    found = await contents(archive)
    counted: dict[str, dict[str, int]] = {}
    keys = set()
    async for instance in archive.database["instances"].find({}):
        series = counted.setdefault(instance["study"], {})
        series[instance["series"]] = series.get(instance["series"], 0) + 1
        keys.add(instance["object"])
        data = b"".join([piece async for piece in archive.objects.get(instance["object"])])
        assert (len(data), sha256(data).hexdigest()) == (instance["size"], instance["sha256"])
    assert found.objects == keys
    assert found.studies == set(counted)
    owners = set()
    async for study in archive.database["studies"].find({}):
        resource: dict[str, Any] = study["resource"]
        of_series = {one["uid"]: one["numberOfInstances"] for one in resource["series"]}
        assert of_series == counted[study["_id"]]
        assert resource["numberOfSeries"] == len(of_series)
        assert resource["numberOfInstances"] == sum(of_series.values())
        owners.add(resource["subject"]["reference"].removeprefix("Patient/"))
    patients = [one async for one in archive.database["patients"].find({})]
    assert {one["_id"] for one in patients} == owners
    assert all(one["resource"]["id"] == one["_id"] for one in patients)
