"""QIDO-RS: what is found at each level, by which keys, and what comes back."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.imaging.ingest import Outcome
from fhir.attributes import tag
from tests.build import dicom, uid

Json = Any
Load = Callable[..., Awaitable[list[Outcome]]]

MULLER = uid("muller", "study")
TANAKA = uid("tanaka", "study")
BARE = uid("bare", "study")


def of_muller(series: int, instance: int, **keywords: object) -> bytes:
    said: dict[str, Any] = {
        "StudyInstanceUID": MULLER,
        "SeriesInstanceUID": uid("muller", "series", str(series)),
        "SOPInstanceUID": uid("muller", str(series), str(instance)),
        "PatientID": "M-1",
        "PatientName": "Müller^Jörg",
        "PatientBirthDate": "19700102",
        "PatientSex": "M",
        "StudyDate": "20240131",
        "StudyTime": "103000",
        "StudyID": "S1",
        "StudyDescription": "Thorax nativ",
        "AccessionNumber": "A-1",
        "ReferringPhysicianName": "Weiß^Ida",
        "SpecificCharacterSet": "ISO_IR 100",
        "Modality": "CT" if series == 1 else "SR",
        "SeriesNumber": series,
        "InstanceNumber": instance,
        "RequestAttributesSequence": [
            {"ScheduledProcedureStepID": f"SPS{series}", "RequestedProcedureID": "RP1"}
        ],
        "PerformedProcedureStepStartDate": "20240131",
        "PerformedProcedureStepStartTime": "1030",
        "ContentDate": "20240131",
        "ContentTime": f"10300{instance}",
    }
    return dicom(**said | keywords)


@pytest.fixture(scope="module", autouse=True)
async def _stored(archive: Any) -> None:
    async def chunks(data: bytes) -> Any:
        yield data

    objects = [of_muller(1, 1), of_muller(1, 2), of_muller(1, 3), of_muller(2, 1)]
    objects.append(
        dicom(
            StudyInstanceUID=TANAKA,
            SeriesInstanceUID=uid("tanaka", "series"),
            SOPInstanceUID=uid("tanaka", "instance"),
            PatientID="T-1",
            PatientName="Tanaka^Taro=田中^太郎=たなか^たろう",
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
            StudyDate="20240201",
            StudyTime="0800",
            Modality="MR",
            SeriesNumber=7,
        )
    )
    objects.append(
        dicom(
            StudyInstanceUID=BARE,
            SeriesInstanceUID=uid("bare", "series"),
            SOPInstanceUID=uid("bare", "instance"),
            PatientName=None,
            PatientID=None,
            StudyDate=None,
            StudyTime=None,
            Modality="US",
        )
    )
    for data in objects:
        outcome = await archive.ingest.store(chunks(data))
        assert outcome.status == "stored", outcome


@pytest.fixture
def ask(client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]) -> Any:
    async def get(
        path: str, role: str = "radiologist", accept: str = "application/dicom+json", **params: Any
    ) -> httpx.Response:
        headers = {**acting_as(role), "Accept": accept}
        return await client.get(f"/dicomweb/{path}", headers=headers, params=params)

    return get


def studies(answer: httpx.Response) -> list[str]:
    if answer.status_code == 204:
        return []
    assert answer.status_code == 200, answer.text
    return [one["0020000D"]["Value"][0] for one in answer.json()]


async def test_every_study_is_listed_the_newest_first(ask: Any) -> None:
    answer = await ask("studies")
    assert studies(answer) == [TANAKA, MULLER, BARE]
    assert answer.headers["x-total-count"] == "3"
    assert answer.headers["content-type"] == "application/dicom+json"


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("PatientName", "Mü*", [MULLER]),
        ("PatientName", "MU*", [MULLER]),
        ("PatientName", "müller^jörg", [MULLER]),
        ("PatientName", "Muller^J?rg", [MULLER]),
        ("PatientName", "Muller", []),
        ("PatientName", "*örg", [MULLER]),
        ("PatientName", "田中*", [TANAKA]),
        ("PatientName", "たなか^たろう", [TANAKA]),
        ("PatientName", "Tanaka^Taro=田中^太郎", [TANAKA]),
        ("PatientName", "Tanaka^Taro=田中^次郎", []),
        ("PatientName", "*", [TANAKA, MULLER, BARE]),
        ("PatientName", "", [TANAKA, MULLER, BARE]),
        ("PatientName", '""', [BARE]),
        ("00100010", "tanaka^*", [TANAKA]),
        ("PatientID", "M-1", [MULLER]),
        ("PatientID", "m-1", []),
        ("PatientID", "?-1", [TANAKA, MULLER]),
        ("PatientID", "M-1\\T-1", [TANAKA, MULLER]),
        ("PatientID", ".*", []),
        ("AccessionNumber", "A-1", [MULLER]),
        ("StudyID", "S*", [MULLER]),
        ("StudyDescription", "*nativ", [MULLER]),
        ("StudyDescription", "thorax*", []),
        ("ReferringPhysicianName", "WEISS^I*", [MULLER]),
        ("PatientBirthDate", "19700102", [MULLER]),
        ("PatientSex", "M", [MULLER]),
        ("StudyDate", "20240131", [MULLER]),
        ("StudyDate", "2024.01.31", [MULLER]),
        ("StudyDate", "20240131-20240201", [TANAKA, MULLER]),
        ("StudyDate", "20240201-", [TANAKA]),
        ("StudyDate", "-20240131", [MULLER]),
        ("StudyTime", "10", [MULLER]),
        ("StudyTime", "1030-", [MULLER]),
        ("StudyTime", "0700-0800", [TANAKA]),
        ("ModalitiesInStudy", "SR", [MULLER]),
        ("ModalitiesInStudy", "CT\\MR", [TANAKA, MULLER]),
        ("ModalitiesInStudy", "M*", [TANAKA]),
        ("StudyInstanceUID", f"{MULLER},{TANAKA}", [TANAKA, MULLER]),
        ("StudyInstanceUID", f"{MULLER}\\1.2.3", [MULLER]),
        ("NumberOfStudyRelatedInstances", "4", [MULLER]),
        ("NumberOfStudyRelatedSeries", "1", [TANAKA, BARE]),
        ("InstanceAvailability", "ONLINE", [TANAKA, MULLER, BARE]),
        ("InstanceAvailability", "OFFLINE", []),
    ],
)
async def test_a_key_finds_the_studies_that_it_matches(
    ask: Any, key: str, value: str, found: list[str]
) -> None:
    answer = await ask("studies", **{key: value})
    assert studies(answer) == found
    assert answer.headers["x-total-count"] == str(len(found))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("jörg mul", [MULLER]),
        ("JORG^MULLER", [MULLER]),
        ("mul jorg x", []),
        ("太郎", [TANAKA]),
        ("uller", []),
    ],
)
async def test_fuzzy_matching_is_by_beginnings_of_words_in_any_order(
    ask: Any, value: str, found: list[str]
) -> None:
    answer = await ask("studies", PatientName=value, fuzzymatching="true")
    assert studies(answer) == found


async def test_a_percent_encoded_wildcard_is_one(
    client: httpx.AsyncClient, acting_as: Callable[..., dict[str, str]]
) -> None:
    answer = await client.get(
        "/dicomweb/studies?PatientName=M%C3%BC%2A", headers=acting_as("radiologist")
    )
    assert studies(answer) == [MULLER]


@pytest.mark.parametrize(
    ("date", "time", "found"),
    [
        ("20240131-20240201", "1000-0800", [TANAKA, MULLER]),
        ("20240131-20240201", "1031-0800", [TANAKA]),
        ("20240131-20240201", "1000-0759", [MULLER]),
        ("20240131-", "1031-", [TANAKA]),
        ("-20240131", "-1029", []),
        ("-20240131", "-1030", [MULLER]),
        ("20240131", "1000-1100", [MULLER]),
        ("20240131", "1100-1200", []),
    ],
)
async def test_a_date_and_a_time_range_are_one_range(
    ask: Any, date: str, time: str, found: list[str]
) -> None:
    assert studies(await ask("studies", StudyDate=date, StudyTime=time)) == found


async def test_a_study_has_every_required_attribute(ask: Any) -> None:
    [found] = (await ask("studies", PatientID="M-1")).json()
    assert list(found) == sorted(found)
    assert {key: one.get("Value") for key, one in found.items()} == {
        "00080005": ["ISO_IR 192"],
        "00080020": ["20240131"],
        "00080030": ["103000"],
        "00080050": ["A-1"],
        "00080056": ["ONLINE"],
        "00080061": ["CT", "SR"],
        "00080090": [{"Alphabetic": "Weiß^Ida"}],
        "00080201": None,
        "00081030": ["Thorax nativ"],
        "00081190": [f"http://radiograph.test/dicomweb/studies/{MULLER}"],
        "00100010": [{"Alphabetic": "Müller^Jörg"}],
        "00100020": ["M-1"],
        "00100030": ["19700102"],
        "00100040": ["M"],
        "0020000D": [MULLER],
        "00200010": ["S1"],
        "00201206": [2],
        "00201208": [4],
    }


async def test_what_a_study_does_not_say_is_there_and_empty(ask: Any) -> None:
    [found] = (await ask("studies", StudyInstanceUID=BARE)).json()
    assert found["00100010"] == {"vr": "PN"}
    assert found["00080020"] == {"vr": "DA"}


async def test_a_series_of_a_study_has_every_required_attribute(ask: Any) -> None:
    answer = await ask(f"studies/{MULLER}/series")
    assert answer.headers["x-total-count"] == "2"
    first, second = answer.json()
    assert first["00200011"]["Value"] == [1]
    uids = uid("muller", "series", "2")
    assert {key: one.get("Value") for key, one in second.items()} == {
        "00080005": ["ISO_IR 192"],
        "00080060": ["SR"],
        "00080201": None,
        "0008103E": ["Axial"],
        "00081190": [f"http://radiograph.test/dicomweb/studies/{MULLER}/series/{uids}"],
        "0020000D": [MULLER],
        "0020000E": [uids],
        "00200011": [2],
        "00201209": [1],
        "00400244": ["20240131"],
        "00400245": ["1030"],
        "00400275": [
            {
                "00400009": {"vr": "SH", "Value": ["SPS2"]},
                "00401001": {"vr": "SH", "Value": ["RP1"]},
            }
        ],
    }


async def test_a_series_of_any_study_says_of_which_one(ask: Any) -> None:
    [found] = (await ask("series", Modality="SR")).json()
    assert found["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert found["00201208"]["Value"] == [4]
    assert found["00081190"]["Value"][0].endswith(f"/series/{uid('muller', 'series', '2')}")


def values(answer: httpx.Response, key: str) -> list[Any]:
    if answer.status_code == 204:
        return []
    assert answer.status_code == 200, answer.text
    return [one[key]["Value"][0] for one in answer.json()]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"Modality": "CT"}, [1]),
        ({"Modality": "CT,MR"}, [7, 1]),
        ({"SeriesNumber": "2"}, [2]),
        ({"SeriesInstanceUID": uid("muller", "series", "2")}, [2]),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "SPS2"}, [2]),
        ({"00400275.00401001": "RP*"}, [1, 2]),
        ({"PatientName": "mü*"}, [1, 2]),
        ({"PatientName": "mü*", "Modality": "SR"}, [2]),
        ({"PatientName": "tan*", "Modality": "SR"}, []),
        ({"PerformedProcedureStepStartDate": "20240131", "Modality": "CT"}, [1]),
        ({"NumberOfSeriesRelatedInstances": "3"}, [1]),
        ({"StudyDate": "20240201-"}, [7]),
        ({}, [7, 1, 2, 1]),
        ({"limit": 2, "offset": 1}, [1, 2]),
    ],
)
async def test_series_are_found_by_their_keys_and_those_of_their_study(
    ask: Any, params: dict[str, Any], found: list[int]
) -> None:
    assert values(await ask("series", **params), "00200011") == found


SERIES = f"studies/{MULLER}/series/{uid('muller', 'series', '1')}"


async def test_an_instance_of_a_series_has_every_required_attribute(ask: Any) -> None:
    answer = await ask(f"{SERIES}/instances")
    assert answer.headers["x-total-count"] == "3"
    assert values(answer, "00200013") == [1, 2, 3]
    second = answer.json()[1]
    instance = uid("muller", "1", "2")
    assert {key: one.get("Value") for key, one in second.items()} == {
        "00080005": ["ISO_IR 192"],
        "00080016": ["1.2.840.10008.5.1.4.1.1.2"],
        "00080018": [instance],
        "00080056": ["ONLINE"],
        "00080201": None,
        "00081190": [f"http://radiograph.test/dicomweb/{SERIES}/instances/{instance}"],
        "00083002": ["1.2.840.10008.1.2.1"],
        "0020000D": [MULLER],
        "0020000E": [uid("muller", "series", "1")],
        "00200013": [2],
        "00280008": None,
        "00280010": [16],
        "00280011": [16],
        "00280100": [16],
    }


@pytest.mark.parametrize(
    ("path", "params", "found"),
    [
        (f"{SERIES}/instances", {"InstanceNumber": "2"}, [2]),
        (f"{SERIES}/instances", {"ContentTime": "103002-"}, [2, 3]),
        (f"{SERIES}/instances", {"SOPInstanceUID": uid("muller", "1", "3")}, [3]),
        (f"{SERIES}/instances", {"limit": 1, "offset": 1}, [2]),
        (f"{SERIES}/instances", {"Modality": "SR"}, []),
        (f"studies/{MULLER}/instances", {"Modality": "CT"}, [1, 2, 3]),
        (f"studies/{MULLER}/instances", {"PatientID": "T-1"}, []),
        ("instances", {"SOPInstanceUID": uid("muller", "1", "3")}, [3]),
        ("instances", {"InstanceNumber": "3"}, [3]),
        ("instances", {"PatientName": "mü*", "Modality": "CT", "InstanceNumber": "2,3"}, [2, 3]),
        ("instances", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, []),
        ("instances", {"StudyInstanceUID": MULLER, "Rows": "16", "Modality": "SR"}, [1]),
    ],
)
async def test_instances_are_found_by_their_keys_and_those_above(
    ask: Any, path: str, params: dict[str, Any], found: list[int]
) -> None:
    answer = await ask(path, **params)
    assert values(answer, "00200013") == found
    assert answer.status_code == (200 if found else 204)


async def test_a_search_through_every_instance_is_refused_with_advice(ask: Any) -> None:
    answer = await ask("instances", Rows="16")
    assert answer.status_code == 400
    assert "name StudyInstanceUID" in answer.json()["detail"]


async def test_included_fields_are_added_by_keyword_tag_and_path(ask: Any) -> None:
    answer = await ask(
        f"{SERIES}/instances",
        includefield=["ContentTime,00080060", "RequestAttributesSequence.RequestedProcedureID"],
        limit=1,
    )
    [found] = answer.json()
    assert found["00080033"]["Value"] == ["103001"]
    assert found["00080060"]["Value"] == ["CT"]
    assert found["00400275"]["Value"] == [{"00401001": {"vr": "SH", "Value": ["RP1"]}}]
    [everything] = (await ask(f"{SERIES}/instances", includefield="all", limit=1)).json()
    assert everything["00281050"]["Value"] == [40.0]
    assert everything["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    [study] = (await ask("studies", PatientID="M-1", includefield="all")).json()
    assert "00280010" not in study
    assert study["00201208"]["Value"] == [4]


async def test_a_matched_attribute_is_shown(ask: Any) -> None:
    [found] = (await ask("series", Modality="SR", BodyPartExamined="CH*", StudyDate="")).json()
    assert found["00180015"]["Value"] == ["CHEST"]


async def test_a_key_that_stands_at_two_levels_shows_no_more_than_it_says(ask: Any) -> None:
    plain = (await ask(f"studies/{MULLER}/series")).json()
    [found] = (await ask(f"studies/{MULLER}/series", TimezoneOffsetFromUTC="", limit=1)).json()
    assert found == plain[0]


async def test_a_limit_that_cuts_is_warned_of_with_what_is_left(ask: Any) -> None:
    answer = await ask("studies", limit=2)
    assert studies(answer) == [TANAKA, MULLER]
    assert answer.headers["x-total-count"] == "3"
    assert answer.headers["warning"] == (
        '299 radiograph.test "There are 1 additional results; ask with offset"'
    )
    rest = await ask("studies", limit=2, offset=2)
    assert studies(rest) == [BARE]
    assert "warning" not in rest.headers


async def test_past_the_end_is_nothing_and_the_total_stays_true(ask: Any) -> None:
    answer = await ask("studies", offset=50)
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["x-total-count"] == "3"
    assert (await ask("studies", limit=0)).headers["x-total-count"] == "3"


@pytest.mark.parametrize(
    ("params", "advice"),
    [
        ({"PatientNam": "x"}, "named by keyword"),
        ({"StudyDate": "yesterday"}, "YYYYMMDD"),
        ({"StudyDate": "20240231"}, "no such day"),
        ({"StudyDate": "-"}, "first value"),
        ({"StudyTime": "2500"}, "no such time"),
        ({"StudyInstanceUID": "1.2.*"}, "no wildcards"),
        ({"NumberOfStudyRelatedSeries": "many"}, "is a number"),
        ({"Modality": "CT"}, "lower level"),
        ({"WindowCenter": "40"}, "cannot be searched by"),
        ({"RequestAttributesSequence": "x"}, "what is in it"),
        ({"PatientName.PatientID": "x"}, "named by keyword"),
        ({"PatientID": "a\x00b"}, "control characters"),
        (
            {
                "PatientName": "^",
            },
            "no letter",
        ),
        ({"limit": "-1"}, "whole number"),
        ({"limit": "many"}, "whole number"),
        ({"fuzzymatching": "perhaps"}, "true or false"),
        ({"includefield": "Nonsense"}, "named by keyword"),
        ({"PatientID": ["a", "b"]}, "matched once"),
    ],
)
async def test_what_cannot_be_understood_is_answered_with_what_to_write(
    ask: Any, params: dict[str, Any], advice: str
) -> None:
    answer = await ask("studies", **params)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert advice in answer.json()["detail"]


async def test_json_by_either_name_and_xml_in_parts_are_given_and_nothing_else(ask: Any) -> None:
    assert (await ask("studies", accept="application/json")).headers["content-type"] == (
        "application/json"
    )
    both = "application/dicom+json, application/json"
    assert (await ask("studies", accept=both)).headers["content-type"] == "application/dicom+json"
    xml = await ask("studies", accept='multipart/related; type="application/dicom+xml"')
    assert xml.headers["content-type"].startswith(
        'multipart/related; type="application/dicom+xml"; boundary='
    )
    assert xml.content.count(b"<NativeDicomModel") == 3
    assert "Müller".encode() in xml.content
    assert (await ask("studies", accept="text/html")).status_code == 406


async def test_expressions_in_values_are_only_text(ask: Any) -> None:
    for value in ("^M.*", "(M-1)", "M-1|T-1", "[M]*", "M\\-1", "$*"):
        assert studies(await ask("studies", PatientID=value)) == []


async def test_a_hostile_pattern_ends_soon(ask: Any) -> None:
    value = "*a" * 200
    assert studies(await ask("studies", StudyDescription=value)) == []


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("studies", "PatientAge"),
        ("series", "SeriesDate"),
        (f"studies/{MULLER}/series", "SeriesDate"),
        ("instances", "ContentTime"),
        (f"studies/{MULLER}/instances", "ContentTime"),
        (f"{SERIES}/instances", "ContentTime"),
    ],
)
async def test_what_is_kept_written_is_what_would_be_written(
    ask: Any, path: str, more: str
) -> None:
    kept = (await ask(path)).json()
    written = (await ask(path, includefield=more)).json()
    for row in written:
        del row[tag(more)]
    assert written == kept
