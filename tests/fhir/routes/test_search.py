"""Searching through the FHIR door."""

from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from app.archive import Archive
from fhir.parameters import PARAMETERS
from tests.fhir.routes.conftest import Known
from tests.fhir_answers import fhir, ids, issue, link, walk

DCM = "http://dicom.nema.org/resources/ontology/DCM"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "chest knee liver skull"),
        ("_id={chest}", "chest"),
        ("_id={chest},{knee}", "chest knee"),
        ("identifier=urn:dicom:uid|urn:oid:{chest}", "chest"),
        ("identifier=urn:oid:{chest}", "chest"),
        ("identifier=ACC-LIVER", "liver"),
        ("identifier=|ACC-LIVER", "liver"),
        (r"identifier=A\,B\|C", "knee"),
        ("identifier=A,B", ""),
        ("accession=ACC-SKULL", "skull"),
        ("patient={jane}", "chest liver"),
        ("patient=Patient/{jane}", "chest liver"),
        ("patient={base}/Patient/{jane}", "chest liver"),
        ("patient=http://other.example/fhir/Patient/{jane}", ""),
        ("patient:Patient={jane}", "chest liver"),
        ("patient={jane},{taro}", "chest liver skull"),
        ("subject={richard}", "knee"),
        ("subject:Patient={richard}", "knee"),
        ("subject:Device={richard}", ""),
        ("status=available", "chest knee liver skull"),
        ("status=cancelled", ""),
        ("status:not=cancelled", "chest knee liver skull"),
        ("modality=CT", "chest skull"),
        ("modality=CT,MR", "chest knee skull"),
        ("modality={dcm}|US", "liver"),
        ("modality:not=CT", "knee liver"),
        ("modality=CT&modality=MR", ""),
        ("modality=CT&patient={jane}", "chest"),
        ("bodysite=http://snomed.info/sct|", "chest knee liver skull"),
        ("bodysite:missing=true", ""),
        ("series={chest}.2", "chest"),
        ("endpoint=Endpoint/dicomweb", "chest knee liver skull"),
        ("description=nuchtern thorax", "chest"),
        ("patient-name=roe", "knee"),
        ("started=2024", "chest knee skull"),
        ("started=2024-03-01", "chest"),
        ("started=2024-03-02", "knee"),
        ("started=2024-03-01T09:15:30Z", "chest"),
        ("started=2024-03-01T10:15:30%2B01:00", "chest"),
        ("started=eq2024-02-29", "skull"),
        ("started=ne2024-02-29", "chest knee liver"),
        ("started=gt2024-02-29", "chest knee"),
        ("started=lt2024-02-29", "liver"),
        ("started=ge2024-02-29", "chest knee skull"),
        ("started=le2024-02-29", "liver skull"),
        ("started=sa2024-02-29", "chest knee"),
        ("started=eb2024-02-29", "liver"),
        ("started=ge2024-02-29T12:00:00Z", "chest knee skull"),
        ("started=sa2024-02-29T12:00:00Z", "chest knee"),
        ("started=ge2024-01&started=lt2024-03", "skull"),
        ("_lastUpdated=gt2020-01-01", "chest knee liver skull"),
        ("_lastUpdated=lt2020-01-01", ""),
        ("_tag=released", "chest knee liver skull"),
        ("_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R", ""),
        ("modality=", "chest knee liver skull"),
        ("unknown=1&_totalMethod=count", "chest knee liver skull"),
    ],
)
async def test_a_search_finds(
    radiologist: httpx.AsyncClient, known: Known, query: str, found: str
) -> None:
    named = {name: getattr(known, name) for name in Known.__dataclass_fields__}
    text = query.format(**named, base=str(radiologist.base_url).rstrip("/"), dcm=DCM)
    bundle = fhir(await radiologist.get(f"ImagingStudy?{text}"))
    expected = {named[name] for name in found.split()}
    assert set(ids(bundle)) == expected
    assert bundle.get("total") == len(expected) == len(ids(bundle))
    assert bundle["type"] == "searchset"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=doe", "jane"),
        ("name=ROE", "richard"),
        ("family=山", "taro"),
        ("name:contains=ara", ""),
        ("given=richard", "richard"),
        ("gender=female", "jane"),
        ("gender=http://hl7.org/fhir/administrative-gender|male", "richard taro"),
        ("gender:not=male", "jane"),
        ("birthdate=1985", "richard"),
        ("birthdate:missing=true", "taro"),
        ("identifier=P2", "richard"),
        ("_id={jane}", "jane"),
    ],
)
async def test_a_patient_is_found(
    radiologist: httpx.AsyncClient, known: Known, query: str, found: str
) -> None:
    bundle = fhir(await radiologist.get(f"Patient?{query.format(jane=known.jane)}"))
    assert set(ids(bundle)) == {getattr(known, name) for name in found.split()}


async def test_the_endpoint_says_where_dicomweb_is(radiologist: httpx.AsyncClient) -> None:
    bundle = fhir(await radiologist.get("Endpoint?connection-type=dicom-wado-rs&status=active"))
    [entry] = bundle["entry"]
    assert entry["resource"]["address"] == "http://127.0.0.1:8000/dicomweb"


async def test_a_match_is_the_whole_study_with_its_instances(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    bundle = fhir(await radiologist.get("ImagingStudy", params={"_id": known.chest}))
    [entry] = bundle["entry"]
    assert entry["fullUrl"] == f"http://127.0.0.1:8000/fhir/ImagingStudy/{known.chest}"
    assert entry["search"] == {"mode": "match"}
    series = entry["resource"]["series"]
    assert [[one["uid"] for one in part["instance"]] for part in series] == [
        [f"{known.chest}.1.1", f"{known.chest}.1.2"],
        [f"{known.chest}.2.1", f"{known.chest}.2.2"],
    ]
    assert entry["resource"] == fhir(await radiologist.get(f"ImagingStudy/{known.chest}"))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 50])
@pytest.mark.parametrize("sort", ["", "started", "-started", "-_lastUpdated", "patient,-started"])
async def test_following_next_visits_each_study_once(
    radiologist: httpx.AsyncClient, known: Known, count: int, sort: str
) -> None:
    whole = ids(fhir(await radiologist.get("ImagingStudy", params={"_sort": sort})))
    pages = await walk(radiologist, f"ImagingStudy?_count={count}&_sort={sort}")
    assert [one for page in pages for one in ids(page)] == whole
    assert set(whole) == known.studies
    assert len(pages) == -(-4 // count)
    assert {page["total"] for page in pages} == {4}


async def test_studies_are_sorted(radiologist: httpx.AsyncClient, known: Known) -> None:
    up = ids(fhir(await radiologist.get("ImagingStudy?_sort=started")))
    assert up == [known.liver, known.skull, known.chest, known.knee]
    assert ids(fhir(await radiologist.get("ImagingStudy?_sort=-started"))) == up[::-1]
    by_patient = ids(fhir(await radiologist.get("ImagingStudy?_sort=patient,started")))
    jane = by_patient.index(known.liver)
    assert by_patient[jane : jane + 2] == [known.liver, known.chest]


async def test_links_name_only_what_was_understood(radiologist: httpx.AsyncClient) -> None:
    address = (
        "ImagingStudy?modality=CT&unknown=1&_format=json&_count=1&_sort=-started&_contained=true"
    )
    bundle = fhir(await radiologist.get(address))
    own = link(bundle, "self")
    assert own is not None
    assert urlsplit(own).path == "/fhir/ImagingStudy"
    asked = [("modality", "CT"), ("_sort", "-started"), ("_count", "1")]
    assert parse_qsl(urlsplit(own).query) == asked
    following = link(bundle, "next")
    assert following is not None
    assert parse_qsl(urlsplit(following).query)[:-1] == asked


async def test_a_page_is_never_larger_than_the_server_likes(radiologist: httpx.AsyncClient) -> None:
    own = link(fhir(await radiologist.get("ImagingStudy?_count=100000")), "self")
    assert own == "http://127.0.0.1:8000/fhir/ImagingStudy?_count=200"


@pytest.mark.parametrize("query", ["_count=0", "_summary=count", "_count=0&_total=none"])
async def test_the_total_alone_can_be_asked_for(radiologist: httpx.AsyncClient, query: str) -> None:
    bundle = fhir(await radiologist.get(f"ImagingStudy?modality=CT&{query}"))
    assert (bundle["total"], ids(bundle), link(bundle, "next")) == (2, [], None)


async def test_the_total_can_be_left_out(radiologist: httpx.AsyncClient) -> None:
    bundle = fhir(await radiologist.get("ImagingStudy?_total=none&_count=1"))
    assert "total" not in bundle
    assert link(bundle, "next") is not None


@pytest.mark.parametrize(
    ("includes", "included"),
    [
        (["ImagingStudy:patient"], ["jane"]),
        (["ImagingStudy:subject"], ["jane"]),
        (["ImagingStudy:subject:Patient"], ["jane"]),
        (["ImagingStudy:endpoint"], ["dicomweb"]),
        (["ImagingStudy:patient", "ImagingStudy:subject", "ImagingStudy:endpoint"],
         ["jane", "dicomweb"]),
    ],
)  # fmt: skip
async def test_what_studies_refer_to_comes_along_once(
    radiologist: httpx.AsyncClient, known: Known, includes: list[str], included: list[str]
) -> None:
    params = {"patient": known.jane, "_include": includes}
    bundle = fhir(await radiologist.get("ImagingStudy", params=params))
    assert bundle["total"] == 2
    assert set(ids(bundle)) == {known.chest, known.liver}
    assert ids(bundle, "include") == [known.jane if name == "jane" else name for name in included]


async def test_a_search_by_post_finds_the_same(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    got = fhir(
        await radiologist.get(f"ImagingStudy?patient={known.jane}&modality=CT&_sort=started")
    )
    form = {"modality": "CT", "_sort": "started"}
    posted = await radiologist.post(f"ImagingStudy/_search?patient={known.jane}", data=form)
    assert fhir(posted)["entry"] == got["entry"]
    assert link(fhir(posted), "self") == link(got, "self")


async def test_a_head_answers_as_get_without_a_body(
    radiologist: httpx.AsyncClient, known: Known
) -> None:
    for path in ("metadata", "ImagingStudy?modality=CT", f"ImagingStudy/{known.chest}"):
        got, head = await radiologist.get(path), await radiologist.head(path)
        assert (head.status_code, head.content) == (200, b"")
        same = ("content-type", "etag", "last-modified")
        assert [head.headers.get(name) for name in same] == [got.headers.get(name) for name in same]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("started=yesterday", "not-supported"),
        ("started=2024-13", "invalid"),
        ("started=ap2024", "not-supported"),
        ("modality:exact=CT", "not-supported"),
        ("patient.colour=P1", "not-supported"),
        ("patient:Device.name=Doe", "not-supported"),
        ("subject:Device.name=Doe", "not-supported"),
        ("status.name=Doe", "not-supported"),
        ("patient.link.name=Doe", "not-supported"),
        ("patient._has:ImagingStudy:patient:modality=CT", "not-supported"),
        ("patient.birthdate=yesterday", "not-supported"),
        ("patient.birthdate=2024-13", "invalid"),
        ("patient.name:exact=Doe", "not-supported"),
        ("patient.name:missing=perhaps", "invalid"),
        ("_has:ImagingStudy:patient:modality=CT", "not-supported"),
        ("_has:CareTeam:patient:agent=x", "not-supported"),
        ("_has=x", "not-supported"),
        ("_revinclude=ImagingStudy:patient", "not-supported"),
        ("_revinclude=x", "not-supported"),
        ("_revinclude:iterate=*", "not-supported"),
        ("_include:deeply=*", "not-supported"),
        ("_summary=short", "invalid"),
        ("_summary=true&_elements=status", "invalid"),
        ("_summary=text&_include=*", "invalid"),
        ("_elements=colour", "not-supported"),
        ("_elements=series.uid", "not-supported"),
        ("patient=Patient/a/b", "invalid"),
        ("modality=a|b|c", "invalid"),
        ("_count=-1", "invalid"),
        ("_count=many", "invalid"),
        ("_total=some", "invalid"),
        ("_sort=description", "not-supported"),
        ("_sort=colour", "not-supported"),
        ("_include=ImagingStudy:referrer", "not-supported"),
        ("_include=Patient:link", "not-supported"),
        ("_cursor=abc", "invalid"),
    ],
)
@pytest.mark.parametrize("handling", ["lenient", "strict"])
async def test_what_is_known_and_wrong_is_refused_either_way(
    radiologist: httpx.AsyncClient, query: str, code: str, handling: str
) -> None:
    headers = {"Prefer": f"handling={handling}"}
    response = await radiologist.get(f"ImagingStudy?{query}", headers=headers)
    assert issue(response, 400)["code"] == code


@pytest.mark.parametrize("query", ["unknown=1", "_contained=true", "colour.name=1"])
async def test_what_is_unknown_is_refused_only_if_so_preferred(
    radiologist: httpx.AsyncClient, query: str
) -> None:
    lenient = fhir(await radiologist.get(f"ImagingStudy?{query}"))
    assert (lenient["total"], link(lenient, "self")) == (4, f"{radiologist.base_url}ImagingStudy")
    strict = {"Prefer": "return=minimal; handling=strict"}
    refusal = issue(await radiologist.get(f"ImagingStudy?{query}", headers=strict), 400)
    assert refusal["code"] == "not-supported"
    assert "modality" in refusal["diagnostics"]


async def test_every_declared_parameter_order_and_include_works(
    client: httpx.AsyncClient, radiologist: httpx.AsyncClient, known: Known
) -> None:
    [rest] = fhir(await client.get("/fhir/metadata"))["rest"]
    values = {"token": "x", "reference": "x", "date": "2024", "string": "x"}
    strict = {"Prefer": "handling=strict"}
    used = 0
    for resource in rest["resource"]:
        kind = resource["type"]
        assert {one["code"] for one in resource["interaction"]} == {"read", "search-type"}
        for one in resource["searchParam"]:
            params = {one["name"]: values[one["type"]]}
            fhir(await radiologist.get(kind, params=params, headers=strict))
            absent = {f"{one['name']}:missing": "true"}
            response = await radiologist.get(kind, params=absent, headers=strict)
            # words are looked for where they are open, so that nothing can be said to lack them
            assert response.status_code == (400 if one["name"] == "text" else 200)
            sortable = PARAMETERS[kind][one["name"]].sortable
            response = await radiologist.get(kind, params={"_sort": one["name"]}, headers=strict)
            assert response.status_code == (200 if sortable else 400)
            used += 1
        for name in ("_include", "_revinclude"):
            for value in resource.get(f"search{name[1:-7].title()}Include", ()):
                bundle = fhir(await radiologist.get(kind, params={name: value}, headers=strict))
                assert ids(bundle, "include") != []
                used += 1
    assert used == sum(len(PARAMETERS[one]) for one in ("Patient", "ImagingStudy", "Endpoint")) + 6


async def test_a_cursor_of_one_order_does_not_serve_another(radiologist: httpx.AsyncClient) -> None:
    first = fhir(await radiologist.get("ImagingStudy?_count=1&_sort=started"))
    following = link(first, "next")
    assert following is not None
    response = await radiologist.get(following.replace("_sort=started", "_sort=-started"))
    assert issue(response, 400)["code"] == "invalid"


async def test_who_searched_for_what_and_saw_whom_is_in_the_audit(
    archive: Archive, radiologist: httpx.AsyncClient, known: Known
) -> None:
    asked = f"ImagingStudy?patient={known.richard}&unknown=1"
    await radiologist.get(asked, headers={"X-Request-Id": "audited"})
    [entry] = [one async for one in archive.database["audit_events"].find({"requestId": "audited"})]
    told = {"action", "resource", "outcome", "ids", "patients", "total", "query", "refused", "door"}
    assert {name: entry[name] for name in told} == {
        "action": "search",
        "resource": "ImagingStudy",
        "outcome": "allowed",
        "ids": [known.knee],
        "patients": [known.richard],
        "total": 1,
        "query": f"patient={known.richard}",
        "refused": [],
        "door": "fhir",
    }
