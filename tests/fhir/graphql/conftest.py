"""Three patients, loaded once for each module, and somebody who asks about them."""

from collections.abc import Callable

import httpx
import pytest

from app.archive import Archive
from tests.build import dicom, study
from tests.fhir.graphql.asking import Ask, Reply
from tests.fhir.graphql.known import CT, SAID, YAMADA, Known
from tests.schema.library import store


@pytest.fixture(scope="module")
async def known(archive: Archive) -> Known:
    """The archive, filled, and the ids that it gave."""
    await store(archive, *study(2, 3, StudyInstanceUID=CT, **SAID, **YAMADA))
    for number, said in Known.others().items():
        await store(archive, dicom(StudyInstanceUID=number, **said))
    ids = {
        one["resource"]["identifier"][0]["value"]: one["_id"]
        async for one in archive.database["patients"].find({})
    }
    return Known(yamada=ids["P1"], berg=ids["P2"], doe=ids["P3"])


@pytest.fixture
def ask(client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]], known: Known) -> Ask:
    """Send one query: `await ask("{...}", "billing", at="Patient/1", variables={...})`."""

    async def send(
        query: str,
        role: str = "radiologist",
        at: str = "",
        variables: object = None,
        operation: str | None = None,
        **who: str,
    ) -> Reply:
        response = await client.post(
            f"/fhir/{at}/$graphql" if at else "/fhir/$graphql",
            json={"query": query, "variables": variables, "operationName": operation},
            headers=acting_as(role, **who),
        )
        assert response.headers["content-type"] == "application/json"
        return Reply(response.status_code, response.json(), response.text)

    return send
