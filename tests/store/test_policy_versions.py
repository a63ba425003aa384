"""The history of the policy tells each change once, whoever notices it."""

import asyncio
from datetime import timedelta

from app.store.database import open_database
from app.store.policy_versions import PolicyVersions, Version


async def test_what_many_processes_notice_at_once_is_written_once(
    database_url: str, database_name: str
) -> None:
    database = open_database(database_url, database_name, timedelta(seconds=10))
    processes = [PolicyVersions(database) for _ in range(8)]
    editions = [f"edition {number}" for number in range(20)]
    for edition in editions:
        found = Version(edition, "decides", {"rules.csv": ""})
        await asyncio.gather(*(one.seen(found) for one in processes))
    rows = await processes[0].newest(len(processes) * len(editions))
    database.client.close()
    assert [row["edition"] for row in reversed(rows)] == editions
