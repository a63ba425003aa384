"""FHIR dates as the time they cover (R4 datatypes, search.html#date)."""

import calendar
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from fhir.errors import Invalid

# R4 datatypes.html: 60 seconds are a leap second, 24:00 is no time, offsets end at 14:00.
_DATE_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>[0-5]\d|60)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?)?)?)?",
    re.ASCII,
)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


def interval(text: str, zone: tzinfo = UTC) -> tuple[datetime, datetime]:
    """Read a FHIR date, dateTime or instant as the time it covers.

    Args:
        text: `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or a time to the minute, second or fraction of it.
        zone: What a value without offset is taken to be in.

    Returns:
        The first instant covered and the first instant after it, both UTC, cut to milliseconds
        (what MongoDB keeps).

    Raises:
        Invalid: `text` is not a date.
    """
    match = _DATE_TIME.fullmatch(text)
    if not match:
        raise Invalid("not a date: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz")
    part = match.groupdict()
    try:
        start = datetime(
            int(part["year"]),
            int(part["month"] or 1),
            int(part["day"] or 1),
            int(part["hour"] or 0),
            int(part["minute"] or 0),
            min(int(part["second"] or 0), 59),  # a leap second has no place in datetime
            _microseconds(part["fraction"]),
            tzinfo=_zone(part["zone"], zone),
        ).astimezone(UTC)
        length = _length(part)
        end = start + length if start <= _LAST - length else _LAST
    except (ValueError, OverflowError) as error:
        raise Invalid("not a date: this day or time does not exist") from error
    return start, end


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "0").ljust(6, "0")[:3]) * 1000


def _zone(text: str | None, default: tzinfo) -> tzinfo:
    if text is None:
        return default
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _length(part: dict[str, str | None]) -> timedelta:
    if part["month"] is None:
        return timedelta(days=366 if calendar.isleap(int(part["year"] or 0)) else 365)
    if part["day"] is None:
        days = calendar.monthrange(int(part["year"] or 0), int(part["month"]))[1]
        return timedelta(days=days)
    if part["hour"] is None:
        return timedelta(days=1)
    if part["second"] is None:
        return timedelta(minutes=1)
    fraction = part["fraction"]
    return timedelta(milliseconds=max(1, 10 ** (3 - len(fraction))) if fraction else 1000)


def instant(moment: datetime) -> str:
    """Write a moment as FHIR instant in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
