"""DICOM dates and times as FHIR dateTime."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir.from_dicom.site import Site
from fhir.from_dicom.times import date, date_time
from tests.fhir.from_dicom.header import header

BERLIN = Site(time_zone=ZoneInfo("Europe/Berlin"))


def started(site: Site = BERLIN, **keywords: object) -> str | None:
    return date_time(header(**keywords), "StudyDate", "StudyTime", site)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("+0530", "2024-02-29T13:04:05+05:30"),
        ("-0330", "2024-02-29T13:04:05-03:30"),
        ("+0000", "2024-02-29T13:04:05+00:00"),
        ("+1400", "2024-02-29T13:04:05+14:00"),
        ("-1200", "2024-02-29T13:04:05-12:00"),
        ("+0100 ", "2024-02-29T13:04:05+01:00"),
    ],
)
def test_the_header_s_own_offset_comes_before_the_site_s(offset: str, expected: str) -> None:
    found = started(StudyDate="20240229", StudyTime="130405", TimezoneOffsetFromUTC=offset)
    assert found == expected


@pytest.mark.parametrize("offset", ["-0000", "+1430", "-1230", "+05:30", "0530", "+0560", "Z", ""])
def test_an_offset_that_dicom_does_not_allow_counts_as_absent(offset: str) -> None:
    keywords: dict[str, Any] = {
        "StudyDate": "20240229",
        "StudyTime": "130405",
        "TimezoneOffsetFromUTC": offset,
    }
    assert started(**keywords) == "2024-02-29T13:04:05+01:00"
    assert started(Site(), **keywords) == "2024-02-29"


def test_a_time_of_unknown_zone_leaves_the_date() -> None:
    assert started(Site(), StudyDate="20240229", StudyTime="130405") == "2024-02-29"


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("20240115", "120000", "2024-01-15T12:00:00+01:00"),
        ("20240715", "120000", "2024-07-15T12:00:00+02:00"),
        ("20240331", "015959", "2024-03-31T01:59:59+01:00"),
        ("20240331", "030000", "2024-03-31T03:00:00+02:00"),
    ],
)
def test_the_site_s_zone_is_applied_as_it_was_at_that_moment(
    day: str, clock: str, expected: str
) -> None:
    assert started(StudyDate=day, StudyTime=clock) == expected


@pytest.mark.parametrize(("day", "clock"), [("20241027", "023000"), ("20240331", "023000")])
def test_an_hour_that_the_zone_has_twice_or_never_leaves_the_date(day: str, clock: str) -> None:
    assert started(StudyDate=day, StudyTime=clock) == f"{day[:4]}-{day[4:6]}-{day[6:]}"


def test_local_mean_time_has_no_fhir_offset_and_leaves_the_date() -> None:
    assert started(StudyDate="18700101", StudyTime="120000") == "1870-01-01"


def test_a_zone_west_of_utc_has_a_negative_offset() -> None:
    site = Site(time_zone=ZoneInfo("America/St_Johns"))
    assert started(site, StudyDate="20240115", StudyTime="0800:00") == "2024-01-15T08:00:00-03:30"


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("130405.1", "2024-02-29T13:04:05.1+01:00"),
        ("130405.123456", "2024-02-29T13:04:05.123456+01:00"),
        ("130405.1234567", "2024-02-29T13:04:05.123456+01:00"),
        ("130405.", "2024-02-29T13:04:05+01:00"),
        ("130405 ", "2024-02-29T13:04:05+01:00"),
        ("130405\0", "2024-02-29T13:04:05+01:00"),
        ("13:04:05", "2024-02-29T13:04:05+01:00"),
        ("13:04:05.5", "2024-02-29T13:04:05.5+01:00"),
    ],
)
def test_seconds_and_their_fraction_stay_as_written(clock: str, expected: str) -> None:
    assert started(StudyDate="20240229", StudyTime=clock) == expected


def test_a_leap_second_stays_one() -> None:
    found = started(StudyDate="20161231", StudyTime="235960", TimezoneOffsetFromUTC="+0000")
    assert found == "2016-12-31T23:59:60+00:00"
    assert started(StudyDate="20170101", StudyTime="005960") == "2017-01-01T00:59:60+01:00"


@pytest.mark.parametrize(
    ("clock", "padded"),
    [("13", "2024-02-29T13:00:00+01:00"), ("1304", "2024-02-29T13:04:00+01:00")],
)
def test_a_time_without_seconds_is_padded_only_where_the_site_accepts_it(
    clock: str, padded: str
) -> None:
    padding = Site(time_zone=ZoneInfo("Europe/Berlin"), pad_times=True)
    assert started(StudyDate="20240229", StudyTime=clock) == "2024-02-29"
    assert started(padding, StudyDate="20240229", StudyTime=clock) == padded


@pytest.mark.parametrize("clock", ["24", "240000", "136000", "130461", "1", "noon", "", "-130405"])
def test_a_time_that_is_none_leaves_the_date(clock: str) -> None:
    padding = Site(time_zone=ZoneInfo("Europe/Berlin"), pad_times=True)
    assert started(padding, StudyDate="20240229", StudyTime=clock) == "2024-02-29"


def test_a_date_without_time_is_a_date() -> None:
    assert started(StudyDate="20240229") == "2024-02-29"


def test_a_time_without_date_is_nothing() -> None:
    assert started(StudyTime="130405", TimezoneOffsetFromUTC="+0530") is None


def test_an_acr_nema_date_is_understood() -> None:
    found = started(StudyDate="1993.07.04", StudyTime="13:04:05", TimezoneOffsetFromUTC="-0500")
    assert found == "1993-07-04T13:04:05-05:00"


@pytest.mark.parametrize(
    "day",
    [
        "20230229",
        "20241301",
        "20240100",
        "00000101",
        "2024",
        "202402",
        "2024.02-29",
        "٢٠٢٤٠٢٢٩",
        "",
    ],
)
def test_a_day_that_does_not_exist_is_nothing(day: str) -> None:
    assert started(StudyDate=day, StudyTime="130405") is None
    assert date(header(PatientBirthDate=day), "PatientBirthDate") is None


@pytest.mark.parametrize("day", ["00010101", "99991231"])
def test_the_first_and_the_last_day_of_the_calendar_do_not_overflow(day: str) -> None:
    found = started(StudyDate=day, StudyTime="235959")
    assert found is not None
    assert found.startswith(f"{day[:4]}-{day[4:6]}-{day[6:]}")
