"""Listing and reading studies: envelopes, criteria, orders, pages, and what each role sees."""

from typing import Any

import pytest
from httpx import AsyncClient, Response

from app.archive import Archive
from fhir.parameters import index
from fhir.pseudonyms import Pseudonyms
from tests.build import study, uid
from tests.care import TREATING, look_after, take_off
from tests.rest.forms import ActingAs, put

CHEST, HEAD, KNEE, FILM = (uid("rest", name) for name in ("chest", "head", "knee", "film"))
HEADERS = (
    {"StudyInstanceUID": CHEST, "PatientID": "MRN-1", "PatientName": "Zorn^Zoe"},
    {
        "StudyInstanceUID": HEAD,
        "PatientID": "MRN-1",
        "PatientName": "Zorn^Zoe",
        "Modality": "MR",
        "StudyDate": "20240301",
        "BodyPartExamined": "HEAD",
    },
    {
        "StudyInstanceUID": KNEE,
        "PatientID": "MRN-2",
        "PatientName": "Abel^Adam",
        "Modality": "DX",
        "StudyDate": "20230105",
        "BodyPartExamined": "KNEE",
        "StudyDescription": "Knee",
    },
    {
        "StudyInstanceUID": FILM,
        "PatientID": "MRN-3",
        "PatientName": "Miro^Mia",
        "Modality": "CR",
        "StudyDate": None,
    },
)
LABELS = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
MEMBERS = {
    "studyInstanceUID",
    "patientId",
    "patientName",
    "studyDate",
    "studyTime",
    "status",
    "modalities",
    "description",
    "accessionNumber",
    "referringPhysician",
    "bodyParts",
    "numberOfSeries",
    "numberOfInstances",
    "accessLevel",
}


@pytest.fixture(scope="module", autouse=True)
async def studies(archive: Archive) -> dict[str, str]:
    """Load four studies of three patients, the film confidential; patient ids by MRN."""
    patients = {}
    for header in HEADERS:
        series = 2 if header["StudyInstanceUID"] == CHEST else 1
        [first, *_] = await put(archive, *study(series=series, instances=2, **header))
        document = await archive.ledger.study(str(first.study))
        assert document is not None
        patients[str(header["PatientID"])] = document["resource"]["subject"]["reference"][8:]
    film = await archive.ledger.study(FILM)
    assert film is not None
    labelled = film["resource"] | {"meta": {"security": [{"system": LABELS, "code": "R"}]}}
    fresh = {"resource": labelled, "index": index(labelled)}
    await archive.database["studies"].update_one({"_id": FILM}, {"$set": fresh})
    return patients


async def uids(client: AsyncClient, headers: dict[str, str], **query: Any) -> list[str]:
    answer = await client.get("/postdicom/studies", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["studyInstanceUID"] for one in answer.json()["data"]]


def failed(answer: Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["success"], body["error"]["code"]) == (status, False, code)
    assert body.keys() == {"success", "error"}
    assert body["error"].keys() == {"code", "message", "details"}
    return body


async def test_a_list_is_an_envelope_of_studies_and_says_where_it_stands(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    answer = await client.get(
        "/postdicom/studies", params={"limit": 1, "offset": 1}, headers=acting_as("radiologist")
    )
    assert answer.json() == {
        "success": True,
        "data": [
            {
                "studyInstanceUID": CHEST,
                "patientId": "MRN-1",
                "patientName": "Zoe Zorn",
                "studyDate": "2024-02-29",
                "studyTime": None,
                "status": "available",
                "modalities": ["CT"],
                "description": "CT chest",
                "accessionNumber": "ACC1",
                "referringPhysician": "Rita Referrer",
                "bodyParts": ["Chest"],
                "numberOfSeries": 2,
                "numberOfInstances": 4,
                "accessLevel": "restricted",
            }
        ],
        "metadata": {
            "totalCount": 4,
            "pageSize": 1,
            "currentPage": 2,
            "hasMore": True,
            "refused": {},
        },
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"patientID": "MRN-1"}, {CHEST, HEAD}),
        ({"patientID": "MRN"}, set()),
        ({"patientID": "MRN-1,MRN-2"}, set()),
        ({"studyDate": "2024-02-29"}, {CHEST}),
        ({"studyDate": "20240229"}, {CHEST}),
        ({"startDate": "2023-01-05", "endDate": "2024-02-29"}, {KNEE, CHEST}),
        ({"startDate": "20240301"}, {HEAD}),
        ({"endDate": "20230105"}, {KNEE}),
        ({"modality": "mri"}, {HEAD}),
        ({"modality": "X-Ray"}, {KNEE, FILM}),
        ({"modality": "XR, mr"}, {KNEE, FILM, HEAD}),
        ({"modality": "ECHO,PET"}, set()),
        ({"specialty": "neurology"}, {CHEST, HEAD}),
        ({"specialty": "PULMONOLOGY", "modality": "XR"}, {KNEE, FILM}),
        ({"specialty": "PSYCHIATRY"}, {CHEST, HEAD, KNEE, FILM}),
        ({"accessLevel": "confidential"}, {FILM}),
        ({"accessLevel": "restricted,top-secret"}, {CHEST, HEAD, KNEE}),
        ({"patientID": "MRN-1", "modality": "CT", "studyDate": "20240229"}, {CHEST}),
    ],
)
async def test_criteria_find_exactly(
    client: AsyncClient, acting_as: ActingAs, query: dict[str, str], found: set[str]
) -> None:
    assert set(await uids(client, acting_as("radiologist"), **query)) == found


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({}, [HEAD, CHEST, KNEE, FILM]),
        ({"sortOrder": "asc"}, [FILM, KNEE, CHEST, HEAD]),
        ({"sortBy": "modality", "sortOrder": "asc"}, [FILM, CHEST, KNEE, HEAD]),
        ({"sortBy": "modality"}, [HEAD, KNEE, CHEST, FILM]),
        (
            {"sortBy": "patientName", "sortOrder": "asc"},
            [KNEE, FILM, *sorted((CHEST, HEAD))],
        ),
        ({"sortBy": "patientName"}, [*sorted((CHEST, HEAD), reverse=True), FILM, KNEE]),
    ],
)
async def test_each_order_is_kept_and_its_pages_visit_every_study_once(
    client: AsyncClient, acting_as: ActingAs, query: dict[str, str], order: list[str]
) -> None:
    headers = acting_as("radiologist")
    assert await uids(client, headers, **query) == order
    pages = []
    for offset in range(6):
        params: dict[str, Any] = {**query, "limit": 1, "offset": offset}
        answer = await client.get("/postdicom/studies", params=params, headers=headers)
        pages += [one["studyInstanceUID"] for one in answer.json()["data"]]
        about = answer.json()["metadata"]
        assert about["totalCount"] == 4
        assert about["currentPage"] == offset + 1
        assert about["hasMore"] == (offset < 3)
    assert pages == order


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": 0}, "query.limit: Input should be greater than or equal to 1"),
        ({"limit": 101}, "query.limit: Input should be less than or equal to 100"),
        ({"limit": "Zorn"}, "query.limit: Input should be a valid integer"),
        ({"offset": -1}, "query.offset: Input should be greater than or equal to 0"),
        ({"offset": 10001}, "query.offset: Input should be less than or equal to 10000"),
        ({"sortBy": "Zorn"}, "query.sortBy: Input should be 'studyDate', 'patientName'"),
        ({"studyDate": "Zorn"}, "studyDate takes YYYY-MM-DD or YYYYMMDD"),
        ({"studyDate": "2024-0229"}, "studyDate takes YYYY-MM-DD or YYYYMMDD"),
        ({"studyDate": "20240230"}, "not a date: this day or time does not exist"),
        ({"startDate": "20240301", "endDate": "20240229"}, "endDate lies before startDate"),
        ({"modality": "Zorn;"}, "modality takes DICOM codes such as CT, or several: CT,MR"),
        ({"modality": "CT,"}, "modality takes DICOM codes such as CT, or several: CT,MR"),
        ({"specialty": "Zorn"}, "specialty takes one of ANESTHESIOLOGY, CARDIOLOGY"),
        ({"accessLevel": "Zorn"}, "accessLevel takes public, restricted, confidential, top-secret"),
        ({"patientID": ""}, "query.patientID: String should have at least 1 character"),
        ({"patientName": "Zorn"}, "query.patientName: Extra inputs are not permitted"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words_that_repeat_no_value(
    client: AsyncClient, acting_as: ActingAs, query: dict[str, Any], said: str
) -> None:
    answer = await client.get("/postdicom/studies", params=query, headers=acting_as("radiologist"))
    body = failed(answer, 400, "INVALID_REQUEST")
    assert body["error"]["message"].startswith(said)
    assert "Zorn" not in answer.text


async def test_a_study_has_its_series_in_order(client: AsyncClient, acting_as: ActingAs) -> None:
    answer = await client.get(f"/postdicom/studies/{CHEST}", headers=acting_as("technologist"))
    body = answer.json()
    assert (answer.status_code, body["success"], body["metadata"]) == (200, True, {"refused": {}})
    assert body["data"].keys() == {*MEMBERS, "series"}
    assert body["data"]["series"] == [
        {
            "seriesInstanceUID": f"{CHEST}.{number}",
            "seriesNumber": number,
            "modality": "CT",
            "description": "Axial",
            "bodyPart": "Chest",
            "laterality": None,
            "seriesDate": "2024-02-29",
            "numberOfInstances": 2,
        }
        for number in (1, 2)
    ]


@pytest.mark.parametrize("wrong", [uid("rest", "nothing"), "..%2F..", "a" * 65, "Zorn"])
async def test_a_study_that_is_not_there_is_not_found(
    client: AsyncClient, acting_as: ActingAs, wrong: str
) -> None:
    answer = await client.get(f"/postdicom/studies/{wrong}", headers=acting_as("radiologist"))
    if "%2F" in wrong:  # two segments: no such route
        failed(answer, 404, "NOT_FOUND")
    else:
        failed(answer, 404, "STUDY_NOT_FOUND")


REFUSED = {
    "admin": {
        "patientId",
        "patientName",
        "description",
        "referringPhysician",
        "bodyParts",
        "series.description",
        "series.bodyPart",
        "series.laterality",
    },
    "billing": {
        "patientName",
        "description",
        "referringPhysician",
        "bodyParts",
        "accessLevel",
        "series",
    }
    | {
        f"series.{name}"
        for name in (
            "seriesInstanceUID",
            "seriesNumber",
            "modality",
            "description",
            "bodyPart",
            "laterality",
            "seriesDate",
            "numberOfInstances",
        )
    },
}


@pytest.mark.parametrize("role", ["radiologist", "technologist"])
async def test_whoever_makes_or_reports_images_sees_every_member(
    client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    answer = await client.get(f"/postdicom/studies/{CHEST}", headers=acting_as(role))
    assert answer.json()["metadata"]["refused"] == {}
    assert answer.json()["data"]["patientId"] == "MRN-1"


@pytest.mark.parametrize("role", TREATING)
async def test_whoever_treats_patients_sees_every_member_of_those_they_look_after_alone(
    archive: Archive,
    client: AsyncClient,
    acting_as: ActingAs,
    studies: dict[str, str],
    role: str,
) -> None:
    me = acting_as(role, subject=f"rest-{role}")
    closed = {
        "patientName": ["ImagingStudy.subject.display"],
        "referringPhysician": ["ImagingStudy.referrer"],
    }

    async def one(uid: str, headers: dict[str, str] = me) -> tuple[Any, Any]:
        body = (await client.get(f"/postdicom/studies/{uid}", headers=headers)).json()
        return body["data"], body["metadata"]["refused"]

    async def names() -> dict[str, str | None]:
        body = (await client.get("/postdicom/studies", headers=me)).json()
        return {row["studyInstanceUID"]: row["patientName"] for row in body["data"]}

    whole, _ = await one(CHEST, acting_as("radiologist"))
    masked = whole | dict.fromkeys(closed)
    assert await one(CHEST) == (masked, closed)
    assert await names() == dict.fromkeys((CHEST, HEAD, KNEE, FILM))
    link = await look_after(archive, f"rest-{role}", studies["MRN-1"])
    assert await one(CHEST) == (whole, {})
    assert (await one(KNEE))[1] == closed
    assert await names() == {CHEST: "Zoe Zorn", HEAD: "Zoe Zorn", KNEE: None, FILM: None}
    answer = await client.get("/postdicom/studies", params={"sortBy": "patientName"}, headers=me)
    body = failed(answer, 403, "ACCESS_DENIED")
    assert body["error"]["details"] == {"coordinates": ["ImagingStudy.subject.display"]}
    await take_off(client, acting_as("admin"), link)
    assert await one(CHEST) == (masked, closed)
    assert await names() == dict.fromkeys((CHEST, HEAD, KNEE, FILM))


@pytest.mark.parametrize("role", REFUSED)
async def test_refused_members_are_null_and_named_and_the_shape_stays(
    client: AsyncClient, acting_as: ActingAs, role: str
) -> None:
    headers = acting_as(role)
    body = (await client.get(f"/postdicom/studies/{CHEST}", headers=headers)).json()
    refused = body["metadata"]["refused"]
    assert refused.keys() == REFUSED[role]
    assert body["data"].keys() == {*MEMBERS, "series"}
    assert [name for name in MEMBERS & refused.keys() if body["data"][name] is not None] == []
    for series in body["data"]["series"] or ():
        assert [name for name in series if series[name] is None and name != "laterality"] == [
            name for name in series if f"series.{name}" in refused and name != "laterality"
        ]
    page = (await client.get("/postdicom/studies", headers=headers)).json()
    nothing = (
        await client.get("/postdicom/studies", params={"offset": 9000}, headers=headers)
    ).json()
    expected = {name for name in REFUSED[role] if not name.startswith("series")}
    assert page["metadata"]["refused"].keys() == expected
    assert nothing["metadata"]["refused"] == page["metadata"]["refused"]
    for one in page["data"]:
        assert one.keys() == MEMBERS
        assert [name for name in expected if one[name] is not None] == []
    assert "Zorn" not in str(body) + str(page)


async def test_the_refused_coordinates_stand_beside_their_members(
    client: AsyncClient, acting_as: ActingAs
) -> None:
    body = (await client.get("/postdicom/studies", headers=acting_as("admin"))).json()
    assert body["metadata"]["refused"] == {
        "patientId": ["ImagingStudy.subject"],
        "patientName": ["ImagingStudy.subject.display"],
        "description": ["ImagingStudy.description"],
        "referringPhysician": ["ImagingStudy.referrer"],
        "bodyParts": ["ImagingStudy.series.bodySite"],
    }


async def test_a_patient_sees_their_released_studies_and_nothing_of_others(
    client: AsyncClient, acting_as: ActingAs, studies: dict[str, str]
) -> None:
    headers = acting_as("patient", patient=studies["MRN-1"])
    body = (await client.get("/postdicom/studies", headers=headers)).json()
    assert {one["studyInstanceUID"] for one in body["data"]} == {CHEST, HEAD}
    assert {one["patientId"] for one in body["data"]} == {"MRN-1"}
    assert body["metadata"]["totalCount"] == 2
    assert body["metadata"]["refused"] == {}
    assert await uids(client, headers, patientID="MRN-2") == []
    assert await uids(client, headers) == sorted((CHEST, HEAD), reverse=True)
    for other in (KNEE, uid("rest", "nothing")):
        answer = await client.get(f"/postdicom/studies/{other}", headers=headers)
        assert failed(answer, 404, "STUDY_NOT_FOUND")["error"] == {
            "code": "STUDY_NOT_FOUND",
            "message": "no study of this UID is open to you",
            "details": None,
        }


async def test_of_a_confidential_study_its_patient_sees_that_it_is_there(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, studies: dict[str, str]
) -> None:
    headers = acting_as("patient", patient=studies["MRN-3"])
    assert await uids(client, headers) == []  # it is not released
    record = await archive.database["studies"].find_one({"_id": FILM})
    assert record is not None
    released = {"system": "https://radiograph.dev/fhir/release", "code": "released"}
    meta = record["resource"]["meta"] | {"tag": [released]}
    resource = record["resource"] | {"meta": meta}
    change = {"resource": resource, "index": index(resource)}
    await archive.database["studies"].update_one({"_id": FILM}, {"$set": change})
    page = (await client.get("/postdicom/studies", headers=headers)).json()
    one = (await client.get(f"/postdicom/studies/{FILM}", headers=headers)).json()
    await archive.database["studies"].replace_one({"_id": FILM}, record)
    shown = dict.fromkeys(MEMBERS) | {
        "studyInstanceUID": FILM,
        "patientId": "MRN-3",
        "status": "available",
        "modalities": ["CR"],
    }
    assert page["data"] == [shown]
    assert page["metadata"]["totalCount"] == 1
    open_members = {"studyInstanceUID", "patientId", "status", "modalities"}
    dates = {"studyDate", "studyTime"}  # open, and unknown of this one
    assert page["metadata"]["refused"].keys() == MEMBERS - open_members - dates
    assert one["data"] == shown | {"series": None}


async def test_research_sees_no_confidential_study_and_of_others_pseudonyms(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, studies: dict[str, str]
) -> None:
    headers = acting_as("researcher", project="trial-1")
    made = Pseudonyms(archive.pseudonym_key, "trial-1")
    found = await client.get("/postdicom/studies", headers=headers)
    rows = {one["studyInstanceUID"]: one for one in found.json()["data"]}
    stored = sorted((CHEST, HEAD, KNEE), reverse=True)
    assert list(rows) == [made.uid(one) for one in stored]
    assert found.json()["metadata"]["totalCount"] == 3
    for secret in ("MRN", "Zorn", "Abel", "2024", "2023", "ACC1", "Rita", CHEST, HEAD, KNEE):
        assert secret not in found.text
    assert rows[made.uid(CHEST)] == {
        "studyInstanceUID": made.uid(CHEST),
        "patientId": made.number(studies["MRN-1"]),
        "patientName": None,
        "studyDate": None,
        "studyTime": None,
        "status": "available",
        "modalities": ["CT"],
        "description": None,
        "accessionNumber": made.accession("ACC1"),
        "referringPhysician": None,
        "bodyParts": ["816094009"],
        "numberOfSeries": 2,
        "numberOfInstances": 4,
        "accessLevel": "restricted",
    }
    assert found.json()["metadata"]["refused"] == {
        "patientName": ["ImagingStudy.subject.display"],
        "description": ["ImagingStudy.description"],
        "referringPhysician": ["ImagingStudy.referrer"],
    }
    one = await client.get(f"/postdicom/studies/{made.uid(CHEST)}", headers=headers)
    assert [part["seriesInstanceUID"] for part in one.json()["data"]["series"]] == [
        made.uid(f"{CHEST}.{number}") for number in (1, 2)
    ]
    real = await client.get(f"/postdicom/studies/{CHEST}", headers=headers)
    failed(real, 404, "STUDY_NOT_FOUND")
    nobody = await client.get("/postdicom/studies", headers=acting_as("researcher"))
    assert failed(nobody, 403, "ACCESS_DENIED")["error"]["details"] is None


@pytest.mark.parametrize(
    ("role", "query", "coordinates"),
    [
        (
            "admin",
            {"patientID": "MRN-1"},
            ["ImagingStudy.subject"],
        ),
        ("admin", {"sortBy": "patientName"}, ["ImagingStudy.subject.display"]),
        ("billing", {"sortBy": "patientName"}, ["ImagingStudy.subject.display"]),
        ("billing", {"modality": "CT"}, ["ImagingStudy.series.modality"]),
        ("billing", {"accessLevel": "public"}, ["ImagingStudy.meta"]),
        ("patient", {"sortBy": "patientName"}, ["ImagingStudy.subject.display"]),
        ("patient", {"sortBy": "modality"}, ["ImagingStudy.series.modality"]),
        ("researcher", {"studyDate": "20240229", "sortBy": "modality"}, ["ImagingStudy.started"]),
        ("researcher", {"sortBy": "studyDate"}, ["ImagingStudy.started"]),
        ("auditor", {}, ["ImagingStudy.id"]),
    ],
)
async def test_what_may_not_be_read_can_neither_be_searched_nor_sorted_by(
    client: AsyncClient,
    acting_as: ActingAs,
    role: str,
    query: dict[str, str],
    coordinates: list[str],
) -> None:
    headers = acting_as(role, project="trial-1" if role == "researcher" else None)
    answer = await client.get("/postdicom/studies", params=query, headers=headers)
    body = failed(answer, 403, "ACCESS_DENIED")
    assert body["error"]["details"] == {"coordinates": coordinates}
    assert CHEST not in answer.text


async def test_billing_searches_by_record_number(client: AsyncClient, acting_as: ActingAs) -> None:
    answer = await client.get(
        "/postdicom/studies", params={"patientID": "MRN-2"}, headers=acting_as("billing")
    )
    [found] = answer.json()["data"]
    assert (found["studyInstanceUID"], found["patientId"]) == (KNEE, "MRN-2")
    assert "Abel" not in answer.text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/postdicom/studies"),
        ("GET", f"/postdicom/studies/{CHEST}"),
        ("POST", "/postdicom/studies"),
        ("DELETE", f"/postdicom/studies/{CHEST}"),
        ("GET", f"/postdicom/images/{CHEST}.1.1"),
        ("GET", f"/postdicom/images/{CHEST}.1.1/data"),
        ("GET", "/postdicom/audit/logs"),
    ],
)
async def test_without_a_good_token_nothing_is_told(
    client: AsyncClient, headers: dict[str, str], method: str, path: str
) -> None:
    answer = await client.request(method, path, headers=headers)
    failed(answer, 401, "INVALID_CREDENTIALS")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_health_needs_no_token(client: AsyncClient) -> None:
    answer = await client.get("/postdicom/health")
    body = answer.json()
    assert (answer.status_code, body["success"], body["data"]["status"]) == (200, True, "ok")
    assert body["data"]["checks"].keys() == {"database", "storage", "policy"}


async def test_a_search_is_in_the_audit_with_its_words(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, studies: dict[str, str]
) -> None:
    headers = acting_as("radiologist") | {"X-Request-Id": "one-search"}
    await uids(client, headers, patientID="MRN-2")
    cursor = archive.database["audit_events"].find({"requestId": "one-search"})
    written = {(one["resource"], one["query"]): one async for one in cursor}
    assert written.keys() == {
        ("Patient", "patientID"),
        ("ImagingStudy", "patientID=MRN-2"),
        ("Patient", "studies"),
    }
    event = written["ImagingStudy", "patientID=MRN-2"]
    assert (event["outcome"], event["ids"], event["total"]) == ("allowed", [KNEE], 1)
    assert event["patients"] == [studies["MRN-2"]]
