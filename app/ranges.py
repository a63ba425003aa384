"""One range of bytes, as a client asks for it (RFC 9110 14)."""

import re
from typing import ClassVar

from fhir.errors import Invalid

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})", re.IGNORECASE)


class RangeNotSatisfiable(Invalid):
    """The bytes asked for lie beyond the end.

    Attributes:
        size: How many there are.
    """

    code: ClassVar[str] = "RANGE_NOT_SATISFIABLE"
    status: ClassVar[int] = 416

    def __init__(self, size: int) -> None:
        super().__init__(f"there are {size} bytes, and this range lies beyond them")
        self.size = size


def asked_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Give bytes [start, end), or None for all of them.

    What is not one range of bytes is ignored, as RFC 9110 14.2 allows.

    Raises:
        RangeNotSatisfiable: There are no such bytes.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match["first"] == match["last"] == "":
        return None
    if match["first"] == "":
        start, end = max(size - int(match["last"]), 0), size if int(match["last"]) else 0
    else:
        start = int(match["first"])
        end = min(int(match["last"]) + 1, size) if match["last"] else size
        if match["last"] and int(match["last"]) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiable(size)
    return start, end
