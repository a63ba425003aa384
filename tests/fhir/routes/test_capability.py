"""The CapabilityStatement: everything there is, or what is open to whoever asks."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.archive import Archive
from policies.rules import ROLES
from tests.fhir.routes.conftest import Known
from tests.validators import assert_valid

Headers = Callable[..., dict[str, str]]
METADATA = "/fhir/metadata"


async def resources(
    client: httpx.AsyncClient, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Give the described types by name."""
    answer = await client.get(METADATA, headers=headers or {})
    assert answer.status_code == 200, answer.text
    assert "Authorization" in answer.headers["Vary"]
    [rest] = answer.json()["rest"]
    return {one["type"]: one for one in rest.get("resource", ())}


def names(described: dict[str, Any]) -> set[str]:
    return {one["name"] for one in described["searchParam"]}


def codes(described: dict[str, Any]) -> list[str]:
    return [one["code"] for one in described["interaction"]]


async def test_without_a_token_it_says_all_that_the_server_does(client: httpx.AsyncClient) -> None:
    told = await resources(client)
    assert list(told) == ["Patient", "ImagingStudy", "Endpoint"]
    assert {"name", "birthdate"} <= names(told["Patient"])
    assert told["ImagingStudy"]["searchInclude"] == [
        "ImagingStudy:patient",
        "ImagingStudy:subject",
        "ImagingStudy:endpoint",
    ]


async def test_it_says_what_comes_along_what_chains_and_that_there_are_batches(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    told = await resources(client)
    assert told["Patient"]["searchRevInclude"] == ["ImagingStudy:patient", "ImagingStudy:subject"]
    assert told["Endpoint"]["searchRevInclude"] == ["ImagingStudy:endpoint"]
    assert "searchRevInclude" not in told["ImagingStudy"]
    chained = {
        one["name"]: one["documentation"].partition("Chains to the parameters of ")[2]
        for one in told["ImagingStudy"]["searchParam"]
        if "Chains to" in one["documentation"]
    }
    assert chained == {"patient": "Patient.", "subject": "Patient.", "endpoint": "Endpoint."}
    for role, shown in (("billing", {"Patient": ["ImagingStudy:patient", "ImagingStudy:subject"]}),
                        ("auditor", {}), ("radiologist", None)):  # fmt: skip
        answer = (await client.get(METADATA, headers=acting_as(role))).json()
        assert_valid(answer)
        [rest] = answer["rest"]
        assert rest.get("interaction", []) == ([] if role == "auditor" else [{"code": "batch"}])
        found = {
            one["type"]: one["searchRevInclude"]
            for one in rest.get("resource", ())
            if "searchRevInclude" in one
        }
        whole = {name: one.get("searchRevInclude") for name, one in told.items()}
        assert found == ({k: v for k, v in whole.items() if v} if shown is None else shown)
    chained_by = acting_as("radiologist", scope="user/ImagingStudy.rs")
    assert "Chains to" not in (await client.get(METADATA, headers=chained_by)).text


async def test_a_role_is_shown_its_types_searches_and_includes(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    whole = await resources(client)
    told = await resources(client, acting_as("billing"))
    assert list(told) == ["Patient", "ImagingStudy"]
    assert names(told["Patient"]) == {"_id", "identifier", "text"}
    assert "patient-name" not in names(told["ImagingStudy"])
    assert {"status", "started", "patient"} <= names(told["ImagingStudy"])
    assert told["ImagingStudy"]["searchInclude"] == ["ImagingStudy:patient", "ImagingStudy:subject"]
    assert codes(told["Patient"]) == ["read", "search-type"]
    assert await resources(client, acting_as("auditor")) == {}
    everything = await resources(client, acting_as("radiologist"))
    assert list(everything) == list(whole)
    assert names(everything["Patient"]) == names(whole["Patient"])


async def test_orders_are_told_where_they_may_be_asked_for(
    client: httpx.AsyncClient, acting_as: Headers
) -> None:
    def sortable(described: dict[str, Any]) -> set[str]:
        rows = described["searchParam"]
        return {one["name"] for one in rows if "sorted by" in one["documentation"]}

    told = await resources(client, acting_as("nurse"))
    # names are searched by where they are open, and so order nothing
    assert "patient-name" in names(told["ImagingStudy"])
    assert "patient-name" not in sortable(told["ImagingStudy"])
    told = await resources(client, acting_as("radiologist"))
    assert "patient-name" in sortable(told["ImagingStudy"])


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("user/Patient.r", {"Patient": ["read"]}),
        ("user/Patient.s", {"Patient": ["search-type"]}),
        (
            "user/ImagingStudy.rs",
            {"ImagingStudy": ["read", "search-type"], "Endpoint": ["read"]},
        ),
        ("user/Observation.rs", {}),
    ],
)
async def test_a_smart_token_is_shown_what_its_scopes_leave(
    client: httpx.AsyncClient, acting_as: Headers, scope: str, shown: dict[str, list[str]]
) -> None:
    told = await resources(client, acting_as("radiologist", scope=scope))
    assert {name: codes(one) for name, one in told.items()} == shown
    for one in told.values():
        assert ("searchParam" in one) == ("search-type" in codes(one))


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer a.b.c", "Basic eDp5", ""])
async def test_a_token_that_does_not_hold_is_refused_although_none_is_needed(
    client: httpx.AsyncClient, authorization: str
) -> None:
    answer = await client.get(METADATA, headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == "login"


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_what_it_tells_a_role_works_and_what_it_leaves_out_is_refused(
    client: httpx.AsyncClient, acting_as: Headers, known: Known, archive: Archive, role: str
) -> None:
    who: dict[str, Any] = {"project": "p1"} if role == "researcher" else {}
    if role in {"patient", "proxy"}:
        who = {"patient": known.jane}
    headers = acting_as(role, **who)
    statement = (await client.get(METADATA, headers=headers)).json()
    assert_valid(statement)
    told = await resources(client, headers)
    values = {"date": "2020", "reference": "x", "token": "x", "string": "x"}
    for name, whole in (await resources(client)).items():
        for one in whole["searchParam"]:
            query = {one["name"]: values[one["type"]]}
            answer = await client.get(f"/fhir/{name}", params=query, headers=headers)
            offered = name in told and one["name"] in names(told[name])
            assert (answer.status_code == 200) == offered, (name, one["name"], answer.text)
            assert answer.status_code in {200, 403}
