"""Text is looked up in an index; what was stored before there was one is found after `reindex`."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.archive import Archive
from app.store.database import Database, open_database, prepare
from app.store.entries import stored
from app.store.filters import mongo_filter
from fhir.search import criteria
from tests.schema.asking import Ask, nodes

STUDIES = 20_000
RARE = 20  # studies of each patient


def studies() -> Iterator[dict[str, Any]]:
    for at in range(STUDIES):
        resource = {
            "resourceType": "ImagingStudy",
            "id": f"1.{at}",
            "subject": {
                "reference": f"Patient/p{at // RARE}",
                "display": f"Given{at % 7} Family{at // RARE:04}x",
            },
            "description": "CT Thorax" if at % 2 else "MR Knie",
        }
        yield {"_id": resource["id"], **stored(resource, 1)}


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database of many studies, with the archive's indexes."""
    database = open_database(database_url, f"test-{uuid4().hex}", timedelta(seconds=10))
    await prepare(database)
    await database["studies"].insert_many(list(studies()), ordered=False)
    patients = (
        {"resourceType": "Patient", "id": f"p{at}", "name": [{"family": f"Family{at:04}x"}]}
        for at in range(STUDIES // RARE)
    )
    documents = [{"_id": one["id"], "key": one["id"], **stored(one, 1)} for one in patients]
    await database["patients"].insert_many(documents)
    yield database
    await database.client.drop_database(database.name)
    database.client.close()


async def examined(
    database: Database, collection: str, resource: str, name: str, text: str
) -> tuple[int, int, str]:
    """Give how many records a search finds and reads, and how the database goes about it."""
    query = mongo_filter(criteria(resource, [(name, text)]).tree)
    found = await database.command(
        "explain",
        {"find": collection, "filter": query, "sort": {"_id": 1}, "limit": 21},
        verbosity="executionStats",
    )
    told = found["executionStats"]
    return told["nReturned"], told["totalDocsExamined"], str(found["queryPlanner"]["winningPlan"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("family0123x", RARE),
        ("FAMILY-0123", 0),
        ("family0123", RARE),
        ("thorax family0123", RARE // 2),
        ("family0123 knie given1", None),
        ("nobody", 0),
        ("nobody ct", 0),
    ],
)
async def test_a_selective_text_reads_what_it_finds_of_twenty_thousand_studies(
    database: Database, text: str, found: int | None
) -> None:
    returned, read, plan = await examined(database, "studies", "ImagingStudy", "text", text)
    assert found is None or returned == found
    assert read <= RARE
    assert "IXSCAN" in plan
    assert "COLLSCAN" not in plan


@pytest.mark.parametrize("name", ["name", "text", "family"])
async def test_a_patient_is_looked_up_by_the_beginning_of_a_name(
    database: Database, name: str
) -> None:
    returned, read, plan = await examined(database, "patients", "Patient", name, "family012")
    assert (returned, read) == (10, 10)
    assert "COLLSCAN" not in plan


async def test_what_was_stored_without_words_is_found_once_it_is_derived_again(
    ask: Ask, archive: Archive
) -> None:
    for collection in ("studies", "patients"):
        await archive.database[collection].update_many(
            {}, {"$unset": {"index.text": "", "keys.name": "", "resource.subject._display": ""}}
        )
    query = '{studies(text: "山田") {edges {node {id}}}}'
    people = '{patients(text: "山田", sort: [NAME]) {totalCount}}'
    assert nodes((await ask(query)).data["studies"]) == []
    assert (await ask(people)).data["patients"]["totalCount"] == 0
    async for study in archive.ledger.studies():  # what `reindex` does
        await archive.ingest.derive(study)
    assert nodes((await ask(query)).data["studies"]) == ["1.2.1"]
    assert (await ask(people)).data["patients"]["totalCount"] == 1
    assert await archive.database["patients"].count_documents({"keys.name": {"$exists": 0}}) == 0
