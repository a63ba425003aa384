"""Searching through references, forwards and backwards, through the FHIR door."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.archive import Archive
from fhir import chains
from policies.errors import PolicyError
from tests.fhir.routes.conftest import Known
from tests.fhir.routes.test_policies import OWN, RULES, SCOPES
from tests.fhir_answers import fhir, ids, issue, link, walk
from tests.policy import book, doors

Headers = Callable[..., dict[str, str]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("patient.identifier=P1", "chest liver"),
        ("patient.identifier=P1,P2", "chest liver knee"),
        ("patient.identifier=P9", ""),
        ("patient.name=doe", "chest liver"),
        ("patient:Patient.name=doe", "chest liver"),
        ("subject.name=doe", "chest liver"),
        ("subject:Patient.name=roe", "knee"),
        ("patient.name:contains=OE", "chest liver knee"),
        ("patient.name:missing=true", ""),
        ("patient.family=山", "skull"),
        ("patient.gender=male", "knee skull"),
        ("patient.gender:not=male", "chest liver"),
        ("patient.birthdate=1985", "knee"),
        ("patient.birthdate=lt1990", "chest liver knee"),
        ("patient.birthdate=gt1985-06-07", ""),
        ("patient.birthdate:missing=true", "skull"),
        ("patient.birthdate:missing=false", "chest liver knee"),
        ("patient._id={jane}", "chest liver"),
        ("patient.text=jan do", "chest liver"),
        ("patient._lastUpdated=gt2020", "chest liver knee skull"),
        ("patient.name=doe&patient.gender=male", ""),
        ("patient.name=roe&patient.gender=male", "knee"),
        ("patient.name=doe&modality=CT", "chest"),
        ("patient.name=doe&patient={richard}", ""),
        ("patient.gender=male&started=ge2024-03", "knee"),
        ("endpoint.status=active", "chest knee liver skull"),
        ("endpoint.status=off", ""),
        ("endpoint:Endpoint.connection-type=dicom-wado-rs", "chest knee liver skull"),
        ("endpoint.status=active&endpoint.connection-type=dicom-qido-rs", ""),
        ("patient.name=", "chest knee liver skull"),
    ],
)
async def test_a_study_is_found_by_what_it_refers_to(
    radiologist: httpx.AsyncClient, known: Known, query: str, found: str
) -> None:
    named = {name: getattr(known, name) for name in Known.__dataclass_fields__}
    bundle = fhir(await radiologist.get(f"ImagingStudy?{query.format(**named)}"))
    assert set(ids(bundle)) == {named[name] for name in found.split()}
    assert bundle["total"] == len(ids(bundle))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_has:ImagingStudy:patient:modality=CT", "jane taro"),
        ("_has:ImagingStudy:subject:modality=CT", "jane taro"),
        ("_has:ImagingStudy:patient:modality:not=CT", "jane richard"),
        ("_has:ImagingStudy:patient:modality=CT,MR", "jane richard taro"),
        ("_has:ImagingStudy:patient:started=ge2024-03", "jane richard"),
        ("_has:ImagingStudy:patient:_id={knee}", "richard"),
        ("_has:ImagingStudy:patient:accession=ACC-LIVER", "jane"),
        ("_has:ImagingStudy:patient:description:missing=true", ""),
        # each of them another study's
        (
            "_has:ImagingStudy:patient:modality=CT&_has:ImagingStudy:patient:modality=US",
            "jane",
        ),
        ("_has:ImagingStudy:patient:modality=CT&gender=male", "taro"),
        ("_has:ImagingStudy:patient:modality=XA", ""),
    ],
)
async def test_a_patient_is_found_by_what_refers_to_them(
    radiologist: httpx.AsyncClient, known: Known, query: str, found: str
) -> None:
    named = {name: getattr(known, name) for name in Known.__dataclass_fields__}
    bundle = fhir(await radiologist.get(f"Patient?{query.format(**named)}"))
    assert set(ids(bundle)) == {named[name] for name in found.split()}
    assert bundle["total"] == len(ids(bundle))


async def test_an_endpoint_is_found_by_the_studies_that_are_there(
    radiologist: httpx.AsyncClient,
) -> None:
    path = "Endpoint?_has:ImagingStudy:endpoint:modality="
    assert ids(fhir(await radiologist.get(f"{path}MR"))) == ["dicomweb"]
    assert ids(fhir(await radiologist.get(f"{path}XA"))) == []


async def test_a_chain_pages_sorts_and_is_in_the_links(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    pages = await walk(radiologist, "ImagingStudy?patient.gender=male&_sort=-started&_count=1")
    assert [ids(page) for page in pages] == [[known.knee], [known.skull]]
    assert {page["total"] for page in pages} == {2}
    assert "patient.gender=male" in str(link(pages[0], "next"))
    posted = await radiologist.post("ImagingStudy/_search", data={"patient.gender": "male"})
    assert set(ids(fhir(posted))) == {known.knee, known.skull}


async def test_a_chain_is_in_the_audit_as_it_was_written(
    archive: Archive, radiologist: httpx.AsyncClient, known: Known
) -> None:
    asked = "ImagingStudy?patient.identifier=P2&modality=MR"
    await radiologist.get(asked, headers={"X-Request-Id": "chained"})
    events = archive.database["audit_events"].find({"requestId": "chained"})
    told = {one["resource"]: one async for one in events}
    assert {name: one["query"] for name, one in told.items()} == {
        "Patient": "identifier=P2",
        "ImagingStudy": "patient.identifier=P2&modality=MR",
    }
    assert told["ImagingStudy"]["patients"] == [known.richard]
    assert (told["Patient"]["total"], told["Patient"]["ids"]) == (1, [])


async def test_so_much_at_the_other_end_has_to_be_narrowed(
    radiologist: httpx.AsyncClient, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chains.MAX_LINKED == 10_000
    monkeypatch.setattr(chains, "MAX_LINKED", 2)
    for path in (
        "ImagingStudy?patient._lastUpdated=gt2020",
        "Patient?_has:ImagingStudy:patient:status=available",
    ):
        refused = issue(await radiologist.get(path), 400)
        assert (refused["code"], "narrow" in refused["diagnostics"]) == ("invalid", True)
    # two criteria about the one patient are one search
    narrowed = "ImagingStudy?patient._lastUpdated=gt2020&patient.gender=male"
    assert set(ids(fhir(await radiologist.get(narrowed)))) == {known.knee, known.skull}


async def test_five_chains_are_followed_and_not_six(radiologist: httpx.AsyncClient) -> None:
    assert chains.MAX_CHAINS == 5
    query = "&".join(["endpoint.status=active"] * 5)
    assert fhir_total(await radiologist.get(f"ImagingStudy?{query}")) == 4
    refused = issue(await radiologist.get(f"ImagingStudy?{query}&endpoint.status=active"), 400)
    assert refused["code"] == "invalid"


def fhir_total(response: httpx.Response) -> int:
    return int(fhir(response)["total"])


PATIENTS = """
    p, provider, Patient.id, read, any, allow
    p, provider, Patient.identifier, read, any, allow
    p, provider, Patient.*, read, own, allow
"""
STUDIES = "p, provider, ImagingStudy.*, read, any, allow\n"


async def test_a_chain_looks_only_at_what_is_open_of_each_row(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    async with doors(archive, book(tmp_path, PATIENTS + STUDIES, OWN)) as client:
        client.headers.update(acting_as("provider", patient=known.jane))
        for query, found in (
            ("patient.identifier=P2", [known.knee]),
            ("patient.name=doe", sorted([known.chest, known.liver])),
            ("patient.name=roe", []),
            ("patient.name:missing=true", []),
            ("patient.name:missing=false", sorted([known.chest, known.liver])),
            ("patient.gender:not=female", []),
            ("patient.text=roe", []),
            ("patient.text=P2", [known.knee]),
        ):
            bundle = fhir(await client.get(f"/fhir/ImagingStudy?{query}"))
            assert (sorted(ids(bundle)), bundle["total"]) == (found, len(found)), query


@pytest.mark.parametrize(
    ("closing", "path", "named"),
    [
        ("Patient.name", "ImagingStudy?patient.name=doe", "Patient.name"),
        ("Patient.name", "ImagingStudy?patient.name=nobody", "Patient.name"),
        ("Patient.name", "ImagingStudy?subject.name:missing=true", "Patient.name"),
        ("Patient.id", "ImagingStudy?patient.gender=male", "Patient.id"),
        ("ImagingStudy.subject", "ImagingStudy?patient.name=doe", "ImagingStudy.subject"),
        ("ImagingStudy.subject", "ImagingStudy?patient.name=nobody", "ImagingStudy.subject"),
        (
            "ImagingStudy.subject",
            "Patient?_has:ImagingStudy:patient:modality=CT",
            "ImagingStudy.subject",
        ),
        (
            "ImagingStudy.series.modality",
            "Patient?_has:ImagingStudy:patient:modality=CT",
            "ImagingStudy.series.modality",
        ),
        ("ImagingStudy.id", "Patient?_has:ImagingStudy:patient:modality=CT", "ImagingStudy.id"),
        ("Patient.id", "Patient?_has:ImagingStudy:patient:modality=CT", "Patient.id"),
    ],
)
async def test_a_chain_through_what_is_closed_is_refused_by_its_name(
    archive: Archive,
    known: Known,
    acting_as: Headers,
    tmp_path: Path,
    closing: str,
    path: str,
    named: str,
) -> None:
    everything = f"{STUDIES}p, provider, Patient.*, read, any, allow\n"
    policy = book(tmp_path, f"{everything}p, provider, {closing}, read, any, deny")
    async with doors(archive, policy) as client:
        client.headers.update(acting_as("provider"))
        refused = issue(await client.get(f"/fhir/{path}"), 403)
    assert (refused["code"], refused["expression"]) == ("forbidden", [named])


async def test_a_row_whose_reference_is_closed_is_not_found_through_it(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    rules = f"""{STUDIES}
        p, provider, Patient.*, read, any, allow
        p, provider, ImagingStudy.subject, read, ct, deny
    """
    scopes = '[ct]\ndescription = "CT"\nImagingStudy = "modality=CT"'
    async with doors(archive, book(tmp_path, rules, scopes)) as client:
        client.headers.update(acting_as("provider"))
        for path, found in (
            ("ImagingStudy?patient.name=doe", [known.liver]),
            ("ImagingStudy?patient.name=yamada", []),
            ("Patient?_has:ImagingStudy:patient:modality=CT", []),
            ("Patient?_has:ImagingStudy:patient:status=available", [known.jane, known.richard]),
            ("Patient?_id={taro}&_revinclude=ImagingStudy:patient", [known.taro]),
        ):
            bundle = fhir(await client.get(f"/fhir/{path.format(taro=known.taro)}"))
            assert sorted(ids(bundle)) == sorted(found), path
            assert (bundle["total"], ids(bundle, "include")) == (len(found), [])


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        ("user/ImagingStudy.rs user/Patient.rs", "ImagingStudy?patient.name=doe", 200),
        ("user/ImagingStudy.rs", "ImagingStudy?patient.name=doe", 403),
        ("user/ImagingStudy.rs user/Patient.r", "ImagingStudy?patient.name=doe", 403),
        ("user/ImagingStudy.rs", "ImagingStudy?endpoint.status=active", 403),
        ("user/ImagingStudy.rs user/Endpoint.s", "ImagingStudy?endpoint.status=active", 200),
        ("user/Patient.rs", "Patient?_has:ImagingStudy:patient:modality=CT", 403),
        ("user/Patient.rs user/ImagingStudy.r", "Patient?_has:ImagingStudy:patient:status=x", 403),
        ("user/Patient.rs user/ImagingStudy.s", "Patient?_has:ImagingStudy:patient:status=x", 200),
    ],
)
async def test_smart_scopes_have_to_let_search_both_ends(
    client: httpx.AsyncClient, known: Known, acting_as: Headers, scope: str, path: str, status: int
) -> None:
    answer = await client.get(f"/fhir/{path}", headers=acting_as("radiologist", scope=scope))
    assert answer.status_code == status
    if status == 403:
        assert issue(answer, 403)["code"] == "forbidden"


async def test_smart_scopes_narrow_both_ends(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    for scope, path, found in (
        (
            "user/ImagingStudy.rs user/Patient.rs?gender=female",
            "ImagingStudy?patient._lastUpdated=gt2020",
            {known.chest, known.liver},
        ),
        (
            "user/ImagingStudy.rs user/Patient.rs?gender=female",
            "ImagingStudy?patient.gender:not=female",
            set(),
        ),
        (
            "user/ImagingStudy.rs?modality=CT user/Patient.rs",
            "ImagingStudy?patient.name=doe",
            {known.chest},
        ),
        (
            "user/ImagingStudy.rs?modality=CT user/Patient.rs",
            "Patient?_has:ImagingStudy:patient:status=available",
            {known.jane, known.taro},
        ),
        (
            "patient/ImagingStudy.rs patient/Patient.rs",
            "ImagingStudy?patient._lastUpdated=gt2020",
            {known.chest, known.liver},
        ),
    ):
        headers = acting_as("radiologist", scope=scope, context=known.jane)
        bundle = fhir(await client.get(f"/fhir/{path}", headers=headers))
        assert set(ids(bundle)) == found, (scope, path)
        assert bundle["total"] == len(found)


async def test_a_chain_to_another_patient_than_the_tokens_is_refused(
    client: httpx.AsyncClient, known: Known, acting_as: Headers
) -> None:
    scope = "patient/ImagingStudy.rs patient/Patient.rs"
    headers = acting_as("radiologist", scope=scope, context=known.jane)
    path = f"/fhir/ImagingStudy?patient._id={known.richard}"
    assert issue(await client.get(path, headers=headers), 403)["code"] == "forbidden"


# A chain is two searches of the same caller's: those that follow it.
FORWARD = (
    "identifier=P2",
    "name=doe",
    "name:missing=true",
    "gender=male",
    "gender:not=male",
    "birthdate=lt1990",
    "_security:missing=true",
)
BACKWARD = ("modality=CT", "modality:not=CT", "started=ge2024", "patient-name=jane", "status=x")


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(RULES, st.sampled_from(FORWARD), st.sampled_from(BACKWARD))
async def test_a_chain_finds_what_two_searches_would(
    archive: Archive,
    known: Known,
    acting_as: Headers,
    rules: str,
    forward: str,
    backward: str,
) -> None:
    with TemporaryDirectory() as folder:
        try:
            policy = book(Path(folder), rules, SCOPES)
        except PolicyError:  # nobody could see anything
            assume(False)
            raise
        async with doors(archive, policy) as client:
            client.headers.update(acting_as("provider"))
            await check_forward(client, forward)
            await check_backward(client, backward)


async def found_by(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]] | None:
    """Give what a search finds; None where it is refused."""
    response = await client.get(f"/fhir/{path}")
    if response.status_code == 403:
        assert issue(response, 403)["code"] == "forbidden"
        return None
    bundle = fhir(response)
    assert bundle["total"] == len(ids(bundle))
    return [entry["resource"] for entry in bundle.get("entry", ())]


async def check_forward(client: httpx.AsyncClient, criterion: str) -> None:
    chained = await found_by(client, f"ImagingStudy?patient.{criterion}")
    patients = await found_by(client, f"Patient?{criterion}")
    if patients is None:
        assert chained is None
        return
    names = ",".join(one["id"] for one in patients) or "nobody"
    studies = await found_by(client, f"ImagingStudy?patient={names}")
    assert (chained is None) == (studies is None)
    assert chained == studies


async def check_backward(client: httpx.AsyncClient, criterion: str) -> None:
    chained = await found_by(client, f"Patient?_has:ImagingStudy:patient:{criterion}")
    # what refers is looked at too, so that it has to be open where it is searched
    studies = await found_by(client, f"ImagingStudy?{criterion}&patient:missing=false")
    if studies is None:
        assert chained is None
        return
    references = {one["subject"]["reference"].partition("/")[2] for one in studies}
    patients = await found_by(client, f"Patient?_id={','.join(references) or 'nobody'}")
    assert (chained is None) == (patients is None)
    assert chained == patients


PIECES = st.sampled_from(
    [
        *(
            "patient",
            "subject",
            "endpoint",
            "status",
            "_has",
            "Patient",
            "ImagingStudy",
            "Endpoint",
        ),
        *("name", "identifier", "modality", "missing", "not", "_id", "text", "birthdate", "%", "é"),
        *(".", ".", ":", ":", "", "_include", "_revinclude", "iterate", "_elements", "_summary"),
    ]
)
NAMED = st.lists(PIECES, min_size=1, max_size=7).map("".join)


@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(["Patient", "ImagingStudy", "Endpoint"]),
    st.dictionaries(NAMED, st.one_of(NAMED, st.text(max_size=8)), max_size=3),
    st.booleans(),
)
async def test_any_name_is_answered_or_refused(
    radiologist: httpx.AsyncClient, kind: str, pairs: dict[str, str], strict: bool
) -> None:
    headers = {"Prefer": "handling=strict"} if strict else {}
    response = await radiologist.get(kind, params=pairs, headers=headers)
    if response.status_code == 200:
        bundle = response.json()
        assert bundle.get("total") in {None, *range(5)}
        assert len(ids(bundle)) <= 4
    else:
        assert issue(response, 400)["code"] in {"invalid", "not-supported"}
