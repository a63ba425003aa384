"""DICOM text as FHIR strings: trimmed, without control characters, never empty."""

import re

from fhir.attributes import Attributes, first, values

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def clean(value: object) -> str | None:
    """Give a value as one line; None if it is no text or nothing is left of it."""
    return _clean(value, _CONTROL)


def line(attributes: Attributes, keyword: str) -> str | None:
    """Give the first value as one line."""
    return clean(first(attributes, keyword))


def lines(attributes: Attributes, keyword: str) -> list[str]:
    """List the values that say something, each as one line."""
    return [text for value in values(attributes, keyword) if (text := clean(value))]


def paragraph(attributes: Attributes, keyword: str) -> str | None:
    """Give the first value with its line breaks."""
    return _clean(first(attributes, keyword), _CONTROL_BUT_LINES)


def token(attributes: Attributes, keyword: str) -> str | None:
    """Give the first value as FHIR `code`: single spaces inside, none around."""
    text = line(attributes, keyword)
    return " ".join(text.split()) if text else None


def _clean(value: object, unwanted: re.Pattern[str]) -> str | None:
    if not isinstance(value, str | int | float):
        return None
    # padding goes first, so that a NUL at the end leaves no space
    text = unwanted.sub(" ", str(value).strip(" \0"))
    return _SURROGATE.sub("\ufffd", text).strip() or None
