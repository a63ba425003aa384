"""Reading a DICOM JSON Model (PS3.18 Annex F) by keyword."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydicom.datadict import tag_for_keyword

Attributes = Mapping[str, Any]
"""`{"00100020": {"vr": "LO", "Value": ["123"]}, …}`; keys are eight upper-case hex digits."""

NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
"""Of a person name, in the order in which `=` separates them (PS3.5 6.2.1.2)."""


@cache
def tag(keyword: str) -> str:
    """Give the DICOM JSON key of a keyword: `PatientID` is `00100020`."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return f"{number:08X}"


def values(attributes: Attributes, keyword: str) -> list[Any]:
    """List the values of an attribute; absent and empty attributes have none, gaps are None."""
    element = attributes.get(tag(keyword))
    found = element.get("Value") if element else None
    return found if isinstance(found, list) else []


def first(attributes: Attributes, keyword: str) -> Any:
    """Give the first value that is there, or None."""
    return next((value for value in values(attributes, keyword) if value is not None), None)


def text(attributes: Attributes, keyword: str) -> str | None:
    """Give the first value as text without padding, or None where nothing is left.

    A person name is not text: read it with `first`, it is an object.
    """
    value = first(attributes, keyword)
    if value is None or isinstance(value, Mapping):
        return None
    return str(value).strip(" \0") or None


def integer(attributes: Attributes, keyword: str) -> int | None:
    """Give the first value as a whole number, or None if it is none (`"1.0"` is 1)."""
    number = decimal(attributes, keyword)
    return int(number) if number is not None and number == int(number) else None


def decimal(attributes: Attributes, keyword: str) -> float | None:
    """Give the first value as a finite number, or None if it is none."""
    found = decimals(attributes, keyword)
    return found[0] if found else None


def decimals(attributes: Attributes, keyword: str) -> list[float]:
    """List the values that are finite numbers."""
    numbers = []
    for value in values(attributes, keyword):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if number - number == 0:
            numbers.append(number)
    return numbers


def items(attributes: Attributes, keyword: str) -> list[Attributes]:
    """List the items of a sequence."""
    return [value for value in values(attributes, keyword) if isinstance(value, Mapping)]
