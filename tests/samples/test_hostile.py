"""The hostile inputs are many, each a case of its own and the same every time."""

from collections import Counter

import pytest

from tests.hostile import CASES, Case, meta_end, position

SMALL = [case for case in CASES if case.name != "deflate bomb"]


def test_there_are_many_cases_and_no_two_of_one_name() -> None:
    assert Counter(case.expect for case in CASES) == {"accept": 67, "warn": 31, "refuse": 39}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_a_case_is_the_same_every_time(case: Case) -> None:
    assert case.make() == case.make()


def test_only_a_duplicate_has_the_bytes_of_another_case() -> None:
    contents = Counter(case.make() for case in SMALL)
    assert [count for count in contents.values() if count > 1] == [2]


def test_what_comes_after_names_a_case() -> None:
    names = {case.name for case in CASES}
    assert {case.after for case in CASES if case.after} <= names


def test_the_deflate_bomb_is_small_on_disk() -> None:
    bomb = next(case for case in CASES if case.name == "deflate bomb").make()
    assert 200_000 < len(bomb) < 400_000
    assert meta_end(bomb) < 500


def test_the_deepest_case_holds_twenty_thousand_sequences() -> None:
    deep = next(case for case in CASES if case.name == "depth 20000").make()
    assert deep[position(deep, 0x00081115) :].count(b"\x08\0\x15\x11SQ") == 20_000
