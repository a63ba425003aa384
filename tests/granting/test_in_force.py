"""Which links are in force: the request's variables, the database and the filter agree."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.archive import Archive
from app.store.links import Links
from fhir.dates import instant
from fhir.granting import in_force
from fhir.parameters import index
from fhir.repository import Wanted
from fhir.search import matches
from policies.scopes import LINKED

NOW = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)
OFFSETS = st.sampled_from([-86400.0, -1.0, -0.001, -0.000456, 0.0, 0.001, 1.0, 86400.0])
PEOPLE = ("https://issuer.example#me", "https://issuer.example#auth0|you,1")
PATIENTS = ("p", "q")
STUDIES = ("1.2", "1.3")


def link(
    kind: str, agent: str, patient: str, study: str, start: float, end: float | None, revoked: bool
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "resourceType": kind,
        "agent": agent,
        "patient": {"reference": f"Patient/{patient}"},
        "period": {"start": instant(NOW + timedelta(seconds=start))},
    }
    if end is not None:
        said["period"]["end"] = instant(NOW + timedelta(seconds=end))
    if revoked:
        said["revoked"] = {"at": instant(NOW), "by": agent}
    return said | ({"study": study} if kind == "Assignment" else {})


LINKS = st.lists(
    st.builds(
        link,
        st.sampled_from(["CareTeam", "Proxy", "Assignment", "BreakGlass"]),
        st.sampled_from(PEOPLE),
        st.sampled_from(PATIENTS),
        st.sampled_from(STUDIES),
        OFFSETS,
        st.none() | OFFSETS,
        st.booleans(),
    ),
    max_size=12,
)


def _open(one: dict[str, Any]) -> bool:
    period = one["period"]
    begun = datetime.fromisoformat(period["start"]) <= NOW
    over = "end" in period and datetime.fromisoformat(period["end"]) <= NOW
    return begun and not over and "revoked" not in one


def _model(links: list[dict[str, Any]], agent: str) -> dict[str, set[str]]:
    """Say in plain words what a person is let in to."""
    names: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
        "care-team": ("CareTeam", _patient),
        "proxied": ("Proxy", _patient),
        "assigned": ("Assignment", lambda one: str(one["study"])),
        "assigned-patient": ("Assignment", _patient),
        "break-glass": ("BreakGlass", _patient),
    }
    found = {
        name: {
            value(one)
            for one in links
            if one["resourceType"] == kind and one["agent"] == agent and _open(one)
        }
        for name, (kind, value) in names.items()
    }
    return {name: values for name, values in found.items() if values}


def _patient(one: dict[str, Any]) -> str:
    return str(one["patient"]["reference"]).removeprefix("Patient/")


@given(LINKS)
@settings(deadline=None, max_examples=60)
async def test_a_caller_has_the_variables_of_the_links_in_force_and_no_others(
    archive: Archive, links: list[dict[str, Any]]
) -> None:
    await archive.database["access_grants"].delete_many({})
    for number, one in enumerate(links):
        await archive.repository.create(one | {"id": str(number)})
    for agent in PEOPLE:
        found = await Links(archive.database).of(agent, LINKED, NOW)
        assert {name: set(values) for name, values in found.items()} == _model(links, agent)
        assert all(len(values) == len(set(values)) for values in found.values())
    tree = in_force(NOW)
    wanted = {str(number) for number, one in enumerate(links) if _open(one)}
    assert {str(at) for at, one in enumerate(links) if matches(tree, index(one))} == wanted
    stored = {
        record.id
        for kind in ("CareTeam", "Proxy", "Assignment", "BreakGlass")
        for record in await archive.repository.find(kind, tree, wanted=Wanted(), limit=50)
    }
    assert stored == wanted
