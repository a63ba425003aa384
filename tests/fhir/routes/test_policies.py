"""Rules that hold on some rows only, through the FHIR door."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.archive import Archive
from policies.errors import PolicyError
from policies.judge import enforcer
from policies.rules import parts
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue, told
from tests.policy import SHIPPED, book, doors

Headers = Callable[..., dict[str, str]]
OWN = """
[own]
description = "The caller's"
Patient = "_id={patient}"
ImagingStudy = "patient=Patient/{patient}"
"""


async def test_a_name_that_is_open_on_own_rows_is_shown_found_and_sorted_by_there_only(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    rules = """
        p, provider, Patient.*, read, own, allow
        p, provider, Patient.id, read, any, allow
        p, provider, Patient.identifier, read, any, allow
        p, provider, ImagingStudy.*, read, any, allow
    """
    headers = acting_as("provider", patient=known.jane)
    async with doors(archive, book(tmp_path, rules, OWN)) as client:
        client.headers.update(headers)
        client.base_url = client.base_url.join("/fhir/")
        patients = fhir(await client.get("Patient"))
        named = {
            entry["resource"]["id"]: "name" in entry["resource"] for entry in patients["entry"]
        }
        assert named == {known.jane: True, known.richard: False, known.taro: False}
        marks = {
            entry["resource"]["id"]: "SUBSETTED" in str(entry["resource"]["meta"])
            for entry in patients["entry"]
        }
        assert marks == {known.jane: False, known.richard: True, known.taro: True}
        for query, found in (
            ("name=doe", [known.jane]),
            ("name=roe", []),
            ("name:missing=true", []),
            ("gender:not=female", []),
            ("identifier=P2", [known.richard]),
        ):
            bundle = fhir(await client.get(f"Patient?{query}"))
            assert (ids(bundle), bundle["total"]) == (found, len(found)), query
        assert issue(await client.get("Patient?_sort=birthdate"), 403)["expression"] == [
            "Patient.birthDate"
        ]
        studies = fhir(await client.get("ImagingStudy?_include=ImagingStudy:patient"))
        shown = {
            entry["resource"]["id"]: entry["resource"]["subject"].get("display")
            for entry in studies["entry"]
            if entry["search"]["mode"] == "match"
        }
        assert shown == {
            known.chest: "Jane Doe",
            known.liver: "Jane Doe",
            known.knee: None,
            known.skull: None,
        }
        assert "Richard" not in str(studies)
        assert ids(fhir(await client.get("ImagingStudy?patient-name=jane"))) != []
        assert ids(fhir(await client.get("ImagingStudy?patient-name=richard"))) == []
        assert issue(await client.get("ImagingStudy?_sort=patient-name"), 403)["expression"] == [
            "ImagingStudy.subject.display"
        ]


async def test_a_name_that_is_denied_on_rows_of_patients_is_not_told_by_their_studies(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    rules = """
        p, provider, Patient.*, read, any, allow
        p, provider, ImagingStudy.*, read, any, allow
        p, provider, Patient.name, read, men, deny
    """
    scopes = '[men]\ndescription = "Men"\nPatient = "gender=male"'
    async with doors(archive, book(tmp_path, rules, scopes)) as client:
        client.headers.update(acting_as("provider"))
        patients = fhir(await client.get("/fhir/Patient"))
        studies = fhir(await client.get("/fhir/ImagingStudy"))
    assert "Doe" in str(patients)
    # whose study it is cannot be seen from the study: so none tells a name
    for told_by in (str(patients), str(studies)):
        assert not any(name in told_by for name in ("Richard", "Yamada", "山田"))
    assert "Doe" not in str(studies)


async def test_rows_are_narrowed_and_elements_opened_further_by_other_scopes(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    rules = """
        p, provider, ImagingStudy.id, read, own, allow
        p, provider, ImagingStudy.started, read, any, allow
        p, provider, ImagingStudy.series, read, any, allow
        p, provider, ImagingStudy.series.instance, read, any, allow
        p, provider, ImagingStudy.series.instance.number, read, ct, allow
    """
    scopes = f'{OWN}\n[ct]\ndescription = "CT"\nImagingStudy = "modality=CT"'
    async with doors(archive, book(tmp_path, rules, scopes)) as client:
        client.headers.update(acting_as("provider", patient=known.jane))
        found = fhir(await client.get("/fhir/ImagingStudy?_sort=started"))
    assert ids(found) == [known.liver, known.chest]
    liver, chest = (entry["resource"] for entry in found["entry"])
    assert [[one.get("number") for one in part["instance"]] for part in chest["series"]] == [
        [1, 2],
        [1, 2],
    ]
    assert [[one.get("number") for one in part["instance"]] for part in liver["series"]] == [[None]]


async def test_a_policy_that_opens_nothing_here_answers_403_and_not_an_empty_bundle(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    policy = book(tmp_path, "p, provider, Endpoint.id, read, any, allow")
    async with doors(archive, policy) as client:
        client.headers.update(acting_as("provider"))
        for path in ("ImagingStudy", f"Patient/{known.jane}"):
            issue(await client.get(f"/fhir/{path}"), 403)
        endpoint = fhir(await client.get("/fhir/Endpoint/dicomweb"))
    assert told(endpoint) == {"Endpoint.id"}


# Random policies against Casbin. Which scopes hold on which rows is said twice: by search, and by
# hand below it.
SCOPES = """
[a]
description = "Women; CT"
Patient = "gender=female"
ImagingStudy = "modality=CT"

[b]
description = "Two patients; since March"
Patient = "identifier=P2,P3"
ImagingStudy = "started=ge2024-03"

[c]
description = "Men, of studies nothing"
Patient = "gender=male"
"""
HOLDS = {
    "jane": "a",
    "richard": "b c",
    "taro": "b c",
    "chest": "a b",
    "liver": "",
    "knee": "b",
    "skull": "a",
}
OF = {
    "Patient": ("jane", "richard", "taro"),
    "ImagingStudy": ("chest", "liver", "knee", "skull"),
}
ELEMENTS = {
    "Patient": ["*", "Patient.*", "Patient.name", "Patient.gender", "Patient.meta"],
    "ImagingStudy": [
        "ImagingStudy.*",
        "ImagingStudy.id",
        "ImagingStudy.meta",
        "ImagingStudy.status",
        "ImagingStudy.subject",
        "ImagingStudy.subject.display",
        "ImagingStudy.started",
        "ImagingStudy.series",
        "ImagingStudy.series.*",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.modality",
        "ImagingStudy.series.instance",
        "ImagingStudy.series.instance.*",
        "ImagingStudy.series.instance.uid",
    ],
}
LINES = st.one_of(
    st.tuples(st.sampled_from(ELEMENTS["Patient"]), st.sampled_from(["any", "a", "b", "c"])),
    st.tuples(st.sampled_from(ELEMENTS["ImagingStudy"]), st.sampled_from(["any", "a", "b"])),
)
RULES = st.lists(
    st.tuples(LINES, st.sampled_from(["allow", "allow", "allow", "deny"])),
    min_size=2,
    max_size=9,
    unique=True,
).map(
    lambda lines: "\n".join(
        f"p, provider, {element}, read, {scope}, {effect}" for (element, scope), effect in lines
    )
)


class Judge:
    """What Casbin says of the rules, row by row."""

    def __init__(self, rules: str) -> None:
        self._casbin = enforcer((SHIPPED / "model.conf").read_text(encoding="utf-8"), rules)
        self._known: dict[tuple[str, str], bool] = {}

    def allows(self, coordinate: str, row: str) -> bool:
        named = [coordinate]
        if coordinate == "ImagingStudy.subject.display":
            named.append("Patient.name")
        return all(self._one(part, HOLDS[row]) for one in named for part in parts(one))

    def _one(self, part: str, scopes: str) -> bool:
        key = (part, scopes)
        if key not in self._known:
            held = frozenset(scopes.split())
            asked = (frozenset({"provider"}), part, "read", held)
            self._known[key] = bool(self._casbin.enforce(*asked))
        return self._known[key]

    def rows(self, kind: str, *coordinates: str) -> set[str]:
        named = (f"{kind}.id", *coordinates)
        return {row for row in OF[kind] if all(self.allows(one, row) for one in named)}


@pytest.fixture
async def whole(radiologist: httpx.AsyncClient, known: Known) -> dict[str, Any]:
    """Every resource as it is without a policy, by the names above."""
    return {
        row: fhir(await radiologist.get(f"{kind}/{getattr(known, row)}"))
        for kind, rows in OF.items()
        for row in rows
    }


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(RULES)
async def test_what_comes_out_is_what_casbin_allows_row_by_row(
    archive: Archive, known: Known, whole: dict[str, Any], acting_as: Headers, rules: str
) -> None:
    with TemporaryDirectory() as folder:
        try:
            policy = book(Path(folder), rules, SCOPES)
        except PolicyError:  # nobody could see anything
            assume(False)
            raise
        judge = Judge(rules)
        async with doors(archive, policy) as client:
            client.headers.update(acting_as("provider"))
            for kind in OF:
                await check_rows(client, kind, known, whole, judge)
            await check_searches(client, known, judge)


async def check_rows(
    client: httpx.AsyncClient, kind: str, known: Known, whole: dict[str, Any], judge: Judge
) -> None:
    response = await client.get(f"/fhir/{kind}")
    if response.status_code == 403:
        issue(response, 403)
        assert judge.rows(kind) == set()
        return
    bundle = fhir(response)
    names = {getattr(known, row): row for row in OF[kind]}
    shown = {names[entry["resource"]["id"]]: entry["resource"] for entry in bundle.get("entry", ())}
    assert set(shown) == judge.rows(kind)
    assert bundle["total"] == len(shown)
    for row, resource in shown.items():
        allowed = {one for one in told(whole[row]) if judge.allows(one, row)}
        # a display may stay closed where Casbin, asked about the study alone, would open it
        optional = {"ImagingStudy.subject.display"}
        assert told(resource) - optional == allowed - optional
        assert told(resource) <= allowed
        if told(resource) != told(whole[row]):
            assert "SUBSETTED" in str(resource["meta"])


async def check_searches(client: httpx.AsyncClient, known: Known, judge: Judge) -> None:
    for query, coordinate, would_find in (
        ("modality=CT", "ImagingStudy.series.modality", {"chest", "skull"}),
        ("modality:not=CT", "ImagingStudy.series.modality", {"liver", "knee"}),
        ("started=ge2024", "ImagingStudy.started", {"chest", "knee", "skull"}),
        ("patient-name=jane", "ImagingStudy.subject.display", {"chest", "liver"}),
        ("_sort=started", "ImagingStudy.started", set(OF["ImagingStudy"])),
    ):
        response = await client.get(f"/fhir/ImagingStudy?{query}")
        visible, readable = judge.rows("ImagingStudy"), judge.rows("ImagingStudy", coordinate)
        if response.status_code == 403:
            exact = coordinate != "ImagingStudy.subject.display"
            assert (
                not exact or readable == set() or (query == "_sort=started" and readable < visible)
            )
            continue
        bundle = fhir(response)
        found = {row for row in OF["ImagingStudy"] if getattr(known, row) in ids(bundle)}
        assert found <= readable & would_find
        assert bundle["total"] == len(found)
        if coordinate != "ImagingStudy.subject.display":
            assert found == readable & would_find
