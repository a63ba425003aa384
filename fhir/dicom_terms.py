"""The values of DICOM attributes in the form in which they are compared (PS3.4 C.2.2.2)."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

from fhir.attributes import NAME_GROUPS, Attributes
from fhir.dicom_keys import TIME_OF, Kind, Path, field_of, kind_of, words_of
from fhir.errors import Invalid
from fhir.words import fold

Term = str | int | float
Terms = Mapping[str, Term | list[Term]]
"""By place (`field_of`), one value or several."""

MIDNIGHT: Final = "000000.000000"
LAST_MOMENT: Final = "235959.999999"
_RANGED: Final = frozenset({"date", "time", "moment"})
_MOST_VALUES: Final = 200
_LONGEST: Final = 2048
_EXACT: Final = 2**53  # beyond it JSON's numbers are none
_DATE: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?",
    re.ASCII,
)


def terms_of(attributes: Attributes, paths: Iterable[Path]) -> dict[str, Term | list[Term]]:
    """Derive what attributes are searched by; what says nothing is left out.

    Args:
        attributes: A header.
        paths: Of the attributes.
    """
    found: dict[str, Term | list[Term]] = {}
    places, pairs = _places(tuple(paths))
    for key, path, kind, field in places:
        if key not in attributes:
            continue
        values = list(_values(attributes, path))
        if kind in _RANGED and len(path) == 1:
            del values[1:]  # of several, a range could be met by two together
        _enter(found, field, (term for one in values for term in _terms(kind, one)))
        if kind == "name":
            _enter(found, words_of(path), (word for one in values for word in _words(one)))
    for day, time, both in pairs:
        if day in found:
            found[both] = f"{_first(found, day)}{_first(found, time) or MIDNIGHT}"
    return found


@lru_cache(64)
def _places(
    paths: tuple[Path, ...],
) -> tuple[list[tuple[str, Path, Kind, str]], list[tuple[str, str, str]]]:
    """Say where to look for attributes, and which of them are dates with their times."""
    wanted = dict.fromkeys(paths)
    pairs = [
        (field_of(date), field_of(time), field_of(date + time))
        for date, time in TIME_OF.items()
        if date in wanted and time in wanted
    ]
    return [(f"{path[0]:08X}", path, kind_of(path), field_of(path)) for path in wanted], pairs


def name_text(group: str) -> str:
    """Write a component group of a name for comparison: components folded, carets between."""
    return "^".join(fold(component) for component in group.split("^")).rstrip("^")


def date_term(text: str) -> str:
    """Write a DA as eight digits.

    Raises:
        Invalid: It is none.
    """
    found = _DATE.fullmatch(text.strip())
    if not found:
        raise Invalid("a date is written YYYYMMDD")
    try:
        datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
    except ValueError as error:
        raise Invalid("there is no such day") from error
    return "".join(found.groups())


def time_terms(text: str) -> tuple[str, str]:
    """Write the first and the last moment that a TM covers, as `HHMMSS.FFFFFF`.

    Raises:
        Invalid: It is none.
    """
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise Invalid("a time is written HHMMSS.FFFFFF, or less of it")
    hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:  # noqa: PLR2004 -- of a clock
        raise Invalid("there is no such time")
    low = f"{hour}{minute or '00'}{second or '00'}.{(fraction or '').ljust(6, '0')}"
    high = f"{hour}{minute or '59'}{second or '59'}.{(fraction or '').ljust(6, '9')}"
    return low, high


def moment_terms(text: str) -> tuple[str, str]:
    """Write the first and the last moment that a DT covers, in UTC, `YYYYMMDDHHMMSS.FFFFFF`.

    What has no offset is taken to be in UTC.

    Raises:
        Invalid: It is none.
    """
    found = _MOMENT.fullmatch(text.strip())
    if not found:
        raise Invalid("a date and time is written YYYYMMDDHHMMSS.FFFFFF&ZZXX, or less of it")
    parts, fraction, offset = [one and int(one) for one in found.groups()[:6]], found[7], found[8]
    year, month, day, hour, minute, second = parts
    try:
        low = datetime(
            year or 0,
            month or 1,
            day or 1,
            hour or 0,
            minute or 0,
            min(second or 0, 59),
            int((fraction or "").ljust(6, "0")),
            tzinfo=_zone(offset),
        )
        high = _end(low, sum(one is not None for one in parts), len(fraction or ""))
        return _moment(low), _moment(high)
    except (ValueError, OverflowError) as error:
        raise Invalid("there is no such date and time") from error


def number_term(value: object) -> int | float | None:
    """Give a number that can be compared, or None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(number) or abs(number) > _EXACT:
        return None
    return int(number) if number.is_integer() else number


def _enter(found: dict[str, Term | list[Term]], field: str, values: Iterable[Term]) -> None:
    distinct = list(dict.fromkeys(values))[:_MOST_VALUES]
    if distinct:
        found[field] = distinct[0] if len(distinct) == 1 else distinct


def _first(found: Terms, field: str) -> str:
    value = found.get(field, "")
    return str(value[0] if isinstance(value, list) else value)


def _values(attributes: Attributes, path: Path) -> Iterator[Any]:
    element = attributes.get(f"{path[0]:08X}")
    listed = element.get("Value") if element else None
    for value in listed if isinstance(listed, list) else ():
        if len(path) == 1:
            if value is not None:
                yield value
        elif isinstance(value, Mapping):
            yield from _values(value, path[1:])


def _terms(kind: Kind, value: Any) -> Iterator[Term]:
    match kind:
        case "items":
            return
        case "name":
            groups = value if isinstance(value, Mapping) else {}
            yield from filter(None, (name_text(groups.get(group) or "") for group in NAME_GROUPS))
        case "number":
            number = number_term(value)
            if number is not None:
                yield number
        case "date" | "time" | "moment":
            try:
                yield _instant(kind, str(value))
            except Invalid:
                return
        case _:
            text = str(value).strip(" \0")[:_LONGEST]
            if text:
                yield text


def _instant(kind: Kind, text: str) -> str:
    if kind == "date":
        return date_term(text)
    return time_terms(text)[0] if kind == "time" else moment_terms(text)[0]


def _words(value: Any) -> Iterator[str]:
    for text in _terms("name", value):
        yield from str(text).replace("^", " ").split()


def _zone(offset: str | None) -> timezone:
    if offset is None:
        return UTC
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    return timezone(-shift if offset[0] == "-" else shift)


def _end(low: datetime, parts: int, digits: int) -> datetime:
    """Give the last microsecond of a moment that is known to so many parts."""
    tick = timedelta(microseconds=1)
    match parts:
        case 1:
            return low.replace(month=12, day=31) + timedelta(days=1) - tick
        case 2:
            month = (low.replace(day=28) + timedelta(days=4)).replace(day=1)
            return month - tick
        case 3:
            return low + timedelta(days=1) - tick
        case 4:
            return low + timedelta(hours=1) - tick
        case 5:
            return low + timedelta(minutes=1) - tick
    return low + timedelta(microseconds=10 ** (6 - digits)) - tick


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f").rjust(21, "0")
