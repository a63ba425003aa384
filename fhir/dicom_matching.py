"""Matching keys of DICOM queries as criteria (PS3.4 C.2.2.2), and whether attributes meet them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fhir.dicom_keys import (
    AVAILABILITY,
    OURS,
    TIME_OF,
    WHEN,
    Catalogue,
    Kind,
    Level,
    Path,
    field_of,
    kind_of,
    words_of,
)
from fhir.dicom_terms import (
    LAST_MOMENT,
    MIDNIGHT,
    Term,
    Terms,
    date_term,
    moment_terms,
    number_term,
    time_terms,
)
from fhir.errors import Invalid, NotSupported
from fhir.words import fold

_MOST_KEYS: Final = 100
_MOST_VALUES: Final = 1000
_LONGEST: Final = 65_536
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_UID_CHARACTERS: Final = 64
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_LISTS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "uid": r"[,\\]",
        "code": r"[,\\]",
        "number": r"[,\\]",
        "name": r"\\",
        "text": r"\\",
    }
)
_MOMENT: Final = r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?"
_MOMENTS: Final = re.compile(rf"({_MOMENT})?-({_MOMENT})?", re.ASCII)
_NO_VALUE: Final = '""'


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a query: an attribute, and what it has to be, as it was written.

    An empty value, or one of nothing but `*`, matches everything: the attribute is only wanted.
    """

    path: Path
    value: str = ""


@dataclass(frozen=True, slots=True)
class Equal:
    """It is one of these."""

    values: frozenset[Term]


@dataclass(frozen=True, slots=True)
class Like:
    """It is text that this expression, which is anchored at both ends, matches."""

    expression: str


@dataclass(frozen=True, slots=True)
class Between:
    """It is text from one to another, both included."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Empty:
    """There is no value."""


Test = Equal | Like | Between | Empty


@dataclass(frozen=True, slots=True)
class Criterion:
    """Some value in a place passes some test; without tests none does.

    Attributes:
        path: Of the attribute that the key names.
    """

    path: Path
    field: str
    tests: tuple[Test, ...]


def meets(terms: Terms, criterion: Criterion) -> bool:
    """Say whether terms meet a criterion."""
    value = terms.get(criterion.field)
    values = [] if value is None else value if isinstance(value, list) else [value]
    return any(_passes(values, test) for test in criterion.tests)


def _passes(values: list[Term], test: Test) -> bool:
    match test:
        case Equal(wanted):
            return any(one in wanted for one in values)
        case Like(expression):
            pattern = re.compile(expression, re.DOTALL)
            return any(isinstance(one, str) and pattern.match(one) for one in values)
        case Between(low, high):
            return any(isinstance(one, str) and low <= one <= high for one in values)
        case Empty():
            return not values


def criteria_of(
    keys: Iterable[Key],
    level: Level,
    catalogue: Catalogue,
    *,
    fuzzy: bool = False,
    combined: bool = True,
) -> dict[Level, tuple[Criterion, ...]]:
    """Read the matching keys of a query, by the level at which they are met.

    Args:
        keys: All keys, those that match everything too.
        level: Of what is searched for.
        catalogue: What can be searched by.
        fuzzy: Whether person names match by the beginnings of their words, in any order.
        combined: Whether a date and a time range of one pair are one range.

    Raises:
        NotSupported: An attribute cannot be searched by at this level.
        Invalid: A value cannot be understood.
    """
    asked = [key for key in keys if not is_universal(key.value)]
    if len(asked) > _MOST_KEYS:
        raise Invalid(f"more than {_MOST_KEYS} matching keys")
    found: dict[Level, list[Criterion]] = {}
    paired: set[Path] = set()
    values = {key.path: key.value for key in asked}
    if combined:
        for date, time in TIME_OF.items():
            if date in values and "-" in values.get(time, ""):
                found.setdefault(_level(date, level, catalogue), []).append(
                    _both(date, time, values[date], values[time])
                )
                paired |= {date, time}
    for key in asked:
        if key.path not in paired:
            criteria = _criteria(key, fuzzy=fuzzy)
            found.setdefault(_level(key.path, level, catalogue), []).extend(criteria)
    return {one: tuple(some) for one, some in found.items()}


def is_universal(value: str) -> bool:
    """Say whether a value matches everything."""
    return not value.strip("* ")


def _level(path: Path, level: Level, catalogue: Catalogue) -> Level:
    if path[-1] in OURS:
        return level
    if not catalogue.searchable(level, path):
        named = ".".join(f"{tag:08X}" for tag in path)
        of = catalogue.level_of(path)
        raise NotSupported(
            f"{named} is an attribute of a lower level: search for {of} to match it"
            if of
            else f"{named} cannot be searched by here; whoever runs this server can have it "
            "indexed by the setting RADIOGRAPH_DICOM_KEYS and `python -m app reindex`"
        )
    return catalogue.level_of(path) or level


def _criteria(key: Key, *, fuzzy: bool) -> Iterable[Criterion]:
    path, value = key.path, key.value
    if len(value) > _LONGEST or _CONTROLS.search(value):
        raise Invalid("a matching value is too long, or holds control characters")
    if path == (AVAILABILITY,):
        there = "ONLINE" in re.split(r"[,\\]", value)
        return [Criterion(path, field_of(path), (Empty(),) if there else ())]
    kind = kind_of(path)
    if path[-1] in OURS or kind == "items":
        raise Invalid("neither a sequence nor a URL has a value to match; name what is in it")
    if value == _NO_VALUE:
        return [Criterion(path, field_of(path), (Empty(),))]
    if kind in {"date", "time", "moment"}:
        return [_range(path, kind, value)]
    options = _options(kind, value)
    if kind == "name":
        return _names(path, options, fuzzy=fuzzy)
    return [Criterion(path, field_of(path), tuple(_tests(kind, options)))]


def _options(kind: Kind, value: str) -> list[str]:
    separator = _LISTS.get(kind)
    pieces = re.split(separator, value) if separator else [value]
    options = [one for piece in pieces if (one := piece.strip())]
    if not options or len(options) > _MOST_VALUES:
        raise Invalid(f"a list of values has from one to {_MOST_VALUES} of them")
    if any(is_universal(one) for one in options):
        raise Invalid("one value of a list matches everything; leave the key empty instead")
    return options


def _range(path: Path, kind: Kind, value: str) -> Criterion:
    low, high = _bounds(kind, value)
    if path == _STUDY_DATE:  # the index by which studies are ordered serves it too
        return Criterion(path, WHEN, (Between(low + MIDNIGHT, high + LAST_MOMENT),))
    return Criterion(path, field_of(path), (Between(low, high),))


def _both(date: Path, time: Path, days: str, times: str) -> Criterion:
    """Match from a time on the first day to a time on the last one."""
    first, last = _bounds("date", days)
    low, high = _bounds("time", times)
    opened = first == _FIRST, last == _LAST
    between = Between(
        first + (MIDNIGHT if opened[0] else low), last + (LAST_MOMENT if opened[1] else high)
    )
    return Criterion(date, field_of(date + time), (between,))


_FIRST: Final = "00000000"
_LAST: Final = "99999999"


def _bounds(kind: Kind, value: str) -> tuple[str, str]:
    """Read one date, time or both, or a range of them, as the first and the last text meant."""
    if kind == "moment" and not re.fullmatch(_MOMENT, value.strip(), re.ASCII):
        found = _MOMENTS.fullmatch(value.strip())
        ends = found.groups("") if found else (value, "")
    else:
        low, dash, high = value.partition("-") if kind != "moment" else (value, "", "")
        ends = (low, high) if dash else (value, value)
    if not any(end.strip() for end in ends):
        raise Invalid("a range has a first value, a last one, or both")
    first, last = (_ends(kind, end) if end.strip() else None for end in ends)
    return first[0] if first else _FIRST, last[1] if last else _LAST


def _ends(kind: Kind, text: str) -> tuple[str, str]:
    match kind:
        case "date":
            return date_term(text), date_term(text)
        case "time":
            return time_terms(text)
        case _:
            return moment_terms(text)


_STUDY_DATE: Final = (0x00080020,)


def _tests(kind: Kind, options: Iterable[str]) -> Iterator[Test]:
    exact: set[Term] = set()
    for option in options:
        if kind == "uid":
            exact.add(_uid(option))
        elif kind == "number":
            exact.add(_number(option))
        elif "*" in option or "?" in option:
            yield Like(expression(option))
        else:
            exact.add(option)
    if exact:
        yield Equal(frozenset(exact))


def _uid(text: str) -> str:
    if len(text) > _UID_CHARACTERS or not _UID.fullmatch(text):
        raise Invalid(
            "a UID has digits and dots, 64 characters at most and no wildcards; several are "
            "listed with commas or backslashes between them"
        )
    return text


def _number(text: str) -> int | float:
    number = number_term(text)
    if number is None:
        raise Invalid("this attribute is a number, and matched by one")
    return number


def _names(path: Path, options: list[str], *, fuzzy: bool) -> list[Criterion]:
    """Match names: by words in any order, or component by component in any of the groups."""
    if fuzzy:
        words = [word for option in options for word in fold(option.replace("^", " ")).split()]
        if not words:
            raise Invalid(_NO_LETTER)
        return [Criterion(path, words_of(path), (Like(expression(f"{one}*")),)) for one in words]
    groups = [[_name(group) for group in option.split("=") if group] for option in options]
    if len(groups) == 1:
        return [Criterion(path, field_of(path), (test,)) for test in groups[0]]
    return [Criterion(path, field_of(path), tuple(test for some in groups for test in some))]


_NO_LETTER: Final = "there is no letter in this name"


def _name(group: str) -> Test:
    text = "^".join(_folded(component) for component in group.split("^")).rstrip("^")
    if not text.strip("^"):
        raise Invalid(_NO_LETTER)
    wild = "*" in text or "?" in text
    return Like(expression(text)) if wild else Equal(frozenset({text}))


def _folded(component: str) -> str:
    """Fold what stands between wildcards; a space beside one stays."""
    pieces = re.split(r"([*?])", component)
    last = len(pieces) - 1
    folded = []
    for at, piece in enumerate(pieces):
        if at % 2:
            folded.append(piece)
            continue
        text = fold(piece)
        before = " " if text and at > 0 and piece[:1].isspace() else ""
        after = " " if text and at < last and piece[-1:].isspace() else ""
        folded.append(f"{before}{text}{after}")
    return "".join(folded)


def expression(text: str) -> str:
    """Write wildcards as a regular expression that never tries a place twice.

    `*` is any characters, `?` is one; `.` has to match line breaks too.
    """
    first, *pieces = re.split(r"\*+", text)
    written = f"^{_literal(first)}"
    for at, piece in enumerate(pieces, 1):
        if at < len(pieces):
            written += f"(?>.*?{_literal(piece)})"
        elif piece:
            written += f".*{_literal(piece)}"
        else:
            return written
    return f"{written}$"


def _literal(text: str) -> str:
    return "".join("." if one == "?" else re.escape(one).replace("\\ ", " ") for one in text)
