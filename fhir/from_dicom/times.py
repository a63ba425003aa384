"""DICOM dates and times as FHIR: a time needs seconds and zone, or only its date is used."""

import re
from datetime import date as calendar_date
from datetime import datetime, time, timedelta

from fhir.attributes import Attributes, text
from fhir.from_dicom.site import Site

# ACR-NEMA wrote YYYY.MM.DD and hh:mm:ss (PS3.5 6.2, retired).
_DATE = re.compile(r"([0-9]{4})(?:([0-9]{2})([0-9]{2})|\.([0-9]{2})\.([0-9]{2}))")
_TIME = re.compile(
    r"(?P<hour>[01][0-9]|2[0-3])(?::?(?P<minute>[0-5][0-9])"
    r"(?::?(?P<second>[0-5][0-9]|60)(?:\.(?P<fraction>[0-9]{0,6})[0-9]*)?)?)?"
)
_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-4])([0-5][0-9])")
_EASTMOST, _WESTMOST = "+1400", "-1200"


def date(attributes: Attributes, keyword: str) -> str | None:
    """Give a DA as `YYYY-MM-DD`; None if there is no such day."""
    found = _date(text(attributes, keyword))
    return found.isoformat() if found else None


def date_time(
    attributes: Attributes, date_keyword: str, time_keyword: str, site: Site
) -> str | None:
    """Give a DA and its TM as FHIR dateTime.

    Returns:
        Date, time and offset where all three are known, else the date, else None. The second may
        be 60.
    """
    day = _date(text(attributes, date_keyword))
    if day is None:
        return None
    clock = _clock(text(attributes, time_keyword), padded=site.pad_times)
    offset = clock and (_declared_offset(attributes) or _site_offset(day, clock, site))
    return f"{day.isoformat()}T{clock}{offset}" if offset else day.isoformat()


def _date(written: str | None) -> calendar_date | None:
    match = _DATE.fullmatch(written or "")
    if not match:
        return None
    year, *month_and_day = (int(part) for part in match.groups() if part)
    try:
        return calendar_date(year, *month_and_day)
    except ValueError:
        return None


def _clock(written: str | None, *, padded: bool) -> str | None:
    match = _TIME.fullmatch(written or "")
    if not match or (match["second"] is None and not padded):
        return None
    fraction = f".{match['fraction']}" if match["fraction"] else ""
    return f"{match['hour']}:{match['minute'] or '00'}:{match['second'] or '00'}{fraction}"


def _declared_offset(attributes: Attributes) -> str | None:
    written = text(attributes, "TimezoneOffsetFromUTC") or ""
    match = _OFFSET.fullmatch(written)
    # PS3.3 C.12.1.1.8: -0000 is not allowed, -1200 to +1400 is
    if not match or written == "-0000":
        return None
    sign, hours, minutes = match.groups()
    limit = _EASTMOST if sign == "+" else _WESTMOST
    return f"{sign}{hours}:{minutes}" if written[1:] <= limit[1:] else None


def _site_offset(day: calendar_date, clock: str, site: Site) -> str | None:
    """Give the offset of the site's zone at that moment; None where it had none or two."""
    if site.time_zone is None:
        return None
    # a leap second has the offset of the second before
    moment = time(int(clock[:2]), int(clock[3:5]), min(int(clock[6:8]), 59))
    here = datetime.combine(day, moment, site.time_zone)
    offset = here.utcoffset()
    # When clocks go back an hour happens twice, when they go forward one never happens.
    if offset is None or offset != here.replace(fold=1).utcoffset():
        return None
    minutes, odd = divmod(abs(offset), timedelta(minutes=1))
    if odd:  # local mean time, before zones were kept
        return None
    sign = "-" if offset < timedelta(0) else "+"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"
