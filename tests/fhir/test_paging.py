"""Cursors."""

import base64
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.errors import Invalid
from fhir.paging import decode, encode
from fhir.repository import Sort

BY_DATE = (Sort("started", descending=True), Sort("status"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
# what MongoDB keeps: whole milliseconds
TIMES = st.datetimes(timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)


@given(TIMES, TEXTS, TEXTS)
def test_a_cursor_reads_back_as_the_position_it_was_made_of(
    started: datetime, status: str, identifier: str
) -> None:
    position = (started, status, identifier)
    cursor = encode(position, BY_DATE)
    assert decode(cursor, BY_DATE) == position
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("year", [1, 1600, 1969, 2024, 2300, 9999])
def test_a_cursor_keeps_the_millisecond_in_any_century(year: int) -> None:
    moments = [datetime(year, 6, 1, 1, 2, 3, ms * 1000, tzinfo=UTC) for ms in range(0, 1000, 7)]
    sort = (Sort("started"),)
    assert [decode(encode((one, "x"), sort), sort)[0] for one in moments] == moments


def test_a_cursor_of_another_order_is_refused() -> None:
    cursor = encode(("available", "1"), (Sort("status"),))
    for other in ((), (Sort("status", descending=True),), (Sort("patient"),), BY_DATE):
        with pytest.raises(Invalid, match="begin at the first page"):
            decode(cursor, other)


def written(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "====", "ä", "!!!!", "e" * 10_000, written(1), written([]), written({}),
        written(["status"]),
        written(["status", "a"]), written(["status", "a", "b", "c"]), written(["status", 1, "a"]),
        written(["status", None, "a"]), written(["status", ["a"], "b"]),
        written(["status", {}, "b"]),
        written(["status", {"ms": "1"}, "b"]), written(["status", {"ms": 10**18}, "b"]),
        written(["status", {"$gt": ""}, "b"]), written(["status", True, "b"]),
    ],
)  # fmt: skip
def test_a_cursor_that_we_did_not_make_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="not one of ours"):
        decode(cursor, (Sort("status"),))
