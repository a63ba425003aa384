"""Cursors of FHIR's connections: they bring their search along, so that they stand alone.

A cursor says nothing that its client has not sent, and opens nothing: whoever sends one asks anew.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from fhir.errors import Invalid
from fhir.parameters import PARAMETERS

Json = Any
LONGEST = 32_768
_TEXTS = frozenset({"_filter", "_sort"})


def write_cursor(arguments: Mapping[str, Json], position: str) -> str:
    """Write a cursor.

    Args:
        arguments: Of the search.
        position: Where the page begins; empty for the first one.
    """
    kept = _kept(arguments)
    return base64.urlsafe_b64encode(orjson.dumps([kept, position])).rstrip(b"=").decode()


def read_cursor(resource: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Give the arguments of a search, those that its cursor brings; `_cursor` is the position.

    Raises:
        Invalid: The cursor was not made here, or the search beside it is another one.
    """
    given = _kept(arguments)
    cursor = arguments.get("_cursor")
    if cursor is None:
        return given
    kept, position = _read(cursor)
    if not all(_fits(resource, name, value) for name, value in kept.items()):
        raise _foreign()
    if any(kept.get(name) != value for name, value in given.items()):
        raise Invalid("_cursor: it brings its own search; leave the other arguments out")
    return kept | ({"_cursor": position} if position else {})


def _read(cursor: str) -> tuple[dict[str, Json], str]:
    if len(cursor) > LONGEST:
        raise _foreign()
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        kept, position = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise _foreign() from error
    if not isinstance(kept, dict) or not isinstance(position, str):
        raise _foreign()
    return kept, position


def _fits(resource: str, name: str, value: Json) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name == "_count":
        return isinstance(value, int) and not isinstance(value, bool)
    known = {one.replace("-", "_") for one in PARAMETERS[resource]}
    return name in known and isinstance(value, list) and all(isinstance(one, str) for one in value)


def _kept(arguments: Mapping[str, Json]) -> dict[str, Json]:
    return {
        name: [one for one in value if one is not None] if isinstance(value, list) else value
        for name, value in arguments.items()
        if name not in {"_cursor", "_reference", "fhirpath"} and value is not None
    }


def _foreign() -> Invalid:
    return Invalid("_cursor: not one of this server's; begin at the first page")
