from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.disguised import Given, disguised, marked, moved
from fhir.elements import ELEMENTS
from tests.deidentified.objects import pseudonyms

KEPT = {
    "Patient": {"id", "meta", "identifier", "active", "gender"},
    "ImagingStudy": {
        "id",
        "meta",
        "identifier",
        "status",
        "modality",
        "subject",
        "started",
        "endpoint",
        "numberOfSeries",
        "numberOfInstances",
        "series",
    },
    "Image": set(ELEMENTS["Image"]) - {"title", "size", "pixels", "file"},
}
TEXT = "Zzplanted"
ANYTHING: dict[str, Any] = {
    "text": TEXT,
    "display": TEXT,
    "system": TEXT,
    "code": TEXT,
    "value": TEXT,
    "extension": [{"url": TEXT}],
    "reference": f"Patient/{TEXT}",
}


@pytest.mark.parametrize("kind", sorted(KEPT))
def test_an_element_that_is_not_listed_is_left_out(kind: str) -> None:
    names = {path.partition(".")[0] for path in ELEMENTS[kind]} - KEPT[kind]
    resource = {"resourceType": kind} | dict.fromkeys(
        {*names, "_birthDate", "_status", "implicitRules", "language"}, ANYTHING
    )
    assert disguised(resource, Given(pseudonyms())) == {"resourceType": kind}


def test_nothing_said_within_an_element_is_given_out() -> None:
    closed = ("description", "specimen", "performer", "extension", "_uid")
    series: dict[str, Any] = {name: [ANYTHING] for name in closed} | {
        "uid": TEXT,
        "modality": ANYTHING,
        "bodySite": ANYTHING,
        "laterality": ANYTHING,
        "started": f"2024-02-29T{TEXT}",
        "instance": [{"uid": TEXT, "sopClass": ANYTHING, "title": TEXT, "extension": [ANYTHING]}],
    }
    coded = {"coding": [{"code": "ACSN"}], "text": TEXT}
    study = {
        "resourceType": "ImagingStudy",
        "id": TEXT,
        "meta": {"security": [ANYTHING], "tag": [ANYTHING], "source": TEXT, "lastUpdated": TEXT},
        "identifier": [
            ANYTHING,
            ANYTHING | {"type": coded, "assigner": ANYTHING},
            {"system": "urn:dicom:uid", "value": f"urn:oid:{TEXT}"},
        ],
        "modality": [ANYTHING],
        "subject": ANYTHING | {"identifier": ANYTHING},
        "started": TEXT,
        "series": [series],
    }
    answer = Given(pseudonyms(days=10), "p")
    found = disguised(study, answer)
    assert TEXT not in repr(found)
    assert {real for _, real in answer.given.values()} == {TEXT}
    assert found["modality"][0]["code"] == found["series"][0]["modality"]["code"] == "OT"
    assert [one["type"]["coding"][0]["code"] for one in found["identifier"][:1]] == ["ACSN"]


def test_a_phantom_stays_a_device_without_name() -> None:
    study = {"resourceType": "ImagingStudy", "subject": {"type": "Device", "display": TEXT}}
    found = disguised(study, Given(pseudonyms()))
    assert found == {"resourceType": "ImagingStudy", "subject": {"type": "Device"}}


def test_the_label_of_confidentiality_stays_and_says_that_it_is_pseudonymised() -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    found = marked({"security": [{"system": system, "code": "N", "display": TEXT}, ANYTHING]})
    assert [one["code"] for one in found["security"]] == ["N", "PSEUDED"]
    assert TEXT not in repr(found)


@pytest.mark.parametrize(
    ("moment", "days", "expected"),
    [
        ("2024-02-28", 2, "2024-03-01"),
        ("2024-03-01T23:59:00+01:00", -1, "2024-02-29T23:59:00+01:00"),
        ("2024-02-28", None, None),
        ("2024-02", 2, None),
        ("2024", 2, None),
        ("0001-01-01", -1, None),
        ("9999-12-31", 1, None),
        ("2023-02-29", 1, None),
    ],
)
def test_whole_dates_move_and_others_go(
    moment: str, days: int | None, expected: str | None
) -> None:
    assert moved(moment, days) == expected


@given(st.dates(), st.integers(-3650, 3650))
def test_a_date_that_is_moved_there_and_back_is_the_same(day: Any, days: int) -> None:
    there = moved(day.isoformat(), days)
    assert there is None or moved(there, -days) == day.isoformat()
