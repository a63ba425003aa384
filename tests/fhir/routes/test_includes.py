"""What comes along with what is found, through the FHIR door."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.archive import Archive
from fhir import includes
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue, walk
from tests.policy import book, doors

Headers = Callable[..., dict[str, str]]


@pytest.mark.parametrize(
    ("path", "included"),
    [
        ("Patient?_id={jane}&_revinclude=ImagingStudy:patient", "chest liver"),
        ("Patient?_id={jane}&_revinclude=ImagingStudy:subject", "chest liver"),
        ("Patient?_id={jane}&_revinclude=ImagingStudy:patient:Patient", "chest liver"),
        (
            "Patient?_id={jane}&_revinclude=ImagingStudy:patient&_revinclude=ImagingStudy:subject",
            "chest liver",
        ),
        ("Patient?_id={jane}&_revinclude=*", "chest liver"),
        ("Patient?_id={jane},{taro}&_revinclude=*", "chest liver skull"),
        ("Patient?_id=nobody&_revinclude=*", ""),
        ("Patient?_id={jane}&_include=*", ""),
        ("Patient?_id={jane}&_revinclude=*&_include:iterate=*", "chest liver dicomweb"),
        (
            "Patient?_id={jane}&_revinclude=*&_include:iterate=ImagingStudy:endpoint",
            "chest liver dicomweb",
        ),
        ("Patient?_id={jane}&_include:iterate=ImagingStudy:endpoint", ""),
        ("Endpoint?_revinclude=ImagingStudy:endpoint", "chest liver knee skull"),
        (
            "Endpoint?_revinclude=*&_include:iterate=ImagingStudy:patient",
            "chest liver knee skull jane richard taro",
        ),
        ("ImagingStudy?_id={chest}&_include=*", "jane dicomweb"),
        ("ImagingStudy?_id={chest}&_include:iterate=ImagingStudy:patient", "jane"),
        ("ImagingStudy?patient={jane}&_revinclude=*", ""),
        ("ImagingStudy?_id={chest}&_include=*&_elements=status", "jane dicomweb"),
    ],
)
async def test_what_belongs_together_comes_along_once(
    radiologist: httpx.AsyncClient, known: Known, path: str, included: str
) -> None:
    named = {name: getattr(known, name) for name in Known.__dataclass_fields__}
    bundle = fhir(await radiologist.get(path.format(**named)))
    found = ids(bundle, "include")
    expected = {named.get(name, name) for name in included.split()}
    assert (set(found), len(found)) == (expected, len(expected))
    assert bundle.get("total") == len(ids(bundle))


async def test_what_leads_to_others_is_shown_only_if_it_is_asked_for(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    path = f"ImagingStudy?_id={known.chest}&_include=ImagingStudy:endpoint&_elements="
    shown = [fhir(await radiologist.get(f"{path}{one}"))["entry"] for one in ("status", "endpoint")]
    assert ["endpoint" in match["resource"] for match, _ in shown] == [False, True]
    assert ["series" in match["resource"] for match, _ in shown] == [False, False]
    assert [included["resource"]["id"] for _, included in shown] == ["dicomweb", "dicomweb"]


async def test_a_study_that_comes_along_is_whole(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    bundle = fhir(
        await radiologist.get(f"Patient?_id={known.richard}&_revinclude=ImagingStudy:patient")
    )
    patient, study = bundle["entry"]
    assert (patient["search"]["mode"], study["search"]["mode"]) == ("match", "include")
    assert study["resource"] == fhir(await radiologist.get(f"ImagingStudy/{known.knee}"))
    assert study["fullUrl"].endswith(f"/fhir/ImagingStudy/{known.knee}")


async def test_each_page_brings_what_belongs_to_it(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    pages = await walk(radiologist, "Patient?_sort=name&_count=1&_revinclude=ImagingStudy:patient")
    assert [sorted(ids(page, "include")) for page in pages] == [
        sorted([known.chest, known.liver]),
        [known.knee],
        [known.skull],
    ]


async def test_more_than_an_answer_holds_is_refused_and_never_cut_off(
    radiologist: httpx.AsyncClient, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert includes.MAX_REFERRING == 500
    monkeypatch.setattr(includes, "MAX_REFERRING", 2)
    path = "Patient?_revinclude=ImagingStudy:patient"
    refused = issue(await radiologist.get(path), 400)
    assert refused["code"] == "invalid"
    assert "_count" in refused["diagnostics"]
    for page in await walk(radiologist, f"{path}&_count=1"):
        assert 1 <= len(ids(page, "include")) <= 2


async def test_what_is_closed_does_not_come_along(
    archive: Archive, known: Known, acting_as: Headers, tmp_path: Path
) -> None:
    scopes = '[ct]\ndescription = "CT"\nImagingStudy = "modality=CT"'
    patients = "p, provider, Patient.*, read, any, allow\n"
    studies = "p, provider, ImagingStudy.*, read, any, allow\n"
    for rules, included in (
        (patients, set()),
        (f"{patients}{studies}p, provider, ImagingStudy.subject, read, any, deny", set()),
        (f"{patients}{studies}p, provider, ImagingStudy.id, read, ct, deny", {known.liver}),
        (f"{patients}{studies}p, provider, ImagingStudy.subject, read, ct, deny", {known.liver}),
        (patients + studies, {known.chest, known.liver}),
    ):
        async with doors(archive, book(tmp_path, rules, scopes)) as client:
            client.headers.update(acting_as("provider"))
            bundle = fhir(
                await client.get(f"/fhir/Patient?_id={known.jane}&_revinclude=ImagingStudy:patient")
            )
        assert (ids(bundle), set(ids(bundle, "include"))) == ([known.jane], included), rules


@pytest.mark.parametrize(
    ("scope", "included"),
    [
        ("user/Patient.rs", []),
        ("user/Patient.rs user/ImagingStudy.r", []),
        ("user/Patient.rs user/ImagingStudy.rs?modality=US", ["liver"]),
        ("user/Patient.rs patient/ImagingStudy.rs", ["chest", "liver"]),
    ],
)
async def test_what_smart_scopes_do_not_let_search_is_dropped_in_silence(
    client: httpx.AsyncClient, known: Known, acting_as: Headers, scope: str, included: list[str]
) -> None:
    headers = acting_as("radiologist", scope=scope, context=known.jane)
    bundle = fhir(await client.get("/fhir/Patient?_revinclude=*", headers=headers))
    assert len(ids(bundle)) == 3
    assert set(ids(bundle, "include")) == {getattr(known, one) for one in included}


async def test_what_comes_along_is_in_the_audit(
    archive: Archive, radiologist: httpx.AsyncClient, known: Known
) -> None:
    path = f"Patient?_id={known.jane}&_revinclude=ImagingStudy:patient"
    await radiologist.get(path, headers={"X-Request-Id": "along"})
    events = archive.database["audit_events"].find({"requestId": "along"})
    told = {one["resource"]: one async for one in events}
    assert told["Patient"]["query"] == path.partition("?")[2].replace(":", "%3A")
    assert set(told["ImagingStudy"]["ids"]) == {known.chest, known.liver}
    assert told["ImagingStudy"]["patients"] == [known.jane]
