"""Cursors: where a page ended, as text that clients hand back."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson

from fhir.errors import Invalid
from fhir.repository import Position, Sort

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 8192


def encode(position: Position, sort: Sequence[Sort]) -> str:
    """Write a position in one sort order as URL-safe text."""
    values = [
        {"ms": _milliseconds(value)} if isinstance(value, datetime) else value for value in position
    ]
    return base64.urlsafe_b64encode(orjson.dumps([_order(sort), *values])).rstrip(b"=").decode()


def decode(cursor: str, sort: Sequence[Sort]) -> Position:
    """Read a cursor.

    Raises:
        Invalid: It was not made here, or for another order.
    """
    problem = Invalid("this cursor is not one of ours for this order; begin at the first page")
    if len(cursor) > _LONGEST:
        raise problem
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        order, *values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        position = tuple(
            _EPOCH + timedelta(milliseconds=value["ms"]) if isinstance(value, dict) else value
            for value in values
        )
    except (binascii.Error, ValueError, TypeError, KeyError, OverflowError) as error:
        raise problem from error
    if order != _order(sort) or len(position) != len(sort) + 1:
        raise problem
    if not all(isinstance(value, str | datetime) for value in position):
        raise problem
    return position


def _milliseconds(moment: datetime) -> int:
    # whole milliseconds are what MongoDB compares; a float would lose them far from 1970
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _order(sort: Sequence[Sort]) -> str:
    return ",".join(f"{'-' if one.descending else ''}{one.parameter}" for one in sort)
