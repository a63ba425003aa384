"""Two independent validators of FHIR R4, and what neither of them minds."""

from collections.abc import Iterator, Mapping
from typing import Any

import fhirkit

from fhir import models


def assert_valid(resource: Mapping[str, Any]) -> None:
    """Fail unless fhir.resources and fhirkit accept the resource and nothing in it is empty."""
    models.validate(resource)
    assert [str(issue) for issue in fhirkit.validate(dict(resource))] == []
    assert list(flaws(resource)) == []


def flaws(value: Any, path: str = "") -> Iterator[str]:
    """List the paths of nulls, empty values, padded or control-laden texts and overlong ids."""
    if value is None or value in ("", [], {}):
        yield f"{path}: empty"
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name in ("id", "uid") and len(str(inner)) > 64:
                yield f"{path}.{name}: more than 64 characters"
            yield from flaws(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from flaws(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        if value != value.strip():
            yield f"{path}: padded"
        if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in value):
            yield f"{path}: control character"
        if any(0xD800 <= ord(letter) < 0xE000 for letter in value):
            yield f"{path}: half a surrogate pair"
