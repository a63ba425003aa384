"""What the bytes of one element value mean, in terms of the DICOM JSON Model (PS3.18 Annex F)."""

import re
from collections.abc import Callable, Iterable
from datetime import date
from math import isfinite
from struct import Struct, unpack
from typing import Any, Final

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

DEFAULT: Final = ("iso8859",)
"""Python codecs of a data set without Specific Character Set; Latin 1 keeps every byte."""

BAD_TEXT: Final = "text does not fit its character set"
BAD_CHARACTER_SET: Final = "the character set is unknown"
BAD_NUMBER: Final = "a number cannot be read"
BAD_DATE: Final = "a date is impossible"
BAD_TIME: Final = "a time is impossible"
BAD_LENGTH: Final = "the length of a value does not suit its type"

_ESCAPE = b"\x1b"
_ESCAPED = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
# PS3.5 6.1.2.5.3: at these characters the first character set is in force again.
_RESETS = frozenset(b"\\\t\n\f\r")
_NAME_RESETS = _RESETS | frozenset(b"^=")
# Codecs that read the escape sequences themselves.
_ESCAPING = frozenset(("iso2022_jp", "iso2022_jp_2", "iso_ir_58"))
_DATE = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
_TIME = re.compile(
    r"(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
)
_INT64 = range(-(2**63), 2**63)


class Context:
    """What decides how a value is read, besides its bytes."""

    __slots__ = ("big", "encodings", "notes")

    def __init__(self, notes: dict[str, None], *, big: bool) -> None:
        self.big = big
        self.encodings: tuple[str, ...] = DEFAULT
        self.notes = notes

    def note(self, text: str) -> None:
        """Remember a warning once."""
        self.notes[text] = None


Reader = Callable[[bytes, Context], list[Any]]
"""Turns the bytes of a value into its JSON values; none if the value is empty."""


def encodings(names: Iterable[Any], context: Context) -> tuple[str, ...]:
    """Give the Python codecs of a Specific Character Set, the default one first if none is named.

    Only the codecs DICOM knows come out: a file cannot choose any other one.
    """
    terms = [_term(str(name or "").strip().upper()) for name in names] or [""]
    if terms[0] in STAND_ALONE_ENCODINGS:
        return (python_encoding[terms[0]],)
    codecs = []
    for term in terms:
        codec = python_encoding.get(term)
        if codec is None:
            context.note(BAD_CHARACTER_SET)
        if term not in STAND_ALONE_ENCODINGS:
            codecs.append(codec or DEFAULT[0])
    return tuple(codecs)


def _term(name: str) -> str:
    """Put right the separators that are often mistaken: `ISO-IR 100`, `ISO 2022-IR-87`."""
    if name in python_encoding:
        return name
    words = re.split(r"[ _-]+", name)
    for term in ("_".join(words[:2]) + " " + " ".join(words[2:]), " ".join(words)):
        if term.strip() in python_encoding:
            return term.strip()
    return name


def decode(raw: bytes, context: Context, resets: frozenset[int] = _RESETS) -> str:
    """Decode text in the character sets in force; what cannot be decoded is replaced."""
    if _ESCAPE not in raw:
        return _codec(raw, context.encodings[0], context)
    return "".join(_fragment(part, context, resets) for part in _ESCAPED.findall(raw))


def _codec(raw: bytes, codec: str, context: Context) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        context.note(BAD_TEXT)
        return raw.decode(codec, "replace")


def _fragment(part: bytes, context: Context, resets: frozenset[int]) -> str:
    first = context.encodings[0]
    if not part.startswith(_ESCAPE):
        return _codec(part, first, context)
    length = 4 if part.startswith((b"\x1b$(", b"\x1b$)")) else 3
    codec = CODES_TO_ENCODINGS.get(part[:length], "")
    if codec not in context.encodings and codec != DEFAULT[0]:
        context.note(BAD_TEXT)
        return _codec(part, first, context)
    if codec in _ESCAPING:
        return _codec(part, codec, context)
    part = part[length:]
    end = next((index for index, byte in enumerate(part) if byte in resets), len(part))
    return _codec(part[:end], codec, context) + _codec(part[end:], first, context)


def read_text(raw: bytes, context: Context) -> list[str | None]:
    """Read LO, SH, UC: values between backslashes, without trailing spaces."""
    ascii_only = raw.isascii() and _ESCAPE not in raw
    text = (raw.decode("ascii") if ascii_only else decode(raw, context)).rstrip(" \0")
    if "\\" in text:
        return [part.rstrip(" \0") or None for part in text.split("\\")]
    return [text] if text else []


def read_long_text(raw: bytes, context: Context) -> list[str]:
    """Read LT, ST, UT: one value, in which a backslash is a backslash."""
    text = decode(raw, context).rstrip(" \0")
    return [text] if text else []


def read_code(raw: bytes, _: Context) -> list[str | None]:
    """Read AS, CS, DT: ASCII between backslashes."""
    text = raw.decode("latin-1").rstrip(" \0")
    if "\\" in text:
        return [part or None for part in text.split("\\")]
    return [text] if text else []


def read_date(raw: bytes, context: Context) -> list[str | None]:
    """Read DA; an impossible date is kept as it stands."""
    values = read_code(raw, context)
    for value in values:
        if value is not None and not _possible(value):
            context.note(BAD_DATE)
    return values


def _possible(value: str) -> bool:
    parts = _DATE.fullmatch(value)
    if parts is None:
        return False
    try:
        date(int(parts[1]), int(parts[2]), int(parts[3]))
    except ValueError:
        return False
    return True


def read_time(raw: bytes, context: Context) -> list[str | None]:
    """Read TM; an impossible time is kept as it stands."""
    values = read_code(raw, context)
    for value in values:
        if value is not None and not _TIME.fullmatch(value.rstrip()):
            context.note(BAD_TIME)
    return values


def read_title(raw: bytes, _: Context) -> list[str | None]:
    """Read AE, in which leading spaces mean nothing either."""
    text = raw.decode("latin-1").strip(" \0")
    if "\\" in text:
        return [part.strip() or None for part in text.split("\\")]
    return [text] if text else []


def read_uid(raw: bytes, _: Context) -> list[str | None]:
    """Read UI."""
    text = raw.decode("latin-1").rstrip(" \0")
    if "\\" in text:
        return [part.strip(" \0") or None for part in text.split("\\")]
    return [text.strip()] if text else []


def read_uri(raw: bytes, _: Context) -> list[str]:
    """Read UR, which has one value."""
    text = raw.decode("latin-1").rstrip(" \0")
    return [text] if text else []


def read_name(raw: bytes, context: Context) -> list[dict[str, str] | None]:
    """Read PN as objects of the groups that are there."""
    raw = raw.rstrip(b" \0")
    if raw.isascii() and _ESCAPE not in raw:
        text = raw.decode("ascii")
    else:
        text = decode(raw, context, _NAME_RESETS)
    if "\\" not in text and "=" not in text:
        return [{"Alphabetic": text}] if text else []
    names = [_groups(value) for value in text.split("\\")]
    return names if any(names) else []


def _groups(value: str) -> dict[str, str] | None:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False)
    return {name: group for name, group in groups if group} or None


def read_decimal(raw: bytes, context: Context) -> list[float | str | None]:
    """Read DS as numbers; what is no finite number stays a string (PS3.18 F.2.3 allows both)."""
    text = raw.decode("latin-1").strip(" \0")
    if "\\" not in text:
        return [_decimal(text, context)] if text else []
    return [_decimal(part, context) for part in text.split("\\")]


def _decimal(text: str, context: Context) -> float | str | None:
    try:
        number = float(text)
    except ValueError:
        if not text.strip(" \0"):
            return None
    else:
        # Python reads 1_000, which is no DS.
        if isfinite(number) and "_" not in text:
            return number
    context.note(BAD_NUMBER)
    return text


def read_integer(raw: bytes, context: Context) -> list[int | str | None]:
    """Read IS as numbers; what is no number or beyond 64 bits stays a string."""
    text = raw.decode("latin-1").strip(" \0")
    if "\\" not in text:
        return [_integer(text, context)] if text else []
    return [_integer(part, context) for part in text.split("\\")]


def _integer(text: str, context: Context) -> int | str | None:
    try:
        number = int(text)
    except ValueError:
        if not text.strip(" \0"):
            return None
        decimal = _decimal(text, context)
        if not isinstance(decimal, float) or not decimal.is_integer():
            context.note(BAD_NUMBER)
            return text
        number = int(decimal)
    if number in _INT64 and "_" not in text:
        return number
    context.note(BAD_NUMBER)
    return text


def read_tags(raw: bytes, context: Context) -> list[str]:
    """Read AT as eight hex digits each."""
    count = len(raw) // 4
    if count * 4 != len(raw):
        context.note(BAD_LENGTH)
    halves = unpack(f"{'>' if context.big else '<'}{count * 2}H", raw[: count * 4])
    return [f"{halves[i]:04X}{halves[i + 1]:04X}" for i in range(0, count * 2, 2)]


def _numbers(code: str) -> Reader:
    little, big = Struct("<" + code), Struct(">" + code)
    size = little.size

    def read(raw: bytes, context: Context) -> list[Any]:
        one = big if context.big else little
        if len(raw) == size:
            return list(one.unpack(raw))
        return [value for (value,) in one.iter_unpack(raw)]

    return read


def _finite(read: Reader) -> Reader:
    # JSON has no such numbers and PS3.18 does not say; a string keeps its place in the list.
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

    def finite(raw: bytes, context: Context) -> list[float | str]:
        return [v if isfinite(v) else names[str(v)] for v in read(raw, context)]

    return finite


def _within_int64(read: Reader) -> Reader:
    def within(raw: bytes, context: Context) -> list[int | str]:
        return [v if v in _INT64 else str(v) for v in read(raw, context)]

    return within


READERS: Final[dict[str, Reader]] = {
    "AE": read_title,
    "AS": read_code,
    "AT": read_tags,
    "CS": read_code,
    "DA": read_date,
    "DS": read_decimal,
    "DT": read_code,
    "FD": _finite(_numbers("d")),
    "FL": _finite(_numbers("f")),
    "IS": read_integer,
    "LO": read_text,
    "LT": read_long_text,
    "PN": read_name,
    "SH": read_text,
    "SL": _numbers("i"),
    "SS": _numbers("h"),
    "ST": read_long_text,
    "SV": _numbers("q"),
    "TM": read_time,
    "UC": read_text,
    "UI": read_uid,
    "UL": _numbers("I"),
    "UR": read_uri,
    "US": _numbers("H"),
    "UT": read_long_text,
    "UV": _within_int64(_numbers("Q")),
}
"""How to read each VR that has values; the others are bytes or sequences."""

NUMBER_SIZES: Final = {"FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
"""Bytes of one number of each binary VR."""
