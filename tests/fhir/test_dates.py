"""FHIR dates as intervals."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.dates import instant, interval
from fhir.errors import Invalid


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year to microsecond


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", at(2024, 1, 1), at(2025, 1, 1)),
        ("2024-02", at(2024, 2, 1), at(2024, 3, 1)),
        ("2024-12", at(2024, 12, 1), at(2025, 1, 1)),
        ("2024-02-29", at(2024, 2, 29), at(2024, 3, 1)),
        ("2024-02-29T10:15", at(2024, 2, 29, 10, 15), at(2024, 2, 29, 10, 16)),
        ("2024-02-29T10:15Z", at(2024, 2, 29, 10, 15), at(2024, 2, 29, 10, 16)),
        ("2024-02-29T10:15:30Z", at(2024, 2, 29, 10, 15, 30), at(2024, 2, 29, 10, 15, 31)),
        ("2024-02-29T10:15:30+05:30", at(2024, 2, 29, 4, 45, 30), at(2024, 2, 29, 4, 45, 31)),
        ("2024-01-01T00:00:00+14:00", at(2023, 12, 31, 10), at(2023, 12, 31, 10, 0, 1)),
        ("2024-02-29T22:00:00-05:00", at(2024, 3, 1, 3), at(2024, 3, 1, 3, 0, 1)),
        ("2024-02-29T10:15:30.5Z", at(2024, 2, 29, 10, 15, 30, 500_000),
         at(2024, 2, 29, 10, 15, 30, 600_000)),
        ("2024-02-29T10:15:30.25Z", at(2024, 2, 29, 10, 15, 30, 250_000),
         at(2024, 2, 29, 10, 15, 30, 260_000)),
        ("2024-02-29T10:15:30.123456789Z", at(2024, 2, 29, 10, 15, 30, 123_000),
         at(2024, 2, 29, 10, 15, 30, 124_000)),
        ("2016-12-31T23:59:60Z", at(2016, 12, 31, 23, 59, 59), at(2017, 1, 1)),
    ],
)  # fmt: skip
def test_a_date_covers_what_its_precision_leaves_open(
    text: str, low: datetime, high: datetime
) -> None:
    assert interval(text) == (low, high)


@pytest.mark.parametrize(
    "text",
    [
        "", "24", "2024-1", "2024-13", "2024-00", "2023-02-29", "2024-02-30", "2024-02-29T",
        "2024-02-29T10", "2024-02-29T24:00", "2024-02-29T10:60", "2024-02-29T10:15:61Z",
        "2024-02-29T10:15:30.Z", "2024-02-29T10:15:30+15:00", "2024-02-29T10:15:30+05:60",
        "2024-02-29T10:15:30 05:30", "2024-02-29Z", "2024-02-29 10:15", "0000", "٢٠٢٤", "2024\n",
        " 2024", "tomorrow", "-2024", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        interval(text)
    assert text == "" or text not in refusal.value.message


def test_a_date_without_offset_is_taken_to_be_in_the_given_zone() -> None:
    new_york = ZoneInfo("America/New_York")
    assert interval("2024-02-29", new_york) == (at(2024, 2, 29, 5), at(2024, 3, 1, 5))
    assert interval("2024-02-29T10:15:30Z", new_york)[0] == at(2024, 2, 29, 10, 15, 30)


@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59.999Z"])
def test_the_end_of_the_calendar_is_the_last_instant_there_is(text: str) -> None:
    low, high = interval(text)
    assert low <= high == at(9999, 12, 31, 23, 59, 59, 999_000)


@given(st.dates(max_value=date(9998, 12, 31)))
def test_a_day_lies_within_its_month_and_its_month_within_its_year(day: date) -> None:
    year, month, exact = (interval(day.isoformat()[:length]) for length in (4, 7, 10))
    assert year[0] <= month[0] <= exact[0] < exact[1] <= month[1] <= year[1]
    assert exact[1] - exact[0] == timedelta(days=1)
    assert (month[0].day, month[1].day) == (1, 1)


@given(st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001 -- zone beside it
def test_an_instant_reads_back_as_its_own_millisecond(moment: datetime) -> None:
    low = interval(instant(moment))[0]
    assert low == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
