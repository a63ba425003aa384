"""Every shipped scope finds in the database what it holds on, however many values it has."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from app.archive import scope_problem
from app.store.entries import stored
from app.store.filters import mongo_filter
from fhir.access import Access
from fhir.elements import COORDINATES
from fhir.search import matches
from policies.book import Book
from policies.caller import Caller
from policies.scopes import VARIABLES

POLICY = Book(Path(__file__).parents[2] / "policies", COORDINATES, scope_problem).current
PATIENTS = [f"p{number}" for number in range(8)]
STUDIES = [f"1.2.{number}" for number in range(8)]
LABELS = "UNRV"
SITES = ["north", "south"]
AGENTS = ["https://issuer#one", "https://issuer#two|\\", "https://issuer#three"]
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RELEASE = "https://radiograph.dev/fhir/release"
SITE = "https://radiograph.dev/fhir/site"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SHIPPED = sorted(
    (name, resource) for name, scope in POLICY.scopes.items() for resource in scope.texts
)


def tags(site: str | None, *, released: bool) -> list[dict[str, str]]:
    found = [{"system": RELEASE, "code": "released"}] if released else []
    return found + ([{"system": SITE, "code": site}] if site else [])


sites = st.none() | st.sampled_from(SITES)
references = st.sampled_from(PATIENTS).map(lambda one: {"reference": f"Patient/{one}"})
MADE: Mapping[str, st.SearchStrategy[dict[str, Any]]] = (
    {
        "Patient": st.builds(
            lambda site: {"meta": {"tag": tags(site, released=False)}}, site=sites
        ),
        "ImagingStudy": st.builds(
            lambda subject, label, released, site, modalities: {
                "subject": subject,
                "meta": {
                    "security": [{"system": CONFIDENTIALITY, "code": label}] if label else [],
                    "tag": tags(site, released=released),
                },
                "series": [{"modality": {"system": DCM, "code": one}} for one in modalities],
            },
            subject=references,
            label=st.sampled_from([*LABELS, None]),
            released=st.booleans(),
            site=sites,
            modalities=st.lists(st.sampled_from(["CT", "MR", "US"]), max_size=2),
        ),
    }
    | {
        kind: st.builds(
            lambda agent, patient: {"agent": agent, "requester": agent, "patient": patient},
            agent=st.sampled_from(AGENTS),
            patient=references,
        )
        for kind in (
            "CareTeam",
            "Proxy",
            "Assignment",
            "BreakGlass",
            "ReleaseRequest",
            "Session",
            "SavedView",
        )
    }
    | {
        "Share": st.builds(
            lambda agents, patient, recorder: {
                "agent": agents,
                "patient": patient,
                "recorder": recorder,
            },
            agents=st.lists(st.sampled_from(AGENTS), unique=True),
            patient=references,
            recorder=st.sampled_from(AGENTS),
        ),
        "Job": st.builds(lambda agent: {"agent": agent}, agent=st.sampled_from(AGENTS)),
        "ImageAnnotation": st.builds(
            lambda author, patient, study: {"author": author, "patient": patient, "study": study},
            author=st.sampled_from(AGENTS),
            patient=references,
            study=st.sampled_from(STUDIES),
        ),
    }
)


def records(resource: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    ids = PATIENTS if resource == "Patient" else STUDIES
    return st.lists(MADE[resource], min_size=1, max_size=len(ids)).map(
        lambda found: [
            {"resourceType": resource, "id": identifier, **one}
            for identifier, one in zip(ids, found, strict=False)
        ]
    )


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True).map(tuple)


claimed = st.fixed_dictionaries(
    {
        "patient": some(PATIENTS),
        "modality": some(["CT", "MR", "US"]),
        "clearance": some(list(LABELS)),
        "site": some(SITES),
        "project": some(["study-1"]),
        "specialty": some(["RADIOLOGY"]),
    }
)
linked = st.fixed_dictionaries(
    {
        "care-team": some(PATIENTS),
        "proxied": some(PATIENTS),
        "assigned": some(STUDIES),
        "assigned-patient": some(PATIENTS),
        "break-glass": some(PATIENTS),
        "shared": some(STUDIES),
        "shared-patient": some(PATIENTS),
        "shared-file": some(STUDIES),
        "shared-file-patient": some(PATIENTS),
    }
)


@pytest.fixture(scope="module")
async def collection(database_url: str) -> AsyncIterator[Any]:
    name = f"test-{uuid4().hex}"
    async with AsyncMongoClient[dict[str, Any]](database_url) as client:
        yield client[name]["records"]
        await client.drop_database(name)


def access(
    variables: Mapping[str, tuple[str, ...]],
    links: Mapping[str, tuple[str, ...]],
    agent: str,
    role: str = "provider",
) -> Access:
    return Access(Caller(agent, frozenset({role}), variables=variables), POLICY, links)


def holding(scope: str) -> str:
    """A role in whose view the scope can hold."""
    return "researcher" if POLICY.scopes[scope].view == "deidentified" else "provider"


@pytest.mark.parametrize(("scope", "resource"), SHIPPED)
async def test_a_scope_finds_in_the_database_the_records_that_it_holds_on(
    scope: str, resource: str, collection: Any
) -> None:
    @settings(
        max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(records(resource), claimed, linked, st.sampled_from(AGENTS))
    def gather(found: Any, variables: Any, links: Any, agent: str) -> None:
        cases.append((found, access(variables, links, agent, holding(scope))))

    cases: list[tuple[list[dict[str, Any]], Access]] = []
    held = 0
    for _ in range(20):  # until there is a case in which the scope holds
        cases.clear()
        gather()
        for found, asking in cases:
            documents = [{"_id": one["id"], **stored(one, 1)} for one in found]
            await collection.delete_many({})
            await collection.insert_many(documents)
            tree = asking.held({scope}, resource)[scope]
            expected = {one["_id"] for one in documents if matches(tree, one["index"])}
            assert {one["_id"] async for one in collection.find(mongo_filter(tree))} == expected
            held += len(expected)
        if held:
            break
    assert held, "no case in which the scope holds"


@pytest.mark.parametrize(("scope", "resource"), SHIPPED)
@given(data=st.data())
def test_a_scope_of_many_values_holds_where_it_holds_for_one_of_them(
    scope: str, resource: str, data: Any
) -> None:
    found = data.draw(records(resource))
    variables, links = data.draw(claimed), data.draw(linked)
    agent = data.draw(st.sampled_from(AGENTS))
    role = holding(scope)
    whole = access(variables, links, agent, role).held({scope}, resource)[scope]
    everything = {**variables, **links}
    names = sorted(set(POLICY.scopes[scope].named(resource)) - {"subject"})
    apart = [{**everything, name: (value,)} for name in names for value in everything[name]]
    if "proxied" in names:  # a token's own patients count as well
        apart += [{**everything, "proxied": (value,)} for value in variables["patient"]]
    singles = [
        access(
            {name: value for name, value in one.items() if name in variables and name != "patient"}
            | {"patient": one["patient"] if "patient" in names else ()},
            {name: value for name, value in one.items() if name in links},
            agent,
            role,
        ).held({scope}, resource)[scope]
        for one in apart
    ] or [whole]
    for record in found:
        index = stored(record, 1)["index"]
        assert matches(whole, index) == any(matches(one, index) for one in singles)


def test_every_scope_that_the_documentation_names_is_shipped() -> None:
    assert POLICY.scopes.keys() >= {
        "own",
        "proxied",
        "released",
        "care-team",
        "assigned",
        "specialty",
        "clearance",
        "site",
        "break-glass",
        "deidentified",
    }


def test_every_variable_is_used_by_a_shipped_scope_but_the_specialty_itself() -> None:
    used = frozenset().union(*(scope.variables for scope in POLICY.scopes.values()))
    assert VARIABLES - used == {"specialty", "project"}


@pytest.mark.parametrize("scope", ["own", "care-team", "site", "break-glass", "unrestricted"])
def test_in_the_deidentified_view_no_other_scope_holds(scope: str) -> None:
    everything = dict.fromkeys(sorted(VARIABLES), ("p1",))
    asking = access(everything, everything, AGENTS[0], "researcher")
    assert asking.view == "deidentified"
    record = {"resourceType": "ImagingStudy", "id": "1.2.1", "subject": {"reference": "Patient/p1"}}
    assert not matches(asking.held({scope}, "ImagingStudy")[scope], stored(record, 1)["index"])


def test_whoever_has_a_role_of_the_identified_view_is_in_it_and_the_other_scope_holds_nowhere() -> (
    None
):
    caller = Caller(AGENTS[0], frozenset({"researcher", "provider"}))
    asking = Access(caller, POLICY, {})
    assert asking.view == "identified"
    index = stored({"resourceType": "Patient", "id": "p1"}, 1)["index"]
    assert not matches(asking.held({"deidentified"}, "Patient")["deidentified"], index)
