"""FHIR search as a tree: read from text, written to text, asked of one record.

The same tree serves REST searches, GraphQL filters and policy scopes. `matches` decides for a
record at hand; the database adapter turns the tree into a query that a property test holds equal.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from fhir.dates import interval
from fhir.elements import covering
from fhir.errors import Invalid, NotSupported
from fhir.parameters import PARAMETERS, Parameter, spelled
from fhir.words import fold, sought

Index = Mapping[str, Sequence[Any]]
Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]
_PREFIXES: tuple[Prefix, ...] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
_MAX_CRITERIA = 100
_MAX_VALUES = 200
_MAX_LENGTH = 4096
MAX_WORDS = 12  # of one text that is looked for


@dataclass(frozen=True, slots=True)
class Has:
    """One of the parameter's values is exactly this."""

    parameter: str
    value: str


@dataclass(frozen=True, slots=True)
class Among:
    """One of the parameter's values is one of these; looked up, however many there are."""

    parameter: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Present:
    """The parameter has a value."""

    parameter: str


@dataclass(frozen=True, slots=True)
class During:
    """One of the parameter's times stands in this relation to [low, high)."""

    parameter: str
    prefix: Prefix
    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class Text:
    """One of the parameter's folded texts starts with, or contains, this folded text."""

    parameter: str
    value: str
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """Some word of one of these elements begins in one of these ways, all of them folded.

    Attributes:
        elements: Paths; the guard leaves those that are open.
    """

    parameter: str
    elements: tuple[str, ...]
    beginnings: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """How the stored values begin that are meant."""
        return tuple(
            f"{element} {beginning}" for element in self.elements for beginning in self.beginnings
        )


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not match."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class Stored:
    """The part matches; it names records as they are stored, whatever the caller calls them."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part matches; no parts match everything."""

    parts: tuple["Filter", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part matches; no parts match nothing."""

    parts: tuple["Filter", ...] = ()


Filter = Has | Among | Present | During | Text | Words | Not | Stored | AllOf | AnyOf
EVERYTHING = AllOf()
NOTHING = AnyOf()


def all_of(parts: Iterable[Filter]) -> Filter:
    """Join with AND, without nesting and without parts that change nothing."""
    flat: dict[Filter, None] = {}
    for part in parts:
        for one in part.parts if isinstance(part, AllOf) else (part,):
            flat[one] = None
    if NOTHING in flat:
        return NOTHING
    return next(iter(flat)) if len(flat) == 1 else AllOf(tuple(flat))


def any_of(parts: Iterable[Filter]) -> Filter:
    """Join with OR, without nesting and without parts that change nothing."""
    flat: dict[Filter, None] = {}
    for part in parts:
        for one in part.parts if isinstance(part, AnyOf) else (part,):
            flat[one] = None
    if EVERYTHING in flat:
        return EVERYTHING
    return next(iter(flat)) if len(flat) == 1 else AnyOf(tuple(flat))


def negated(part: Filter) -> Filter:
    """Say the opposite."""
    match part:
        case Not(inner):
            return inner
        case AllOf(()):
            return NOTHING
        case AnyOf(()):
            return EVERYTHING
    return Not(part)


def stored(part: Filter) -> Filter:
    """Mark criteria that do not come from the caller: a view takes their values literally."""
    return part if part in (EVERYTHING, NOTHING) or isinstance(part, Stored) else Stored(part)


def matches(tree: Filter, index: Index) -> bool:
    """Say whether a record with this index is found by the tree."""
    match tree:
        case Has(parameter, value):
            return value in index.get(parameter, ())
        case Among(parameter, values):
            return not values.isdisjoint(index.get(parameter, ()))
        case Present(parameter):
            return bool(index.get(parameter))
        case During():
            return any(_stands(tree, each) for each in index.get(tree.parameter, ()))
        case Text(parameter, value, anywhere):
            found = index.get(parameter, ())
            return any(value in one if anywhere else one.startswith(value) for one in found)
        case Words():
            found = index.get(tree.parameter, ())
            return any(one.startswith(tree.values) for one in found)
        case Not(part):
            return not matches(part, index)
        case Stored(part):
            return matches(part, index)
        case AllOf(parts):
            return all(matches(part, index) for part in parts)
        case AnyOf(parts):
            return any(matches(part, index) for part in parts)


def with_words(tree: Filter, write: Callable[[Words], Filter]) -> Filter:
    """Write the words anew that a caller looks for; what is stored stays as it is."""
    match tree:
        case Words():
            return write(tree)
        case Not(part):
            return negated(with_words(part, write))
        case AllOf(parts):
            return all_of(with_words(part, write) for part in parts)
        case AnyOf(parts):
            return any_of(with_words(part, write) for part in parts)
    return tree


def parameters_of(tree: Filter) -> frozenset[str]:
    """List the parameters that a tree looks at."""
    match tree:
        case Not(part) | Stored(part):
            return parameters_of(part)
        case AllOf(parts) | AnyOf(parts):
            return frozenset().union(*(parameters_of(part) for part in parts))
        case _:
            return frozenset({tree.parameter})


def _stands(asked: During, stored: Mapping[str, datetime]) -> bool:
    low, high = stored["low"], stored["high"]
    contained = low >= asked.low and high <= asked.high
    match asked.prefix:
        case "eq":
            return contained
        case "ne":
            return not contained
        case "gt":
            return high > asked.high
        case "lt":
            return low < asked.low
        case "ge":
            return high > asked.high or contained
        case "le":
            return low < asked.low or contained
        case "sa":
            return low >= asked.high
        case "eb":
            return high <= asked.low


@dataclass(frozen=True, slots=True)
class Search:
    """What one search asks for.

    Attributes:
        resource: Type searched.
        tree: The criteria.
        coordinates: Elements that the criteria look at; searching needs the right to read them.
        either: Elements whose words are looked for, each of them where it is open; searching
            needs the right to read one of them.
    """

    resource: str
    tree: Filter = EVERYTHING
    coordinates: frozenset[str] = frozenset()
    either: frozenset[str] = frozenset()

    def and_also(self, other: "Search") -> "Search":
        """Narrow by a second search on the same type."""
        return Search(
            self.resource,
            all_of((self.tree, other.tree)),
            self.coordinates | other.coordinates,
            self.either | other.either,
        )


def criteria(
    resource: str,
    pairs: Iterable[tuple[str, str]],
    *,
    base_url: str = "",
    zone: tzinfo = UTC,
) -> Search:
    """Read search criteria: repeated names are ANDed, commas within a value ORed.

    Args:
        resource: Type searched.
        pairs: Names with modifier (`modality:not`) and values as written, percent-decoded.
        base_url: Prefix that makes an absolute reference ours.
        zone: What dates without offset are taken to be in.

    Raises:
        NotSupported: There is no such parameter or modifier; the text lists those there are.
        Invalid: A value is not of the parameter's type, or there is too much of it.
    """
    parts: list[Filter] = []
    coordinates: set[str] = set()
    either: set[str] = set()
    for name, value in pairs:
        if len(parts) == _MAX_CRITERIA:
            raise Invalid(f"more than {_MAX_CRITERIA} criteria")
        row, modifier = _parameter(resource, name)
        parts.append(_criterion(row, modifier, value, base_url, zone))
        (either if row.by_element else coordinates).update(coordinates_of(resource, row))
    return Search(resource, all_of(parts), frozenset(coordinates), frozenset(either))


def coordinates_of(resource: str, row: Parameter) -> set[str]:
    """List the elements that a parameter looks at."""
    return {covering(resource, path) for path in row.paths}


def parameter(resource: str, name: str) -> Parameter:
    """Give a search parameter by name.

    Raises:
        NotSupported: There is none of this name.
    """
    table = PARAMETERS.get(resource, {})
    if name not in table:
        able = ", ".join(table) or "none"
        raise NotSupported(f"{resource} has no search parameter of this name; there are: {able}")
    return table[name]


def _parameter(resource: str, name: str) -> tuple[Parameter, str]:
    bare, _, modifier = name.partition(":")
    if "." in name:
        raise NotSupported(f"{resource}: chained parameters do not work here")
    return parameter(resource, bare), modifier


def _criterion(row: Parameter, modifier: str, value: str, base_url: str, zone: tzinfo) -> Filter:
    if len(value) > _MAX_LENGTH:
        raise Invalid(f"{row.name}: longer than {_MAX_LENGTH} characters")
    if modifier and row.by_element:
        # whether there are words at all is told by no element in particular
        raise NotSupported(f"{row.name}: takes no modifier")
    if modifier == "missing":
        if value not in {"true", "false"}:
            raise Invalid(f"{row.name}:missing takes true or false")
        return negated(Present(row.name)) if value == "true" else Present(row.name)
    if value != value.encode(errors="ignore").decode():
        raise Invalid(f"{row.name}: not Unicode text")  # half a surrogate pair
    options = split(value, ",")
    if len(options) > _MAX_VALUES:
        raise Invalid(f"{row.name}: more than {_MAX_VALUES} values")
    if not all(options):
        raise Invalid(f"{row.name}: an empty value; leave the parameter out instead")
    match row.kind, modifier:
        case "token", "" | "not":
            found = any_of(Has(row.name, _token(row, option)) for option in options)
            return negated(found) if modifier else found
        case "reference", _ if modifier == "" or modifier in row.targets:
            return any_of(
                Has(row.name, one)
                for option in options
                for one in _reference(row, modifier, option, base_url)
            )
        case "date", "":
            return any_of(_date(row, option, zone) for option in options)
        case "string", "" | "contains":
            return any_of(_text(row, modifier, unescape(option)) for option in options)
    raise NotSupported(f"{row.name}: this modifier does not work with a {row.kind} parameter")


def split(value: str, separator: str) -> list[str]:
    r"""Split at separators that no backslash escapes; the pieces keep their escapes."""
    pieces = [""]
    for one in re.findall(r"\\.|.", value, re.DOTALL):
        if one == separator:
            pieces.append("")
        else:
            pieces[-1] += one
    return pieces


def unescape(text: str) -> str:
    r"""Undo FHIR's escapes `\,` `\|` `\$` `\\` (search.html#escaping)."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def escape(text: str) -> str:
    """Write text so that a search value means exactly it."""
    return re.sub(r"([,|$\\])", r"\\\1", text)


def _token(row: Parameter, option: str) -> str:
    pieces = [unescape(piece) for piece in split(option, "|")]
    if len(pieces) > 2 or not any(pieces):  # noqa: PLR2004 -- system and code
        raise Invalid(f"{row.name}: write code, system|code, |code or system|")
    return spelled(*pieces)


ID = r"[A-Za-z0-9.-]{1,64}"  # of a resource


def _reference(row: Parameter, modifier: str, option: str, base_url: str) -> list[str]:
    text = unescape(option)
    if base_url:
        text = text.removeprefix(f"{base_url}/")
    targets = [modifier] if modifier else row.targets
    if re.fullmatch(ID, text):
        return [f"{target}/{text}" for target in targets]
    if "://" in text or text.startswith("urn:"):
        return [text]
    if not re.fullmatch(rf"[A-Z][A-Za-z]*/{ID}", text):
        raise Invalid(f"{row.name}: write an id, Type/id or an absolute URL")
    if text.partition("/")[0] not in targets:
        raise Invalid(f"{row.name}: refers to {' or '.join(targets)} only")
    return [text]


def _date(row: Parameter, option: str, zone: tzinfo) -> Filter:
    prefix = next((one for one in _PREFIXES if option.startswith(one)), None)
    if prefix is None and option[:1].isalpha():
        raise NotSupported(f"{row.name}: a date begins with a year, or {', '.join(_PREFIXES)}")
    low, high = interval(option[2:] if prefix else option, zone)
    return During(row.name, prefix or "eq", low, high)


def _text(row: Parameter, modifier: str, text: str) -> Filter:
    if row.by_element:
        return _each_word(row, text)
    folded = fold(text)
    if not folded:
        raise Invalid(f"{row.name}: nothing to look for")
    if row.words:
        return all_of(Text(row.name, word, anywhere=True) for word in folded.split(" "))
    return Text(row.name, folded, anywhere=modifier == "contains")


def _each_word(row: Parameter, text: str) -> Filter:
    found = sought(text)
    if not found:
        raise Invalid(f"{row.name}: nothing to look for")
    if len(found) > MAX_WORDS:
        raise Invalid(f"{row.name}: more than {MAX_WORDS} words")
    return all_of(Words(row.name, row.paths, one) for one in found)
