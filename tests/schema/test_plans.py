"""What is remembered of operations is bounded, is the same for every role, and decides nothing."""

import pytest

from schema.build import build_schema
from schema.documents import LONGEST_TEXT, MOST_OF_TEXTS
from schema.errors import Refused
from schema.limits import Limits
from schema.plans import MOST_OF_PLANS, Plans
from schema.remembered import Remembered

SCHEMA = build_schema()


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    kept: Remembered[str, int] = Remembered(10)
    for name, weight in (("a", 4), ("b", 4)):
        kept.keep(name, weight, weight)
    assert kept.look("a") == 4
    kept.keep("c", 4, 4)
    assert (kept.look("a"), kept.look("b"), kept.look("c")) == (4, None, 4)


def test_texts_and_plans_are_bounded_by_their_length() -> None:
    plans = Plans(SCHEMA)
    text = '{{ patient(id: "{}") {{ id }} }} #' + "x" * 30_000
    for number in range(100):
        plans.planned(text.format(number), {}, None, Limits())
    assert len(plans.texts) <= MOST_OF_TEXTS // 30_000
    assert len(plans._plans) <= MOST_OF_PLANS // 30_000


def test_a_text_that_is_too_long_is_not_remembered() -> None:
    plans = Plans(SCHEMA)
    planned = plans.planned("{ __typename } #" + "x" * LONGEST_TEXT, {}, None, Limits())
    assert planned.projection is not None
    assert (len(plans.texts), len(plans._plans)) == (0, 0)


def test_variables_that_decide_make_plans_of_their_own_and_others_are_bound() -> None:
    plans = Plans(SCHEMA)
    text = """query($id: ID!, $first: Int, $all: Boolean!) {
      patient(id: $id) {id studies(first: $first) {totalCount @include(if: $all)}}}"""

    def asked(**variables: object) -> tuple[int, dict[str, object], int | None, set[str]]:
        planned = plans.planned(text, variables, None, Limits())
        [place] = planned.places
        [link] = place.links
        return planned.cost, place.arguments, link.arguments["first"], link.plumbing

    assert asked(id="a", first=3, all=True) == (4, {"id": "a"}, 3, {"totalCount"})
    assert asked(id="b", first=3, all=True) == (4, {"id": "b"}, 3, {"totalCount"})
    assert len(plans._plans) == 1
    assert asked(id="b", first=5, all=True) == (6, {"id": "b"}, 5, {"totalCount"})
    assert asked(id="b", first=5, all=False) == (6, {"id": "b"}, 5, set())
    assert len(plans._plans) == 3


def test_what_is_wrong_with_one_request_is_not_held_against_the_next() -> None:
    plans = Plans(SCHEMA)
    text = "query($first: Int) {studies(first: $first) {totalCount}}"
    for wrong in ({"first": "many"}, {"first": True}, {"first": 60_000}):
        with pytest.raises(Refused):
            plans.planned(text, wrong, None, Limits())
    assert plans.planned(text, {"first": 1}, None, Limits()).cost == 1
    # 1 and true are not the same
    with pytest.raises(Refused):
        plans.planned(text, {"first": True}, None, Limits())
