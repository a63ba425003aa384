"""Prints what a page of 100 studies x 3 series x 50 instances costs, against stock Strawberry.

Run as `python -m tests.bench.graphql_page`; it starts a database of its own. All figures are CPU
milliseconds of this process, the least of several rounds, each side in turn.

"Execution" begins with loaded data and ends with the answer as Python has it. "From BSON to bytes"
begins with what the database sends and ends with the body of the answer: for us that is the whole
of `schema.execution.run` with policy, audit entries and pages; for Strawberry it is reading the
same documents, making its objects, executing, and `json.dumps`.
"""

import asyncio
import gc
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import orjson
import strawberry
from graphql import execute_sync
from strawberry.schema.config import StrawberryConfig

from app.archive import Archive, open_archive
from app.settings import Settings
from app.store.entries import stored
from policies.caller import Caller
from schema.build import build_schema
from schema.execution import Query, run
from schema.limits import Limits
from schema.plans import plans_of
from tests.build import uid

STUDIES, SERIES, INSTANCES = 100, 3, 50
_AS_NAMED = StrawberryConfig(auto_camel_case=False)
ROUNDS = 9
# ten scalars of each instance
PAGE = """{studies(first: 100) {edges {node {id started description
  series {uid number description
    instance {uid number title image {
      rows columns bitsStored photometricInterpretation rescaleSlope size transferSyntax}}}}}}}"""
FIELDS = (
    "rows",
    "columns",
    "bitsStored",
    "photometricInterpretation",
    "rescaleSlope",
    "size",
    "transferSyntax",
)


@strawberry.type
class StockImage:
    rows: int | None
    columns: int | None
    bitsStored: int | None  # noqa: N815 -- FHIR's way, as on our side
    photometricInterpretation: str | None  # noqa: N815
    rescaleSlope: float | None  # noqa: N815
    size: int | None
    transferSyntax: str | None  # noqa: N815


@strawberry.type
class StockInstance:
    uid: strawberry.ID | None
    number: int | None
    title: str | None
    image: StockImage | None


@strawberry.type
class StockSeries:
    uid: strawberry.ID | None
    number: int | None
    description: str | None
    instance: list[StockInstance] | None


@strawberry.type
class StockStudy:
    id: strawberry.ID
    started: str | None
    description: str | None
    series: list[StockSeries] | None


@strawberry.type
class StockQuery:
    @strawberry.field
    def studies(self, info: strawberry.Info, first: int = 100) -> list[StockStudy]:
        found: list[StockStudy] = info.context
        return found[:first]


STOCK_PAGE = PAGE.replace("edges {node {", "").replace("}}}}}}}", "}}}}}")


def resources(study: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write one study as FHIR JSON, and its instances as they are stored."""
    parts = [
        {
            "uid": uid("page", study, number),
            "number": number,
            "description": f"Axial {number}",
            "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"},
            "numberOfInstances": INSTANCES,
        }
        for number in range(1, SERIES + 1)
    ]
    resource = {
        "resourceType": "ImagingStudy",
        "id": uid("page", study),
        "status": "available",
        "subject": {"reference": f"Patient/{study:04d}"},
        "started": f"2024-02-{study % 28 + 1:02d}T10:00:00Z",
        "description": "CT of the chest",
        "numberOfSeries": SERIES,
        "numberOfInstances": SERIES * INSTANCES,
        "series": parts,
    }
    images = [
        {
            "_id": uid("page", study, part["number"], number),
            "study": resource["id"],
            "series": part["uid"],
            "number": number,
            "resource": {
                "id": uid("page", study, part["number"], number),
                "number": number,
                "title": "ORIGINAL\\\\PRIMARY\\\\AXIAL",
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.1"},
                "rows": 512,
                "columns": 512,
                "bitsAllocated": 16,
                "bitsStored": 12,
                "photometricInterpretation": "MONOCHROME2",
                "windowCenter": [40.0],
                "windowWidth": [400.0],
                "rescaleSlope": 1.0,
                "rescaleIntercept": -1024.0,
                "size": 527_000,
                "transferSyntax": "1.2.840.10008.1.2.1",
            },
        }
        for part in parts
        for number in range(1, INSTANCES + 1)
    ]
    return resource, images


async def main() -> None:
    """Measure, fill a database, measure again, print."""
    _execution()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate({"data_dir": Path(folder), "policy_dir": "policies"})
        async with open_archive(settings) as archive:
            for number in range(STUDIES):
                resource, images = resources(number)
                record = {"_id": resource["id"], "claim": "x", **stored(resource, 1)}
                await archive.database["studies"].insert_one(record)
                await archive.database["instances"].insert_many(images)
            await _measure(archive)


async def _measure(archive: Archive) -> None:
    schema, limits = build_schema(), Limits()
    stock = strawberry.Schema(StockQuery, config=_AS_NAMED)
    caller = Caller("bench#somebody", frozenset({"radiologist"}))

    async def ours() -> bytes:
        guarded = await archive.begin(caller)
        answer = await run(schema, guarded, "http://localhost", Query(PAGE), limits)
        assert answer.compiled
        return orjson.dumps(answer.body)

    async def theirs() -> bytes:
        result = await stock.execute(STOCK_PAGE, context_value=await _objects(archive))
        assert result.errors is None
        return json.dumps({"data": result.data}).encode()

    _settle()
    body = orjson.loads(await ours())
    nodes = [edge["node"] for edge in body["data"]["studies"]["edges"]]
    assert orjson.loads(await theirs())["data"]["studies"] == nodes
    whole = await _turns(ours, theirs)

    print(f"from BSON to bytes        ours {whole[0]:7.1f} ms")
    print(f"  Strawberry                   {whole[1]:7.1f} ms   {whole[1] / whole[0]:5.1f} times")


def _execution() -> None:
    """Walk data that is there, as each side has it."""
    schema, stock = build_schema(), strawberry.Schema(StockQuery, config=_AS_NAMED)
    planned = plans_of(schema).planned(PAGE, {}, None, Limits())
    projection = planned.projection
    assert projection is not None
    values, objects = _values(), _from_resources()
    _settle()
    found = execute_sync(schema, planned.prepared.document, root_value=values)
    assert found.errors is None
    assert found.data == projection(values)
    theirs = stock.execute_sync(STOCK_PAGE, context_value=objects)
    nodes = [edge["node"] for edge in found.data["studies"]["edges"]]
    assert theirs.data == {"studies": nodes}
    walked = (
        _least(lambda: projection(values)),
        _least(lambda: execute_sync(schema, planned.prepared.document, root_value=values), 3),
        _least(lambda: stock.execute_sync(STOCK_PAGE, context_value=objects), 3),
    )
    count = STUDIES * (4 + SERIES * (4 + INSTANCES * 11))
    print(f"{count:,} fields, {len(orjson.dumps(found.data)) / 1e6:.2f} MB")
    print(f"execution             compiled {walked[0]:7.1f} ms")
    print(
        f"  graphql-core, same data      {walked[1]:7.1f} ms   {walked[1] / walked[0]:5.1f} times"
    )
    print(
        f"  Strawberry, its objects      {walked[2]:7.1f} ms   {walked[2] / walked[0]:5.1f} times"
    )


def _values() -> dict[str, Any]:
    """Give what loading gives: what takes arguments lies under its path."""
    edges = []
    for number in range(STUDIES):
        resource, images = resources(number)
        of_series = _by_series(images)
        for part in resource["series"]:
            part["studies.edges.node.series.instance"] = [
                {
                    "uid": one["_id"],
                    "number": one["number"],
                    "title": one["resource"]["title"],
                    "image": one["resource"],
                }
                for one in of_series[part["uid"]]
            ]
        edges.append({"cursor": "", "node": resource})
    return {"studies": {"edges": edges}}


def _from_resources() -> list[StockStudy]:
    found = []
    for number in range(STUDIES):
        resource, images = resources(number)
        members = {
            uid: [_stock_instance(one) for one in some] for uid, some in _by_series(images).items()
        }
        found.append(_stock_study(resource, members))
    return found


def _by_series(images: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in images:
        found.setdefault(one["series"], []).append(one)
    return found


def _stock_instance(document: dict[str, Any]) -> StockInstance:
    one = document["resource"]
    picture = StockImage(**{name: one.get(name) for name in FIELDS})
    return StockInstance(
        uid=document["_id"], number=one.get("number"), title=one.get("title"), image=picture
    )


def _stock_study(resource: dict[str, Any], members: dict[str, list[StockInstance]]) -> StockStudy:
    return StockStudy(
        id=resource["id"],
        started=resource["started"],
        description=resource["description"],
        series=[
            StockSeries(
                uid=part["uid"],
                number=part["number"],
                description=part["description"],
                instance=members[part["uid"]],
            )
            for part in resource["series"]
        ],
    )


def _settle() -> None:
    """Look for garbage as seldom as a server that is ready."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


async def _turns(*sides: Callable[[], Any]) -> list[float]:
    least = [float("inf")] * len(sides)
    for _ in range(ROUNDS):
        for at, side in enumerate(sides):
            began = process_time()
            await side()
            least[at] = min(least[at], (process_time() - began) * 1000)
    return least


def _least(run_once: Callable[[], Any], rounds: int = ROUNDS) -> float:
    least = float("inf")
    for _ in range(rounds):
        began = process_time()
        run_once()
        least = min(least, (process_time() - began) * 1000)
    return least


async def _objects(archive: Archive) -> list[StockStudy]:
    """Read the documents and make Strawberry's objects of them."""
    asked = {"resource.id": 1, "resource.started": 1, "resource.description": 1} | {
        f"resource.series.{name}": 1 for name in ("uid", "number", "description")
    }
    studies = await archive.database["studies"].find({}, asked, sort=[("_id", 1)]).to_list(None)
    wanted = {f"resource.{name}": 1 for name in (*FIELDS, "number", "title")} | {"series": 1}
    cursor = archive.database["instances"].find(
        {"study": {"$in": [one["_id"] for one in studies]}},
        wanted,
        sort=[("study", 1), ("series", 1), ("number", 1), ("_id", 1)],
        batch_size=100_000,
    )
    members: dict[str, list[StockInstance]] = {}
    async for document in cursor:
        members.setdefault(document["series"], []).append(_stock_instance(document))
    return [_stock_study({**one["resource"], "id": one["_id"]}, members) for one in studies]


if __name__ == "__main__":
    asyncio.run(main())
